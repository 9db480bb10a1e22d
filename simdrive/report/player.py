"""The section *Same case*: up to four episodes of one case over one time axis, moved by one slider.

Curves are drawn here; the page's script only moves a cursor, draws the view from above and shows the text of the request
in use. What it needs is one block of JSON that no script engine reads as code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from simdrive.report.evidence import Evidence, Group
from simdrive.report.ground import lanes_near
from simdrive.report.hud import outcome
from simdrive.report.same_case import SharedCase, Side, shared_cases
from simdrive.report.strips import Drawn, Moment, Strip, moments, request_bars, seconds, strips, window_ms
from simdrive.report.svg import COLOURS, colour
from simdrive.report.tracks import track
from simdrive.types import EpisodeLog

MOST_BYTES = 1_200_000  # of all cases: numbers and drawings
_AHEAD_RANGE_M, _HORIZON_S = (40.0, 70.0), 2.6  # as in the videos
# The signs that could end a script element or start markup, and two line ends that JSON allows and JavaScript did not.
_UNSAFE: dict[str, str | int | None] = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class SideView:
    """What the page shows of one episode beside its curves."""

    side: Side
    tint: str
    ending: str
    bars: Markup
    bar_rows: int


@dataclass(frozen=True)
class CaseView:
    """One case of the player."""

    case_key: str
    title: str
    why: str
    sides: tuple[SideView, ...]
    strips: tuple[Strip, ...]
    moments: tuple[Moment, ...]
    marks: tuple[tuple[float, str], ...]
    has_ground: bool


@dataclass(frozen=True)
class Player:
    """The section: its cases and their data, or the reason why there is none."""

    cases: tuple[CaseView, ...]
    data: Markup
    reason: str
    left_out: int  # cases that would make the page too large


def player_of(evidence: Evidence, groups: Sequence[Group], most_bytes: int = MOST_BYTES) -> Player:
    """Return the player of a report, at most ``most_bytes`` large."""
    chosen = shared_cases(groups)
    views, blocks, left, left_out = [], [], most_bytes, 0
    for case in chosen:
        logs = [evidence.runs[side.run].store.load_log(side.key) for side in case.sides]
        if not all(len(log.t_us) for log in logs):
            continue
        view, block = _case(evidence, case, logs)
        size = len(block) + sum(len(strip.svg) for strip in view.strips) + sum(len(side.bars) for side in view.sides)
        if size > left:
            left_out += 1
            continue
        left -= size
        views.append(view)
        blocks.append(block)
    reason = "" if views else _reason(evidence, groups, left_out)
    return Player(tuple(views), Markup('{"cases":[' + ",".join(blocks) + "]}"), reason, left_out)  # noqa: S704 - safe_json


def _reason(evidence: Evidence, groups: Sequence[Group], left_out: int) -> str:
    if not len(evidence.episodes):
        return "No episode is done yet: there is nothing to lay side by side."
    if left_out:
        return (
            "The episodes of the cases worth a look are too long for this page; simdrive record makes videos of them."
        )
    if len(groups) < 2:
        return "One agent drove under one setting: there is nobody to lay beside it."
    return "No case is done by two agents, or under two settings, yet."


def safe_json(value: Any) -> str:
    """Return JSON that may stand in a script element: no text in it can end the element or start markup.

    Raises:
        ValueError: if a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(str.maketrans(_UNSAFE))


def tints(sides: Sequence[Side]) -> list[str]:
    """Return one colour per side: the agent's own for its first side, unused ones for its others."""
    agents = list(dict.fromkeys(side.agent_index for side in sides))
    free = [tint for tint in COLOURS if tint not in {colour(agent) for agent in agents}]
    seen: set[str] = set()
    found = []
    for side in sides:
        own = colour(side.agent_index)
        found.append(free.pop(0) if own in seen else own)
        seen.add(own)
    return found


def _case(evidence: Evidence, case: SharedCase, logs: Sequence[EpisodeLog]) -> tuple[CaseView, str]:
    window = window_ms(logs)
    colours = tints(case.sides)
    drawn = [Drawn(log, tint, side.agent_index, side.setting_index)
             for log, tint, side in zip(logs, colours, case.sides, strict=True)]  # fmt: skip
    way = np.concatenate([np.stack([log.x[:, 0], log.y[:, 0]], axis=1) for log in logs])
    way = way[np.isfinite(way).all(axis=1)]
    origin = (float(np.round(way[0, 0])), float(np.round(way[0, 1]))) if len(way) else (0.0, 0.0)
    store = evidence.runs[case.sides[0].run].store
    lanes = lanes_near(store, logs[0].map_key, way, origin)
    sides = []
    for side, log, tint in zip(case.sides, logs, colours, strict=True):
        bars, rows = request_bars(log, window)
        sides.append(SideView(side, tint, outcome(log), bars, rows))
    found = moments(logs)
    title = f"{case.scenario.replace('_', ' ')}, seed {case.seed}"
    view = CaseView(case.case_key, title, case.why, tuple(sides), tuple(strips(drawn, window)), tuple(found),
                    tuple(seconds(window)), bool(lanes))  # fmt: skip
    block = {
        "key": case.case_key,
        "from": window[0],
        "to": window[1],
        "begin": found[0].t_ms if found else window[0],
        "ahead": _ahead_m(logs[0].cruise_speed_mps),
        "lanes": lanes,
        "sides": [
            {"key": side.key, "tint": tint, "ending": outcome(log), **track(log, origin)}
            for side, tint, log in zip(case.sides, colours, logs, strict=True)
        ],
    }
    return view, safe_json(block)


def _ahead_m(cruise_speed_mps: float) -> float:
    """Return how far ahead the view from above reaches: farther on faster roads."""
    reach = _HORIZON_S * cruise_speed_mps if math.isfinite(cruise_speed_mps) else 0.0
    return round(min(max(reach, _AHEAD_RANGE_M[0]), _AHEAD_RANGE_M[1]), 1)
