"""What ``render`` shows of an episode: the front camera beside a view from above."""

from __future__ import annotations

import numpy as np

from simdrive.sim.camera import render
from simdrive.sim.camera_worlds import state_of_worlds
from simdrive.sim.scene_cache import light_of, scene_of
from simdrive.sim.worlds import Worlds
from simdrive.types import Bytes, CameraSpec

RENDER_FPS = 10
FRONT = CameraSpec("front", 448, 256, supersample=2)
ABOVE = CameraSpec("above", 256, 256, horizontal_fov_deg=60.0, pitch_deg=75.0, x_m=2.0, z_m=45.0, supersample=2)


def episode_picture(worlds: Worlds, row: int) -> Bytes:
    """Return the front camera and the view from above of one world, side by side ``[H, W, 3]``."""
    spec, rows = worlds.specs[row], np.array([row])
    scene = scene_of(spec)
    state = state_of_worlds(worlds, rows, np.zeros(1, np.int32), light_of(spec)[None])
    sides = [render([scene], state, [camera], labels=False).rgb[0, 0] for camera in (FRONT, ABOVE)]
    picture: Bytes = np.concatenate(sides, axis=1)
    return picture
