"""Packs what a driver sees into two arrays, so that its kernel takes few arguments and compiles fast."""

from __future__ import annotations

import numpy as np

from simdrive.agents.answers import curvatures, slopes
from simdrive.types import Float, ObservationBatch, WorldView

# columns of an actor
SEEN, SHAPE, X, Y, HEADING, SPEED, LATERAL, ACCELERATION, YAW_RATE, LENGTH, WIDTH, INDICATOR, LANE = range(13)
# columns of the ego
E_S, E_R, E_SLOPE, E_SPEED, E_ACCELERATION, E_LENGTH, E_WIDTH, E_FREE, E_TIME, E_CURVATURE = range(10)


def pack_actors(view: WorldView) -> Float:
    """Return the actors ``[N, V, 13]`` of a view; column 0 of V is the ego."""
    columns = (
        view.present & view.visible, view.shape, view.x, view.y, view.heading, view.speed, view.lateral_speed,
        view.acceleration, view.yaw_rate, view.length, view.width, view.indicator, view.lane,
    )  # fmt: skip
    packed = np.empty((*view.x.shape, len(columns)))
    for number, column in enumerate(columns):
        packed[:, :, number] = column
    return packed


def pack_ego(batch: ObservationBatch) -> Float:
    """Return the egos ``[N, 10]``: place and slope on the route, speed, acceleration, size, free speed, time (s),
    curvature of the ego's path (1/m)."""
    packed = np.empty((len(batch), 10))
    packed[:, E_S], packed[:, E_R], packed[:, E_SLOPE] = batch.route_s, batch.route_r, slopes(batch)
    packed[:, E_SPEED] = np.maximum(batch.ego[:, 3], 0.0)
    packed[:, E_ACCELERATION] = np.where(batch.ego[:, 3] > 0.0, batch.ego[:, 4], 0.0)
    packed[:, E_LENGTH], packed[:, E_WIDTH] = batch.ego_size[:, 0], batch.ego_size[:, 1]
    packed[:, E_FREE] = np.fmin(batch.cruise_speed_mps, batch.speed_limit_mps)
    packed[:, E_TIME] = batch.t_obs_us * 1e-6
    packed[:, E_CURVATURE] = curvatures(batch)
    return packed
