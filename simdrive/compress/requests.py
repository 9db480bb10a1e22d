"""From plain settings to what a stage takes: the values of ``configs/<stage>.yaml`` with some of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from simdrive.build import CONFIG_ROOT
from simdrive.compress.collect import Keeping
from simdrive.compress.data import DataRequest
from simdrive.compress.samples import Pictured
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import CameraSpec

FREE = ("lessons", "weights", "teacher", "keep", "layers")  # mappings whose keys are the user's


def settings_of(stage: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``configs/<stage>.yaml`` with ``changes``, mappings field by field.

    Raises:
        UnknownNameError: if a field does not exist.
    """
    settings: dict[str, Any] = yaml.safe_load((CONFIG_ROOT / f"{stage}.yaml").read_text(encoding="utf-8"))
    return _changed(settings, changes, f"field of {stage}")


def _changed(settings: dict[str, Any], changes: Mapping[str, Any], what: str) -> dict[str, Any]:
    found = dict(settings)
    for key, value in changes.items():
        if key not in settings and key not in FREE:
            raise UnknownNameError(what, key, tuple(settings))
        deeper = isinstance(settings.get(key), dict) and isinstance(value, Mapping) and key not in FREE
        found[key] = _changed(settings[key], value, f"field of {key}") if deeper else value
    return found


def data_request(config: Mapping[str, Any]) -> DataRequest:
    """Return what a composed data configuration asks for.

    Raises:
        ParameterError: if a value is out of range.
    """
    pictured = Pictured(tuple(CameraSpec(**c) for c in config["cameras"]), tuple(config["frame_offsets_us"]))
    return DataRequest(
        suite=str(config["suite"]), seed=int(config["seed"]), cases=int(config["cases"]), pictured=pictured,
        control=float(config["control"]), agent=config["agent"], model_share=float(config["model_share"]),
        labels=str(config["labels"]) if config["labels"] else None,
        number=int(config["number"]), batch=int(config["batch"]),
        keeping=Keeping(int(config["keep_critical"]), int(config["keep_calm"])),
    )  # fmt: skip


def train_request(config: Mapping[str, Any]) -> Any:
    """Return the training that a composed configuration asks for (``TrainRequest``; imports torch).

    Raises:
        ParameterError, UnknownNameError: if a value is out of range or a field does not exist.
    """
    from simdrive.compress.distill.settings import DistillSettings
    from simdrive.compress.settings import TrainSettings
    from simdrive.compress.training import TrainRequest
    from simdrive.compress.validate import ClosedLoop
    from simdrive.models.shape import VlmShape
    from simdrive.models.where import find_model

    validate = dict(config["validate"])
    every, rows = int(validate.pop("every")), int(validate.pop("rows"))
    data = config["data"] if isinstance(config["data"], list) else [config["data"]]
    if not data:
        raise ParameterError("data names no folder; make one with 'simdrive data out=data/samples'")
    return TrainRequest(
        name=str(config["name"]), data=tuple(Path(str(folder)) for folder in data), out=Path(str(config["out"])),
        shape=_checked(VlmShape, config["shape"], "shape"),
        settings=_checked(TrainSettings, config["train"], "train"),
        teachers=_teachers(config["teacher"]), distill=_checked(DistillSettings, config["distill"], "distill"),
        init=find_model(str(config["init"])) if config["init"] else None, deepen=int(config["deepen"] or 0),
        vision=str(config["vision"]) if config["vision"] else None,
        motion_gain=float(config["motion_gain"]),
        remember=Path(str(config["remember"])) if config["remember"] else None,
        keep_teacher=Path(str(config["keep_teacher"])) if config["keep_teacher"] else None,
        device=str(config["device"]), threads=int(config["threads"]), processes=int(config["processes"]),
        tensorboard=bool(config["tensorboard"]),
        validate_every=every, validate_rows=rows, closed_loop=_checked(ClosedLoop, validate, "validate"),
    )  # fmt: skip


def _teachers(given: Any) -> dict[str, str]:
    """Read ``teacher``: nothing, one model for all capabilities, or one for each."""
    from simdrive.compress.distill.settings import TERMS

    if not given:
        return {}
    if not isinstance(given, Mapping):
        return {"": str(given)}
    for key in given:
        if key not in TERMS:
            raise UnknownNameError("capability of a teacher", str(key), TERMS)
    return {str(key): str(value) for key, value in given.items()}


def _checked(kind: Any, given: Mapping[str, Any], what: str) -> Any:
    """Build a dataclass from plain values; unknown fields are named."""
    allowed = [field.name for field in fields(kind)]
    for key in given:
        if key not in allowed:
            raise UnknownNameError(f"field of {what}", key, allowed)
    return kind(**given)
