"""A decomposed safety difference as text and as CSV tables; every figure with its interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from simdrive.eval.studies.breakeven import BreakEven
from simdrive.eval.studies.decompose import DecomposeStudy
from simdrive.eval.studies.split import LABELS, Split, Term
from simdrive.report.aligned import aligned
from simdrive.report.study import interval_text

SUM = (
    "deployed = capability + relief + interaction, case by case, so the failures add up exactly. Negative = the student\n"
    "fails less often. capability: student minus teacher at zero latency. relief: what the yardstick gains at the\n"
    "student's latency instead of the teacher's. interaction: how much more latency costs the student than the teacher.\n"
    "Intervals: paired bootstrap of whole cases within scenarios; one of no width means that within every scenario all\n"
    "cases agree, and says nothing about how sure that is."
)
WHY = (
    "Why an agent failed at its own latency, by what the same case did in the other arms: capability: only the other\n"
    "agent at that latency passes. latency: only the same agent without latency passes. either: each of the two passes.\n"
    "both: only the other agent without latency passes. unavoidable: no arm passes, or (in brackets, no failure by the\n"
    "endpoint and in no term) no manoeuvre survives the case at all. unknown: an arm is not scored."
)


def decompose_text(study: DecomposeStudy) -> str:
    """Return the study as plain text."""
    latencies = "\n".join(
        f"{role} {agent}: {study.latencies[role].ms:g} ms ({study.latencies[role].origin})"
        for role, agent in (("student", study.student), ("teacher", study.teacher))
    )
    scored = study.arms[0].total
    head = f"{study.suite}, {study.cases} cases, of which {scored} are scored in every arm; constant delay, {study.setting}"
    if study.unscored:
        head += f"\n{study.unscored} avoidable cases are not scored in every arm and enter no term"
    parts = [f"{head}\n{latencies}", _arms(study), _terms(study), SUM, _labels(study), WHY, break_even_text(study)]
    return "\n\n".join(parts)


def _arms(study: DecomposeStudy) -> str:
    rows = [
        [a.role, a.agent, "none" if a.whose == "zero" else f"{a.whose}'s", f"{a.delay_ms:g}", f"{a.failures}/{a.total}",
         interval_text(a.rate)]
        for a in study.arms
    ]  # fmt: skip
    headings = ("role", "agent", "latency", "ms", "failures", "%")
    return aligned(headings, rows, left=("role", "agent", "latency"))


def _terms(study: DecomposeStudy) -> str:
    rows = []
    for found in study.splits:
        for term in (found.deployed, *found.terms):
            rows.append([found.yardstick, term.name, f"{term.failures:+d}", _points(term)])
    return aligned(("yardstick", "term", "failures", "points"), rows, left=("yardstick", "term"))


def _points(term: Term) -> str:
    return (
        f"{100.0 * term.share.estimate:+.1f} {term.share.reason}"
        if term.share.reason
        else interval_text(term.share, "+")
    )


def _labels(study: DecomposeStudy) -> str:
    rows = []
    for role, agent in (("student", study.student), ("teacher", study.teacher)):
        mine = [failure for failure in study.failures if failure.role == role]
        scored = Counter(failure.label for failure in mine if failure.avoidable)
        hopeless = sum(not failure.avoidable for failure in mine)
        cells = [f"{scored[label]} ({hopeless})" if label == "unavoidable" else str(scored[label]) for label in LABELS]
        rows.append([f"{role} {agent} at {study.latencies[role].ms:g} ms", str(sum(scored.values())), *cells])
    return aligned(("failures of", "all", *LABELS), rows, left=("failures of",))


def break_even_text(study: DecomposeStudy) -> str:
    """Return from which latency on the slow agent loses, in one sentence."""
    found, slow = study.break_even, study.slow
    fast = "teacher" if slow == "student" else "student"
    slow_name, fast_name = (f"the {role} {getattr(study, role)}" for role in (slow, fast))
    against = f"{fast_name} at its {study.latencies[fast].ms:g} ms"
    end = f"(delays tried: {', '.join(f'{delay:g}' for delay, _, _ in found.tried)} ms)"
    if found.kind == "never":
        return f"{slow_name} fails no more often than {against}: not within {found.longest_ms:g} ms {end}"
    if found.kind == "always" or found.between_ms is None:
        return f"{slow_name} fails more often than {against} at every delay, zero included {end}"
    low, high = found.between_ms
    return (
        f"{slow_name} loses to {against} from {found.at_ms.estimate:.0f} ms on {_limits(found)}: between {low:g} ms and "
        f"{high:g} ms, resolution {found.resolution_ms:g} ms {end}"
    )


def crossing_text(found: BreakEven) -> str:
    """Return the delay from which on the slow agent loses, with its limits, for a cell of a table."""
    if found.kind == "never":
        return f"not within {found.longest_ms:.0f}"
    return "0" if found.kind == "always" else f"{found.at_ms.estimate:.0f} {_limits(found)}"


def _limits(found: BreakEven) -> str:
    if found.at_ms.reason:
        return f"({found.at_ms.reason})"
    high = f"not within {found.longest_ms:.0f}" if found.at_ms.high >= found.longest_ms else f"{found.at_ms.high:.0f}"
    return f"[{found.at_ms.low:.0f}, {high}]"


def arm_records(study: DecomposeStudy) -> list[dict[str, Any]]:
    """Return one record per arm."""
    return [
        {"role": a.role, "agent": a.agent, "latency": a.whose, "delay_ms": a.delay_ms, "failures": a.failures,
         "total": a.total, "rate": a.rate.estimate, "rate_low": a.rate.low, "rate_high": a.rate.high}
        for a in study.arms
    ]  # fmt: skip


def term_records(study: DecomposeStudy) -> list[dict[str, Any]]:
    """Return one record per yardstick and term."""
    return [_term_record(found, term) for found in study.splits for term in (found.deployed, *found.terms)]


def _term_record(found: Split, term: Term) -> dict[str, Any]:
    return {
        "yardstick": found.yardstick, "term": term.name, "failures": term.failures, "cases": found.cases,
        "share": term.share.estimate, "share_low": term.share.low, "share_high": term.share.high,
    }  # fmt: skip


def failure_records(study: DecomposeStudy) -> list[dict[str, Any]]:
    """Return one record per labelled failure."""
    return [asdict(failure) for failure in study.failures]
