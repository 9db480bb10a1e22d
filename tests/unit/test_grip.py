"""Slick ground: what the tyres hold by hand, that it stays with copies, and that worlds without it know nothing of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from world_kit import LANE, bent_map, ego, run, state_bytes, straight_map, world

from simdrive.errors import ParameterError
from simdrive.sim.birdseye import BirdseyeSpec, render_birdseye
from simdrive.sim.camera import render
from simdrive.sim.camera_light import EGO_SLICK, SLICK
from simdrive.sim.camera_worlds import state_of_worlds
from simdrive.sim.checks import check_spec
from simdrive.sim.grip import grip_of
from simdrive.sim.scene_cache import light_of, scene_of
from simdrive.sim.slick_ground import SlickGround, slick_ground
from simdrive.sim.spec import Lighting, Slick, WorldSpec
from simdrive.sim.worlds import Worlds
from simdrive.types import CameraSpec

ICE = Slick(20.0, 60.0, 0.2)  # the ego of ``world`` starts at 0 with 20 m/s
HOLD_MPS2 = 0.2 * 9.81


def icy(*slicks: Slick, **fields: object) -> WorldSpec:
    return world(slicks=slicks or (ICE,), **fields)


def stepped(spec: WorldSpec, acceleration: float, steering: float = 0.0) -> Worlds:
    """Return a world whose ego stands in the middle of its slick, one tick under a control later."""
    worlds = Worlds([spec])
    worlds.step(np.array([[acceleration, steering]]))
    return worlds


HERE = Slick(-5.0, 30.0, 0.2)


def test_a_full_brake_reaches_what_the_tyres_hold() -> None:
    worlds = stepped(icy(HERE), -8.0)
    assert worlds.ego_control[0, 0] == pytest.approx(-1.962)
    assert worlds.actors.acceleration[0, 0] == pytest.approx(-1.962)
    assert worlds.actors.speed[0, 0] == pytest.approx(20.0 - 1.962 / 50)
    assert worlds.ego_control[0, 1] == 0.0


def test_what_the_tyres_hold_is_left_alone() -> None:
    for acceleration in (-1.9, 0.0, 1.9):
        assert stepped(icy(HERE), acceleration, 0.001).ego_control[0].tolist() == [acceleration, 0.001]
    assert stepped(icy(HERE), 3.0).ego_control[0, 0] == pytest.approx(1.962)  # wheels spin as well


def test_braking_and_steering_share_one_circle() -> None:
    """At 20 m/s a radius of 100 m asks for 4 m/s2 across; with 3 m/s2 of braking that is 5, of which 1.962 are left."""
    length = ego().length_m
    steering = math.atan(2.0 * math.tan(math.asin(0.5 * 0.01 * length)))
    worlds = stepped(icy(HERE), -3.0, steering)
    share = 1.962 / 5.0
    assert worlds.ego_control[0, 0] == pytest.approx(-3.0 * share)
    turned = math.sin(math.atan(0.5 * math.tan(worlds.ego_control[0, 1])))
    assert 2.0 * turned / length * 400.0 == pytest.approx(4.0 * share)
    # What was applied is what the vehicle did: a turn of v * curvature in one tick.
    assert worlds.actors.heading[0, 0] == pytest.approx(20.0 * 0.01 * share / 50)
    left = stepped(icy(HERE), -3.0, -steering)
    assert left.ego_control[0].tolist() == pytest.approx([worlds.ego_control[0, 0], -worlds.ego_control[0, 1]])


def test_it_begins_and_ends_with_the_stretch() -> None:
    worlds = Worlds([icy()])
    seen = []
    for _ in range(400):
        before = float(worlds.route_s[0])
        worlds.step(np.array([[-4.0, 0.0]]))
        seen.append((before, float(worlds.ego_control[0, 0])))
    on = [applied for s, applied in seen if ICE.start_m <= s < ICE.end_m]
    off = [applied for s, applied in seen if not ICE.start_m <= s < ICE.end_m and applied < -1e-9]
    assert len(on) > 50
    assert min(s for s, _ in seen) < ICE.start_m
    assert max(s for s, _ in seen) > ICE.end_m
    assert on == pytest.approx([-HOLD_MPS2] * len(on))
    assert off[:-1] == [-4.0] * (len(off) - 1)  # the last one only ends at standstill


def test_several_ticks_are_capped_one_by_one() -> None:
    one, many = Worlds([icy()]), Worlds([icy()])
    run(one, 3.0, -3.0, 0.01)
    run(many, 3.0, -3.0, 0.01, ticks=25)
    assert state_bytes(one, 0) == state_bytes(many, 0)


def test_worlds_without_slick_ground_do_not_change_beside_one() -> None:
    plain, slick = world(), icy()
    assert grip_of([plain, plain]) is None
    two = replace(slick, slicks=(*slick.slicks, Slick(90.0, 99.0, 1.0)))
    alone, beside = Worlds([plain]), Worlds([slick, plain, two])
    run(alone, 4.0, -3.0, 0.01, ticks=5)
    run(beside, 4.0, -3.0, 0.01, ticks=5)
    assert state_bytes(beside, 1) == state_bytes(alone, 0)
    assert state_bytes(beside, 0) != state_bytes(beside, 1)


def test_controls_that_nothing_limits_are_handed_on_as_they_are() -> None:
    grip = grip_of([icy(), world()])
    assert grip is not None
    controls = np.array([[-8.0, 0.3], [-8.0, 0.3]])
    number = np.array([20.0, 20.0])
    everyone = np.ones(2, np.bool_)
    assert grip.held(controls, everyone, np.array([19.9, 40.0]), number, number) is controls
    held = grip.held(controls, everyone, np.array([20.0, 40.0]), number, number)
    assert held[1].tolist() == [-8.0, 0.3]
    assert held[0, 0] > -8.0
    assert controls[0].tolist() == [-8.0, 0.3]
    controls[0] = np.inf  # an inactive world's row may hold anything
    assert grip.held(controls, np.array([False, True]), np.array([20.0, 40.0]), number, number) is controls


def test_copies_keep_their_slick_ground() -> None:
    worlds = Worlds([world(), icy()])
    run(worlds, 2.0, -4.0)
    kept = worlds.snapshot()
    chosen, copies = worlds.select([1, 0]), worlds.replicate(1, 2)
    for batch in (worlds, chosen, copies):
        run(batch, 1.0, -4.0)
    assert state_bytes(chosen, 0) == state_bytes(copies, 1) == state_bytes(worlds, 1)
    assert state_bytes(chosen, 1) == state_bytes(worlds, 0)
    after = state_bytes(worlds, 1)
    worlds.restore(kept)
    run(worlds, 1.0, -4.0)
    assert state_bytes(worlds, 1) == after


@pytest.mark.parametrize(
    ("slicks", "said"),
    [
        ((Slick(10.0, 10.0, 0.3),), "start before the end"),
        ((Slick(math.nan, 10.0, 0.3),), "finite"),
        ((Slick(0.0, math.inf, 0.3),), "finite"),
        ((Slick(0.0, 10.0, 0.0),), "above 0, at most 1"),
        ((Slick(0.0, 10.0, 1.2),), "above 0, at most 1"),
        ((Slick(0.0, 10.0, math.nan),), "above 0, at most 1"),
        ((Slick(30.0, 50.0, 0.3), Slick(0.0, 31.0, 0.3)), r"slicks\[1\] ends at 31.0 m and slicks\[0\] starts at 30.0"),
    ],
)
def test_nonsense_is_refused(slicks: tuple[Slick, ...], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        check_spec(world(slicks=slicks))


def test_stretches_that_touch_are_fine() -> None:
    check_spec(world(slicks=(Slick(10.0, 20.0, 0.3), Slick(0.0, 10.0, 1.0))))


# --- pictures --------------------------------------------------------------------------------------------------


def area(quads: np.ndarray) -> float:
    x, y = quads[:, :, 0], quads[:, :, 1]
    return float(0.5 * np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)).sum())


def painted(spec: WorldSpec) -> SlickGround:
    found = slick_ground(spec)
    assert found is not None
    return found


def test_the_whole_width_of_the_road_is_painted() -> None:
    found = painted(icy())
    assert [area(part) for part in found.lanes] == pytest.approx([4.0 * 40.0] * 3)
    assert area(found.ground) == pytest.approx(12.0 * 40.0)
    for quads in (found.ground, found.lanes[2]):
        assert (quads[:, :, 0].min(), quads[:, :, 0].max()) == pytest.approx((70.0, 110.0))  # the ego starts at 50
    assert slick_ground(world()) is None


def test_in_a_bend_it_follows_every_lane() -> None:
    route = (("a", "b", 1), ("b", "c", 1), ("c", "d", 1))
    spec = icy(Slick(80.0, 120.0, 0.2), road=bent_map(), ego=ego(lane=route[0], s_m=10.0, speed_mps=10.0),
               ego_route=route, goal_m=150.0)  # fmt: skip
    areas = dict(zip(spec.road.lane_index, map(area, painted(spec).lanes), strict=True))
    assert area(painted(spec).ground) == pytest.approx(sum(areas.values()), rel=0.01)
    # The own lane's radius is 38 m: from 90 m on the first lane 10 m straight, then 30 m of arc.
    assert areas["a", "b", 1] == pytest.approx(40.0, abs=0.5)
    assert areas["b", "c", 1] == pytest.approx(4.0 * 30.0, rel=0.02)
    assert areas["b", "c", 0] == pytest.approx(4.0 * 30.0 * 42.0 / 38.0, rel=0.02)
    assert areas["c", "d", 0] == areas["c", "d", 1] == 0.0


@pytest.mark.parametrize("light", [Lighting(), Lighting(sun_elevation_deg=-20.0)])
def test_the_camera_shows_the_band_and_what_it_is(light: Lighting) -> None:
    spec, bare = icy(Slick(8.0, 25.0, 0.2), lighting=light), world(lighting=light)
    rows = np.zeros(1, np.int32)
    frames = [
        render([scene_of(one)], state_of_worlds(Worlds([one]), rows, rows, light_of(one)[None]), [CameraSpec()])
        for one in (spec, bare)
    ]
    differs = (frames[0].rgb != frames[1].rgb).any(axis=-1)
    assert differs.sum() > 500
    assert not differs[0, 0, -1].any()  # not under the bumper
    changed = np.abs(frames[0].rgb.astype(int) - frames[1].rgb).max(axis=-1)[differs]
    assert np.median(changed) >= 8
    for name in ("drivable", "lane_marks", "ego_lane", "instance"):
        np.testing.assert_array_equal(getattr(frames[0], name), getattr(frames[1], name))


def test_the_view_from_above_shows_the_band() -> None:
    spec, bare = icy(Slick(8.0, 25.0, 0.2)), world()
    rows = np.zeros(1, np.int32)
    above = BirdseyeSpec(width=100, height=100, metres_per_pixel=0.5, ahead_m=20.0)
    state = state_of_worlds(Worlds([bare]), rows, rows, light_of(bare)[None])
    one, other = (render_birdseye(scene_of(each), state, 0, above) for each in (spec, bare))
    differs = (one != other).any(axis=2)
    assert differs.sum() == pytest.approx(17.0 * 12.0 / 0.25, rel=0.1)  # 17 m x 3 lanes of 4 m, a quarter m2 a pixel
    assert (one[differs].mean(axis=0) > other[differs].mean(axis=0)).all()


def test_scenes_differ_by_their_slick_ground_alone() -> None:
    spec, bare = icy(), world()
    assert scene_of(spec) is scene_of(icy())
    assert scene_of(spec).key != scene_of(bare).key
    materials = scene_of(spec).tables.materials
    assert (materials == SLICK).sum() == 2  # 70 to 100 m and on to 110 m, as the asphalt is cut
    assert (materials == EGO_SLICK).sum() == 3 * 2
    assert not np.isin(scene_of(bare).tables.materials, (SLICK, EGO_SLICK)).any()
    assert straight_map().row(LANE) == 1
