"""A model from nothing: stages one after the other, each resumable, each in a folder of its own.

A recipe is a yaml file with a list of stages. Each names its kind, its folder, and what differs from the defaults of its
kind in ``configs/<kind>.yaml``; a stage speaks of earlier ones by their names, and of what the recipe is given
(``inputs``: name and meaning) as ``$name``. An entry ``{recipe: NAME, INPUT: ...}`` stands for all stages of another recipe.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simdrive.build import load_config
from simdrive.compress.data import make_data
from simdrive.compress.drivers import driven_by
from simdrive.compress.requests import data_request, settings_of, train_request
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.grid import AgentConfig
from simdrive.models.where import weight_files, weight_hash
from simdrive.streams import digest

Say = Callable[[str], None]
DONE, BEGUN = "stage.json", "begun.json"
_OWN = ("stage", "name")  # fields of a recipe's entry that are no settings
_OF_STAGES = ("data", "init", "model", "vision", "teacher", "labels")  # settings that may name earlier stages


@dataclass(frozen=True)
class Stage:
    """One step of a recipe."""

    kind: str
    name: str  # its folder under the recipe's
    settings: Mapping[str, Any]  # what differs from configs/<kind>.yaml


@dataclass(frozen=True)
class Finished:
    """A stage that is done, and what it took."""

    name: str
    kind: str
    seconds: float
    peak_bytes: int
    result: Path


def load_recipe(
    name: str, stages: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None
) -> tuple[Stage, ...]:
    """Return the stages of ``configs/recipe/<name>.yaml`` or of a yaml file.

    Args:
        name: of the recipe.
        stages: changes by stage name, e.g. ``{"expert": {"cases": 2}}``.
        given: values of the recipe's inputs, e.g. ``{"teacher": "runs/teacher/best"}``.

    Raises:
        ParameterError, UnknownNameError: if the recipe, a stage, an input or a field does not exist, an input is
            missing, or a name is taken twice.
    """
    found: list[Stage] = []
    for entry in _listed(name, given or {}):
        if not isinstance(entry, dict) or set(_OWN) - set(entry):
            raise ParameterError(f"a stage of recipe {name!r} lacks one of {', '.join(_OWN)}: {entry}")
        if entry["stage"] not in KINDS:
            raise UnknownNameError("stage", str(entry["stage"]), KINDS)
        if entry["name"] in [stage.name for stage in found]:
            raise ParameterError(f"recipe {name!r} has two stages named {entry['name']!r}")
        own = {key: value for key, value in entry.items() if key not in _OWN}
        found.append(Stage(str(entry["stage"]), str(entry["name"]), own))
    names = [stage.name for stage in found]
    for other in stages or {}:
        if other not in names:
            raise UnknownNameError(f"stage of recipe {name!r}", other, names)
    changed = tuple(Stage(s.kind, s.name, merged(s.settings, (stages or {}).get(s.name, {}))) for s in found)
    for stage in changed:
        settings_of(stage.kind, stage.settings)
    return changed


def _listed(name: str, given: Mapping[str, Any], within: tuple[str, ...] = ()) -> list[Any]:
    """Return the entries of a recipe; those of a recipe that it names stand in that one's place."""
    loaded = load_config("recipe", name)
    listed = _filled(loaded.get("stages"), _inputs(name, loaded.get("inputs") or {}, given))
    if not isinstance(listed, list) or not listed:
        raise ParameterError(f"recipe {name!r} must hold a list of stages")
    found: list[Any] = []
    for entry in listed:
        if not (isinstance(entry, dict) and "recipe" in entry):
            found.append(entry)
            continue
        other = str(entry["recipe"])
        if other in (*within, name):
            raise ParameterError(f"recipe {name!r} names {other!r}, which it is a part of")
        found += _listed(other, {key: value for key, value in entry.items() if key != "recipe"}, (*within, name))
    return found


def _inputs(name: str, wanted: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for ``$name`` in a recipe."""
    for key in given:
        if key not in wanted:
            raise UnknownNameError(f"input of recipe {name!r}", key, tuple(wanted))
    for key, meaning in wanted.items():
        if key not in given:
            raise ParameterError(f"recipe {name!r} needs {key}=... ({meaning})")
    return {f"${key}": value for key, value in given.items()}


def _filled(value: Any, inputs: Mapping[str, Any]) -> Any:
    """Put inputs in their places, at any depth."""
    if isinstance(value, dict):
        return {key: _filled(inner, inputs) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, inputs) for inner in value]
    return inputs.get(value, value) if isinstance(value, str) else value


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed."""
    found = dict(base)
    for key, value in changes.items():
        both = isinstance(found.get(key), Mapping) and isinstance(value, Mapping)
        found[key] = merged(found[key], value) if both else value
    return found


def run_recipe(stages: Sequence[Stage], out: Path, say: Say, workers: int = 1) -> list[Finished]:
    """Run what is not done yet; the same call continues where the last one stopped.

    Raises:
        RunFolderError: if a finished stage was made with other settings.
    """
    done: list[Finished] = []
    for number, stage in enumerate(stages):
        folder = out / stage.name
        known = {one.name: one for one in done}
        settings = _placed(stage.settings, known)
        before = _finished(stage, settings, folder)
        if before is None:
            say(f"stage {number + 1} of {len(stages)}: {stage.kind} {stage.name}")
            before = _run(stage, settings, folder, known, say, workers)
        done.append(before)
    return done


def _run(
    stage: Stage, placed: Mapping[str, Any], folder: Path, known: Mapping[str, Finished], say: Say, workers: int
) -> Finished:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    spent, made_of = _spent(folder), _made_of(placed)
    begun = folder / BEGUN
    if begun.is_file() and json.loads(begun.read_text(encoding="utf-8")) != {"settings": placed, "inputs": made_of}:
        raise _other(stage, folder)
    begun.write_text(json.dumps({"settings": placed, "inputs": made_of}, indent=2) + "\n", encoding="utf-8")
    started = time.monotonic()
    settings = settings_of(stage.kind, {**placed, "out": str(folder)})
    if "name" in settings:
        settings["name"] = stage.name  # of the model, on its card
    try:
        result = KINDS[stage.kind](settings, known, folder, say, workers)
    finally:
        seconds = spent + time.monotonic() - started
        (folder / "seconds.txt").write_text(f"{seconds:.1f}\n")
    found = Finished(stage.name, stage.kind, round(seconds, 1), _peak_bytes(), result)
    if "price" in settings:
        from simdrive.compress.card_facts import complete_card

        complete_card(result, settings["price"], seconds)
    state = {"kind": stage.kind, "settings": dict(stage.settings), "inputs": made_of, "seconds": found.seconds,
             "peak_bytes": found.peak_bytes, "result": result.relative_to(folder).as_posix()}  # fmt: skip
    (folder / DONE).write_text(json.dumps(state, indent=2) + "\n")
    return found


def _placed(settings: Mapping[str, Any], known: Mapping[str, Finished]) -> dict[str, Any]:
    """Return settings with the results of earlier stages in the place of their names; who drives is left to the stage."""

    def place(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: place(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [place(one) for one in value]
        return str(known[value].result) if isinstance(value, str) and value in known else value

    return {key: place(value) if key in _OF_STAGES else value for key, value in settings.items()}


def _made_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what the inputs of a stage hold, by setting: weights by their hash, samples by names and sizes of files."""
    found: dict[str, str] = {}
    for key in _OF_STAGES:
        value = settings.get(key)
        named = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
        held = [_content(Path(one)) for one in named if isinstance(one, str)]
        found |= {key: digest(held, 16)} if any(held) else {}
    return found


def _content(folder: Path) -> Any:
    if any(path.is_file() for path in weight_files(folder)):
        return weight_hash(folder)
    return [[path.name, path.stat().st_size] for path in sorted(folder.glob("*.parquet"))]


def _other(stage: Stage, folder: Path) -> RunFolderError:
    return RunFolderError(
        f"{folder} was made with other settings, samples or models than the recipe's stage {stage.name!r}; "
        "choose another out folder, or delete this one and what came after it"
    )


def _finished(stage: Stage, placed: Mapping[str, Any], folder: Path) -> Finished | None:
    if not (folder / DONE).is_file():
        return None
    state = json.loads((folder / DONE).read_text(encoding="utf-8"))
    alike = digest(state["settings"], 16) == digest(dict(stage.settings), 16) and state["kind"] == stage.kind
    if not alike or state.get("inputs", {}) != _made_of(placed):
        raise _other(stage, folder)
    return Finished(stage.name, stage.kind, state["seconds"], state["peak_bytes"], folder / state["result"])


def _spent(folder: Path) -> float:
    """Seconds of earlier, interrupted runs of a stage."""
    kept = folder / "seconds.txt"
    return float(kept.read_text()) if kept.is_file() else 0.0


def _peak_bytes() -> int:
    """Largest memory of this process so far, or of one of its workers."""
    sizes = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(sizes) * 1024


def _data(settings: dict[str, Any], known: Mapping[str, Finished], folder: Path, say: Say, workers: int) -> Path:
    """Make samples; who drives and who answers may be models of earlier stages."""
    given = settings["agent"]  # a name, {agent: NAME, FIELD: ...}, or of an earlier stage {model: see, quantile: 0.3}
    how = dict(given) if isinstance(given, Mapping) else {"model": given}
    model = how.pop("model", None)
    if model in known or "agent" in how:
        driver = driven_by(known[model].result, how) if model in known else json.loads(AgentConfig.of(how).config)
        settings["agent"] = str(folder / "agent.yaml")
        Path(settings["agent"]).write_text(yaml.safe_dump(driver))
    elif how or (given is not None and model is None):
        raise ParameterError(
            f"agent must be a name, {{agent: NAME, FIELD: ...}}, or {{model: STAGE, ...}} with an earlier stage "
            f"({', '.join(known) or 'there is none'}), got {given!r}"
        )
    samples = sum(shard.samples for shard in make_data(data_request(settings), folder, workers))
    say(f"{samples} samples")
    return folder


def _train(settings: dict[str, Any], known: Mapping[str, Finished], folder: Path, say: Say, workers: int) -> Path:
    """Train."""
    from simdrive.compress.training import train

    for shared in ("remember", "keep_teacher"):  # of the recipe, for all its stages
        if settings[shared]:
            settings[shared] = str(folder.parent / settings[shared])
    return train(train_request(settings), say)


def _prune(settings: dict[str, Any], known: Mapping[str, Finished], folder: Path, say: Say, workers: int) -> Path:
    """Prune."""
    from simdrive.compress.prune.request import prune_request
    from simdrive.compress.prune.stage import prune

    return prune(prune_request(settings), say)


def _quantize(settings: dict[str, Any], known: Mapping[str, Finished], folder: Path, say: Say, workers: int) -> Path:
    """Quantize."""
    from simdrive.compress.quant.stage import quantize_stage

    return quantize_stage(settings, folder, say)


KINDS: dict[str, Callable[[dict[str, Any], Mapping[str, Finished], Path, Say, int], Path]] = {
    "data": _data,
    "train": _train,
    "prune": _prune,
    "quantize": _quantize,
}
