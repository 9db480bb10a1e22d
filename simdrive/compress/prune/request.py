"""From the plain settings of ``configs/prune.yaml`` to what the stage takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from simdrive.compress.priced import PriceSettings
from simdrive.compress.prune.recovery import RecoverySettings
from simdrive.compress.prune.settings import PruneSettings
from simdrive.compress.prune.stage import PruneRequest
from simdrive.compress.settings import TrainSettings
from simdrive.compress.validate import ClosedLoop
from simdrive.errors import ParameterError, UnknownNameError

_TUPLES = ("drop", "protect", "capabilities", "chips")


def prune_request(config: Mapping[str, Any]) -> PruneRequest:
    """Return the pruning that a composed configuration asks for.

    Raises:
        ParameterError, UnknownNameError: if a value is out of range or a field does not exist.
    """
    if not config["init"]:
        raise ParameterError("a prune stage needs a model to start from: init=FOLDER, or the name of an earlier stage")
    validate, recover = dict(config["validate"]), dict(config["recover"])
    rows, steps = int(validate.pop("rows")), int(recover.get("steps", 0))
    data = config["data"] if isinstance(config["data"], list) else [config["data"]]
    return PruneRequest(
        name=str(config["name"]), init=str(config["init"]), data=tuple(Path(str(folder)) for folder in data),
        out=Path(str(config["out"])), settings=_made(PruneSettings, config["prune"], "prune"),
        recover=_made(TrainSettings, recover, "recover") if steps else None,
        recovery=_made(RecoverySettings, config["distill"], "distill"),
        price=_made(PriceSettings, config["price"], "price"), validate_rows=rows,
        closed_loop=_made(ClosedLoop, validate, "validate"), device=str(config["device"]),
        threads=int(config["threads"]),
    )  # fmt: skip


def _made(kind: Any, given: Mapping[str, Any], what: str) -> Any:
    allowed = [entry.name for entry in fields(kind)]
    for key in given:
        if key not in allowed:
            raise UnknownNameError(f"field of {what}", key, allowed)
    return kind(**{key: tuple(value) if key in _TUPLES else value for key, value in given.items()})
