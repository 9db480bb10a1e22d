"""Static ground: strips, marks, polygons, joined scenes, light rows, and the view from above."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from camera_kit import Prop, World, state_of, straight_scene
from highway_env.road.lane import CircularLane, LineType
from highway_env.road.road import RoadNetwork

from simdrive.errors import ParameterError
from simdrive.sim.birdseye import BirdseyeSpec, Line, outline, render_birdseye
from simdrive.sim.camera import render
from simdrive.sim.camera_light import ASPHALT, MARK
from simdrive.sim.lighting import light_row
from simdrive.sim.roads import compile_network
from simdrive.sim.scene import Scene, build_scene, join_scenes, tunnel_walls
from simdrive.sim.scene_parts import DASH_M, DASH_PERIOD_M, MARK_WIDTH_M, triangles
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Shape
from simdrive.types import CameraSpec


def ring_scene(radius: float = 15.0) -> Scene:
    net = RoadNetwork()
    lines = (LineType.CONTINUOUS, LineType.STRIPED)
    net.add_lane("a", "b", CircularLane([0, 0], radius, 0.0, 1.5 * math.pi, width=4, line_types=lines))
    return build_scene(compile_network(net))


def areas(quads: np.ndarray) -> np.ndarray:
    x, y = quads[:, :, 0], quads[:, :, 1]
    return 0.5 * np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1))


def test_a_straight_road_is_one_surface_with_its_marks() -> None:
    tables = straight_scene(lanes=3, length_m=600.0).tables
    asphalt = tables.quads[tables.materials == ASPHALT]
    assert areas(asphalt).sum() == pytest.approx(600.0 * 12.0)
    assert len(asphalt) == 6  # three lanes together, pieces of 100 m
    marks = tables.quads[tables.materials == MARK]
    dashes = 600.0 / DASH_PERIOD_M * DASH_M * 2
    assert areas(marks).sum() == pytest.approx(MARK_WIDTH_M * (2 * 600.0 + dashes))


def test_curves_are_sampled_within_the_sagitta() -> None:
    tables = ring_scene().tables
    asphalt = tables.quads[tables.materials == ASPHALT]
    exact = 0.75 * math.pi * (17.0**2 - 13.0**2)
    assert areas(asphalt).sum() == pytest.approx(exact, rel=0.01)
    radii = np.hypot(asphalt[:, :, 0], asphalt[:, :, 1])
    assert radii.min() == pytest.approx(13.0)
    assert radii.max() == pytest.approx(17.0)
    marks = tables.quads[tables.materials == MARK]
    middle = np.hypot(*marks.mean(axis=1).T)
    assert np.minimum(abs(middle - 13.0), abs(middle - 17.0)).max() < 0.051


def test_polygons_become_triangles() -> None:
    notch = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    for polygon in (notch, notch[::-1]):
        found = triangles(polygon)
        assert areas(found).sum() == pytest.approx(16.0 - 6.0)
        assert found.shape == (3, 4, 2)
    with pytest.raises(ParameterError, match="crosses itself"):
        triangles(np.array([[0.0, 0.0], [4.0, 4.0], [4.0, 0.0], [0.0, 4.0], [-2.0, 2.0], [6.0, 2.1]]))


def test_extra_ground_shows_in_the_masks() -> None:
    apron = np.array([[10.0, 10.0], [40.0, 10.0], [40.0, 30.0], [10.0, 30.0]])
    road = compile_network(RoadNetwork.straight_road_network(3, length=300))
    plain = build_scene(road)
    state = state_of([World(ego=(0.0, 8.0, 0.0))], plain)
    bare = render([plain], state, [CameraSpec()])
    paved = render([build_scene(road, walkable=[apron])], state, [CameraSpec()])
    drivable = render([build_scene(road, extra_drivable=[apron])], state, [CameraSpec()])
    assert (paved.drivable == bare.drivable).all()
    assert (paved.rgb != bare.rgb).any()
    assert drivable.drivable.sum() > bare.drivable.sum() + 200


def test_worlds_of_one_call_may_stand_on_different_maps() -> None:
    scenes = [straight_scene(), ring_scene(), straight_scene(lanes=1)]
    worlds = [World((Prop(12.0, 2.0),), ego_lane=0), World((Prop(16.0, 8.0, Shape.VAN),), ego=(15.0, -3.0, 1.6))]
    state = state_of([*worlds, worlds[0]])
    state = replace(state, scene=np.array([0, 1, 2], np.int32))
    together = render(join_scenes(scenes), state, [CameraSpec()])
    for row, scene in enumerate(scenes):
        alone = replace(state_of([[*worlds, worlds[0]][row]]), scene=np.zeros(1, np.int32))
        assert render([scene], alone, [CameraSpec()]).rgb.tobytes() == together.rgb[row].tobytes()
    assert len({scene.key for scene in scenes}) == 3
    assert straight_scene().key == scenes[0].key


def test_light_rows_refuse_what_cannot_be() -> None:
    for bad in (Lighting(cloud=2.0), Lighting(rain=-0.1), Lighting(fog_visibility_m=1.0), Lighting(exit_glare=1.5)):
        with pytest.raises(ParameterError, match=r"lighting\."):
            light_row(bad)
    with pytest.raises(ParameterError, match="tunnel"):
        light_row(Lighting(tunnel_start_x_m=50.0))
    with pytest.raises(ParameterError, match="tunnel"):
        light_row(Lighting(tunnel_start_x_m=50.0, tunnel_end_x_m=10.0))


def test_tunnel_walls_stand_beside_the_road() -> None:
    scene = straight_scene()
    assert tunnel_walls(scene, Lighting(tunnel_start_x_m=10.0, tunnel_end_x_m=90.0)) == (-3.0, 11.0)
    assert all(math.isnan(y) for y in tunnel_walls(scene, Lighting()))
    with pytest.raises(ParameterError, match="covers no road"):
        tunnel_walls(scene, Lighting(tunnel_start_x_m=1000.0, tunnel_end_x_m=1100.0))


SPEC = BirdseyeSpec(width=100, height=100, metres_per_pixel=0.5, ahead_m=20.0)


def test_the_view_from_above_puts_things_where_they_are() -> None:
    scene = straight_scene()
    car = Prop(30.0, 4.0, colour=(250, 10, 250), heading=0.0)
    state = state_of([World((car,), ego=(10.0, 0.0, 0.0))])
    picture = render_birdseye(scene, state, 0, SPEC).astype(int)
    body = (picture[..., 0] > 240) & (picture[..., 1] < 30) & (picture[..., 2] > 240)
    rows, columns = np.nonzero(body)
    # 20 m ahead of the ego, which is 20 m below the middle: on the middle row, 4 m = 8 pixels to the right.
    assert rows.mean() == pytest.approx(49.5, abs=1.5)
    assert columns.mean() == pytest.approx(57.5, abs=1.0)
    assert picture.tobytes() == render_birdseye(scene, state, 0, SPEC).astype(int).tobytes()


def test_lines_and_outlines_are_drawn_above() -> None:
    scene = straight_scene()
    state = state_of([World((Prop(30.0, 4.0),), ego=(10.0, 0.0, 0.0))])
    bare = render_birdseye(scene, state, 0, SPEC)
    plan = Line(np.array([[10.0, 0.0], [20.0, 0.0], [30.0, 2.0], [np.nan, np.nan]]), (0, 255, 255), 0.8)
    drawn = render_birdseye(scene, state, 0, SPEC, [plan, outline(state, 0, 1, (255, 255, 0))])
    changed = (bare != drawn).any(axis=-1)
    assert 40 < changed.sum() < 400
    assert (drawn == (0, 255, 255)).all(axis=-1).sum() > 20
    assert (drawn == (255, 255, 0)).all(axis=-1).sum() > 10
    assert (render_birdseye(scene, state, 0, replace(SPEC, follow=False, x_m=1e5)) != bare).any()
    with pytest.raises(ParameterError, match="metres_per_pixel"):
        render_birdseye(scene, state, 0, replace(SPEC, metres_per_pixel=0.0))
