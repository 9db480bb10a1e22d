"""The compiled loop over worlds and cameras: state rows in, pictures and labels out."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit, jit_inline
from simdrive.sim import camera_actors as ca
from simdrive.sim import lighting as li
from simdrive.sim.camera_actors import draw_actors
from simdrive.sim.camera_effects import apply_effects
from simdrive.sim.camera_ground import draw_beams, draw_ground, draw_shadows, draw_verge
from simdrive.sim.camera_light import (
    EYE_INSIDE,
    FRAME_COLUMNS,
    GRASS,
    HAS_TUNNEL,
    SKY,
    ground_table,
    horizon_row,
    prepare_shade,
)
from simdrive.sim.camera_order import FOOTPRINT_COLUMNS, GROUP, paint_order, place_footprint
from simdrive.sim.camera_tunnel import actor_group, draw_inside, draw_portal
from simdrive.sim.camera_view import EYE_X, EYE_Y, VIEW_COLUMNS, circle_in_view, place_view
from simdrive.sim.raster import (
    OBJECT_ID,
    TABLE_SIZE,
    ZERO,
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
from simdrive.types import Long

ACTOR_FAR_M = 450.0
BLINK_PERIOD_US = 666_667  # 1.5 Hz, the middle of UN R48's 60 to 120 flashes a minute
STRIDE_M = 1.4  # ground covered in one walking cycle


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
    draw: Float
    cursor: Long  # [2] polygons, next object id
    fade: Float
    frame: Float  # constants of the frame at hand
    last: Float  # those of the frame before
    actor: Float  # [V, ACTOR_COLUMNS]
    foot: Float  # [V, FOOTPRINT_COLUMNS]
    row_actor: Int  # [V]
    order: Int
    waits: Int
    before: Bool
    geo: Float
    inside_ids: Long  # [2] first and last + 1 object id of what is inside a tunnel
    found: Ids  # labels of the sub-pixels of a pixel
    no_words: Words  # stand-ins where no labels are wanted
    no_labels: Ids


def make_scratch(height: int, width: int, actors: int, polygons: int) -> Scratch:
    """Return work memory for pictures of ``height`` x ``width`` sub-pixels with up to ``actors`` actors."""
    return Scratch(
        ids=np.zeros((height, width), np.uint16),
        touched=np.zeros((height, 2), np.int32),
        sides=np.zeros((2, height), np.int32),
        table=np.zeros(TABLE_SIZE, np.uint64),
        draw=draw_list(polygons),
        cursor=np.zeros(2, np.int64),
        fade=np.zeros((2, max(height, width))),
        frame=np.zeros(FRAME_COLUMNS),
        last=np.full(FRAME_COLUMNS, np.nan),
        actor=np.zeros((actors, ca.ACTOR_COLUMNS)),
        foot=np.zeros((actors, FOOTPRINT_COLUMNS)),
        row_actor=np.zeros(actors, np.int32),
        order=np.zeros(actors, np.int32),
        waits=np.zeros(actors, np.int32),
        before=np.zeros((actors, actors), np.bool_),
        geo=np.zeros((18, 3)),
        inside_ids=np.zeros(2, np.int64),
        found=np.zeros(64, np.uint16),
        no_words=np.zeros(0, np.uint64),
        no_labels=np.zeros((0, 0), np.uint16),
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
    frame, light = work.frame, state.light[row]
    draw, cursor, geo = work.draw, work.cursor, work.geo
    place_view(camera, state.x[row, 0], state.y[row, 0], state.heading[row, 0], frame)
    prepare_shade(light, frame)
    same = True
    for column in range(FRAME_COLUMNS):
        if column < EYE_X or column >= VIEW_COLUMNS:  # where the camera stands does not matter
            same = same and frame[column] == work.last[column]
            work.last[column] = frame[column]
    if not same:
        ground_table(frame, light, work.ids.shape[0], colours, work.table)
    cursor[0], cursor[1] = 0, OBJECT_ID
    draw_verge(light, frame, draw, cursor, geo)
    draw_ground(scenes, state.scene[row], state.ego_lane[row], light[li.EXTINCTION], frame, draw, cursor, geo)
    count = _collect(state, row, work)
    draw_beams(light, frame, draw, cursor, geo)
    draw_shadows(work.actor, work.row_actor, count, light, frame, draw, cursor, geo)
    paint_order(work.foot, count, work.order, work.waits, work.before)
    begin = ZERO
    for group in range(3):
        if frame[HAS_TUNNEL] > 0.0 and group == 1:
            work.inside_ids[0] = cursor[1]
            draw_inside(light, frame, draw, cursor, work.table, geo)
        elif frame[HAS_TUNNEL] > 0.0 and group == 2:
            work.inside_ids[1] = cursor[1]
            draw_portal(light, frame, draw, cursor, work.table, geo)
        end = begin
        while end < count and work.foot[work.order[end], GROUP] == group:
            end += 1
        draw_actors(
            work.actor,
            work.foot,
            work.row_actor,
            work.order,
            begin,
            end,
            looks,
            frame,
            draw,
            cursor,
            work.table,
            geo,
        )
        begin = end


@jit
def _collect(state: StateArrays, row: int, work: Scratch) -> int:
    """Place footprints and appearance of the actors in view; returns how many there are."""
    frame, light = work.frame, state.light[row]
    ego_x, ego_y, ego_heading = state.x[row, 0], state.y[row, 0], state.heading[row, 0]
    ego_cos, ego_sin = math.cos(ego_heading), math.sin(ego_heading)
    # Taken out of the tuples once: every access inside the loop would count references.
    present, shapes, xs, ys, headings = state.present, state.shape, state.x, state.y, state.heading
    lengths, widths, heights, colours = state.length, state.width, state.height, state.colour
    brakes, indicators = state.brake_light, state.indicator
    looks, foot, row_actor = work.actor, work.foot, work.row_actor
    blink = 2 * (state.t_us[row] % BLINK_PERIOD_US) < BLINK_PERIOD_US
    count = ZERO
    for actor in range(1, present.shape[1]):
        if not present[row, actor]:
            continue
        x, y, heading = xs[row, actor], ys[row, actor], headings[row, actor]
        length, width = lengths[row, actor], widths[row, actor]
        radius = 0.5 * math.sqrt(length * length + width * width)
        if not circle_in_view(frame, x, y, radius, ACTOR_FAR_M):
            continue
        group = 0
        if frame[HAS_TUNNEL] > 0.0:
            group = actor_group(light, frame[EYE_X], frame[EYE_Y], x, y, radius)
        if not place_footprint(frame, x, y, heading, length, width, group, foot, count):
            continue
        looks[actor, ca.X], looks[actor, ca.Y] = x, y
        looks[actor, ca.COS_HEADING], looks[actor, ca.SIN_HEADING] = math.cos(heading), math.sin(heading)
        looks[actor, ca.LENGTH], looks[actor, ca.WIDTH], looks[actor, ca.HEIGHT] = length, width, heights[row, actor]
        for channel in range(3):
            looks[actor, ca.RED + channel] = colours[row, actor, channel]
        signal = indicators[row, actor]
        looks[actor, ca.BRAKING] = brakes[row, actor]
        looks[actor, ca.SIGNAL_LEFT] = signal == -1 or signal == 2
        looks[actor, ca.SIGNAL_RIGHT] = signal == 1 or signal == 2
        looks[actor, ca.BLINK] = blink
        looks[actor, ca.SHAPE] = shapes[row, actor]
        looks[actor, ca.SWING] = math.sin(2.0 * math.pi * (x + y) / STRIDE_M)
        looks[actor, ca.INSIDE] = frame[HAS_TUNNEL] > 0.0 and li.in_tunnel(light, x, y)
        dx, dy = x - ego_x, y - ego_y
        ego_cosine = (dx * ego_cos + dy * ego_sin) / max(math.sqrt(dx * dx + dy * dy), 1e-6)
        ca.shade_actor(looks, actor, foot, count, ego_cosine, frame)
        near_x, near_y = _nearest(frame[EYE_X], frame[EYE_Y], x, y, heading, length, width)
        seen = li.sight_allows(light, frame[EYE_X], frame[EYE_Y], ego_heading, shapes[row, actor], near_x, near_y)
        looks[actor, ca.LABEL] = actor + 1 if seen else 0
        row_actor[count] = actor
        count += 1
    return count


@jit_inline
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
    horizon = horizon_row(work.frame, work.ids.shape[0])
    fill_background(work.ids, horizon, SKY, GRASS, work.touched)
    fill_polygons(work.draw, 0, min(work.cursor[0], work.draw.shape[0]), work.ids, work.sides, work.touched)


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
    for camera in range(cameras.shape[0]):
        for row in range(state.present.shape[0]):
            build_draw_list(scenes, state, row, cameras[camera], looks, colours, work)
            most = max(most, work.cursor[0])
            fill_frame(work)
            picture = rgb[row, camera]
            if factor == 1 and picture.shape[1] % 4 == 0:
                pixels = picture.reshape(-1).view(np.uint32)
                tags = labels[row, camera].reshape(-1).view(np.uint64) if with_labels else work.no_words
                resolve_packed(work.ids, work.table, work.touched, pixels, tags)
            else:
                resolve_average(
                    work.ids,
                    work.table,
                    factor,
                    picture,
                    labels[row, camera] if with_labels else work.no_labels,
                    work.found,
                )
            light = state.light[row]
            if light[li.RAIN] > 0.0 or work.frame[EYE_INSIDE] > 0.0 or light[li.SUN_ELEVATION] < 0.3:
                apply_effects(
                    picture, work.ids, work.inside_ids, light, work.frame, state.t_us[row], factors[camera], work.fade
                )
    return most
