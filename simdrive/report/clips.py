"""Videos of a run folder: which episodes deserve one, and where they lie."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from simdrive.errors import ParameterError
from simdrive.eval.corruptions import corruption_of
from simdrive.eval.files import write_text
from simdrive.eval.store import RunStore
from simdrive.report.hud import Caption, outcome
from simdrive.report.video import record_episode
from simdrive.scenarios.sampling import build_case

if TYPE_CHECKING:
    import pandas as pd

INDEX = "index.csv"
INDEX_COLUMNS = ("key", "scenario", "seed", "agent", "latency", "outcome", "failure", "min_ttc_s", "video")


def record_clips(store: RunStore, choice: str, fps: float = 20.0) -> list[Path]:
    """Write ``videos/<key>.mp4`` of the chosen episodes and ``videos/index.csv``; return the videos in order.

    Videos that are there already are kept: an episode's key names its content.

    Args:
        store: a run folder with finished episodes.
        choice: ``all``, ``failures`` or ``worst:N`` (failures first, then the smallest time to collision).
        fps: frames per second.

    Raises:
        ParameterError: if ``choice`` is none of these, or the run was not scored with the metrics that it needs.
        IncompleteRunError: if no episode is finished.
    """
    folder = store.path / "videos"
    folder.mkdir(exist_ok=True)
    videos, lines = [], []
    for key in chosen_keys(store.episodes(), choice):
        log, entry = store.load_log(key), store.plan[store.plan["key"] == key].iloc[0]
        path = folder / f"{key}.mp4"
        if not path.is_file():
            shown = str(entry["corruption"])
            caption = Caption(str(entry["agent"]), ", ".join(filter(None, [str(entry["latency"]), shown])))
            damage = corruption_of(store.config, shown)
            record_episode(log, build_case(log.case), path, caption=caption, fps=fps, corruption=damage)
        videos.append(path)
        lines.append((key, outcome(log)))
    write_text(folder / INDEX, _index(store.episodes(), lines))
    return videos


def chosen_keys(episodes: pd.DataFrame, choice: str) -> list[str]:
    """Return the keys of the episodes to record, most telling first for ``worst``, else by plan row.

    Raises:
        ParameterError: as :func:`record_clips`.
    """
    kind, _, count = choice.partition(":")
    by_row = episodes.sort_values("row")
    if choice == "all":
        return [str(key) for key in by_row["key"]]
    if choice != "failures" and not (kind == "worst" and count.isdigit() and int(count) > 0):
        raise ParameterError(f"choose all, failures or worst:N with N of at least 1, not {choice!r}")
    _need(episodes, ("failure",) if choice == "failures" else ("failure", "min_ttc_s"))
    failed = by_row["failure"] == 1.0
    if choice == "failures":
        return [str(key) for key in by_row["key"][failed]]
    ranks = sorted(
        (not fail, math.inf if math.isnan(ttc) else ttc, place)
        for place, (fail, ttc) in enumerate(zip(failed, by_row["min_ttc_s"], strict=True))
    )
    return [str(by_row["key"].iloc[place]) for _, _, place in ranks[: int(count)]]


def _need(episodes: pd.DataFrame, metrics: tuple[str, ...]) -> None:
    missing = [name for name in metrics if name not in episodes.columns]
    if missing:
        raise ParameterError(
            f"choosing videos needs the metrics {', '.join(metrics)}; this run lacks {', '.join(missing)}: "
            "run it with these in metrics=[...], or record all"
        )


def _index(episodes: pd.DataFrame, lines: list[tuple[str, str]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(INDEX_COLUMNS)
    rows = episodes.set_index("key")
    for key, ending in lines:
        row = rows.loc[key]
        scores = [_score(row.get(name)) for name in ("failure", "min_ttc_s")]
        table.writerow([key, row["scenario"], row["seed"], row["agent"], row["latency"], ending, *scores, f"{key}.mp4"])
    return text.getvalue()


def _score(value: object) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else f"{value:.6g}"
