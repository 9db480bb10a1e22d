"""A flywheel as text and tables: every round of every arm, and what the held-out test says in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simdrive.compress.flywheel.judging import Change, Judgement
from simdrive.compress.flywheel.rounds import Round
from simdrive.report.aligned import aligned

NOTE = (
    "failures: of held-out cases that both drove, before and after; points: the new student less the one before it, 95 %\n"
    "interval (Tango). A new student is accepted if it fails less often and no kind of cases is worse beyond doubt."
)


def round_table(rounds: Sequence[Round]) -> str:
    """Return the history as aligned text, a row per arm and round."""
    rows = [
        [
            each.arm,
            str(each.number),
            _targets(each),
            str(each.rows),
            _counts(each.judgement.overall),
            _points(each.judgement.overall),
            _points(each.judgement.targeted),
            "accepted" if each.judgement.accepted else "rolled back",
        ]
        for each in rounds
    ]
    head = ("arm", "round", "aimed at", "rows", "failures", "points", "points where aimed at", "verdict")
    return aligned(head, rows, left=("arm", "aimed at", "verdict"))


def test_table(tests: Mapping[tuple[str, str], Judgement]) -> str:
    """Return what the test cases say of pairs (before, after) as aligned text."""
    rows = [
        [after, before, _counts(found.overall), _points(found.overall), _points(found.targeted), _worst(found)]
        for (before, after), found in tests.items()
    ]
    head = ("student", "against", "failures", "points", "points where aimed at", "worst other kind")
    return aligned(head, rows, left=("student", "against", "worst other kind"))


def flywheel_text(rounds: Sequence[Round], tests: Mapping[tuple[str, str], Judgement]) -> str:
    """Return the whole flywheel as plain text."""
    return "\n\n".join(["rounds", round_table(rounds), NOTE, "test cases, never looked at before", test_table(tests)])


def round_records(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return a row per arm and round."""
    return [
        {
            "arm": each.arm, "round": each.number, "targets": _targets(each), "rows": each.rows,
            "watched": each.watched, "watched_failures": each.watched_failures,
            **_record(each.judgement.overall), **_record(each.judgement.targeted, "targeted_"),
            "accepted": each.judgement.accepted, "why": each.judgement.why, "seconds": round(each.seconds, 1),
            "model": each.model,
        }
        for each in rounds
    ]  # fmt: skip


def slice_records(tests: Mapping[tuple[str, str], Judgement]) -> list[dict[str, Any]]:
    """Return a row per test pair and kind of cases."""
    return [
        {"before": before, "after": after, "slice": each.slice, "value": each.value, "targeted": each.targeted, **_record(each)}
        for (before, after), found in tests.items()
        for each in (found.overall, found.targeted, *found.slices)
    ]  # fmt: skip


def _record(change: Change, prefix: str = "") -> dict[str, Any]:
    return {
        f"{prefix}cases": change.pairs.total, f"{prefix}only_before": change.pairs.only_first,
        f"{prefix}only_after": change.pairs.only_second, f"{prefix}difference": change.difference.estimate,
        f"{prefix}low": change.difference.low, f"{prefix}high": change.difference.high,
    }  # fmt: skip


def _targets(each: Round) -> str:
    return ", ".join(target.value for target in each.targets) or "any"


def _counts(change: Change) -> str:
    """Return cases that only the first, and only the second, fails."""
    pairs = change.pairs
    return f"-{pairs.only_first} +{pairs.only_second} of {pairs.total}"


def _points(change: Change) -> str:
    found = change.difference
    if found.low != found.low:
        return "-"
    return f"{100.0 * found.estimate:+.1f} [{100.0 * found.low:+.1f}, {100.0 * found.high:+.1f}]"


def _worst(found: Judgement) -> str:
    others = [each for each in found.slices if not each.targeted and each.pairs.total]
    if not others:
        return "-"
    worst = max(others, key=lambda each: each.difference.estimate)
    return f"{worst.value} {_points(worst)}"
