"""Moving vehicles by one step: the modified bicycle model of ``Vehicle.step``."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit_inline
from simdrive.sim.kernel_bicycle import step_bicycle
from simdrive.sim.state import Actors, Behaviour, Scratch, Traits

_KINEMATIC, _CONTROLLED = int(Behaviour.KINEMATIC), int(Behaviour.CONTROLLED)
_IDM, _LINEAR, _BICYCLE = int(Behaviour.IDM), int(Behaviour.LINEAR), int(Behaviour.BICYCLE)


@jit_inline
def limit_controls(b: int, i: int, actors: Actors, traits: Traits) -> None:
    """Brake crashed vehicles, and keep the speed within the vehicle's own range."""
    speed = actors.speed[b, i]
    if actors.crashed[b, i]:
        actors.steering[b, i] = 0.0
        actors.acceleration[b, i] = -1.0 * speed
    if speed > traits.max_speed[b, i]:
        actors.acceleration[b, i] = min(actors.acceleration[b, i], traits.max_speed[b, i] - speed)
    elif speed < traits.min_speed[b, i]:
        actors.acceleration[b, i] = max(actors.acceleration[b, i], traits.min_speed[b, i] - speed)


@jit_inline
def move(b: int, i: int, dt: float, actors: Actors, traits: Traits, scratch: Scratch) -> None:
    """Integrate position, pending impact, heading and speed, in this order."""
    speed, heading, angle = actors.speed[b, i], actors.heading[b, i], actors.steering[b, i]
    if angle == 0.0:  # straight on: the cached direction is exact
        slip_sin, cos_course, sin_course = 0.0, scratch.cos_heading[b, i], scratch.sin_heading[b, i]
    else:
        slip = math.atan(0.5 * math.tan(angle))
        slip_sin = math.sin(slip)
        cos_course, sin_course = math.cos(heading + slip), math.sin(heading + slip)
    x = actors.x[b, i] + speed * cos_course * dt
    y = actors.y[b, i] + speed * sin_course * dt
    if actors.has_impact[b, i]:
        x += actors.impact_x[b, i]
        y += actors.impact_y[b, i]
        actors.crashed[b, i] = True
        actors.has_impact[b, i] = False
    actors.x[b, i], actors.y[b, i] = x, y
    actors.heading[b, i] = heading + speed * slip_sin / (traits.length[b, i] / 2) * dt
    actors.speed[b, i] = speed + actors.acceleration[b, i] * dt


@jit_inline
def integrate_world(b: int, dt: float, actors: Actors, traits: Traits, scratch: Scratch) -> None:
    """Move every present vehicle of world ``b`` by ``dt`` seconds.

    SCRIPTED actors, obstacles and landmarks stay: somebody else moves them, before ``locate_world``. ``scratch``
    must hold the cosines of the present headings (it does after ``locate_world``).
    """
    for i in range(actors.x.shape[1]):
        if not actors.present[b, i]:
            continue
        kind = traits.behaviour[b, i]
        if kind == _IDM or kind == _LINEAR:
            actors.timer[b, i] += dt
        elif kind == _BICYCLE:
            limit_controls(b, i, actors, traits)
            step_bicycle(b, i, dt, actors)
            continue
        elif kind != _KINEMATIC and kind != _CONTROLLED:
            continue
        limit_controls(b, i, actors, traits)
        move(b, i, dt, actors, traits, scratch)
