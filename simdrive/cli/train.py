"""``simdrive train``: supervised training of a driving model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.compose import compose_config
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.errors import ParameterError, UnknownNameError


@guarded
def train(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. name=student data=[data/samples]"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Train a model on driving samples; validation scores its answers and drives it in closed loop.

    Options (key=value, defaults in configs/train.yaml): name, data, out, init, deepen, device, threads, tensorboard, shape.*,
    train.*, validate.*. The same command continues where it stopped; under torchrun several processes train together.
    """
    request = build_request(compose_config("train", words or []))
    first_use()
    from simdrive.compress.training import train as run

    started = time.monotonic()
    best = run(request, lambda line: stderr().print(line, markup=False))
    seconds = time.monotonic() - started
    if json:
        print_json({"model": best.as_posix(), "seconds": round(seconds, 1)})
        return
    stdout().print(f"best model: {best.as_posix()} ({seconds / 60:.1f} minutes)", markup=False)


def build_request(config: dict[str, Any]) -> Any:
    """Turn a composed configuration into a training request."""
    from simdrive.compress.trainer import TrainSettings
    from simdrive.compress.training import TrainRequest
    from simdrive.compress.validate import ClosedLoop
    from simdrive.models.shape import VlmShape

    validate = dict(config["validate"])
    every, rows = int(validate.pop("every")), int(validate.pop("rows"))
    data = config["data"] if isinstance(config["data"], list) else [config["data"]]
    if not data:
        raise ParameterError("data names no folder; make one with 'simdrive data out=data/samples'")
    return TrainRequest(
        name=str(config["name"]), data=tuple(Path(str(folder)) for folder in data), out=Path(str(config["out"])),
        shape=_checked(VlmShape, config["shape"], "shape"),
        settings=_checked(TrainSettings, config["train"], "train"),
        init=Path(str(config["init"])) if config["init"] else None,
        deepen=int(config["deepen"] or 0),
        device=str(config["device"]), threads=int(config["threads"]), tensorboard=bool(config["tensorboard"]),
        validate_every=every, validate_rows=rows, closed_loop=_checked(ClosedLoop, validate, "validate"),
    )  # fmt: skip


def _checked(kind: Any, given: dict[str, Any], what: str) -> Any:
    """Build a dataclass from plain values; unknown fields are named."""
    from dataclasses import fields

    allowed = [field.name for field in fields(kind)]
    for key in given:
        if key not in allowed:
            raise UnknownNameError(f"field of {what}", key, allowed)
    return kind(**given)
