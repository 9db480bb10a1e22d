"""The Intelligent Driver Model and the linear model, rounding as ``acceleration`` of highway-env's vehicles does.

Treiber, Hennecke, Helbing: Congested traffic states in empirical observations and microscopic simulations (2000).
The *deciding* actor lends its parameters; the *evaluated* one its speed, target speed and lane.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip, dot2, dot3, not_zero
from simdrive.sim.kernel_frame import (
    COMFORT,
    COS,
    DELTA,
    DISTANCE,
    GAIN_FRONT,
    GAIN_GAP,
    GAIN_SPEED,
    GAP_DIVISOR,
    HAS_TARGET,
    KIND,
    LANE,
    OBJECT,
    PRESENT,
    SIN,
    SPEED,
    SPEED_GAP,
    TARGET_SPEED,
    TIME,
    VX,
    VY,
    WANTED,
)
from simdrive.sim.kernel_neighbours import lane_s
from simdrive.sim.lanes import SPEED_LIMIT
from simdrive.sim.state import Behaviour, Float, Whole

_LINEAR, _SCRIPTED = int(Behaviour.LINEAR), int(Behaviour.SCRIPTED)


@jit_inline
def prepare_actor(numbers: Float, whole: Whole, lanes: Float, i: int) -> None:
    """Write what others see of an actor; positions, speeds and targets stay as they are while all decide.

    A plain Vehicle has no target speed: it counts as 0 for the IDM, as its own speed for the linear model.
    """
    speed = numbers[i, SPEED]
    numbers[i, VX], numbers[i, VY] = speed * numbers[i, COS], speed * numbers[i, SIN]
    has_target = whole[i, HAS_TARGET] != 0 or (whole[i, KIND] == _SCRIPTED and whole[i, OBJECT] == 0)
    target = numbers[i, TARGET_SPEED] if has_target else 0.0
    numbers[i, SPEED_GAP] = target - speed if has_target else 0.0
    limit = lanes[whole[i, LANE], SPEED_LIMIT]
    if limit == limit:
        target = clip(target, 0.0, limit)
    numbers[i, WANTED] = abs(not_zero(target))


@jit_inline
def prepare(numbers: Float, whole: Whole, lanes: Float) -> None:
    """Write what others see of every actor."""
    for i in range(numbers.shape[0]):
        if whole[i, PRESENT]:
            prepare_actor(numbers, whole, lanes, i)


@jit_inline
def desired_gap(numbers: Float, fused: bool, decider: int, ego: int, front: int) -> float:
    """Return the gap that ``ego`` should keep to ``front``, m, with the parameters of ``decider``."""
    speed = numbers[ego, SPEED]
    closing_x, closing_y = numbers[ego, VX] - numbers[front, VX], numbers[ego, VY] - numbers[front, VY]
    closing = dot2(fused, closing_x, closing_y, numbers[ego, COS], numbers[ego, SIN])
    wanted = numbers[decider, DISTANCE] + speed * numbers[decider, TIME]
    return wanted + speed * closing / numbers[decider, GAP_DIVISOR]


@jit_inline
def free_acceleration(numbers: Float, decider: int, ego: int) -> float:
    """Return the IDM acceleration of vehicle ``ego`` on an empty road, m/s2."""
    ratio = max(numbers[ego, SPEED], 0.0) / numbers[ego, WANTED]
    return numbers[decider, COMFORT] * (1 - math.pow(ratio, numbers[decider, DELTA]))


@jit_inline
def lane_gap(
    lanes: Float, points: Float, fused: bool, numbers: Float, s: Float, lane: int, ego: int, other: int
) -> float:
    """Return the distance from ``ego`` to ``other`` along ``lane``, m, centre to centre."""
    ahead = lane_s(lanes, points, fused, numbers, s, other, lane)
    return ahead - lane_s(lanes, points, fused, numbers, s, ego, lane)


@jit
def _linear(numbers: Float, fused: bool, decider: int, ego: int, front: int, gap: float) -> float:
    """Return gains times (speed gap, speed excess over the front, missing distance), m/s2."""
    excess, missing = 0.0, 0.0
    if front >= 0:
        speed = numbers[ego, SPEED]
        safe = numbers[decider, DISTANCE] + max(speed, 0.0) * numbers[decider, TIME]
        excess, missing = min(numbers[front, SPEED] - speed, 0.0), min(gap - safe, 0.0)
    gains = (numbers[decider, GAIN_SPEED], numbers[decider, GAIN_FRONT], numbers[decider, GAIN_GAP])
    return dot3(fused, gains[0], gains[1], gains[2], numbers[ego, SPEED_GAP], excess, missing)


@jit_inline
def interaction(
    lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, s: Float, decider: int, ego: int, front: int
) -> float:
    """Return how much ``front`` takes off the IDM acceleration of ``ego``, m/s2."""
    gap = lane_gap(lanes, points, fused, numbers, s, whole[ego, LANE], ego, front)
    ratio = desired_gap(numbers, fused, decider, ego, front) / not_zero(gap)
    return numbers[decider, COMFORT] * (ratio * ratio)


@jit_inline
def acceleration(
    lanes: Float,
    points: Float,
    fused: bool,
    numbers: Float,
    whole: Whole,
    s: Float,
    decider: int,
    ego: int,
    front: int,
    free: float,
) -> float:
    """Return the acceleration of ``ego`` behind ``front`` (-1 = nobody) as ``decider`` sees it, m/s2.

    ``free`` is ``free_acceleration`` of that pair if it is known, else NaN.
    """
    if ego < 0:
        return 0.0
    if whole[decider, KIND] == _LINEAR:
        gap = 0.0
        if front >= 0:
            gap = lane_gap(lanes, points, fused, numbers, s, whole[ego, LANE], ego, front)
        return _linear(numbers, fused, decider, ego, front, gap)
    if whole[ego, OBJECT]:
        return 0.0
    if free != free:
        free = free_acceleration(numbers, decider, ego)
    if front >= 0:
        free -= interaction(lanes, points, fused, numbers, whole, s, decider, ego, front)
    return free
