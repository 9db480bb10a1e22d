"""From one eval configuration to the planned episodes: case x agent x latency setting, in a fixed order."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.build import config_names, load_config, locate
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.disturbed import LAYERS
from simdrive.latency.jitter import Jitter
from simdrive.latency.modes import Mode, check_mode
from simdrive.models.where import find_model, weight_files, weight_hash
from simdrive.streams import canonical_json

AXES = ("latency", "mode", "waiting", "aeb_monitor", "deadline")  # of a configuration that drives
_LABEL_FIELDS = 4  # a source with more shows only what differs from its file


@dataclass(frozen=True)
class AgentConfig:
    """One agent of a run, resolved: its name in tables and the mapping it is built from."""

    name: str
    config: str  # canonical JSON, so that it hashes and travels to workers

    @classmethod
    def named(cls, name: str) -> AgentConfig:
        """Resolve a name under ``configs/agent`` or a path to a yaml file."""
        return cls.of({"agent": name})

    @classmethod
    def of(cls, given: Any) -> AgentConfig:
        """Resolve what a list of agents may hold: a name, or ``{agent: name, FIELD: value, ...}`` for another driver of that kind.

        ``name`` among the fields is what tables call it.

        Raises:
            ParameterError: if a mapping does not say which agent it changes.
            UnknownNameError: if the agent does not exist.
        """
        changes = dict(given) if isinstance(given, Mapping) else {"agent": str(given)}
        if not isinstance(changes.get("agent"), str):
            raise ParameterError(
                f"an agent is a name or a mapping like {{agent: teacher, dtype: bfloat16}}, got {given!r}"
            )
        agent = changes.pop("agent")
        config = load_config("agent", agent)
        label = agent if agent in config_names("agent") else config.get("name", agent)
        called = str(changes.pop("name", label))
        return cls(called, canonical_json(vouched({**config, **changes})))


def vouched(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an agent's mapping with the hash of the weights it names, so that a changed model is another agent."""
    if not isinstance(config.get("model"), str) or config.get("weight_hash") or "url" in config:
        return dict(config)
    folder = find_model(config["model"])
    return {**config, "weight_hash": weight_hash(folder) if all(f.is_file() for f in weight_files(folder)) else ""}


@dataclass(frozen=True)
class LatencyConfig:
    """One latency setting of a run: source, injection mode, waiting policy, safety brake."""

    label: str  # what tables and the plan show
    source: str  # canonical JSON of the source's mapping
    mode: str  # canonical JSON of the mode's mapping or name
    waiting: str
    aeb_monitor: bool
    deadline: str = "null"  # canonical JSON of a time in ms or a mapping


def agent_configs(given: Sequence[Any]) -> tuple[AgentConfig, ...]:
    """Resolve a list of agents; the first is the reference of paired comparisons.

    Raises:
        ParameterError: if the list is empty or names an agent twice.
        UnknownNameError: if a name does not exist.
    """
    if not given:
        raise ParameterError("agents=[] names no agent; give at least one, e.g. agents=[idm,expert]")
    agents = tuple(AgentConfig.of(each) for each in given)
    labels = [agent.name for agent in agents]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ParameterError(
            f"agents names {', '.join(twice)} more than once; drivers of one kind are told apart by name, e.g. "
            f"{{agent: {twice[0]}, name: {twice[0]}_2, ...}}"
        )
    return agents


def latency_grid(source_name: str, config: Mapping[str, Any]) -> tuple[LatencyConfig, ...]:
    """Return the settings that the keys ``AXES`` of a composed configuration span, in order."""
    return latency_configs(source_name, *(config[key] for key in AXES))


def latency_configs(
    source_name: str, source: Mapping[str, Any], modes: Any, waitings: Any, aeb_monitor: Any, deadlines: Any = None
) -> tuple[LatencyConfig, ...]:
    """Expand every list-valued scalar field into an axis and return the settings of the grid in order."""
    source, axes = _without_defaults(source), _axes(source)
    settings = []
    for values in itertools.product(
        *(axes[key] for key in axes), _listed(modes), _listed(waitings), _listed(aeb_monitor), _listed(deadlines)
    ):
        *chosen, mode, waiting, aeb, deadline = values
        resolved = _resolved(source, dict(zip(axes, chosen, strict=True)))
        settings.append(_setting(source_name, resolved, mode, waiting, bool(aeb), deadline))
    return tuple(settings)


def _without_defaults(source: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the layers around a source that are off, and their fields that are as by default."""
    kept = {key: value for key, value in source.items() if key not in LAYERS or value not in (None, [], {})}
    if isinstance(kept.get("jitter"), Mapping):
        plain = vars(Jitter())
        jitter = {key: value for key, value in kept["jitter"].items() if key not in plain or value != plain[key]}
        kept.pop("jitter")
        kept |= {"jitter": jitter} if jitter else {}
    return kept


def _axes(source: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the list-valued fields by name, those of the jitter as ``jitter.<field>``."""
    flat = {key: value for key, value in source.items() if key != "corunners" and not _is_sequence(source, key)}
    jitter = flat.pop("jitter", None)
    flat |= {f"jitter.{key}": value for key, value in jitter.items()} if isinstance(jitter, Mapping) else {}
    return {key: value for key, value in flat.items() if isinstance(value, list)}


def _resolved(source: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with one value of each axis."""
    plain = dict(source) | {key: value for key, value in chosen.items() if not key.startswith("jitter.")}
    jitter = {key.removeprefix("jitter."): value for key, value in chosen.items() if key.startswith("jitter.")}
    return _without_defaults(plain | ({"jitter": plain["jitter"] | jitter} if jitter else {}))


def _shown(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a label shows: all of a short source, of a long one those that are not as shipped."""
    given = {key: value for key, value in source.items() if not key.startswith("_") and value is not None}
    given = {key: value for key, value in given.items() if key not in LAYERS}
    if len(given) <= _LABEL_FIELDS or name not in config_names("latency"):
        return given
    shipped = load_config("latency", name)
    return {key: value for key, value in given.items() if value != shipped.get(key)}


def _words(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in fields.items())


def _layer_labels(source: Mapping[str, Any]) -> list[str]:
    """Return what a label says of the layers around a source: only those that are on."""
    labels = [f"jitter {_words(source['jitter'])}"] if "jitter" in source else []
    if "states" in source:
        states = source["states"]
        labels.append(f"states {states if isinstance(states, str) else '+'.join(states.get('states', states))}")
    if "device" in source:
        device = source["device"]
        labels.append(f"device {device if isinstance(device, str) else _words(device)}")
    if "corunners" in source:
        names = [str(entry.get("name", "task")) for entry in source["corunners"] if isinstance(entry, Mapping)]
        labels.append(f"beside {'+'.join(names)}")
    return labels


def _plain(value: Any) -> Any:
    """Return a value with whole numbers as integers, at any depth: 300 and 300.0 ms are one setting.

    Raises:
        ParameterError: if a number is not finite.
    """
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"latency settings must be finite numbers, got {value}")
    return int(value) if isinstance(value, float) and value.is_integer() else value


_LAYER_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "states": ((str, Mapping), "a name or a mapping"),
    "device": ((str, Mapping), "a name or a mapping"),
    "corunners": ((list, tuple), "a list of mappings, e.g. [{name: lidar, bandwidth: 0.2}]"),
}


def _check_layers(source: Mapping[str, Any]) -> None:
    for name, (kinds, what) in _LAYER_KINDS.items():
        if name in source and not isinstance(source[name], kinds):
            raise ParameterError(f"latency.{name} must be {what}, got {source[name]!r}")


def _setting(name: str, source: Mapping[str, Any], mode: Any, waiting: Any, aeb: bool, deadline: Any) -> LatencyConfig:
    source, mode, deadline = _plain(source), _plain(mode), _plain(deadline)
    check_mode(mode)
    _check_layers(source)
    named = mode if isinstance(mode, str) else {key: value for key, value in mode.items() if key != "name"}
    mode_name = mode if isinstance(mode, str) else str(mode.get("name", Mode().name))
    shown_mode = mode_name if isinstance(named, str) or not named else f"{mode_name} {_words(named)}"
    zero = mode_name == "zero"  # it does not ask the source, and nothing is ever late
    priced = [] if zero else [f"{name} {_words(_shown(name, source))}".strip(), *_layer_labels(source)]
    late = [] if zero or deadline is None else [_deadline_label(deadline)]
    label = ", ".join([*priced, shown_mode, str(waiting), *late] + (["aeb"] if aeb else []))
    return LatencyConfig(
        label, canonical_json(dict(source)), canonical_json(mode), str(waiting), aeb, canonical_json(deadline)
    )


def _deadline_label(deadline: Any) -> str:
    if not isinstance(deadline, Mapping):
        return f"deadline {deadline} ms"
    rest = {key: value for key, value in deadline.items() if key != "ms"}
    return f"deadline {deadline.get('ms')} ms {_words(rest)}".strip()


def _listed(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ParameterError("an axis of the grid is an empty list")
    return values


def _is_sequence(config: Mapping[str, Any], key: str) -> bool:
    """Whether the constructor wants a sequence there, so that a list is a value and no axis."""
    if "_target_" not in config:
        return False
    parameter = inspect.signature(locate(str(config["_target_"]))).parameters.get(key)
    note = str(parameter.annotation).lower() if parameter else ""
    return any(word in note for word in ("tuple", "list", "sequence"))


def check_choice(kind: str, given: str, allowed: Sequence[str]) -> str:
    """Return ``given`` if allowed.

    Raises:
        UnknownNameError: otherwise, with the nearest name.
    """
    if given not in allowed:
        raise UnknownNameError(kind, given, allowed)
    return given
