"""What light and weather do to a finished picture: glare of a tunnel exit and of a low sun, rain streaks.

Only pictures with such a world pay for it. Glare is a veil of light (disability glare): it adds light and takes
contrast, most around its source. Masks stay untouched.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_light import EYE_INSIDE, SUN_X, SUN_Y, SUN_Z
from simdrive.sim.camera_tunnel import TUNNEL_HEIGHT_M
from simdrive.sim.camera_view import CENTRE_X, CENTRE_Y, EYE_X, EYE_Y, EYE_Z, FOCAL, PIXELS, to_camera
from simdrive.sim.raster import OBJECT_ID, ZONE_BIT, Ids
from simdrive.sim.state import Float
from simdrive.types import Long

Picture = npt.NDArray[np.uint8]

LOW_SUN_RAD = math.radians(16.0)
_FAINTEST_VEIL = 0.02
_INSIDE_SHARE = 0.45


@jit
def apply_effects(
    picture: Picture, ids: Ids, inside_ids: Long, light: Float, frame: Float, t_us: int, camera: int, fade: Float
) -> None:
    """Apply glare and rain to one picture ``[H, W, 3]`` in place.

    Args:
        ids: ids of the picture's sub-pixels.
        inside_ids: ``[2]`` first and last + 1 object id of what stands in the tunnel, its walls included.
        t_us: time stamp, decides where rain streaks are.
        camera: index of the camera, so that two cameras see different drops.
        fade: scratch ``[2, max(H, W)]``.
    """
    if frame[EYE_INSIDE] > 0.0 and light[li.EXIT_GLARE] > 0.0:
        for side in range(2):
            _exit_glare(picture, ids, inside_ids, light, frame, side, fade)
    elif frame[SUN_Z] > -0.02 and light[li.SUN_ELEVATION] < LOW_SUN_RAD and light[li.CLOUD] < 0.85:
        _sun_glare(picture, light, frame, fade)
    if light[li.RAIN] > 0.0 and frame[EYE_INSIDE] == 0.0:
        _rain(picture, light[li.RAIN], t_us, camera)


@jit
def _exit_glare(
    picture: Picture, ids: Ids, inside_ids: Long, light: Float, frame: Float, side: int, fade: Float
) -> None:
    """Veil the opening at one end of the tunnel and, ever less, what is around it."""
    portal = light[li.TUNNEL_START] if side == 0 else light[li.TUNNEL_END]
    beyond = portal - 1.0 if side == 0 else portal + 1.0
    veil = li.exit_veil(light, frame[EYE_X], beyond)
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for corner in range(4):
        y = light[li.WALL_LEFT] if corner % 2 == 0 else light[li.WALL_RIGHT]
        depth, right, up = to_camera(frame, portal, y, 0.0 if corner < 2 else TUNNEL_HEIGHT_M)
        if depth < 0.5:
            return
        scale = frame[FOCAL] / (depth * frame[PIXELS])
        column = frame[CENTRE_X] / frame[PIXELS] + right * scale
        row = frame[CENTRE_Y] / frame[PIXELS] - up * scale
        low_x, high_x, low_y, high_y = min(low_x, column), max(high_x, column), min(low_y, row), max(high_y, row)
    # Squared: what is left of the contrast also drowns in the overexposed opening.
    strength = 1.0 - (1.0 - veil) * (1.0 - veil)
    spread = 0.09 * picture.shape[1] + 0.5 * (high_y - low_y)
    _fade(low_x, high_x, spread, fade[0, : picture.shape[1]])
    _fade(low_y, high_y, spread, fade[1, : picture.shape[0]])
    sub = ids.shape[0] // picture.shape[0]
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            number = np.int64(ids[y * sub + sub // 2, x * sub + sub // 2])
            ground = number < OBJECT_ID and (number & ZONE_BIT) != 0
            inside = ground or inside_ids[0] <= number < inside_ids[1]
            # What stands in the tube keeps a dark outline against the opening.
            share = strength * fade[1, y] * fade[0, x] * (_INSIDE_SHARE if inside else 1.0)
            _blend(picture, y, x, 255.0, 252.0, 244.0, share)


@jit
def _sun_glare(picture: Picture, light: Float, frame: Float, fade: Float) -> None:
    """Draw a low sun: a core that washes everything out and a wide veil."""
    far = 1000.0
    depth, right, up = to_camera(
        frame, frame[EYE_X] + far * frame[SUN_X], frame[EYE_Y] + far * frame[SUN_Y], frame[EYE_Z] + far * frame[SUN_Z]
    )
    if depth < 0.2 * far:
        return
    scale = frame[FOCAL] / (depth * frame[PIXELS])
    column = frame[CENTRE_X] / frame[PIXELS] + right * scale
    row = frame[CENTRE_Y] / frame[PIXELS] - up * scale
    width, height = picture.shape[1], picture.shape[0]
    strength = (1.0 - light[li.CLOUD]) * min(1.25 - light[li.SUN_ELEVATION] / LOW_SUN_RAD, 1.0)
    strength *= math.exp(-30.0 * light[li.EXTINCTION]) * (1.0 - light[li.RAIN])
    for ring in range(2):
        spread = (0.05 if ring == 0 else 0.26) * width
        if (
            column < -2.5 * spread
            or column > width + 2.5 * spread
            or row < -2.5 * spread
            or row > height + 2.5 * spread
        ):
            continue
        _fade(column, column, spread, fade[0, :width])
        _fade(row, row, spread, fade[1, :height])
        _add_light(picture, strength * (1.0 if ring == 0 else 0.72), 255.0, 244.0, 214.0, fade)


@jit
def _fade(begin: float, end: float, spread: float, fade: Float) -> None:
    """Write 1 between two pixels and a Gaussian outside; products of two such rows fade round."""
    for place in range(fade.shape[0]):
        outside = max(begin - place - 0.5, place + 0.5 - end, 0.0) / spread
        fade[place] = math.exp(-0.5 * outside * outside)


@jit
def _add_light(picture: Picture, strength: float, red: float, green: float, blue: float, fade: Float) -> None:
    """Blend the picture towards a colour by ``strength`` times the two fades."""
    for y in range(picture.shape[0]):
        row = strength * fade[1, y]
        if row < _FAINTEST_VEIL:
            continue
        for x in range(picture.shape[1]):
            _blend(picture, y, x, red, green, blue, row * fade[0, x])


@jit_inline
def _blend(picture: Picture, y: int, x: int, red: float, green: float, blue: float, share: float) -> None:
    picture[y, x, 0] = np.uint8(picture[y, x, 0] + (red - picture[y, x, 0]) * share + 0.5)
    picture[y, x, 1] = np.uint8(picture[y, x, 1] + (green - picture[y, x, 1]) * share + 0.5)
    picture[y, x, 2] = np.uint8(picture[y, x, 2] + (blue - picture[y, x, 2]) * share + 0.5)


@jit_inline
def _hash(state: int) -> int:
    """Return a well mixed 64-bit word (SplitMix64 finaliser, Steele et al. 2014)."""
    z = np.uint64(state) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit
def _rain(picture: Picture, rain: float, t_us: int, camera: int) -> None:
    """Draw falling streaks; time stamp and camera decide where."""
    height, width = picture.shape[0], picture.shape[1]
    count = int(rain * 0.0042 * height * width)
    longest = max(height // 11, 2)
    for drop in range(count):
        word = _hash((t_us * 31 + camera) * 4096 + drop + 1)
        x = int(word & np.uint64(0xFFFF)) * width // 65536
        y = int((word >> np.uint64(16)) & np.uint64(0xFFFF)) * (height + longest) // 65536 - longest
        length = 2 + int((word >> np.uint64(32)) & np.uint64(0xFF)) * longest // 256
        share = 0.12 + 0.22 * int((word >> np.uint64(40)) & np.uint64(0xFF)) / 255.0
        for step in range(length):
            row, column = y + step, x + step // 5
            if 0 <= row < height and column < width:
                for channel in range(3):
                    old = picture[row, column, channel]
                    picture[row, column, channel] = np.uint8(old + (205.0 - old) * share + 0.5)
