"""``simdrive record run=... side_by_side=[a,b]``: up to four stored episodes of one case in one video."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simdrive.cli.console import print_json, stdout
from simdrive.errors import ParameterError


def record_side_by_side(
    config: dict[str, Any], out: Path | None, window_us: tuple[int, int] | None, around_us: tuple[int, int], json: bool
) -> None:
    """Choose case and episodes, write the video, say what it shows.

    Args:
        config: of ``simdrive record``.
        out: the video; None = a name made from who drives what.
        window_us: from and to when; None = everything.
        around_us: what a .gif without a window shows before and after the hazard came into sight.
        json: print one JSON object instead of words.
    """
    from simdrive.report.evidence import gather
    from simdrive.report.matchup import chosen, matchups, seats_of
    from simdrive.report.panes import record_panes
    from simdrive.scenarios.sampling import build_case

    names, runs, nth = _names(config["side_by_side"]), _runs(config["run"]), _nth(config["nth"])
    evidence = gather(runs)
    seats = seats_of(evidence.plan, names)
    found = matchups(evidence.episodes, seats)
    key = None if config["key"] is None else str(config["key"])
    matchup = chosen(found, evidence.episodes, key, nth)
    panes = [_pane(evidence, episode) for episode in matchup.keys]
    log = panes[0].log
    who = "-".join(dict.fromkeys(_file_name(pane.caption.agent) for pane in panes))
    out = out or Path("runs/videos") / f"{log.case.scenario}-{log.case.seed}-{who}.mp4"
    gif = out.suffix == ".gif"
    seen = [pane.log.hazard_us for pane in panes if pane.log.hazard_us >= 0]
    if gif and window_us is None and seen:
        window_us = min(seen) - around_us[0], max(seen) + around_us[1]
    record_panes(panes, build_case(log.case), out, fps=config["fps"] or (10 if gif else 20), window_us=window_us)
    _report(panes, matchup, 1 + found.index(matchup), len(found), out, json)


def side_by_side_video(runs: list[Path], agents: list[str], case_key: str, out: Path) -> None:
    """Write the stored episodes of one case as one video, one pane per agent.

    Raises:
        ParameterError: if not all of them have driven the case.
    """
    from simdrive.report.evidence import gather
    from simdrive.report.matchup import chosen, matchups, seats_of
    from simdrive.report.panes import record_panes
    from simdrive.scenarios.sampling import build_case

    evidence = gather(runs)
    found = matchups(evidence.episodes, seats_of(evidence.plan, agents))
    panes = [_pane(evidence, episode) for episode in chosen(found, evidence.episodes, case_key, 1).keys]
    record_panes(panes, build_case(panes[0].log.case), out, fps=20, window_us=None)


def _names(value: Any) -> list[str]:
    words = isinstance(value, list) and all(isinstance(name, str | int | float) for name in value)
    if not words or not value:
        raise ParameterError(f"side_by_side must be a list such as [idm,expert] or [idm@400,idm@0], got {value!r}")
    return [str(name) for name in value]


def _runs(value: Any) -> list[Path]:
    runs = value if isinstance(value, list) else [value]
    if not runs or any(run is None for run in runs):
        raise ParameterError("side_by_side shows stored episodes: give run=FOLDER, or run=[FOLDER,FOLDER]")
    return [Path(str(run)) for run in runs]


def _nth(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParameterError(f"nth must be a whole number of at least 1, got {value!r}")
    return value


def _pane(evidence: Any, key: str) -> Any:
    from simdrive.eval.corruptions import corruption_of
    from simdrive.report.evidence import full_labels
    from simdrive.report.hud import Caption
    from simdrive.report.panes import Pane

    row = evidence.episodes[evidence.episodes["key"] == key]
    store = evidence.runs[int(row["run"].iloc[0])].store
    damage = corruption_of(store.config, str(row["corruption"].iloc[0]))
    return Pane(store.load_log(key), Caption(str(row["agent"].iloc[0]), full_labels(row)[0]), damage)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", Path(name).stem)


def _report(panes: list[Any], matchup: Any, nth: int, shared: int, out: Path, json: bool) -> None:
    from simdrive.report.hud import outcome

    log = panes[0].log
    told = [
        {
            "agent": pane.caption.agent,
            "latency": pane.caption.latency,
            "key": key,
            "outcome": outcome(pane.log),
            "verdict": verdict,
        }
        for pane, key, verdict in zip(panes, matchup.keys, matchup.verdicts, strict=True)
    ]
    if json:
        facts = {
            "video": out.as_posix(),
            "scenario": log.case.scenario,
            "seed": log.case.seed,
            "case_key": log.case.key,
        }
        print_json({**facts, "nth": nth, "shared_cases": shared, "episodes": told})
        return
    stdout().print(out.as_posix(), markup=False)
    stdout().print(
        f"{log.case.scenario} seed {log.case.seed}, case {nth} of {shared} that all have driven", markup=False
    )
    for entry in told:
        words = f"  {entry['agent']}, {entry['latency']}: {entry['outcome']} ({entry['verdict']})"
        stdout().print(words, markup=False)
