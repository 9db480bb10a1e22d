"""The worst episodes of a report: what happened, the clip where the run has one, the command that makes it again."""

from __future__ import annotations

import base64
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simdrive.errors import ParameterError
from simdrive.report.clips import chosen_keys
from simdrive.report.evidence import Evidence

MOST_CARDS = 60  # of ``failures``: a page that is still read


@dataclass(frozen=True)
class Card:
    """One episode; ``clip`` is a data address, ``link`` a relative path of a clip that is not embedded, or both empty."""

    key: str
    agent: str
    agent_index: int
    setting_index: int
    latency: str
    scenario: str
    seed: int
    ending: str
    failed: bool
    min_ttc: str
    clip: str
    link: str
    command: str


def cards(
    evidence: Evidence, places: dict[str, tuple[int, int]], choice: str, folder: Path, budget_bytes: int
) -> list[Card]:
    """Return the cards of the chosen episodes, worst first; none if nothing is scored or ``choice`` is ``none``.

    Args:
        evidence: the runs.
        places: agent and setting index of each episode key.
        choice: ``worst:N``, ``failures`` or ``none``.
        folder: where the page will lie.
        budget_bytes: clips are embedded up to this size, the rest is linked.

    Raises:
        ParameterError: if ``choice`` is none of ``worst:N``, ``failures``, ``none``.
    """
    kind, _, count = choice.partition(":")
    if choice not in ("none", "failures") and not (kind == "worst" and count.isdigit() and int(count) > 0):
        raise ParameterError(f"videos must be worst:N with N of at least 1, failures or none, got {choice!r}")
    episodes = evidence.episodes
    if choice == "none" or not len(episodes) or not {"failure", "min_ttc_s"} <= set(episodes.columns):
        return []
    episodes = episodes.assign(row=range(len(episodes)))
    rows: dict[str, dict[str, Any]] = {str(row["key"]): row for row in episodes.to_dict("records")}  # type: ignore[misc]
    found, left = [], budget_bytes
    for key in chosen_keys(episodes, choice)[:MOST_CARDS]:
        row = rows[key]
        facts = evidence.runs[int(row["run"])]
        video = facts.store.path / "videos" / f"{key}.mp4"
        clip, link = "", ""
        if video.is_file():
            size = 4 * ((video.stat().st_size + 2) // 3)
            if size <= left:
                left -= size
                clip = "data:video/mp4;base64," + base64.b64encode(video.read_bytes()).decode()
            else:
                link = Path(os.path.relpath(video, folder)).as_posix()
        ttc = float(row["min_ttc_s"])
        command = f"simdrive record {shlex.quote(f'run={facts.name}')} key={key} out={key}.mp4"
        found.append(
            Card(
                key, str(row["agent"]), *places[key], str(row["latency"]),
                str(row["scenario"]), int(row["seed"]), str(row["end"]).replace("_", " "), bool(row["failure"] == 1.0),
                f"{ttc:.2f} s" if math.isfinite(ttc) else "no conflict", clip, link, command,
            )
        )  # fmt: skip
    return found
