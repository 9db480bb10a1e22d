"""What stands in each column of a picture: the nearest visible actor, how far, how it moves, what it is.

Exact from the world's state and the cameras' geometry; the dense truth beside the few words of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrive.agents.language.sights import KINDS, SMALLEST_PX, Sights
from simdrive.sim.state import Shape
from simdrive.types import Bool, CameraSpec, Float, WorldView

CELL_PX = 16  # width of a column
# Kind, place and word: 0 = nothing or unknown, else 1 + place in KINDS, PLACES and MOTIONS; motion as the ego sees it.
VALUES = ("kind", "depth_m", "forward_mps", "right_mps", "place", "word", "offset_m")
KIND, DEPTH, FORWARD, RIGHT, PLACE, WORD, OFFSET = range(len(VALUES))
_CORNERS = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]])
_CLOSEST_M = 0.3
_NUMBER = {int(shape): 1 + place for place, shape in enumerate(KINDS)}
_KIND_OF = np.array([_NUMBER.get(int(shape), 0) for shape in sorted(Shape)])


def columns(view: WorldView, ego: Float, cameras: Sequence[CameraSpec], seen: Sights) -> Float:
    """Return the nearest visible actor of each column of N observations: ``[N, camera, columns, VALUES]``.

    ``seen`` says where along the route each actor is, and how it moves (``simdrive.agents.language.sights``).
    """
    cos, sin = np.cos(ego[:, None, 2]), np.sin(ego[:, None, 2])
    asked = view.present & view.visible & (view.shape != Shape.BUILDING)
    asked[:, 0] = False
    clean = {
        name: np.where(asked, getattr(view, name), 0.0) for name in ("x", "y", "heading", "speed", "lateral_speed")
    }
    course_cos, course_sin = np.cos(clean["heading"]), np.sin(clean["heading"])
    size = np.stack([np.where(asked, view.length, 0.0), np.where(asked, view.width, 0.0)], axis=-1)
    box = _CORNERS * size[..., None, :]  # [N, V, corner, (along, right)]
    dx = (
        clean["x"][..., None]
        + box[..., 0] * course_cos[..., None]
        - box[..., 1] * course_sin[..., None]
        - ego[:, None, None, 0]
    )
    dy = (
        clean["y"][..., None]
        + box[..., 0] * course_sin[..., None]
        + box[..., 1] * course_cos[..., None]
        - ego[:, None, None, 1]
    )
    forward, right = dx * cos[..., None] + dy * sin[..., None], dy * cos[..., None] - dx * sin[..., None]
    east = clean["speed"] * course_cos - clean["lateral_speed"] * course_sin
    south = clean["speed"] * course_sin + clean["lateral_speed"] * course_cos
    motion = (east * cos + south * sin - ego[:, None, 3], south * cos - east * sin)
    along = (np.where(seen.seen, seen.place + 1, 0), np.where(seen.seen, seen.motion + 1, 0),
             np.where(seen.seen, seen.offset_m, 0.0))  # fmt: skip
    found = [_seen(view, asked, forward, right, (*motion, *along), camera) for camera in cameras]
    return np.stack(found, axis=1)


def _seen(view: WorldView, asked: Bool, forward: Float, right: Float, told: Sequence[Any], camera: CameraSpec) -> Float:
    """Return what one camera sees, ``[N, columns, VALUES]``; ``forward`` and ``right`` are the corners' places."""
    yaw, half = np.radians(camera.yaw_deg), np.radians(camera.horizontal_fov_deg) / 2.0
    deep = (forward - camera.x_m) * np.cos(yaw) + (right - camera.y_m) * np.sin(yaw)
    side = (right - camera.y_m) * np.cos(yaw) - (forward - camera.x_m) * np.sin(yaw)
    focal = 0.5 * camera.width / np.tan(half)
    at = 0.5 * camera.width + focal * side / np.maximum(deep, _CLOSEST_M)
    low, high = at.min(axis=-1), at.max(axis=-1)
    near, middle = deep.min(axis=-1), deep.mean(axis=-1)
    large = np.maximum(view.width, 0.5 * view.height)
    with np.errstate(invalid="ignore"):
        asked = (
            asked & (deep.max(axis=-1) > _CLOSEST_M) & (focal * large >= SMALLEST_PX * np.maximum(middle, _CLOSEST_M))
        )
    edges = np.arange(0, camera.width + 1, CELL_PX)
    covered = np.minimum(high[..., None], edges[1:]) - np.maximum(low[..., None], edges[:-1])
    enough = np.minimum(0.25 * CELL_PX, 0.5 * (high - low))[..., None]
    depth = np.where(asked[..., None] & (covered >= enough) & (covered > 0.0), np.maximum(near, 0.0)[..., None], np.inf)
    first = depth.argmin(axis=1)  # [N, columns]
    rows = np.arange(len(first))[:, None]
    there = np.isfinite(depth.min(axis=1))
    kind = _KIND_OF[np.where(there, view.shape[rows, first], 0)]
    values = [kind, depth.min(axis=1), *(value[rows, first] for value in told)]
    found: Float = np.where(there[..., None], np.stack(values, axis=-1), 0.0)
    return found
