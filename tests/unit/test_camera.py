"""Pictures: hand-computed projections, masks that agree with colours, occlusion, clipping, bytes that repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from camera_kit import Prop, World, state_of, straight_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.sim.camera import Frames, render, render_list, visible_pixels
from simdrive.sim.scene_parts import MARK_WIDTH_M
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Shape
from simdrive.types import CameraSpec

SCENE = straight_scene()
CAMERA = CameraSpec()
FOCAL = 112 / np.tan(np.radians(35.0))  # pixels


def shoot(*worlds: World, camera: CameraSpec = CAMERA) -> Frames:
    return render([SCENE], state_of(list(worlds), SCENE), [camera])


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_a_box_lands_where_the_pinhole_model_puts_it() -> None:
    # A plain block 2 x 4 x 3 m, its near face 20 m ahead of the camera (0.6 m ahead of the ego), 1 m to the right.
    block = Prop(21.6, 1.0, Shape.BUILDING, size=(2.0, 4.0, 3.0))
    top, bottom, left, right = extent(shoot(World((block,))).instance[0, 0] == 1 + 1)
    assert left == pytest.approx(112 + FOCAL * (-1.0) / 20, abs=0.51)
    assert right == pytest.approx(112 + FOCAL * 3.0 / 20, abs=0.51)
    assert top == pytest.approx(64 - FOCAL * (3.0 - 1.75) / 20, abs=0.51)
    assert bottom == pytest.approx(64 + FOCAL * 1.75 / 20, abs=0.51)


def test_yaw_and_pitch_turn_the_camera_right_and_down() -> None:
    block = Prop(0.6, 20.0, Shape.BUILDING, size=(2.0, 2.0, 3.0))
    seen = shoot(World((block,)), camera=replace(CAMERA, yaw_deg=90.0)).instance[0, 0] == 2
    _, _, left, right = extent(seen)
    assert left + right == pytest.approx(224, abs=1)
    ahead = Prop(21.6, 0.0, Shape.BUILDING, size=(2.0, 2.0, 3.0))
    level = extent(shoot(World((ahead,))).instance[0, 0] == 2)
    tilted = extent(shoot(World((ahead,)), camera=replace(CAMERA, pitch_deg=5.0)).instance[0, 0] == 2)
    assert level[0] - tilted[0] == pytest.approx(FOCAL * np.tan(np.radians(5.0)), abs=1.5)


def test_ground_labels_follow_the_road() -> None:
    frames = shoot(World(ego_lane=0))
    # 10 m ahead of the camera the three lanes span y = -2 .. 10 m, and their edge lines reach half a mark further.
    left, right = -2.0 - 0.5 * MARK_WIDTH_M, 10.0 + 0.5 * MARK_WIDTH_M
    row = int(64 + FOCAL * 1.75 / 10)
    columns = np.nonzero(frames.drivable[0, 0, row])[0]
    distance = 1.75 * FOCAL / (row + 0.5 - 64)
    assert columns.min() == pytest.approx(112 + FOCAL * left / distance, abs=0.51)
    assert columns.max() == min(223, round(112 + FOCAL * right / distance))
    own = np.nonzero(frames.ego_lane[0, 0, row])[0]
    assert own.max() <= 112 + FOCAL * 2.0 / distance + 1
    assert not (frames.ego_lane & ~frames.drivable).any()
    assert not (frames.lane_marks & ~frames.drivable).any()
    assert frames.lane_marks.any()
    assert not frames.drivable[0, 0, :64].any()


SHAPES = st.sampled_from([shape for shape in Shape if shape != Shape.BUILDING])
PROPS = st.builds(
    Prop,
    x=st.floats(-20, 90),
    y=st.floats(-15, 15),
    shape=SHAPES,
    heading=st.floats(-3.2, 3.2),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    brake=st.booleans(),
    indicator=st.integers(-1, 2),
)
WORLDS = st.builds(World, props=st.lists(PROPS, min_size=1, max_size=6).map(tuple), t_us=st.integers(0, 10**7))


@settings(max_examples=25, deadline=None)
@given(WORLDS)
def test_masks_agree_with_colours(world: World) -> None:
    clear = replace(world, light=Lighting(cloud=1.0))  # no sun: shadows stay under the boxes
    frames, bare = shoot(clear), shoot(replace(clear, props=()))
    instance = frames.instance[0, 0]
    differs = (frames.rgb[0, 0] != bare.rgb[0, 0]).any(axis=-1)
    covered = instance > 0
    # Chance may give an actor the very colour of the ground behind it, pixel by pixel.
    assert (covered & ~differs).sum() <= 0.02 * covered.sum() + 2
    assert not frames.drivable[0, 0][covered].any()
    assert set(np.unique(instance)) <= set(range(len(world.props) + 2)) - {1}
    counts = visible_pixels(frames.instance, len(world.props) + 1)[0, 0]
    assert counts.sum() == covered.sum()
    assert counts[0] == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(WORLDS, min_size=2, max_size=4), st.sampled_from([1, 2]))
def test_a_picture_does_not_depend_on_its_batch(worlds: list[World], supersample: int) -> None:
    camera = replace(CAMERA, supersample=supersample, width=96, height=64)
    together = shoot(*worlds, camera=camera)
    again = shoot(*worlds, camera=camera)
    assert together.rgb.tobytes() == again.rgb.tobytes()
    for row, world in enumerate(worlds):
        alone = shoot(world, camera=camera)
        assert alone.rgb[0].tobytes() == together.rgb[row].tobytes()
        assert alone.instance[0].tobytes() == together.instance[row].tobytes()


def test_order_of_actors_does_not_matter() -> None:
    props = (
        Prop(20, 0, Shape.BUS, colour=(10, 90, 200)),
        Prop(16, 2.6, Shape.PEDESTRIAN),
        Prop(40, -4, Shape.TRUCK, heading=0.4),
        Prop(30, 3, Shape.CAR, heading=2.0),
    )
    forward, backward = shoot(World(props)), shoot(World(props[::-1]))
    assert forward.rgb.tobytes() == backward.rgb.tobytes()


def test_a_long_box_is_ordered_by_what_stands_before_it() -> None:
    # The wall's centre is nearer to the eye than the person, yet the person stands between eye and wall.
    wall = Prop(25.0, 6.0, Shape.BUILDING, size=(60.0, 0.4, 3.0))
    person = Prop(40.0, 4.5, Shape.PEDESTRIAN)
    frames = shoot(World((wall, person)))
    alone = shoot(World((person,)))
    assert visible_pixels(frames.instance, 3)[0, 0, 2] == visible_pixels(alone.instance, 2)[0, 0, 1] > 0
    behind = shoot(World((wall, replace(person, y=8.0))))
    assert visible_pixels(behind.instance, 3)[0, 0, 2] == 0


def test_parked_cars_hide_a_child_but_not_who_steps_out() -> None:
    parked = tuple(Prop(x, 4.0, Shape.VAN) for x in (12.0, 18.0, 24.0))
    child = Prop(21.2, 5.6, Shape.PEDESTRIAN, size=(0.4, 0.4, 1.2))
    hidden = shoot(World((*parked, child)))
    stepped_out = shoot(World((*parked, replace(child, y=2.4))))
    assert visible_pixels(hidden.instance, 5)[0, 0, 4] == 0
    # Its box would cover 3.1 x 9.3 pixels; legs and head are narrower than the box.
    assert 12 < visible_pixels(stepped_out.instance, 5)[0, 0, 4] < 31


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("place", [(0.6, 0.0), (0.0, 1.5), (-3.0, 0.5), (2.0, -1.0), (-30.0, 0.0), (1e5, 1e5)])
def test_actors_around_the_camera_are_clipped(shape: Shape, place: tuple[float, float]) -> None:
    for size in (None, (300.0, 4.0, 2.5), (0.05, 0.05, 0.05)):
        frames = shoot(World((Prop(*place, shape, heading=0.3, size=size),)))
        pixels = visible_pixels(frames.instance, 2)[0, 0, 1]
        assert 0 <= pixels <= 128 * 224
        if place[0] < -20 and size is None:
            assert pixels == 0


def test_the_ego_and_absent_actors_are_never_drawn() -> None:
    bare = shoot(World())
    assert shoot(World((Prop(15, 0, present=False),))).rgb.tobytes() == bare.rgb.tobytes()
    behind = replace(CAMERA, x_m=-8.0, name="chase")
    assert not shoot(World(), camera=behind).instance.any()


def test_brake_lights_read_at_thirty_metres() -> None:
    car = Prop(32.9, 0.0, colour=(90, 90, 95))  # its rear is 30 m ahead of the camera
    dark, lit = (shoot(World((replace(car, brake=brake),))).rgb[0, 0].astype(int) for brake in (False, True))
    red = (lit[..., 0] > 220) & (lit[..., 1] < 80) & (lit[..., 2] < 80)
    assert red.sum() >= 6
    assert not ((dark[..., 0] > 220) & (dark[..., 1] < 80)).any()


def test_indicators_blink_on_their_own_side() -> None:
    car = Prop(15.0, 0.0, colour=(90, 90, 95), indicator=-1)
    on, off = (shoot(World((car,), t_us=t)).rgb[0, 0].astype(int) for t in (0, 400_000))
    amber = (on[..., 0] > 230) & (on[..., 1] > 120) & (on[..., 2] < 60)
    columns = np.nonzero(amber)[1]
    assert len(columns) >= 4
    assert columns.max() < 112
    assert not ((off[..., 0] > 230) & (off[..., 1] > 120) & (off[..., 2] < 60)).any()


@pytest.mark.parametrize(
    "light",
    [
        Lighting(sun_elevation_deg=-20),
        Lighting(sun_elevation_deg=-20, street_lights=True),
        Lighting(fog_visibility_m=60),
        Lighting(rain=1.0, cloud=1.0),
        Lighting(sun_elevation_deg=5, sun_azimuth_deg=5, cloud=0.0),
        Lighting(tunnel_start_x_m=-50, tunnel_end_x_m=80, exit_glare=0.9),
    ],
)
def test_weather_changes_the_picture_and_repeats(light: Lighting) -> None:
    props = (Prop(25.0, 0.0, brake=True), Prop(60.0, 4.0, Shape.TRUCK), Prop(18.0, 3.0, Shape.PEDESTRIAN))
    world = World(props, light=light, t_us=300_000, ego=(1.0, 0.0, 0.0))
    frames = shoot(world)
    assert frames.rgb.tobytes() == shoot(world).rgb.tobytes()
    assert frames.rgb.tobytes() != shoot(replace(world, light=Lighting())).rgb.tobytes()
    assert visible_pixels(frames.instance, 4)[0, 0, 1] > 0  # the car 25 m ahead stays labelled


def test_what_weather_hides_carries_no_label() -> None:
    far_car, near_car = Prop(90.0, 0.0), Prop(30.0, 4.0)
    fog = shoot(World((far_car, near_car), light=Lighting(fog_visibility_m=60.0)))
    counts = visible_pixels(fog.instance, 3)[0, 0]
    assert counts[1] == 0
    assert counts[2] > 0
    person = Prop(80.0, 0.0, Shape.PEDESTRIAN)
    night = shoot(World((person,), light=Lighting(sun_elevation_deg=-20)))
    assert visible_pixels(night.instance, 2)[0, 0, 1] == 0
    glare = Lighting(tunnel_start_x_m=-50.0, tunnel_end_x_m=60.0, exit_glare=1.0)
    queue = Prop(75.0, 0.0, brake=True)
    assert visible_pixels(shoot(World((queue,), light=glare)).instance, 2)[0, 0, 1] == 0
    close = World((queue,), light=glare, ego=(50.0, 0.0, 0.0))
    assert visible_pixels(shoot(close).instance, 2)[0, 0, 1] > 0


def test_fog_takes_contrast_with_distance() -> None:
    light = Lighting(fog_visibility_m=120.0, cloud=1.0)
    picture = shoot(World(light=light)).rgb[0, 0].astype(int)
    bottom, far = picture[127, 112], picture[66, 112]
    air = picture[63, 112]
    assert np.abs(far - air).max() < 12
    assert np.abs(bottom - air).max() > 60


def test_several_cameras_equal_single_ones() -> None:
    world = World((Prop(15, 1.0), Prop(-12, 0.0, Shape.TRUCK), Prop(5, 9.0, Shape.CYCLIST)))
    cameras = [
        CAMERA,
        replace(CAMERA, name="rear", yaw_deg=180.0),
        replace(CAMERA, name="right", yaw_deg=90.0, horizontal_fov_deg=100.0, supersample=2),
    ]
    state = state_of([world, World((Prop(9, 0.0),))], SCENE)
    frames = render([SCENE], state, cameras)
    assert frames.rgb.shape == (2, 3, 128, 224, 3)
    for place, camera in enumerate(cameras):
        assert frames.rgb[:, place].tobytes() == render([SCENE], state, [camera]).rgb[:, 0].tobytes()
    sizes = render_list([SCENE], state, [CAMERA, replace(CAMERA, width=100, height=50)])
    assert [frame.rgb.shape for frame in sizes] == [(2, 1, 128, 224, 3), (2, 1, 50, 100, 3)]


def test_bad_requests_are_refused() -> None:
    state = state_of([World()], SCENE)
    with pytest.raises(ParameterError, match="render_list"):
        render([SCENE], state, [CAMERA, replace(CAMERA, width=100)])
    with pytest.raises(ParameterError, match="horizontal_fov_deg"):
        render([SCENE], state, [replace(CAMERA, horizontal_fov_deg=170.0)])
    with pytest.raises(ParameterError, match="scene"):
        render([SCENE], replace(state, scene=np.ones(1, np.int32)), [CAMERA])
    with pytest.raises(ParameterError, match=r"state\.y"):
        render([SCENE], replace(state, y=np.zeros((1, 3))), [CAMERA])
    with pytest.raises(ParameterError, match="labels=True"):
        _ = render([SCENE], state, [CAMERA], labels=False).instance
    with pytest.raises(ParameterError, match="no scene"):
        render([], state, [CAMERA])


def test_a_crowd_beyond_the_first_draw_list_is_drawn_in_full() -> None:
    rng = np.random.default_rng(3)
    props = tuple(
        Prop(float(x), float(y), Shape.CYCLIST, heading=0.5)
        for x, y in zip(rng.uniform(5, 40, 400), rng.uniform(-9, 9, 400), strict=True)
    )
    frames = shoot(World(props))
    nearest = int(np.argmin([np.hypot(prop.x - 0.6, prop.y) + 100 * (prop.x < abs(prop.y) * 1.5) for prop in props]))
    assert visible_pixels(frames.instance, 401)[0, 0, nearest + 1] > 0
