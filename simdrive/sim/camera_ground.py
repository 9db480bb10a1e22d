"""Ground of a frame: which quads of the scene are in view, thin marks kept from flickering, shadows, headlamp beam."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_light import BEAM, HAS_TUNNEL, MARK, MARK_LEVELS, SHOULDER, SUN_X, SUN_Y, SUN_Z
from simdrive.sim.camera_view import EGO_HEADING, EYE_X, EYE_Y, circle_in_view, emit, to_camera
from simdrive.sim.raster import TINT_SHADOW, TINT_ZONE, DrawList
from simdrive.sim.scene import MARK_LAYER, SceneTables
from simdrive.sim.state import Float

GROUND_FAR_M = 500.0
MARK_FAR_M = 180.0
_HIDDEN_CONTRAST = 5.5  # extinction x distance beyond which no contrast is left in 8 bits
_SHADOW_REACH_M = 60.0


@jit
def draw_ground(
    scenes: SceneTables, scene: int, ego_lane: int, light: Float, shade: Float, view: Float, draw: DrawList, polygon: Float
) -> None:
    """Append the ground of one frame: pavement, shoulder, asphalt, the ego's lane, marks."""
    clear = _HIDDEN_CONTRAST / max(light[li.EXTINCTION], 1e-6)
    for layer in range(MARK_LAYER + 1):
        if layer == MARK_LAYER:
            _draw_lane(scenes, scene, ego_lane, min(GROUND_FAR_M, clear), view, draw, polygon)
        far = min(MARK_FAR_M if layer == MARK_LAYER else GROUND_FAR_M, clear)
        begin, end = scenes.layer_clusters[scene, layer], scenes.layer_clusters[scene, layer + 1]
        for cluster in range(begin, end):
            x, y, radius = (
                scenes.cluster_circles[cluster, 0],
                scenes.cluster_circles[cluster, 1],
                scenes.cluster_circles[cluster, 2],
            )
            if circle_in_view(view, x, y, radius, far):
                first, last = scenes.cluster_quads[cluster], scenes.cluster_quads[cluster + 1]
                _draw_quads(scenes, first, last, far, view, draw, polygon)
        if layer == 0 and shade[HAS_TUNNEL] > 0.0:
            _tunnel_floor(light, view, draw, polygon, SHOULDER)


@jit_inline
def _draw_lane(
    scenes: SceneTables, scene: int, lane: int, far: float, view: Float, draw: DrawList, polygon: Float
) -> None:
    first = scenes.lane_rows[scene] + lane
    if lane >= 0 and first + 1 < scenes.lane_rows[scene + 1]:
        _draw_quads(scenes, scenes.lane_quads[first], scenes.lane_quads[first + 1], far, view, draw, polygon)


@jit
def _draw_quads(
    scenes: SceneTables, first: int, last: int, far: float, view: Float, draw: DrawList, polygon: Float
) -> None:
    for quad in range(first, last):
        if not circle_in_view(view, scenes.circles[quad, 0], scenes.circles[quad, 1], scenes.circles[quad, 2], far):
            continue
        for corner in range(4):
            depth, right, up = to_camera(view, scenes.quads[quad, corner, 0], scenes.quads[quad, corner, 1], 0.0)
            polygon[corner, 0], polygon[corner, 1], polygon[corner, 2] = depth, right, up
        material = scenes.materials[quad]
        if emit(draw, view, polygon, 4, material) and material == MARK:
            _thicken(draw, view)


@jit_inline
def _thicken(draw: DrawList, view: Float) -> None:
    """Draw a mark thinner than a pixel one pixel wide and fainter; drop it when nothing would be left of it.

    Without it, far lines flicker: whether a line shows would depend on where pixel centres happen to fall.
    """
    place = draw.count[0] - 1
    if place >= draw.size.shape[0] or draw.size[place] != 4:
        return
    c = draw.corners
    ax, ay = 0.5 * (c[place, 0, 0] + c[place, 1, 0]), 0.5 * (c[place, 0, 1] + c[place, 1, 1])
    bx, by = 0.5 * (c[place, 2, 0] + c[place, 3, 0]), 0.5 * (c[place, 2, 1] + c[place, 3, 1])
    px, py = 0.5 * (c[place, 0, 0] + c[place, 3, 0]), 0.5 * (c[place, 0, 1] + c[place, 3, 1])
    qx, qy = 0.5 * (c[place, 1, 0] + c[place, 2, 0]), 0.5 * (c[place, 1, 1] + c[place, 2, 1])
    along, across = math.hypot(bx - ax, by - ay), math.hypot(qx - px, qy - py)
    area = 0.0
    for corner in range(4):
        after = (corner + 1) % 4
        area += c[place, corner, 0] * c[place, after, 1] - c[place, after, 0] * c[place, corner, 1]
    area = 0.5 * abs(area)
    longest = max(along, across)
    thickness = area / longest if longest > 0.0 else 0.0
    if thickness >= 0.85:
        return
    if thickness < 0.1 or area < 0.12:
        draw.count[0] = place
        return
    level = 1 if thickness >= 0.57 else (2 if thickness >= 0.35 else 3)
    draw.code[place] = MARK + min(level, MARK_LEVELS - 1)
    if along < across:
        ax, ay, bx, by = px, py, qx, qy
    # Half a pixel to either side of the axis, and at least a pixel long.
    ux, uy = (bx - ax) / longest, (by - ay) / longest
    stretch = 0.5 * max(1.0 - longest, 0.0)
    ax, ay, bx, by = ax - ux * stretch, ay - uy * stretch, bx + ux * stretch, by + uy * stretch
    half = 0.5 * max(abs(ux), abs(uy))  # one pixel along the picture's axis, not across the line
    nx, ny = -uy * half, ux * half
    c[place, 0, 0], c[place, 0, 1] = ax + nx, ay + ny
    c[place, 1, 0], c[place, 1, 1] = ax - nx, ay - ny
    c[place, 2, 0], c[place, 2, 1] = bx - nx, by - ny
    c[place, 3, 0], c[place, 3, 1] = bx + nx, by + ny


@jit_inline
def _ground_corner(view: Float, polygon: Float, corner: int, x: float, y: float) -> None:
    depth, right, up = to_camera(view, x, y, 0.0)
    polygon[corner, 0], polygon[corner, 1], polygon[corner, 2] = depth, right, up


@jit
def _tunnel_floor(light: Float, view: Float, draw: DrawList, polygon: Float, code: int) -> None:
    """Append the floor between the tunnel walls as a material or as a tint."""
    start, end = light[li.TUNNEL_START], light[li.TUNNEL_END]
    left, right = light[li.WALL_LEFT], light[li.WALL_RIGHT]
    _ground_corner(view, polygon, 0, start, left)
    _ground_corner(view, polygon, 1, start, right)
    _ground_corner(view, polygon, 2, end, right)
    _ground_corner(view, polygon, 3, end, left)
    emit(draw, view, polygon, 4, code)


@jit
def draw_beams(light: Float, shade: Float, view: Float, draw: DrawList, polygon: Float) -> None:
    """Tint the tunnel floor, or by night the ground in the ego's low beam: a wide weak and a narrow strong cone."""
    if shade[HAS_TUNNEL] > 0.0:
        _tunnel_floor(light, view, draw, polygon, TINT_ZONE)
    elif shade[BEAM] > 0.5:
        cos, sin = math.cos(view[EGO_HEADING]), math.sin(view[EGO_HEADING])
        for cone in range(2):
            for corner in range(4):
                ahead = 1.5 if corner < 2 else 90.0
                aside = (1.6 + cone * 0.8) if corner < 2 else (9.0 + cone * 17.0)
                aside = -aside if corner == 0 or corner == 3 else aside
                x = view[EYE_X] + ahead * cos - aside * sin
                _ground_corner(view, polygon, corner, x, view[EYE_Y] + ahead * sin + aside * cos)
            emit(draw, view, polygon, 4, TINT_ZONE if cone == 0 else TINT_SHADOW)


@jit
def draw_shadow(
    x: float,
    y: float,
    heading: float,
    length: float,
    width: float,
    height: float,
    light: Float,
    shade: Float,
    view: Float,
    draw: DrawList,
    polygon: Float,
) -> None:
    """Tint the ground under an actor and, in the sun, the strip that its box shades."""
    if shade[BEAM] > 0.5 or not circle_in_view(view, x, y, 0.5 * length + 20.0, _SHADOW_REACH_M):
        return
    cos, sin = math.cos(heading), math.sin(heading)
    sunny = light[li.CLOUD] < 0.75 and light[li.RAIN] < 0.4 and shade[SUN_Z] > 0.03 and not li.in_tunnel(light, x, y)
    ox, oy = 0.0, 0.0
    if sunny:
        reach = min(height / shade[SUN_Z], 30.0)
        ox, oy = -shade[SUN_X] * reach, -shade[SUN_Y] * reach
    half_length, half_width = 0.5 * length + 0.08, 0.5 * width + 0.08
    size = 0
    # Hull of the footprint and its copy moved along the shadow: corners between sides that face the shadow's way
    # move, the others stay, and where the facing changes both belong to the hull.
    for corner in range(4):
        u = half_length if corner == 0 or corner == 1 else -half_length
        v = half_width if corner == 1 or corner == 2 else -half_width
        px, py = x + u * cos - v * sin, y + u * sin + v * cos
        before, after = (corner + 3) % 4, corner
        moves_before, moves_after = _side_faces(before, cos, sin, ox, oy), _side_faces(after, cos, sin, ox, oy)
        if not moves_before:
            _ground_corner(view, polygon, size, px, py)
            size += 1
        if moves_before or moves_after:
            _ground_corner(view, polygon, size, px + ox, py + oy)
            size += 1
        if moves_before and not moves_after:
            _ground_corner(view, polygon, size, px, py)
            size += 1
    emit(draw, view, polygon, size, TINT_SHADOW)


@jit_inline
def _side_faces(side: int, cos: float, sin: float, ox: float, oy: float) -> bool:
    """Tell whether a side of a box (0 front, 1 right, 2 rear, 3 left) faces along (ox, oy)."""
    along, across = ox * cos + oy * sin, oy * cos - ox * sin
    if side == 0:
        return along > 0.0
    if side == 1:
        return across > 0.0
    return along < 0.0 if side == 2 else across < 0.0
