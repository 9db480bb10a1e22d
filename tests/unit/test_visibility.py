"""Line of sight: small scenes by hand, and random ones against the instance masks of a ring of cameras."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from camera_kit import Prop, World, state_of, straight_scene

from simdrive.sim.camera import render, visible_pixels
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Shape
from simdrive.sim.visibility import EYE_AHEAD_M, EYE_HEIGHT_M, MIN_ANGLE_RAD, line_of_sight
from simdrive.types import CameraSpec

SCENE = straight_scene()


def sight(*worlds: World) -> np.ndarray:
    state = state_of(list(worlds), SCENE)
    return line_of_sight(
        state.present,
        state.shape,
        state.x,
        state.y,
        state.heading,
        state.length,
        state.width,
        state.height,
        state.light,
    )


def test_a_car_behind_an_equal_car_is_hidden_until_it_is_offset() -> None:
    lead, second = Prop(20.0, 0.0), Prop(40.0, 0.0)
    assert sight(World((lead, second)))[0].tolist() == [True, True, False]
    assert sight(World((lead, replace(second, y=3.5))))[0].tolist() == [True, True, True]
    assert sight(World((lead, replace(second, shape=Shape.TRUCK))))[0].tolist() == [True, True, True]


def test_any_bearing_counts_and_absent_actors_do_not() -> None:
    around = tuple(Prop(25 * math.cos(a), 25 * math.sin(a), heading=a) for a in np.linspace(-3.0, 3.0, 9, dtype=float))
    assert sight(World(around, ego=(0.0, 0.0, 1.0))).all()
    assert sight(World((Prop(10, 0, present=False),)))[0].tolist() == [True, False]


def test_one_sees_over_a_bonnet_but_not_over_a_van() -> None:
    # A person off the far front corner of a parked vehicle: every ray to them crosses its front 1.9 m, a bonnet or not.
    person = Prop(14.0, 4.2, Shape.PEDESTRIAN, size=(0.5, 0.5, 1.4))
    for shape, seen in ((Shape.CAR, True), (Shape.TRUCK, False)):
        parked = Prop(9.4, 4.0, shape, size=(4.6, 1.8, 1.5 if shape == Shape.CAR else 2.4))
        assert sight(World((parked, person)))[0, 2] == seen


def test_a_long_wall_hides_only_what_is_beyond_it() -> None:
    wall = Prop(50.0, 8.0, Shape.BUILDING, size=(90.0, 0.3, 3.0))
    before, beyond = Prop(60.0, 6.0, Shape.PEDESTRIAN), Prop(60.0, 9.5, Shape.PEDESTRIAN)
    assert sight(World((wall, before, beyond)))[0].tolist() == [True, True, True, False]


def test_two_blockers_hide_together_what_neither_hides_alone() -> None:
    left, right = (Prop(10.0, y, Shape.BUILDING, size=(0.5, 2.0, 3.0)) for y in (-1.0, 1.0))
    wide = Prop(30.0, 0.0, heading=math.pi / 2, size=(2.5, 1.8, 1.5))
    assert sight(World((left, wide)))[0, 2]
    assert sight(World((right, wide)))[0, 2]
    assert not sight(World((left, right, wide)))[0, 3]


def test_slivers_do_not_count() -> None:
    # 1 cm of a cone sticks out beside a wall 30 m away: 0.02 degrees.
    cone = Prop(40.0, 0.0, Shape.BUILDING, size=(0.4, 0.4, 0.8))
    eye = EYE_AHEAD_M
    edge = 0.2 * (30.0 - eye) / (40.0 - eye)  # where the ray past the cone's right side meets the wall
    wall = Prop(30.0, edge - 5.0 - 0.01, Shape.BUILDING, size=(0.1, 10.0, 3.0))
    assert not sight(World((wall, cone)))[0, 2]
    assert sight(World((replace(wall, y=edge - 5.0 - 0.2), cone)))[0, 2]


def test_touching_is_seeing() -> None:
    assert sight(World((Prop(EYE_AHEAD_M, 0.0, Shape.BUILDING, size=(4, 4, 4)),)))[0, 1]


def test_fog_rain_and_night_limit_sight() -> None:
    person, car = Prop(50.0, 2.0, Shape.PEDESTRIAN), Prop(60.0, -4.0)
    props = (person, car)
    assert sight(World(props))[0].all()
    assert not sight(World(props, light=Lighting(fog_visibility_m=45.0)))[0, 1:].any()
    far = Prop(850.0, 0.0, Shape.TRUCK)  # a car there would be a sliver
    assert sight(World((far,)))[0, 1]
    assert not sight(World((far,), light=Lighting(rain=1.0)))[0, 1]
    # Clear air lets one see 2000 m, the heaviest rain 800 m, both together 1 / (1 / 2000 + 1 / 800) = 571 m.
    assert sight(World((replace(far, x=570.0),), light=Lighting(rain=1.0)))[0, 1]
    assert not sight(World((replace(far, x=580.0),), light=Lighting(rain=1.0)))[0, 1]
    night = Lighting(sun_elevation_deg=-20.0)
    assert sight(World(props, light=night))[0].tolist() == [True, True, True]
    aside = Prop(10.0, 20.0, Shape.PEDESTRIAN)
    assert sight(World((aside,), light=night))[0].tolist() == [True, False]
    assert sight(World((replace(person, x=70.0), car), light=night))[0].tolist() == [True, False, True]
    assert sight(World((aside,), light=replace(night, street_lights=True)))[0, 1]


@pytest.mark.parametrize(("glare", "reach_m"), [(1.0, 18.0), (0.9, 24.0), (0.8, 36.0)])
def test_the_exit_of_a_tunnel_blinds_until_close(glare: float, reach_m: float) -> None:
    light = Lighting(tunnel_start_x_m=0.0, tunnel_end_x_m=200.0, exit_glare=glare)
    outside, inside = Prop(220.0, 0.0), Prop(190.0, 4.0)
    for before_m, seen in ((reach_m + 2.0, False), (reach_m - 2.0, True)):
        world = World((outside, inside), light=light, ego=(200.0 - before_m - EYE_AHEAD_M, 0.0, 0.0))
        assert sight(world)[0].tolist() == [True, seen, True]
    assert sight(World((outside,), light=replace(light, exit_glare=0.6), ego=(10.0, 0.0, 0.0)))[0, 1]


def test_tunnel_walls_hide_what_is_beside_the_tube() -> None:
    light = Lighting(tunnel_start_x_m=20.0, tunnel_end_x_m=100.0)
    beside = Prop(60.0, 30.0, Shape.TRUCK)
    assert not sight(World((beside,), light=light, ego=(30.0, 0.0, 0.0)))[0, 1]
    assert sight(World((beside,), light=light, ego=(-20.0, 30.0, 0.0)))[0, 1]


def test_the_answer_does_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(5)
    worlds = [_crowd(rng) for _ in range(12)]
    together = sight(*worlds)
    for row, world in enumerate(worlds):
        assert sight(world)[0].tolist() == together[row, : len(world.props) + 1].tolist()
    out = np.ones_like(together)
    state = state_of(worlds, SCENE)
    columns = ("present", "shape", "x", "y", "heading", "length", "width", "height", "light")
    assert line_of_sight(*[getattr(state, name) for name in columns], out=out) is out
    assert (out == together).all()


def _crowd(rng: np.random.Generator) -> World:
    shapes = [Shape.CAR, Shape.CAR, Shape.VAN, Shape.TRUCK, Shape.PEDESTRIAN, Shape.CYCLIST, Shape.BUILDING]
    props: list[Prop] = []
    while len(props) < 14:
        shape = shapes[rng.integers(len(shapes))]
        x, y = rng.uniform(-50, 70), rng.uniform(-22, 22)
        if math.hypot(x, y) > 8 and all(math.hypot(x - p.x, y - p.y) > 13 for p in props):
            props.append(Prop(float(x), float(y), shape, heading=float(rng.uniform(-3, 3))))
    return World(tuple(props))


def test_it_agrees_with_the_masks_of_a_ring_of_cameras() -> None:
    rng = np.random.default_rng(11)
    ring = [CameraSpec(f"c{k}", 480, 240, 46.0, 45.0 * k, 0.0, EYE_AHEAD_M, 0.0, EYE_HEIGHT_M) for k in range(8)]
    pixel_rad = math.radians(46.0) / 480
    compared = hidden = 0
    for _ in range(12):
        world = _crowd(rng)
        state = state_of([world], SCENE)
        seen = sight(world)[0, 1:]
        frames = render([SCENE], state, ring)
        alone = np.array([_pixels(World((prop,)), ring) for prop in world.props])
        pixels = visible_pixels(frames.instance, 15)[0, :, 1:].sum(axis=0)
        # Clearly visible: a tenth of the actor. Clearly hidden: less than slivers.
        sliver = (2 * MIN_ANGLE_RAD / pixel_rad) ** 2
        plain = pixels > np.maximum(0.1 * alone, 3 * sliver)
        assert seen[plain].all(), (world, pixels)
        assert not seen[pixels == 0].any(), (world, pixels)
        compared += int(plain.sum() + (pixels == 0).sum())
        hidden += int((pixels == 0).sum())
    assert compared >= 0.8 * 12 * 14
    assert hidden >= 10


def _pixels(world: World, ring: list[CameraSpec]) -> int:
    return int(visible_pixels(render([SCENE], state_of([world], SCENE), ring).instance, 2)[0, :, 1].sum())
