"""From configuration to object: names in ``configs/`` become instances through ``_target_``, with no central list."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from simdrive.errors import ParameterError, UnknownNameError

CONFIG_ROOT = Path(__file__).resolve().parent / "configs"
if not CONFIG_ROOT.is_dir():
    CONFIG_ROOT = Path(__file__).resolve().parent.parent / "configs"


def config_names(group: str) -> tuple[str, ...]:
    """Return the names of one config group, e.g. ``"scenario"``, sorted."""
    folder = CONFIG_ROOT / group
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def config_groups() -> tuple[str, ...]:
    """Return the names of all config groups."""
    return tuple(sorted(path.name for path in CONFIG_ROOT.iterdir() if any(path.glob("*.yaml"))))


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def load_config(group: str, name: str) -> dict[str, Any]:
    """Return the mapping of ``configs/<group>/<name>.yaml``, or of the yaml file that ``name`` is a path to.

    Raises:
        UnknownNameError: if no such entry exists; the message lists the group and the nearest name.
        ParameterError: if a given file does not exist or does not hold a mapping.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise ParameterError(f"{group} file {name!r} does not exist")
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    else:
        if name not in config_names(group):
            raise UnknownNameError(group, name, config_names(group))
        loaded = yaml.safe_load(_read(CONFIG_ROOT / group / f"{name}.yaml"))
    if not isinstance(loaded, dict):
        raise ParameterError(f"{group} {name!r} must hold a mapping, got {type(loaded).__name__}")
    return loaded


def locate(target: str) -> Any:
    """Return the object that ``package.module.Name`` names.

    Raises:
        ParameterError: if it cannot be imported.
    """
    module_name, _, attribute = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        own = "; for a file of yours set PYTHONPATH to its folder" if isinstance(error, ModuleNotFoundError) else ""
        raise ParameterError(f"_target_ {target!r} cannot be imported: {error}{own}") from error


def instantiate(config: Mapping[str, Any], **overrides: Any) -> Any:
    """Build the object of a config with a ``_target_``; nested mappings with a ``_target_`` are built first.

    Raises:
        ParameterError: if ``_target_`` is missing or a field is unknown or refused by the constructor.
    """
    if "_target_" not in config:
        raise ParameterError(f"config without _target_; its fields are {sorted(config)}")
    factory = locate(str(config["_target_"]))
    fields = {key: value for key, value in config.items() if not key.startswith("_")} | overrides
    fields = {
        key: instantiate(value) if isinstance(value, Mapping) and "_target_" in value else value
        for key, value in fields.items()
    }
    allowed = inspect.signature(factory).parameters
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in allowed.values()):
        for key in fields:
            if key not in allowed:
                raise UnknownNameError(f"field of {config['_target_']}", key, allowed)
    try:
        return factory(**fields)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{config['_target_']}: {error}") from error


def build(group: str, name: str, **overrides: Any) -> Any:
    """Build the object behind a config name (or yaml path) of a group, with field overrides."""
    return instantiate(load_config(group, name), **overrides)
