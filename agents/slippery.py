"""How fast to drive towards and on slick ground in view: so that a stop there does not take long."""

from __future__ import annotations

import numpy as np

from simdrive.types import Float

STOP_S = 4.0  # what a full brake to standstill on slick ground may take
APPROACH_MPS2 = 1.5  # slowing down before it
MARGIN_M = 5.0  # this far before its start


def careful_speeds(free_mps: Float, slicks: Float | None, route_s: Float) -> Float:
    """Return the speeds ``[N]`` that slick ground in view leaves of the free ones.

    Args:
        free_mps: ``[N]`` what is driven where nothing hinders.
        slicks: ``[N, K, 3]`` as in ``WorldView``; None = no slick ground anywhere.
        route_s: ``[N]`` where the egos are, m.
    """
    if slicks is None:
        return free_mps
    start_m, end_m, hold_mps2 = np.moveaxis(slicks, 2, 0)
    room_m = np.maximum(start_m - MARGIN_M - route_s[:, None], 0.0)
    speeds = np.sqrt((STOP_S * hold_mps2) ** 2 + 2.0 * APPROACH_MPS2 * room_m)
    over = np.isnan(start_m) | (end_m < route_s[:, None])
    limited: Float = np.minimum(free_mps, np.where(over, np.inf, speeds).min(axis=1))
    return limited
