"""The strip under a video: who drives, what the car does, and when each answer was asked for, computed and used."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simdrive.sim.state import Shape
from simdrive.types import FRAME_PERIOD_US, EndReason, EpisodeLog, Float, Int, RequestLog, RequestStatus

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

Colour = tuple[int, int, int]

BACKGROUND: Colour = (17, 19, 23)
INK: Colour = (236, 238, 240)
FAINT: Colour = (150, 156, 164)
GOOD: Colour = (64, 214, 160)  # also the plan
WARN: Colour = (255, 190, 60)
BAD: Colour = (255, 82, 74)
HAZARD: Colour = (255, 86, 205)
WAITING: Colour = (92, 100, 112)
COMPUTING: Colour = (76, 140, 236)
HELD: Colour = (150, 196, 255)
STALE: Colour = (74, 56, 22)
COLOURS = (BACKGROUND, INK, FAINT, GOOD, WARN, BAD, HAZARD, WAITING, COMPUTING, HELD, STALE)

WINDOW_US = 4_000_000  # how much of the past the timing strip shows
AHEAD_US = 150_000
TTC_WARN_S, TTC_BAD_S, TTC_SHOWN_S = 3.0, 1.5, 10.0
MOST_ROWS = 6
NONE = "-"


@dataclass(frozen=True)
class Caption:
    """What a log does not know about itself: who drove, and under which latency setting."""

    agent: str
    latency: str


@dataclass(frozen=True)
class Readout:
    """The words and numbers of one frame."""

    time: str
    speed: str
    ttc: str
    ttc_colour: Colour
    plan_age: str
    flags: tuple[tuple[str, Colour], ...]


def readout(log: EpisodeLog, row: int, ttc_s: float) -> Readout:
    """Return what the strip says about one row.

    Args:
        log: an episode, at any frame rate.
        row: which row.
        ttc_s: time to collision there, inf = no conflict.
    """
    speed_mps, age_us, t_us = float(log.speed[row, 0]), int(log.plan_age_us[row]), int(log.t_us[row])
    flags: list[tuple[str, Colour]] = []
    if 0 <= log.hazard_us <= t_us:
        flags.append(("HAZARD IN SIGHT", HAZARD))
    if log.brake_light[row, 0]:
        flags.append(("BRAKE", BAD))
    if log.aeb_active[row]:
        flags.append(("AEB", WARN))
    if age_us < 0:
        flags.append(("NO PLAN YET", FAINT))
    moving = abs(speed_mps) > 0.05
    shown = moving and ttc_s <= TTC_SHOWN_S
    colour = BAD if shown and ttc_s < TTC_BAD_S else WARN if shown and ttc_s < TTC_WARN_S else INK
    return Readout(
        time=f"{t_us / 1e6:.1f} s",
        speed=f"{speed_mps:.1f} m/s",
        ttc=f"{ttc_s:.1f} s" if shown else NONE,
        ttc_colour=colour,
        plan_age=f"{round(age_us / 1e3)} ms" if age_us >= 0 else NONE,
        flags=tuple(flags),
    )


def outcome(log: EpisodeLog) -> str:
    """Return how an episode ended, in capitals and plain words."""
    seconds = f"{int(log.t_us[-1]) / 1e6:.1f} s" if len(log.t_us) else "0 s"
    if log.contact is not None:
        kind = Shape(log.contact.shape).name.lower()
        return f"CONTACT with {kind} at {log.contact.impact_speed_mps:.1f} m/s"
    return {
        EndReason.GOAL: f"GOAL reached after {seconds}",
        EndReason.CONTACT: "CONTACT",
        EndReason.TIME_LIMIT: f"TIME LIMIT after {seconds}",
        EndReason.STUCK: f"STUCK after {seconds}",
        EndReason.OFF_ROAD: f"OFF ROAD after {seconds}",
        EndReason.BLOCKED: "BLOCKED by a crash among others",
    }[log.end]


def outcome_colour(log: EpisodeLog) -> Colour:
    """Return the colour of an outcome: good, bad, or a case that does not count."""
    return GOOD if log.end == EndReason.GOAL else WARN if log.end == EndReason.BLOCKED else BAD


def outcome_note(log: EpisodeLog) -> str:
    """Return the small print below the outcome."""
    if log.end == EndReason.BLOCKED:
        return "case does not count"
    if log.hazard_us < 0:
        return "no hazard came into sight"
    return "hazard avoidable" if log.avoidable else "hazard not avoidable"


@functools.cache
def font(size: int) -> FreeTypeFont | BitmapFont:
    """Return Pillow's bundled font."""
    return ImageFont.load_default(size)


def text_width(text: str, size: int) -> float:
    """Return how wide a text is, pixels."""
    return float(font(size).getlength(text))


def fitting(text: str, size: int, width: float) -> str:
    """Return the text, shortened with three dots where it is wider than ``width`` pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text.rstrip() + "..."


def title(log: EpisodeLog) -> str:
    """Return the name of the scenario as words."""
    return log.case.scenario.replace("_", " ")


def subtitle(log: EpisodeLog, caption: Caption) -> str:
    """Return case, driver and latency setting on one line."""
    parts = [f"case {log.case.key[:8]}", caption.agent, caption.latency]
    return "  ·  ".join(part for part in parts if part)


def strip(
    log: EpisodeLog, row: int, ttc_s: float, caption: Caption, size: tuple[int, int], headed: bool = True
) -> Image.Image:
    """Draw the full strip of one frame.

    Args:
        log: the episode, at the frame rate of the video.
        row: of the frame.
        ttc_s: time to collision there.
        caption: who drives.
        size: width and height in pixels, at least 640 x 140 (114 without a head).
        headed: the first line says scenario, driver and time.
    """
    width, height = size
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    words = readout(log, row, ttc_s)
    down = 0 if headed else -26
    if headed:
        _head(draw, log, words, caption, width)
    gauges = (
        ("speed", words.speed, INK),
        ("time to collision", words.ttc, words.ttc_colour),
        ("age of plan in use", words.plan_age, INK),
    )
    for place, (label, value, colour) in enumerate(gauges):
        x = 16 + 150 * place
        draw.text((x, 44 + down), label, FAINT, font(11), "ls")
        draw.text((x, 67 + down), value, colour, font(21), "ls")
    _badges(draw, words, width - 16, 40 + down, 14)
    _legend(draw, 16, 84 + down)
    timeline(draw, (128, 78 + down, width - 16, height - 8), log, row)
    return image


def _head(draw: ImageDraw.ImageDraw, log: EpisodeLog, words: Readout, caption: Caption, width: int) -> None:
    name = title(log)
    draw.text((16, 24), name, INK, font(20), "ls")
    draw.text((width - 16, 24), words.time, INK, font(20), "rs")
    start = 16 + text_width(name, 20) + 16
    room = width - 16 - text_width(words.time, 20) - 20 - start
    draw.text((start, 24), fitting(subtitle(log, caption), 13, room), FAINT, font(13), "ls")


def compact_strip(
    log: EpisodeLog, row: int, ttc_s: float, caption: Caption, size: tuple[int, int], headed: bool = True
) -> Image.Image:
    """Draw the strip of a small picture: two lines of text, one without a head, over the timing strip."""
    width, height = size
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    words = readout(log, row, ttc_s)
    down = 0 if headed else -16
    if headed:
        name = f"{title(log)}  ·  {caption.agent}  ·  {caption.latency}"
        draw.text((6, 14), fitting(name, 11, width - 60), INK, font(11), "ls")
        draw.text((width - 6, 14), words.time, INK, font(11), "rs")
    x = 6.0
    for label, value, colour in (
        ("", words.speed, INK),
        ("TTC ", words.ttc, words.ttc_colour),
        ("plan ", words.plan_age, INK),
    ):
        draw.text((x, 30 + down), label, FAINT, font(11), "ls")
        draw.text((x + text_width(label, 11), 30 + down), value, colour, font(11), "ls")
        x += 84
    _badges(draw, words, width - 6, 20 + down, 10)
    timeline(draw, (6, 36 + down, width - 6, height - 4), log, row)
    return image


def _badges(draw: ImageDraw.ImageDraw, words: Readout, right: float, top: float, size: int) -> None:
    pad = size // 2
    for name, colour in reversed(words.flags):
        left = right - text_width(name, size) - 2 * pad
        draw.rounded_rectangle((left, top, right, top + size + pad), 4, fill=colour)
        draw.text((0.5 * (left + right), top + 0.5 * (size + pad)), name, BACKGROUND, font(size), "mm")
        right = left - pad


def _legend(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    entries = (("frame waits", WAITING), ("computing", COMPUTING), ("answer waits", HELD), ("stale window", STALE))
    for place, (name, colour) in enumerate(entries):
        middle = y + 17 * place
        draw.rectangle((x, middle - 4, x + 10, middle + 4), fill=colour, outline=WARN if colour == STALE else None)
        draw.text((x + 17, middle), name, FAINT, font(11), "lm")


def timeline(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], log: EpisodeLog, row: int) -> None:
    """Draw the requests of the last seconds: waiting, computing, published; behind them the stale window.

    The stale window reaches from the observation that the plan in use answers to now. Nothing later than now shows.
    """
    left, top, right, bottom = box
    now_us = int(log.t_us[row])
    per_us = (right - left) / (WINDOW_US + AHEAD_US)

    def across(t_us: float) -> float:
        return max(right - (now_us + AHEAD_US - t_us) * per_us, left)

    draw.rectangle(box, fill=(27, 30, 36))
    in_use = int(log.plan_request[row])
    if in_use >= 0:
        seen = across(float(log.requests.t_obs_us[in_use]))
        draw.rectangle((seen, top, across(now_us), bottom), fill=STALE)
        draw.line((seen, top, seen, bottom), WARN, 1)
    first = now_us + AHEAD_US - (WINDOW_US + AHEAD_US)
    for t_us in range(-(-first // FRAME_PERIOD_US) * FRAME_PERIOD_US, now_us + 1, FRAME_PERIOD_US):
        whole = t_us % 1_000_000 == 0
        draw.line((across(t_us), bottom - (7 if whole else 3), across(t_us), bottom), FAINT if whole else WAITING, 1)
    places, rows = packed(log.requests)
    pitch = (bottom - top - 12) / rows
    for request in _recent(log.requests, now_us - WINDOW_US, now_us):
        y = top + 3 + pitch * int(places[request])
        _span(draw, log.requests, request, now_us, across, (y, y + min(max(pitch - 3.0, 2.0), 24.0)))
    draw.line((across(now_us), top, across(now_us), bottom), INK, 1)


def _recent(requests: RequestLog, from_us: int, to_us: int) -> list[int]:
    last = ended(requests)
    return [int(k) for k in np.flatnonzero((requests.t_obs_us <= to_us) & (last >= from_us))]


def ended(requests: RequestLog) -> Float:
    """Return when each request stopped mattering ``[K]``, us; inf where it never ended."""
    last = np.maximum(requests.t_actuate_us, requests.t_finish_us).astype(np.float64)
    dropped = requests.status == int(RequestStatus.DROPPED)
    return np.where(dropped, requests.t_obs_us, np.where(last < 0, math.inf, last))


def _span(
    draw: ImageDraw.ImageDraw,
    requests: RequestLog,
    k: int,
    now_us: int,
    across: Callable[[float], float],
    rows: tuple[float, float],
) -> None:
    """Draw one request up to now."""
    top, bottom = rows
    ok = int(requests.status[k]) in (int(RequestStatus.OK), int(RequestStatus.UNFINISHED))

    def bar(begin_us: int, end_us: int, colour: Colour) -> None:
        end = now_us if end_us < 0 else min(end_us, now_us)
        if begin_us >= 0 and begin_us <= now_us:
            left = across(begin_us)
            draw.rectangle((left, top, max(across(end) - 3, left + 1), bottom), fill=colour)

    seen, started = int(requests.t_obs_us[k]), int(requests.t_start_us[k])
    finished, used = int(requests.t_finish_us[k]), int(requests.t_actuate_us[k])
    if started != seen:
        gone = int(requests.status[k]) == int(RequestStatus.DROPPED)
        bar(seen, seen if gone else started, WAITING)
    bar(started, finished, COMPUTING if ok or (finished < 0 or finished > now_us) else BAD)
    if 0 <= finished < used:
        bar(finished, used, HELD)
    if 0 <= used <= now_us and across(used) > across(now_us - WINDOW_US):
        draw.line((across(used), top - 1, across(used), bottom + 1), GOOD, 2)


@functools.lru_cache(maxsize=4)
def _packed(spans: tuple[tuple[float, float], ...]) -> tuple[tuple[int, ...], int]:
    free: list[float] = []
    places = []
    for begin, end in spans:
        row = next((row for row, until in enumerate(free) if until <= begin), None)
        if row is None:
            row = len(free)
            free.append(end)
        free[row] = end
        places.append(row % MOST_ROWS)
    return tuple(places), max(min(len(free), MOST_ROWS), 1)


def packed(requests: RequestLog) -> tuple[Int, int]:
    """Return a row ``[K]`` for each request so that none covers another, and the number of rows (at most six)."""
    spans = tuple(zip(requests.t_obs_us.tolist(), ended(requests).tolist(), strict=True))
    places, rows = _packed(spans)
    return np.array(places, np.int32), rows
