"""What is drawn over the pictures: the plan in use on the road, the route, the hazard's outline."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from simdrive.geometry import box_corners
from simdrive.report.hud import GOOD, HAZARD, INK
from simdrive.report.looked import WARM, sectors
from simdrive.report.pinhole import project_ground
from simdrive.sim.birdseye import BirdseyeSpec
from simdrive.sim.route import build_route
from simdrive.sim.spec import WorldSpec
from simdrive.types import Bytes, CameraSpec, EpisodeLog, Float

Instance = npt.NDArray[np.int16]

RIBBON_HALF_M = 0.8
_SPACING_M = 0.5
_NEAREST_M = 1.2  # of the ribbon in front of the camera
_MARGIN_M = 0.7  # between a hazard and its outline
_LEAST_PIXELS = 6


def plan_ahead(log: EpisodeLog, row: int) -> Float:
    """Return the rest of the plan in use as world points ``[n, 2]``; empty without one, or past its end."""
    request = int(log.plan_request[row])
    if request < 0:
        return np.zeros((0, 2))
    plan = log.requests.plan[request]
    plan = plan[np.isfinite(plan).all(axis=1)]
    since_s = (int(log.t_us[row]) - int(log.requests.t_obs_us[request])) / 1e6
    if len(plan) < 2 or since_s >= plan[-1, 0]:
        return np.zeros((0, 2))
    times = np.concatenate([[since_s], plan[plan[:, 0] > since_s, 0]])
    return np.stack([np.interp(times, plan[:, 0], plan[:, column]) for column in (1, 2)], axis=1)


def evenly(points: Float) -> Float:
    """Return a polyline ``[n, 2]`` sampled every half metre; empty if it is shorter than that."""
    if len(points) < 2:
        return np.zeros((0, 2))
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    if way[-1] < _SPACING_M:
        return np.zeros((0, 2))
    s = np.linspace(0.0, way[-1], max(int(way[-1] / _SPACING_M), 1) + 1)
    return np.stack([np.interp(s, way, points[:, column]) for column in (0, 1)], axis=1)


def draw_on_camera(picture: Bytes, instance: Instance, camera: CameraSpec, log: EpisodeLog, row: int) -> Bytes:
    """Return a camera picture ``[H, W, 3]`` with the plan laid on the ground and the hazard framed.

    Args:
        picture: as rendered.
        instance: actor index + 1 per pixel ``[H, W]``; the plan passes behind actors.
        camera: that took the picture.
        log: the episode, at the frame rate of the video.
        row: of the picture.
    """
    picture = _ribbon(picture, instance, camera, log, row)
    hazards = 1 + np.flatnonzero(log.actors.is_hazard)
    if not len(hazards) or not 0 <= log.hazard_us <= int(log.t_us[row]):
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for hazard in hazards:
        rows, columns = np.nonzero(instance == hazard)
        if len(rows) >= _LEAST_PIXELS:
            low, high = (columns.min() - 4, rows.min() - 4), (columns.max() + 4, rows.max() + 4)
            edges = (max(low[0], 1), max(low[1], 1), min(high[0], camera.width - 3), min(high[1], camera.height - 2))
            draw.rectangle([int(edge) for edge in edges], outline=HAZARD, width=2 if camera.width > 500 else 1)
    return np.asarray(image)


def _ribbon(picture: Bytes, instance: Instance, camera: CameraSpec, log: EpisodeLog, row: int) -> Bytes:
    way = evenly(plan_ahead(log, row))
    if len(way) < 2:
        return picture
    along = np.gradient(way, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None].clip(1e-9)
    side = RIBBON_HALF_M * np.stack([-along[:, 1], along[:, 0]], axis=1)
    pose = (float(log.x[row, 0]), float(log.y[row, 0]), float(log.heading[row, 0]))
    left, right = (project_ground(camera, pose, way + sign * side) for sign in (-1.0, 1.0))
    shown = (left[:, 2] > _NEAREST_M) & (right[:, 2] > _NEAREST_M)
    if np.count_nonzero(shown) < 2:
        return picture
    mask = Image.new("L", (camera.width, camera.height), 0)
    draw = ImageDraw.Draw(mask)
    edges = [[(float(x), float(y)) for x, y in edge[shown, :2]] for edge in (left, right)]
    draw.polygon(edges[0] + edges[1][::-1], fill=90)
    for edge in edges:
        draw.line(edge, fill=210, width=2 if camera.width > 500 else 1)
    weight = np.where(instance == 0, np.asarray(mask), 0).astype(np.uint16)[..., None]
    mixed = (picture * (255 - weight) + np.array(GOOD, np.uint16) * weight + 127) // 255
    return mixed.astype(np.uint8)


def seen_from_above(view: BirdseyeSpec, pose: tuple[float, float, float], points: Float) -> Float:
    """Return where world points ``[..., 2]`` lie in a bird's-eye picture that follows an ego at ``pose``, in pixels."""
    x, y, heading = pose
    cos, sin = math.cos(heading), math.sin(heading)
    dx, dy = points[..., 0] - x, points[..., 1] - y
    ahead, right = dx * cos + dy * sin, dy * cos - dx * sin
    across = 0.5 * view.width + right / view.metres_per_pixel
    return np.stack([across, 0.5 * view.height + (view.ahead_m - ahead) / view.metres_per_pixel], axis=-1)


def draw_on_birdseye(picture: Bytes, view: BirdseyeSpec, route: Float, log: EpisodeLog, row: int) -> Bytes:
    """Return a bird's-eye picture with route ``[n, 2]``, plan in use and the hazard's outline."""
    pose = (float(log.x[row, 0]), float(log.y[row, 0]), float(log.heading[row, 0]))
    large = 3  # drawn larger and shrunk: Pillow's lines are not smooth
    layer = Image.new("RGBA", (view.width * large, view.height * large), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)

    def line(points: Float) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in seen_from_above(view, pose, points) * large]

    for sector, strength in sectors(log, row):
        draw.polygon(line(sector), (*WARM, round(120 * strength)))
    near = route[np.hypot(route[:, 0] - pose[0], route[:, 1] - pose[1]) < 1.5 * view.height * view.metres_per_pixel]
    dots = line(near[::2])
    for begin, end in zip(dots[::2], dots[1::2], strict=False):
        draw.line((*begin, *end), (255, 255, 255, 110), large)
    way = plan_ahead(log, row)
    if len(evenly(way)) >= 2:
        draw.line(line(way), (*GOOD, 235), 3 * large, joint="curve")
    own = line(_outline(log, row, 0, 0.25))
    draw.line([*own, own[0]], (*INK, 255), large)
    if log.hazard_us >= 0:
        in_sight = log.hazard_us <= int(log.t_us[row])
        for hazard in np.flatnonzero(log.actors.is_hazard & log.present[row]):
            corners = line(_outline(log, row, int(hazard), _MARGIN_M))
            draw.line([*corners, corners[0]], (*HAZARD, 255 if in_sight else 120), (2 if in_sight else 1) * large)
    return shrink_over(picture, layer)


def shrink_over(picture: Bytes, layer: Image.Image) -> Bytes:
    """Return a picture under a larger, partly transparent layer that is shrunk onto it."""
    base = Image.fromarray(picture).convert("RGBA")
    base.alpha_composite(layer.resize(base.size, Image.Resampling.BOX))
    return np.asarray(base.convert("RGB"))


def _outline(log: EpisodeLog, row: int, actor: int, margin_m: float) -> Float:
    """Return the corners ``[4, 2]`` of an actor's box with a margin all round."""
    size = (log.actors.length[actor] + 2 * margin_m, log.actors.width[actor] + 2 * margin_m)
    values = (log.x[row, actor], log.y[row, actor], log.heading[row, actor], *size)
    return box_corners(*(np.asarray(value) for value in values))


def route_points(spec: WorldSpec) -> Float:
    """Return the ego's route ``[n, 2]`` every metre."""
    start = spec.ego.s_m if spec.ego.lane is not None else 0.0
    return build_route(spec.road, spec.ego_route, start)[:, :2]
