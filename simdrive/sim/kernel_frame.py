"""The frame of a world: all its actors as two small tables, one row per actor, that every kernel works on.

Gathering into a frame costs little at run time and makes compiling many times faster than handing the tuples of
arrays from function to function. Lane rows count within the map here.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_allocating
from simdrive.sim.state import Actors, Behaviour, Extras, Float, Routes, Scratch, Traits, Whole

# Columns of the table of numbers. WANTED: divisor of the IDM's speed ratio, m/s. SPEED_GAP: target minus speed.
# COURSE: the heading that COS and SIN belong to.
X, Y, HEADING, SPEED, COS, SIN, VX, VY, WANTED, SPEED_GAP, STEERING, ACCELERATION, TARGET_SPEED = range(13)
TIMER, IMPACT_X, IMPACT_Y, LATERAL_SPEED, YAW_RATE, LENGTH, WIDTH, DIAGONAL, MAX_SPEED, MIN_SPEED = range(13, 23)
ACC_MAX, COMFORT, DELTA, DISTANCE, TIME, GAP_DIVISOR, POLITENESS, MIN_GAIN, MAX_BRAKING, DELAY = range(23, 33)
GAIN_SPEED, GAIN_FRONT, GAIN_GAP, GAIN_TURN, GAIN_SHIFT, SQUARE, COURSE = range(33, 40)
NUMBERS = 40
# Columns of the table of whole numbers. HAS_TARGET: one of highway-env's ControlledVehicle classes.
PRESENT, KIND, OBJECT, HAS_TARGET, LANE, TARGET_LANE, CRASHED, HIT, HAS_IMPACT, SOLID, COLLIDABLE = range(11)
CHECKS, CHANGES_LANE, OWNER, HEAD, ENTRIES, NOTCHES, YIELDING, YIELD_TIMER, STEERING_HELD, SPEED_INDEX = range(11, 21)
WHOLE_NUMBERS = 21

_KINEMATIC, _BICYCLE = int(Behaviour.KINEMATIC), int(Behaviour.BICYCLE)
_CONTROLLED, _IDM, _LINEAR = int(Behaviour.CONTROLLED), int(Behaviour.IDM), int(Behaviour.LINEAR)


@jit
def load_state(b: int, first_lane: int, actors: Actors, numbers: Float, whole: Whole) -> None:
    """Copy the state of world ``b`` into a frame."""
    x, y, heading, speed, steering = actors.x, actors.y, actors.heading, actors.speed, actors.steering
    acceleration, target_speed, timer = actors.acceleration, actors.target_speed, actors.timer
    impact_x, impact_y, has_impact = actors.impact_x, actors.impact_y, actors.has_impact
    crashed, hit, present = actors.crashed, actors.hit, actors.present
    lane, target_lane, head = actors.lane, actors.target_lane, actors.route_head
    lateral_speed, yaw_rate = actors.lateral_speed, actors.yaw_rate
    for i in range(x.shape[1]):
        numbers[i, X], numbers[i, Y], numbers[i, HEADING] = x[b, i], y[b, i], heading[b, i]
        numbers[i, SPEED], numbers[i, STEERING] = speed[b, i], steering[b, i]
        numbers[i, ACCELERATION], numbers[i, TARGET_SPEED] = acceleration[b, i], target_speed[b, i]
        numbers[i, TIMER], numbers[i, COURSE] = timer[b, i], math.nan
        numbers[i, IMPACT_X], numbers[i, IMPACT_Y] = impact_x[b, i], impact_y[b, i]
        numbers[i, LATERAL_SPEED], numbers[i, YAW_RATE] = lateral_speed[b, i], yaw_rate[b, i]
        whole[i, PRESENT], whole[i, CRASHED], whole[i, HIT] = present[b, i], crashed[b, i], hit[b, i]
        whole[i, HAS_IMPACT], whole[i, HEAD] = has_impact[b, i], head[b, i]
        whole[i, LANE], whole[i, TARGET_LANE] = lane[b, i] - first_lane, target_lane[b, i] - first_lane


@jit
def store_state(b: int, first_lane: int, numbers: Float, whole: Whole, actors: Actors) -> None:
    """Copy a frame back into the state of world ``b``."""
    x, y, heading, speed, steering = actors.x, actors.y, actors.heading, actors.speed, actors.steering
    acceleration, target_speed, timer = actors.acceleration, actors.target_speed, actors.timer
    impact_x, impact_y, has_impact = actors.impact_x, actors.impact_y, actors.has_impact
    crashed, hit = actors.crashed, actors.hit
    lane, target_lane, head = actors.lane, actors.target_lane, actors.route_head
    lateral_speed, yaw_rate = actors.lateral_speed, actors.yaw_rate
    for i in range(x.shape[1]):
        x[b, i], y[b, i], heading[b, i] = numbers[i, X], numbers[i, Y], numbers[i, HEADING]
        speed[b, i], steering[b, i] = numbers[i, SPEED], numbers[i, STEERING]
        acceleration[b, i], target_speed[b, i] = numbers[i, ACCELERATION], numbers[i, TARGET_SPEED]
        timer[b, i] = numbers[i, TIMER]
        impact_x[b, i], impact_y[b, i] = numbers[i, IMPACT_X], numbers[i, IMPACT_Y]
        lateral_speed[b, i], yaw_rate[b, i] = numbers[i, LATERAL_SPEED], numbers[i, YAW_RATE]
        crashed[b, i], hit[b, i] = whole[i, CRASHED] != 0, whole[i, HIT] != 0
        has_impact[b, i], head[b, i] = whole[i, HAS_IMPACT] != 0, whole[i, HEAD]
        lane[b, i], target_lane[b, i] = whole[i, LANE] + first_lane, whole[i, TARGET_LANE] + first_lane


@jit
def load_sizes(b: int, traits: Traits, numbers: Float, whole: Whole) -> None:
    """Copy what actors are: kind, size, limits, what they collide with."""
    kinds, is_object, solid, collidable = traits.behaviour, traits.is_object, traits.solid, traits.collidable
    checks, length, width, diagonal = traits.check_collisions, traits.length, traits.width, traits.diagonal
    max_speed, min_speed = traits.max_speed, traits.min_speed
    for i in range(kinds.shape[1]):
        kind = kinds[b, i]
        whole[i, KIND], whole[i, OBJECT] = kind, is_object[b, i]
        whole[i, HAS_TARGET] = kind in (_CONTROLLED, _IDM, _LINEAR)
        whole[i, SOLID], whole[i, COLLIDABLE], whole[i, CHECKS] = solid[b, i], collidable[b, i], checks[b, i]
        numbers[i, LENGTH], numbers[i, WIDTH], numbers[i, DIAGONAL] = length[b, i], width[b, i], diagonal[b, i]
        numbers[i, MAX_SPEED], numbers[i, MIN_SPEED] = max_speed[b, i], min_speed[b, i]


@jit
def load_drivers(b: int, traits: Traits, numbers: Float, whole: Whole) -> None:
    """Copy the driver parameters."""
    acc_max, comfort, braking = traits.acc_max, traits.comfort_acc_max, traits.comfort_acc_min
    distance, time, delta, politeness = (
        traits.distance_wanted,
        traits.time_wanted,
        traits.delta,
        traits.politeness,
    )
    gain, imposed, delay = traits.lane_change_min_gain, traits.lane_change_max_braking, traits.lane_change_delay
    changes = traits.enable_lane_change
    for i in range(acc_max.shape[1]):
        numbers[i, ACC_MAX], numbers[i, COMFORT] = acc_max[b, i], comfort[b, i]
        numbers[i, GAP_DIVISOR] = 2 * math.sqrt(-comfort[b, i] * braking[b, i])
        numbers[i, DISTANCE], numbers[i, TIME], numbers[i, DELTA] = distance[b, i], time[b, i], delta[b, i]
        numbers[i, POLITENESS], numbers[i, MIN_GAIN] = politeness[b, i], gain[b, i]
        numbers[i, MAX_BRAKING], numbers[i, DELAY] = imposed[b, i], delay[b, i]
        whole[i, CHANGES_LANE] = changes[b, i]


@jit
def load_extras(b: int, routes: Routes, extras: Extras, numbers: Float, whole: Whole) -> None:
    """Copy route bookkeeping and the parameters of rarer drivers."""
    owner, entries = routes.owner, routes.entries
    linear, notches, held = extras.linear, extras.target_speed_count, extras.steering_held
    yielding, timer = extras.yielding, extras.yield_timer
    for i in range(owner.shape[1]):
        whole[i, OWNER], whole[i, ENTRIES] = owner[b, i], entries[b, i]
        whole[i, NOTCHES], whole[i, STEERING_HELD] = notches[b, i], held[b, i]
        whole[i, YIELDING], whole[i, YIELD_TIMER] = yielding[b, i], timer[b, i]
        for k in range(5):
            numbers[i, GAIN_SPEED + k] = linear[b, i, k]
        # The exponent 2 as data: a constant would let the compiler replace the C library's pow by x * x.
        numbers[i, SQUARE] = linear.shape[2] - 3


@jit
def load_courses(b: int, scratch: Scratch, numbers: Float) -> None:
    """Copy the cosines and sines of the headings."""
    cos_heading, sin_heading = scratch.cos_heading, scratch.sin_heading
    for i in range(cos_heading.shape[1]):
        numbers[i, COS], numbers[i, SIN] = cos_heading[b, i], sin_heading[b, i]


@jit
def store_courses(b: int, numbers: Float, scratch: Scratch) -> None:
    """Copy the cosines and sines of the headings back."""
    cos_heading, sin_heading = scratch.cos_heading, scratch.sin_heading
    for i in range(cos_heading.shape[1]):
        cos_heading[b, i], sin_heading[b, i] = numbers[i, COS], numbers[i, SIN]


@jit_allocating
def empty_frame(actor_count: int) -> tuple[Float, Whole]:
    """Return the two tables of a frame, not filled."""
    return np.empty((actor_count, NUMBERS)), np.empty((actor_count, WHOLE_NUMBERS), np.int64)
