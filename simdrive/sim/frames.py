"""Frames of a whole batch: packing state and traits into the two tables that kernels read, and back."""

from __future__ import annotations

import numpy as np

from simdrive.sim import kernel_frame as k
from simdrive.sim.state import Actors, Behaviour, Extras, Float, Int, Routes, Traits, Whole, WorldInfo

_NUMBERS = {
    "x": k.X,
    "y": k.Y,
    "heading": k.HEADING,
    "speed": k.SPEED,
    "steering": k.STEERING,
    "acceleration": k.ACCELERATION,
    "target_speed": k.TARGET_SPEED,
    "timer": k.TIMER,
    "impact_x": k.IMPACT_X,
    "impact_y": k.IMPACT_Y,
    "lateral_speed": k.LATERAL_SPEED,
    "yaw_rate": k.YAW_RATE,
}
_CODES = {
    "present": k.PRESENT,
    "crashed": k.CRASHED,
    "hit": k.HIT,
    "has_impact": k.HAS_IMPACT,
    "route_head": k.HEAD,
    "speed_index": k.SPEED_INDEX,
}
_LANES = {"lane": k.LANE, "target_lane": k.TARGET_LANE}  # counted within the map in a frame
_TRAITS = {
    "length": k.LENGTH,
    "width": k.WIDTH,
    "diagonal": k.DIAGONAL,
    "max_speed": k.MAX_SPEED,
    "min_speed": k.MIN_SPEED,
    "acc_max": k.ACC_MAX,
    "comfort_acc_max": k.COMFORT,
    "delta": k.DELTA,
    "distance_wanted": k.DISTANCE,
    "time_wanted": k.TIME,
    "politeness": k.POLITENESS,
    "lane_change_min_gain": k.MIN_GAIN,
    "lane_change_max_braking": k.MAX_BRAKING,
    "lane_change_delay": k.DELAY,
}
_TRAIT_CODES = {
    "behaviour": k.KIND,
    "is_object": k.OBJECT,
    "solid": k.SOLID,
    "collidable": k.COLLIDABLE,
    "check_collisions": k.CHECKS,
    "enable_lane_change": k.CHANGES_LANE,
}
_WITH_TARGET = (Behaviour.CONTROLLED, Behaviour.IDM, Behaviour.LINEAR)


def pack(actors: Actors, traits: Traits, routes: Routes, extras: Extras, first_lane: Whole) -> tuple[Float, Whole]:
    """Return the frames (``[worlds, actors, NUMBERS]``, ``[worlds, actors, WHOLE_NUMBERS]``) of a batch.

    Args:
        actors: state.
        traits: constants.
        routes: planned roads.
        extras: parameters of rarer drivers.
        first_lane: ``[worlds]`` row of the first lane of each world's map.
    """
    numbers = np.zeros((*actors.x.shape, k.NUMBERS))
    whole = np.zeros((*actors.x.shape, k.WHOLE_NUMBERS), np.int64)
    write_state(numbers, whole, actors, first_lane)
    for name, column in _TRAITS.items():
        numbers[..., column] = getattr(traits, name)
    numbers[..., k.GAP_DIVISOR] = 2 * np.sqrt(-traits.comfort_acc_max * traits.comfort_acc_min)
    numbers[..., k.GAIN_SPEED : k.GAIN_SHIFT + 1] = extras.linear
    numbers[..., k.SQUARE] = 2.0
    for name, column in _TRAIT_CODES.items():
        whole[..., column] = getattr(traits, name)
    whole[..., k.HAS_TARGET] = np.isin(traits.behaviour, _WITH_TARGET)
    whole[..., k.OWNER], whole[..., k.ENTRIES] = routes.owner, routes.entries
    whole[..., k.NOTCHES], whole[..., k.STEERING_HELD] = extras.target_speed_count, extras.steering_held
    whole[..., k.YIELDING], whole[..., k.YIELD_TIMER] = extras.yielding, extras.yield_timer
    return numbers, whole


def write_state(numbers: Float, whole: Whole, actors: Actors, first_lane: Whole) -> None:
    """Write the state of a batch into its frames; arguments as in ``pack``."""
    for name, column in _NUMBERS.items():
        numbers[..., column] = getattr(actors, name)
    numbers[..., k.COURSE] = np.nan
    for name, column in _CODES.items():
        whole[..., column] = getattr(actors, name)
    for name, column in _LANES.items():
        whole[..., column] = getattr(actors, name) - first_lane[:, None]


def read_state(numbers: Float, whole: Whole, actors: Actors, first_lane: Whole) -> None:
    """Write the frames of a batch into its state; arguments as in ``pack``."""
    for name, column in _NUMBERS.items():
        getattr(actors, name)[...] = numbers[..., column]
    for name, column in _CODES.items():
        getattr(actors, name)[...] = whole[..., column]
    for name, column in _LANES.items():
        getattr(actors, name)[...] = whole[..., column] + first_lane[:, None]


def first_lanes(info: WorldInfo, map_lane_start: Int) -> Whole:
    """Return the row of the first lane of each world's map, ``[worlds]``."""
    return map_lane_start[info.map_id].astype(np.int64)
