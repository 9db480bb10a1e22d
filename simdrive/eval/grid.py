"""From one eval configuration to the planned episodes: case x agent x latency setting, in a fixed order."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.build import config_names, load_config, locate
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.where import find_model, weight_files, weight_hash
from simdrive.streams import canonical_json

_LABEL_FIELDS = 4  # a source with more shows only what differs from its file


@dataclass(frozen=True)
class AgentConfig:
    """One agent of a run, resolved: its name in tables and the mapping it is built from."""

    name: str
    config: str  # canonical JSON, so that it hashes and travels to workers

    @classmethod
    def named(cls, name: str) -> AgentConfig:
        """Resolve a name under ``configs/agent`` or a path to a yaml file."""
        config = vouched(load_config("agent", name))
        label = name if name in config_names("agent") else str(config.get("name", name))
        return cls(name=label, config=canonical_json(config))


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


def agent_configs(names: Sequence[str]) -> tuple[AgentConfig, ...]:
    """Resolve a list of agents; the first is the reference of paired comparisons.

    Raises:
        ParameterError: if the list is empty or names an agent twice.
        UnknownNameError: if a name does not exist.
    """
    if not names:
        raise ParameterError("agents=[] names no agent; give at least one, e.g. agents=[idm,expert]")
    agents = tuple(AgentConfig.named(str(name)) for name in names)
    labels = [agent.name for agent in agents]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ParameterError(f"agents names {', '.join(twice)} more than once")
    return agents


def latency_configs(
    source_name: str, source: Mapping[str, Any], modes: Any, waitings: Any, aeb_monitor: Any
) -> tuple[LatencyConfig, ...]:
    """Expand every list-valued scalar field into an axis and return the settings of the grid in order."""
    axes = {key: value for key, value in source.items() if isinstance(value, list) and not _is_sequence(source, key)}
    settings = []
    for values in itertools.product(
        *(axes[key] for key in axes), _listed(modes), _listed(waitings), _listed(aeb_monitor)
    ):
        *chosen, mode, waiting, aeb = values
        resolved = dict(source) | dict(zip(axes, chosen, strict=True))
        settings.append(_setting(source_name, resolved, mode, waiting, bool(aeb)))
    return tuple(settings)


def _shown(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a label shows: all of a short source, of a long one those that are not as shipped."""
    given = {key: value for key, value in source.items() if not key.startswith("_") and value is not None}
    if len(given) <= _LABEL_FIELDS or name not in config_names("latency"):
        return given
    shipped = load_config("latency", name)
    return {key: value for key, value in given.items() if value != shipped.get(key)}


def _setting(name: str, source: Mapping[str, Any], mode: Any, waiting: Any, aeb: bool) -> LatencyConfig:
    fields = " ".join(f"{key}={value}" for key, value in _shown(name, source).items())
    mode_name = mode if isinstance(mode, str) else str(mode.get("name", "custom"))
    priced = [] if mode_name == "zero" else [f"{name} {fields}".strip()]  # mode zero does not ask the source
    label = ", ".join([*priced, mode_name, str(waiting)] + (["aeb"] if aeb else []))
    return LatencyConfig(label, canonical_json(dict(source)), canonical_json(mode), str(waiting), aeb)


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
