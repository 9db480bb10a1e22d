"""The compiled rasteriser: convex polygons into an image of ids, ids into colours and labels through one table.

Drawing ids instead of colours makes masks free and lets a whole frame be shaded by a table of a few hundred rows.
An id is 16 bits:

- ground ids ``zone | material << 9 | row``: the row (of the picture, halved until it fits 9 bits) is known when a
  span is filled, and on flat ground the row is the distance, so fog and headlamps cost nothing per pixel. Two zone
  bits are OR-ed in afterwards by tinting polygons (shadow; tunnel floor or headlamp beam).
- object ids from ``OBJECT_ID`` on: one per polygon.

A table entry is 64 bits: red, green, blue in the low three bytes, the label in the high two.

Pixels are sampled at their centres with half-open edges: polygons that share an edge neither overlap nor gap.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit, jit_inline
from simdrive.sim.state import Float, Int

Ids = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint64]

ROW_BITS = 9
MATERIALS = 16
SHADOW_BIT = MATERIALS << ROW_BITS  # 8192
ZONE_BIT = SHADOW_BIT << 1  # tunnel floor, or headlamp beam
OBJECT_ID = ZONE_BIT << 1  # 32768
TABLE_SIZE = 1 << 16
# Constants handed to kernels are numpy scalars: numba would compile a callee anew for every literal.
TINT_SHADOW, TINT_ZONE = np.int64(-1), np.int64(-2)  # codes of tinting polygons
QUAD = np.int64(4)
ZERO = np.int64(0)
ALL, FOUR = np.uint64(0xFFFF_FFFF_FFFF_FFFF), np.uint64(0x0001_0001_0001_0001)
MAX_CORNERS = 10
_FAR_PIXELS = 1.0e5
_ONE = 4294967296.0  # 2**32
SIZE, CODE = 2 * MAX_CORNERS, 2 * MAX_CORNERS + 1  # columns of a draw list row after the corners
DRAW_COLUMNS = CODE + 1


def draw_list(capacity: int) -> Float:
    """Return an empty draw list ``[capacity, DRAW_COLUMNS]``: corners x, y in pixels, number of corners, code.

    Codes: below 0 tint, below MATERIALS ground material, from OBJECT_ID on an object id. Rows are in drawing order.
    """
    return np.zeros((capacity, DRAW_COLUMNS))


@jit_inline
def row_shift(height: int) -> int:
    """Return how often a row number is halved to fit into ``ROW_BITS``."""
    shift = 0
    while (height - 1) >> shift >= 1 << ROW_BITS:
        shift += 1
    return shift


@jit
def fill_background(ids: Ids, horizon_row: int, sky: int, ground: int, touched: Int) -> None:
    """Fill rows above ``horizon_row`` with the sky material and the others with the ground material.

    Args:
        ids: ``[H, W]`` picture.
        touched: ``[H, 2]`` first and last + 1 pixel of each row that polygons wrote; reset here.
    """
    height, width = ids.shape
    shift = row_shift(height)
    for y in range(height):
        value = ((sky if y < horizon_row else ground) << ROW_BITS) | (y >> shift)
        for x in range(width):
            ids[y, x] = value
        touched[y, 0], touched[y, 1] = width, 0


@jit_inline
def _first_centre(value: float, limit: int) -> int:
    """Return the first pixel of [0, limit] whose centre is not before ``value``."""
    return min(max(int(math.ceil(min(max(value, -1.0), limit + 1.0) - 0.5)), 0), limit)


@jit
def fill_polygons(draw: Float, begin: int, end: int, ids: Ids, sides: Int, touched: Int) -> None:
    """Fill polygons [begin, end) of a list in order.

    Args:
        draw: polygons; every one convex, corners in either turning sense.
        ids: ``[H, W]`` picture.
        sides: scratch ``[2, H]``.
        touched: ``[H, 2]``, see ``fill_background``.
    """
    height, width = ids.shape
    shift = row_shift(height)
    flat, zero, one = ids.reshape(-1), np.uint64(0), np.uint64(1)
    words = flat[: flat.size // 4 * 4].view(np.uint64)
    for polygon in range(begin, end):
        corners = int(draw[polygon, SIZE])
        x0, y0 = draw[polygon, 2 * corners - 2], draw[polygon, 2 * corners - 1]
        row0 = _first_centre(y0, height)
        first, last, area = row0, row0, 0.0
        for corner in range(corners):
            x1, y1 = draw[polygon, 2 * corner], draw[polygon, 2 * corner + 1]
            row1 = _first_centre(y1, height)
            if row0 < row1:
                _trace_edge(sides, 1, row0, row1, x0, y0, x1, y1, width)
            elif row1 < row0:
                _trace_edge(sides, 0, row1, row0, x1, y1, x0, y0, width)
            area += x0 * y1 - x1 * y0
            first, last = min(first, row1), max(last, row1)
            x0, y0, row0 = x1, y1, row1
        # Edges that go down the picture lie right of those that go up, or left of them, as the corners turn.
        left_side = 0 if area > 0.0 else 1
        code = int(draw[polygon, CODE])
        step = 0 if code >= OBJECT_ID else 1  # ground ids carry their row
        keep = zero if code >= 0 else ALL  # tints only add bits
        value = np.uint64(SHADOW_BIT if code == TINT_SHADOW else ZONE_BIT)
        lefts, rights = sides[left_side], sides[1 - left_side]
        # Unsigned indices are not tested for being negative.
        for row in range(np.uint64(first), np.uint64(last)):
            left, right = lefts[row], rights[row]
            if right <= left:  # also keeps negative spans out
                continue
            touched[row, zero] = min(touched[row, zero], left)
            touched[row, one] = max(touched[row, one], right)
            if code >= 0:
                value = np.uint64(code if step == 0 else (code << ROW_BITS) | (np.int64(row) >> shift))
            begin_row = row * np.uint64(width)
            _fill_span(flat, words, begin_row + np.uint64(left), begin_row + np.uint64(right), keep, value * FOUR)


@jit_inline
def _fill_span(flat: Ids, words: Words, place: int, stop: int, keep: int, value: int) -> None:
    """Replace what ``keep`` does not keep of pixels [place, stop) by ``value``, four pixels at a time.

    Both ends are written whatever the length: most spans are a few pixels long, and a branch on that costs more.

    Args:
        flat: ids of the picture; ``words``: the same memory, its last 0..3 pixels left out.
        keep: 64 bits, all or none.
        value: the id, or the bits to set, four times.
    """
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    first, last = place >> two, (stop - one) >> two
    if last >= np.uint64(words.size):
        while place < stop:
            flat[place] = np.uint16((np.uint64(flat[place]) & keep) | value)
            place += one
        return
    left = ALL << ((place & three) << four)
    right = ALL >> ((three - ((stop - one) & three)) << four)
    if first == last:
        left &= right
        right = left
    words[first] = (words[first] & (keep | ~left)) | (value & left)
    words[last] = (words[last] & (keep | ~right)) | (value & right)
    for word in range(first + one, last):
        words[word] = (words[word] & keep) | value


@jit_inline
def _trace_edge(
    sides: Int, side: int, row: int, stop: int, x: float, y: float, lower_x: float, lower_y: float, width: int
) -> None:
    """Write where an edge crosses the centres of rows [row, stop): the first pixel right of it, 0..width.

    In fixed point with 32 fractional bits, from the upper end whatever the turning sense: neighbours then agree on
    their common edge.
    """
    slope = (lower_x - x) / (lower_y - y)
    x += (row + 0.5 - y) * slope - 0.5
    place = np.int64(min(max(x, -_FAR_PIXELS), _FAR_PIXELS) * _ONE) + (np.int64(_ONE) - 1)
    step = np.int64(min(max(slope, -_FAR_PIXELS), _FAR_PIXELS) * _ONE)
    for y_pixel in range(row, stop):
        sides[side, y_pixel] = min(max(place >> 32, 0), width)
        place += step


@jit
def resolve_packed(ids: Ids, table: Words, touched: Int, rgb_words: npt.NDArray[np.uint32], label_words: Words) -> None:
    """Look colours and labels up, four pixels at a time; the width must be a multiple of 4.

    Args:
        ids: ``[H, W]``.
        table: ``[TABLE_SIZE]`` entries.
        touched: what differs from the background, which is one id per row.
        rgb_words: ``[H * W * 3 / 4]`` the RGB bytes as 32-bit words.
        label_words: ``[H * W / 4]`` the 16-bit labels as 64-bit words; empty = no labels.
    """
    height, width = ids.shape
    groups = ids.reshape(-1).view(np.uint64)
    per_row = width // 4
    for y in range(height):
        begin, end = y * per_row, (y + 1) * per_row
        busy_to = begin + (touched[y, 1] + 3) // 4
        busy_from = min(begin + touched[y, 0] // 4, busy_to)
        if busy_from > begin:
            _resolve_run(groups[begin], table, rgb_words, label_words, begin, busy_from)
        if busy_to < end:
            _resolve_run(groups[end - 1], table, rgb_words, label_words, busy_to, end)
        _resolve_each(groups, table, rgb_words, label_words, np.uint64(busy_from), np.uint64(busy_to))


@jit_inline
def _resolve_each(
    groups: Words, table: Words, rgb_words: npt.NDArray[np.uint32], label_words: Words, group: int, end: int
) -> None:
    """Write groups [group, end) one by one; the indices are unsigned, so that none is tested for being negative."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    place, labels = three * group, label_words.shape[0] > 0
    while group < end:
        word0, word1, word2, label = _resolve_group(groups[group], table)
        rgb_words[place], rgb_words[place + one] = np.uint32(word0), np.uint32(word1)
        rgb_words[place + two] = np.uint32(word2)
        if labels:
            label_words[group] = label
        place += three
        group += one


@jit_inline
def _resolve_group(four: int, table: Words) -> tuple[int, int, int, int]:
    """Return the colours of four pixels as three 32-bit words, and their labels as one 64-bit word."""
    u8, u16, u24 = np.uint64(8), np.uint64(16), np.uint64(24)
    u32, u48 = np.uint64(32), np.uint64(48)
    byte, pair, triple = np.uint64(0xFF), np.uint64(0xFFFF), np.uint64(0xFFFFFF)
    e0, e1 = table[four & pair], table[(four >> u16) & pair]
    e2, e3 = table[(four >> u32) & pair], table[four >> u48]
    word0 = (e0 & triple) | (e1 << u24)
    word1 = ((e1 >> u8) & pair) | (e2 << u16)
    word2 = ((e2 >> u16) & byte) | (e3 << u8)
    return word0, word1, word2, (e0 >> u48) | ((e1 >> u48) << u16) | ((e2 >> u48) << u32) | ((e3 >> u48) << u48)


@jit_inline
def _resolve_run(
    four: int, table: Words, rgb_words: npt.NDArray[np.uint32], label_words: Words, begin: int, end: int
) -> None:
    """Write equal groups [begin, end); slices from 0, so that the loops vectorise."""
    word0, word1, word2, label = _resolve_group(four, table)
    first, second, third = np.uint32(word0), np.uint32(word1), np.uint32(word2)
    words = rgb_words[3 * begin : 3 * end]
    for group in range(end - begin):
        words[3 * group], words[3 * group + 1], words[3 * group + 2] = first, second, third
    if label_words.shape[0] > 0:
        labels = label_words[begin:end]
        for group in range(end - begin):
            labels[group] = label


@jit
def resolve_average(ids: Ids, table: Words, factor: int, rgb: npt.NDArray[np.uint8], labels: Ids, found: Ids) -> None:
    """Average ``factor`` x ``factor`` sub-pixels into colours; labels take the most frequent, the first of equals.

    Args:
        ids: ``[H * factor, W * factor]``.
        rgb: ``[H, W, 3]``.
        labels: ``[H, W]``, or ``[0, 0]`` = no labels.
        found: scratch ``[>= factor * factor]``.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    samples = factor * factor
    for y in range(height):
        for x in range(width):
            red = green = blue = 0
            for sub in range(samples):
                entry = table[ids[y * factor + sub // factor, x * factor + sub % factor]]
                red += np.int64(entry & np.uint64(0xFF))
                green += np.int64((entry >> np.uint64(8)) & np.uint64(0xFF))
                blue += np.int64((entry >> np.uint64(16)) & np.uint64(0xFF))
                found[sub] = np.uint16(entry >> np.uint64(48))
            half = samples // 2
            rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2] = (
                (red + half) // samples,
                (green + half) // samples,
                (blue + half) // samples,
            )
            if labels.shape[0] > 0:
                labels[y, x] = _most_frequent(found, samples)


@jit_inline
def _most_frequent(found: Ids, samples: int) -> int:
    best, votes = found[0], 0
    for place in range(samples):
        same = 0
        for other in range(samples):
            same += found[other] == found[place]
        if same > votes:
            best, votes = found[place], same
    return best


@jit_inline
def pack_colour(red: float, green: float, blue: float, label: int) -> int:
    """Return the table entry of a colour (0..255, clipped) and a label."""
    r = np.uint64(min(max(red, 0.0), 255.0) + 0.5)
    g = np.uint64(min(max(green, 0.0), 255.0) + 0.5)
    b = np.uint64(min(max(blue, 0.0), 255.0) + 0.5)
    return r | (g << np.uint64(8)) | (b << np.uint64(16)) | (np.uint64(label) << np.uint64(48))
