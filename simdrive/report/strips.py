"""What several episodes of one case read over one time axis: curves, request bars and the moments worth a jump.

The drawings stretch to any width (no text inside, lines keep their width), so a phone and a wide screen read the same.
Every number comes from a log; no text of a run enters here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from simdrive.report.hud import TTC_BAD_S, TTC_SHOWN_S, packed
from simdrive.report.svg import DASHES, ticks
from simdrive.report.tracks import readings
from simdrive.types import EpisodeLog, Float, Long, RequestStatus

WIDE, HIGH, MARGIN = 1000, 100, 4  # of a drawing, before the page stretches it; above and below, room for the line
ROW_HIGH = 10  # of one row of request bars
APART_M = 1.0  # ways that differ by more have parted
TITLES = {
    "speed": ("speed", "m/s"),
    "acceleration": ("acceleration", "m/s²"),
    "steering": ("steering", "°"),
    "ttc": ("time to collision", "s"),
    "age": ("age of the plan in use", "ms"),
}
_SIGNED = ("acceleration", "steering")


@dataclass(frozen=True)
class Drawn:
    """How one side is drawn: its log, its colour, and where the page's filter finds it."""

    log: EpisodeLog
    tint: str
    agent_index: int
    setting_index: int


@dataclass(frozen=True)
class Strip:
    """One curve drawing; ``low`` and ``high`` are the values at its lower and upper edge."""

    name: str
    title: str
    unit: str
    low: float
    high: float
    svg: Markup


@dataclass(frozen=True)
class Moment:
    """A time worth a look, ms, and why; ``side`` is who it is about, None = all."""

    t_ms: int
    why: str
    side: int | None = None


def window_ms(logs: Sequence[EpisodeLog]) -> tuple[int, int]:
    """Return when the first of some episodes begins and the last one ends, ms."""
    return min(round(int(log.t_us[0]) / 1e3) for log in logs), max(round(int(log.t_us[-1]) / 1e3) for log in logs)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _across(t_us: Float | Long, window: tuple[int, int]) -> Float:
    span = max(window[1] - window[0], 1)
    return np.asarray(WIDE * (np.asarray(t_us, np.float64) / 1e3 - window[0]) / span)


def strips(sides: Sequence[Drawn], window: tuple[int, int]) -> list[Strip]:
    """Return one drawing per reading, with the curve of every side."""
    values = [readings(side.log) for side in sides]
    return [_strip(name, [each[name] for each in values], sides, window) for name in TITLES]


def _strip(name: str, values: Sequence[Float], sides: Sequence[Drawn], window: tuple[int, int]) -> Strip:
    low, high = limits(name, np.concatenate(values))
    out = [f'<svg viewBox="0 {-MARGIN} {WIDE} {HIGH + 2 * MARGIN}" preserveAspectRatio="none" aria-hidden="true">']
    for level in (0.0, TTC_BAD_S) if name == "ttc" else (0.0,):
        y = _n(HIGH * (high - level) / (high - low))
        out.append(f'<line class="grid" x1="0" x2="{WIDE}" y1="{y}" y2="{y}"/>')
    for place, (side, column) in enumerate(zip(sides, values, strict=True)):
        path = _path(_across(side.log.t_us, window), HIGH * (high - column) / (high - low))
        out.append(
            f'<path data-a="{side.agent_index}" data-s="{side.setting_index}" d="{path}" '
            f'stroke="{side.tint}" stroke-dasharray="{DASHES[place % len(DASHES)]}"/>'
        )
    return Strip(name, *TITLES[name], low, high, Markup("".join([*out, "</svg>"])))  # noqa: S704 - numbers only


def limits(name: str, values: Float) -> tuple[float, float]:
    """Return the values at the edges of a drawing: round, with zero inside, symmetric for signed readings."""
    if name == "ttc":
        return 0.0, TTC_SHOWN_S
    known = values[np.isfinite(values)]
    if name in _SIGNED:
        reach = ticks(float(np.max(np.abs(known), initial=0.0)), 2)[-1]
        return -reach, reach
    low = float(np.min(known, initial=0.0))
    return (-ticks(-low, 2)[-1] if low < 0.0 else 0.0), ticks(float(np.max(known, initial=0.0)), 4)[-1]


def _path(x: Float, y: Float) -> str:
    """Return the path through some points; it breaks where ``y`` is NaN, and a point alone is a short dash."""
    words, last = [], False
    for index, (across, down) in enumerate(zip(x, y, strict=True)):
        known = bool(np.isfinite(down))
        if known:
            words.append(f"{'L' if last else 'M'}{_n(across)} {_n(down)}")
            if not last and (index + 1 == len(y) or not np.isfinite(y[index + 1])):
                words.append("h1")
        last = known
    return "".join(words)


def request_bars(log: EpisodeLog, window: tuple[int, int]) -> tuple[Markup, int]:
    """Return the requests of an episode as bars, and how many rows they need (0 = there is none).

    Grey: the frame waits; blue: computing; pale: the answer waits; red: it failed; green line: its plan takes over.
    """
    requests = log.requests
    if not len(requests.t_obs_us):
        return Markup(""), 0
    places, rows = packed(requests)
    last_us = int(log.t_us[-1])
    fine = (int(RequestStatus.OK), int(RequestStatus.UNFINISHED))
    paths: dict[str, list[str]] = {"wait": [], "run": [], "held": [], "bad": [], "used": []}

    def bar(kind: str, begin_us: int, end_us: int, row: int) -> None:
        end = last_us if end_us < 0 else min(end_us, last_us)
        if 0 <= begin_us < end:
            left, right = _across(np.array([begin_us, end]), window)
            paths[kind].append(f"M{_n(left)} {ROW_HIGH * row + 2}H{_n(right)}v{ROW_HIGH - 3}H{_n(left)}z")

    for k, place in enumerate(places.tolist()):
        seen, start = int(requests.t_obs_us[k]), int(requests.t_start_us[k])
        finish, used = int(requests.t_finish_us[k]), int(requests.t_actuate_us[k])
        if int(requests.status[k]) != int(RequestStatus.DROPPED):
            bar("wait", seen, start, place)
        if start >= 0:
            bar("run" if int(requests.status[k]) in fine else "bad", start, finish, place)
        if finish >= 0 and used >= 0:
            bar("held", finish, used, place)
        if 0 <= used <= last_us:
            paths["used"].append(f"M{_n(float(_across(np.array(used), window)))} {ROW_HIGH * place}v{ROW_HIGH}")
    drawn = "".join(f'<path class="{kind}" d="{"".join(words)}"/>' for kind, words in paths.items() if words)
    view = f'viewBox="0 0 {WIDE} {ROW_HIGH * rows}" preserveAspectRatio="none"'
    return Markup(f'<svg {view} aria-hidden="true">{drawn}</svg>'), rows  # noqa: S704 - numbers only


def moments(logs: Sequence[EpisodeLog]) -> list[Moment]:
    """Return the times worth a jump, in order: hazard in sight, ways part, a short time to collision, contacts."""
    found = []
    hazards = [log.hazard_us for log in logs if log.hazard_us >= 0]
    if hazards:
        found.append(Moment(round(min(hazards) / 1e3), "hazard in sight"))
    parted = parting_us(logs)
    if parted is not None:
        found.append(Moment(round(parted / 1e3), f"ways part by {APART_M:g} m"))
    for side, log in enumerate(logs):
        short = log.t_us[readings(log)["ttc"] < TTC_BAD_S]
        if len(short):
            found.append(Moment(round(int(short[0]) / 1e3), f"TTC below {TTC_BAD_S:g} s", side))
        if log.contact is not None:
            found.append(Moment(round(log.contact.t_us / 1e3), "contact", side))
    return sorted(found, key=lambda moment: moment.t_ms)


def parting_us(logs: Sequence[EpisodeLog]) -> int | None:
    """Return when any two egos are first more than ``APART_M`` apart while both still drive, None = never."""
    first = logs[0]
    times = first.t_us[first.t_us <= min(int(log.t_us[-1]) for log in logs)]
    x, y = (np.stack([np.interp(times, log.t_us, getattr(log, name)[:, 0]) for log in logs]) for name in ("x", "y"))
    gaps = np.hypot(x[:, None] - x[None], y[:, None] - y[None]).max(axis=(0, 1), initial=0.0)
    apart = np.flatnonzero(gaps > APART_M)
    return int(times[apart[0]]) if len(apart) else None


def seconds(window: tuple[int, int]) -> list[tuple[float, str]]:
    """Return the marks of the time axis: place in per cent of the width, and the text."""
    span = max(window[1] - window[0], 1) / 1e3
    step = next((step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if span / step <= 8), 200)
    first = math.ceil(window[0] / 1e3 / step - 1e-9)
    values = [step * k for k in range(first, math.floor(window[1] / 1e3 / step + 1e-9) + 1)]
    return [(100.0 * (value - window[0] / 1e3) / span, f"{value:g}") for value in values]
