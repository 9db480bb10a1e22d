"""Corruptions as an axis of a grid: names and fields of a command become resolved settings with a label each."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.build import config_names, instantiate, load_config
from simdrive.corrupt.corruption import Corruption
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.grid import AgentConfig
from simdrive.streams import canonical_json

NONE, ALL = "none", "all"
FIELDS = ("severity", "onset_s", "duration_s", "fade_in_s", "fade_out_s", "cameras")


@dataclass(frozen=True)
class CorruptionConfig:
    """One corruption of a run, resolved; the empty one is a clean camera."""

    label: str = ""  # what tables and the plan show
    config: str = ""  # canonical JSON of its mapping


CLEAN = CorruptionConfig()


@functools.lru_cache(maxsize=256)
def build_corruption(config: CorruptionConfig) -> Corruption | None:
    """Build the corruption behind a resolved configuration; None for a clean camera."""
    if not config.config:
        return None
    built: Corruption = instantiate(json.loads(config.config))
    return built


def corruption_grid(names: Any, fields: Mapping[str, Any]) -> tuple[CorruptionConfig, ...]:
    """Return the settings that names and fields span, names outermost.

    Args:
        names: a name under ``configs/corruption``, a yaml file, ``none``, ``all``, or a list of these.
        fields: overrides for every one but ``none``; a list is an axis, except for ``cameras``.

    Raises:
        UnknownNameError: if a name or field does not exist.
        ParameterError: if a value is out of range, an axis is empty, or a setting occurs twice.
    """
    listed = names if isinstance(names, list) else [names]
    if not listed:
        raise ParameterError("corruption=[] names nothing; give none, all, or names such as [none,fog,rain]")
    chosen = [name for given in listed for name in (config_names("corruption") if given == ALL else (given,))]
    for name in fields:
        if name not in FIELDS:
            raise UnknownNameError("field of 'corruption'", name, FIELDS)
    if fields and all(name in (NONE, None) for name in chosen):
        raise ParameterError(f"corruption.{next(iter(fields))} is set, but no corruption: add corruption=NAME")
    settings = tuple(setting for name in chosen for setting in _settings(name, fields))
    labels = [setting.label or NONE for setting in settings]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ParameterError(f"corruption holds {', '.join(twice)} more than once")
    return settings


def _settings(name: Any, fields: Mapping[str, Any]) -> list[CorruptionConfig]:
    if name in (NONE, None):
        return [CLEAN]
    given = str(name)
    if not given.endswith((".yaml", ".yml")) and given not in config_names("corruption"):
        raise UnknownNameError("corruption", given, [NONE, ALL, *config_names("corruption")])
    base = {key: value for key, value in load_config("corruption", given).items() if key != "description"}
    axes = {key: _axis(key, value) for key, value in fields.items()}
    found = []
    for values in itertools.product(*axes.values()):
        config = base | dict(zip(axes, values, strict=True))
        built: Corruption = instantiate(config)
        shown = given if given in config_names("corruption") else str(config.get("name", given))
        resolved = config | {key: getattr(built, key) for key in FIELDS}
        found.append(CorruptionConfig(label(shown, built), canonical_json(resolved)))
    return found


def _axis(field: str, value: Any) -> list[Any]:
    if field == "cameras" or not isinstance(value, list):
        return [value]
    if not value:
        raise ParameterError(f"corruption.{field} is an empty list")
    return value


def label(name: str, corruption: Corruption) -> str:
    """Return a corruption as tables show it: its name and severity, and its window where it has one."""
    parts = [f"{name} {corruption.severity}"]
    if corruption.onset_s:
        parts.append(f"from {corruption.onset_s:g} s")
    if corruption.duration_s is not None:
        parts.append(f"for {corruption.duration_s:g} s")
    for word, seconds in (("in", corruption.fade_in_s), ("out", corruption.fade_out_s)):
        parts += [f"fading {word} {seconds:g} s"] if seconds else []
    parts += [f"on {'+'.join(corruption.cameras)}"] if corruption.cameras else []
    return " ".join(parts)


def corruptions_config(corruptions: Sequence[CorruptionConfig], sightless: Sequence[str]) -> dict[str, Any]:
    """Return what the configuration of a run says of them: nothing for a clean camera alone."""
    if tuple(corruptions) == (CLEAN,):
        return {}
    return {
        "corruptions": [{"label": each.label, "config": each.config} for each in corruptions],
        "sightless": list(sightless),
    }


def corruption_of(config: Mapping[str, Any], shown: str) -> Corruption | None:
    """Return the corruption that the configuration of a run has under a label; None for a clean camera."""
    for each in config.get("corruptions", []):
        if each["label"] == shown:
            return build_corruption(CorruptionConfig(each["label"], each["config"]))
    return None


def sightless_agents(agents: Sequence[AgentConfig], corruptions: Sequence[CorruptionConfig]) -> tuple[str, ...]:
    """Return the agents that are shown no picture, if any corruption is asked for; agents are built to find out.

    Raises:
        UnknownNameError: if a corruption is on a camera that an agent with cameras lacks.
        ParameterError: if no agent sees anything, so that corruptions would change nothing.
    """
    built = [corruption for corruption in map(build_corruption, corruptions) if corruption is not None]
    if not built:
        return ()
    cameras = {agent.name: instantiate(json.loads(agent.config)).wants.cameras for agent in agents}
    for corruption in built:
        for rig in filter(None, cameras.values()):
            corruption.places(rig)
    blind = tuple(name for name, rig in cameras.items() if not rig)
    if len(blind) == len(agents):
        raise ParameterError(
            f"corruption= changes nothing for {', '.join(blind)}: they are shown no pictures; add an agent with cameras, "
            "or leave corruption out"
        )
    return blind
