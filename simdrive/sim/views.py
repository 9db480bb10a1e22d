"""Hands out what happens in worlds as read-only copies, with unseen actors blanked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.sim.batch import Batch
from simdrive.sim.state import Bool, Float
from simdrive.types import WorldView

_STATES = ("x", "y", "heading", "speed", "lateral_speed", "acceleration", "yaw_rate")
_SIZES = ("length", "width", "height")


def world_view(
    batch: Batch, rows: npt.NDArray[np.intp], visible: Bool | None, simulator: Any, slicks: Float | None = None
) -> WorldView:
    """Return the state of the worlds ``rows`` [N]; nothing in it is shared with the batch but the roads.

    Args:
        batch: the worlds.
        rows: which of them.
        visible: ``[N, V]`` line of sight from the ego; unseen actors are absent, NaN, lane -1. None = all are seen.
        simulator: what a clairvoyant driver gets, else None.
        slicks: slick ground in view, None = there is none.

    Raises:
        ParameterError: if ``visible`` has another shape.
    """
    actors, traits = batch.actors, batch.traits
    shape = (len(rows), actors.x.shape[1])
    seen = np.ones(shape, np.bool_) if visible is None else np.asarray(visible, np.bool_)
    if seen.shape != shape:
        raise ParameterError(f"visible has shape {seen.shape}; allowed: {shape}")
    shown = actors.present[rows] & seen
    shown[:, 0] = True
    columns: dict[str, Any] = {name: np.where(shown, getattr(actors, name)[rows], np.nan) for name in _STATES}
    columns |= {name: np.where(shown, getattr(traits, name)[rows], np.nan) for name in _SIZES}
    columns["brake_light"] = actors.brake_light[rows] & shown
    columns["indicator"] = np.where(shown, actors.indicator[rows], 0).astype(np.int8)
    columns["lane"] = np.where(shown, actors.lane[rows], -1).astype(np.int32)
    columns["shape"] = np.where(shown, traits.shape[rows], -1).astype(np.int8)
    columns["present"], columns["visible"] = shown, shown.copy()
    columns["world"], columns["map_id"] = rows.astype(np.int32), batch.setting.map_id[rows]
    for array in columns.values():
        array.setflags(write=False)
    return WorldView(**columns, roads=batch.roads, simulator=simulator, slicks=slicks)
