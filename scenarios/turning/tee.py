"""A T-junction: a crossing whose far arm is missing, so that the ego's road ends at it."""

from __future__ import annotations

import functools

import numpy as np
from highway_env.road.road import RoadNetwork

from simdrive.scenarios.junctions import Crossing, crossing
from simdrive.scenarios.roads import Road
from simdrive.sim.roads import compile_network
from simdrive.types import Float

_FAR_NODES = ("in2", "stop2", "leave0", "out0")


@functools.cache
def tee(corner_m: float = 9.0) -> Crossing:
    """Return a junction with one lane each way whose arms 1 and 3 go straight on; the ego comes in on arm 0."""
    whole = crossing(1, corner_m)
    network = RoadNetwork()
    for (start, end, _), lane in whole.road.network.lanes_dict().items():
        if start not in _FAR_NODES and end not in _FAR_NODES:
            network.add_lane(start, end, lane)
    return Crossing(Road(compile_network(network), network, whole.road.lane_width_m), 1, whole.half_m)


def tee_area(scene: Crossing) -> Float:
    """Return its junction area as a polygon [6, 2], world frame."""
    half, side = scene.half_m, scene.road.lane_width_m
    return np.array([(-half, -side), (-side, -half), (side, -half), (side, half), (-side, half), (-half, side)])
