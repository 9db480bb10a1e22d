"""The compiled loop over worlds and cameras: state rows in, pictures and labels out."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit
from simdrive.sim import camera_actors as ca
from simdrive.sim import lighting as li
from simdrive.sim.camera_effects import apply_effects
from simdrive.sim.camera_ground import draw_beams, draw_ground, draw_shadow
from simdrive.sim.camera_light import (
    BEAM,
    EYE_INSIDE,
    GRASS,
    HAS_TUNNEL,
    SHADE_COLUMNS,
    SKY,
    ground_table,
    horizon_row,
    prepare_shade,
)
from simdrive.sim.camera_order import DISTANCE, FOOTPRINT_COLUMNS, paint_order, place_footprint
from simdrive.sim.camera_tunnel import actor_group, draw_inside, draw_portal
from simdrive.sim.camera_view import EYE_X, EYE_Y, VIEW_COLUMNS, WIDTH, circle_in_view, place_view
from simdrive.sim.raster import (
    OBJECT_ID,
    TABLE_SIZE,
    DrawList,
    Ids,
    Words,
    draw_list,
    fill_background,
    fill_polygons,
    resolve_average,
    resolve_packed,
)
from simdrive.sim.scene import SceneTables
from simdrive.sim.shapes import LookTables
from simdrive.sim.state import Bool, Float, Int, Small

ACTOR_FAR_M = 450.0
BLINK_PERIOD_US = 666_667  # 1.5 Hz, the middle of UN R48's 60 to 120 flashes a minute
STRIDE_M = 1.4  # ground covered in one walking cycle
_BUILDING = li._BUILDING


class StateArrays(NamedTuple):
    """What a picture needs of N worlds: ``[N, V]`` unless stated, ego in column 0."""

    scene: Int  # [N] row of the scenes
    t_us: npt.NDArray[np.int64]  # [N]
    light: Float  # [N, LIGHT_COLUMNS]
    ego_lane: Int  # [N] lane row of the scene's map, -1 = none
    present: Bool
    shape: Small
    x: Float
    y: Float
    heading: Float
    length: Float
    width: Float
    height: Float
    colour: npt.NDArray[np.uint8]  # [N, V, 3]
    brake_light: Bool
    indicator: Small


class Scratch(NamedTuple):
    """Work memory of one frame size."""

    ids: Ids  # [H, W] in sub-pixels
    touched: Int  # [H, 2]
    sides: Int  # [2, H]
    table: Words
    draw: DrawList
    fade: Float
    shade: Float
    last_shade: Float
    view: Float
    actor: Float  # [V, ACTOR_COLUMNS]
    foot: Float  # [V, FOOTPRINT_COLUMNS]
    row_actor: Int  # [V]
    order: Int
    waits: Int
    before: Bool
    corner: Float
    polygon: Float
    next_id: Int


def make_scratch(height: int, width: int, actors: int, polygons: int) -> Scratch:
    """Return work memory for pictures of ``height`` x ``width`` sub-pixels with up to ``actors`` actors."""
    return Scratch(
        ids=np.zeros((height, width), np.uint16),
        touched=np.zeros((height, 2), np.int32),
        sides=np.zeros((2, height), np.int32),
        table=np.zeros(TABLE_SIZE, np.uint64),
        draw=draw_list(polygons),
        fade=np.zeros((2, max(height, width))),
        shade=np.zeros(SHADE_COLUMNS),
        last_shade=np.full(SHADE_COLUMNS, np.nan),
        view=np.zeros(VIEW_COLUMNS),
        actor=np.zeros((actors, ca.ACTOR_COLUMNS)),
        foot=np.zeros((actors, FOOTPRINT_COLUMNS)),
        row_actor=np.zeros(actors, np.int32),
        order=np.zeros(actors, np.int32),
        waits=np.zeros(actors, np.int32),
        before=np.zeros((actors, actors), np.bool_),
        corner=np.zeros((8, 3)),
        polygon=np.zeros((10, 3)),
        next_id=np.zeros(1, np.int32),
    )


@jit
def build_draw_list(
    scenes: SceneTables,
    state: StateArrays,
    row: int,
    camera: Float,
    looks: LookTables,
    colours: Float,
    work: Scratch,
) -> None:
    """Project one frame: fill ``work.draw``, the table and the view; nothing is drawn yet."""
    view, shade, light = work.view, work.shade, state.light[row]
    place_view(camera, state.x[row, 0], state.y[row, 0], state.heading[row, 0], view)
    prepare_shade(light, view, shade)
    same = True
    for column in range(SHADE_COLUMNS):
        same = same and shade[column] == work.last_shade[column]
        work.last_shade[column] = shade[column]
    if not same:
        ground_table(shade, view, light, work.ids.shape[0], colours, work.table)
    work.draw.count[0] = 0
    work.next_id[0] = OBJECT_ID
    draw_ground(scenes, state.scene[row], state.ego_lane[row], light, shade, view, work.draw, work.polygon)
    count = _collect(state, row, work)
    draw_beams(light, shade, view, work.draw, work.polygon)
    if shade[BEAM] <= 0.5:
        for place in range(count):
            actor = work.row_actor[place]
            draw_shadow(
                state.x[row, actor],
                state.y[row, actor],
                state.heading[row, actor],
                state.length[row, actor],
                state.width[row, actor],
                state.height[row, actor],
                light,
                shade,
                view,
                work.draw,
                work.polygon,
            )
    paint_order(work.foot, count, work.order, work.waits, work.before)
    stage = 0
    for place in range(count):
        foot = work.order[place]
        if shade[HAS_TUNNEL] > 0.0:
            stage = _tunnel_stage(stage, int(work.foot[foot, 9]), light, work)
        ca.draw_actor(
            work.actor[work.row_actor[foot]],
            work.foot,
            foot,
            looks,
            shade,
            view,
            work.draw,
            work.table,
            work.next_id,
            work.corner,
            work.polygon,
        )
    if shade[HAS_TUNNEL] > 0.0:
        _tunnel_stage(stage, 2, light, work)


@jit
def _tunnel_stage(stage: int, wanted: int, light: Float, work: Scratch) -> int:
    """Append the parts of the tunnel that come before actors of group ``wanted``; returns the stage reached."""
    if stage < 1 <= wanted:
        draw_inside(light, work.shade, work.view, work.draw, work.table, work.next_id, work.polygon)
    if stage < 2 <= wanted:
        draw_portal(light, work.shade, work.view, work.draw, work.table, work.next_id, work.polygon)
    return max(stage, wanted)


@jit
def _collect(state: StateArrays, row: int, work: Scratch) -> int:
    """Place footprints and appearance of the actors in view; returns how many there are."""
    view, shade, light = work.view, work.shade, state.light[row]
    ego_x, ego_y, ego_heading = state.x[row, 0], state.y[row, 0], state.heading[row, 0]
    ego_cos, ego_sin = math.cos(ego_heading), math.sin(ego_heading)
    count = 0
    for actor in range(1, state.present.shape[1]):
        if not state.present[row, actor]:
            continue
        x, y, heading = state.x[row, actor], state.y[row, actor], state.heading[row, actor]
        length, width = state.length[row, actor], state.width[row, actor]
        radius = 0.5 * math.sqrt(length * length + width * width)
        if not circle_in_view(view, x, y, radius, ACTOR_FAR_M):
            continue
        group = 0
        if shade[HAS_TUNNEL] > 0.0:
            group = actor_group(light, view[EYE_X], view[EYE_Y], x, y, radius)
        if not place_footprint(view, x, y, heading, length, width, group, work.foot, count):
            continue
        look = work.actor[actor]
        look[ca.LENGTH], look[ca.WIDTH], look[ca.HEIGHT] = length, width, state.height[row, actor]
        for channel in range(3):
            look[ca.RED + channel] = state.colour[row, actor, channel]
        signal = state.indicator[row, actor]
        look[ca.BRAKING] = state.brake_light[row, actor]
        look[ca.SIGNAL_LEFT], look[ca.SIGNAL_RIGHT] = signal == -1 or signal == 2, signal == 1 or signal == 2
        look[ca.BLINK] = 2 * (state.t_us[row] % BLINK_PERIOD_US) < BLINK_PERIOD_US
        look[ca.SHAPE] = state.shape[row, actor]
        look[ca.PHASE] = 2.0 * math.pi * (x + y) / STRIDE_M
        dx, dy = x - ego_x, y - ego_y
        distance = max(math.sqrt(dx * dx + dy * dy), 1e-6)
        inside = shade[HAS_TUNNEL] > 0.0 and li.in_tunnel(light, x, y)
        ahead = (dx * ego_cos + dy * ego_sin) / distance
        ca.shade_actor(look, work.foot, count, heading, inside, ahead, shade, view)
        near_x, near_y = _nearest(view[EYE_X], view[EYE_Y], x, y, heading, length, width)
        seen = li.sight_allows(
            light, view[EYE_X], view[EYE_Y], ego_heading, state.shape[row, actor], near_x, near_y
        )
        look[ca.LABEL] = actor + 1 if seen else 0
        work.row_actor[count] = actor
        count += 1
    return count


@jit
def _nearest(
    eye_x: float, eye_y: float, x: float, y: float, heading: float, length: float, width: float
) -> tuple[float, float]:
    """Return the point of a box nearest to the eye, world frame, m."""
    cos, sin = math.cos(heading), math.sin(heading)
    dx, dy = eye_x - x, eye_y - y
    along = min(max(dx * cos + dy * sin, -0.5 * length), 0.5 * length)
    across = min(max(dy * cos - dx * sin, -0.5 * width), 0.5 * width)
    return x + along * cos - across * sin, y + along * sin + across * cos


@jit
def fill_frame(work: Scratch) -> None:
    """Rasterise the draw list into ``work.ids``."""
    horizon = horizon_row(work.view, work.ids.shape[0])
    fill_background(work.ids, horizon, SKY, GRASS, work.touched)
    fill_polygons(work.draw, 0, min(work.draw.count[0], work.draw.size.shape[0]), work.ids, work.sides, work.touched)


@jit
def render_rows(
    scenes: SceneTables,
    state: StateArrays,
    cameras: Float,
    factors: Int,
    looks: LookTables,
    colours: Float,
    work: Scratch,
    rgb: npt.NDArray[np.uint8],
    labels: Ids,
) -> int:
    """Render every world through cameras of one picture size and supersampling.

    Args:
        cameras: ``[C, VIEW_COLUMNS]`` camera rows.
        factors: ``[C]`` index of each camera in the caller's list (seeds rain); its supersampling is ``work``'s.
        rgb: ``[N, C, H, W, 3]``; labels: ``[N, C, H, W]`` or ``[0, 0, 0, 0]``.

    Returns:
        The largest number of polygons of a frame; above the list's capacity the call must be repeated with more.
    """
    most = 0
    with_labels = labels.shape[0] > 0
    factor = work.ids.shape[0] // rgb.shape[2]
    words = np.empty(0, np.uint64)
    none = np.empty((0, 0), np.uint16)
    for camera in range(cameras.shape[0]):
        work.last_shade[0] = math.nan
        for row in range(state.present.shape[0]):
            build_draw_list(scenes, state, row, cameras[camera], looks, colours, work)
            most = max(most, work.draw.count[0])
            fill_frame(work)
            picture = rgb[row, camera]
            if factor == 1 and picture.shape[1] % 4 == 0:
                pixels = picture.reshape(-1).view(np.uint32)
                tags = labels[row, camera].reshape(-1).view(np.uint64) if with_labels else words
                resolve_packed(work.ids, work.table, work.touched, pixels, tags)
            else:
                resolve_average(
                    work.ids, work.table, factor, picture, labels[row, camera] if with_labels else none
                )
            light = state.light[row]
            if light[li.RAIN] > 0.0 or work.shade[EYE_INSIDE] > 0.0 or light[li.SUN_ELEVATION] < 0.3:
                apply_effects(
                    picture, light, work.shade, work.view, state.t_us[row], factors[camera], work.fade
                )
    return most
