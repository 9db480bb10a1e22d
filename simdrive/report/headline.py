"""The headline study as text, tables and the generated part of a results page."""

from __future__ import annotations

import math
from typing import Any

from simdrive.eval.stats import holm
from simdrive.eval.studies.headline import Drive, Headline
from simdrive.eval.studies.headline_cost import Cost
from simdrive.report.aligned import aligned
from simdrive.report.decompose import crossing_text
from simdrive.report.study import interval_text, percent
from simdrive.report.table import p_text

NONE = "-"
SURE = 0.05
BEGIN, END = "<!-- headline: begin (generated) -->", "<!-- headline: end -->"
SAFER, WORSE, UNTOLD = VERDICTS = ("safer", "less safe", "not told apart from it")
NOTE = (
    "own: at the latency of its own charge on that chip; teacher: at the teacher's median there; zero: thinking takes no time.\n"
    "against: failure rate less the teacher's under the same kind of latency, same cases, 95 % interval (Tango), points.\n"
    "p: exact McNemar, after Holm over all sentences' comparisons."
)


def drive_table(study: Headline) -> str:
    """Return who failed how often where, as aligned text."""
    rows = [
        [
            d.variant, d.world, _latency(d), f"{d.failures}/{d.total}", interval_text(d.rate), interval_text(d.against, "+"),
            _mean(d, "bench2drive_smoothness", 2), _mean(d, "plan_flicker_m", 2), d.worst_scenario or NONE,
            d.worst_lighting or NONE,
        ]
        for d in study.drives
    ]  # fmt: skip
    head = ("variant", "world", "latency", "failures", "%", "against, points", "smooth", "flicker m", "worst scenario",
            "worst light")  # fmt: skip
    return aligned(head, rows, left=("variant", "world", "latency", "worst scenario", "worst light"))


def cost_table(study: Headline) -> str:
    """Return what a request costs, as aligned text."""
    rows = [
        [c.variant, _size(c.parameters, 1e6), _size(c.weight_bytes, 1e6), c.chip, c.charged, _ms(c), _number(c.peak_gib, 1),
         _number(c.energy_j, 1), c.refused or ""]
        for c in study.costs
    ]  # fmt: skip
    head = ("variant", "M parameters", "MB", "chip", "priced as", "ms median (p95)", "GiB", "J at most", "")
    return aligned(head, rows, left=("variant", "chip", "priced as", ""))


def budget_table(study: Headline) -> str:
    """Return how much latency each variant stands, as aligned text; empty where none was sought."""
    if not study.budgets:
        return ""
    rows = [
        [
            name,
            f"{b.safe_ms:g}",
            NONE if b.unsafe_ms is None else f"{b.unsafe_ms:g}",
            _crossing(b.crossing_ms, b.crosses),
        ]
        for name, b in study.budgets.items()
    ]
    return aligned(("variant", "safe up to ms", "unsafe from ms", "crosses the margin at ms"), rows, left=("variant",))


def split_table(study: Headline) -> str:
    """Return capability, relief and interaction of students, and up to which latency their teacher is ahead; empty if none."""
    rows = []
    for found in study.splits:
        split = found.splits[0]
        terms = [interval_text(term.share, "+") for term in (split.deployed, *split.terms)]
        rows.append([found.student, *terms, crossing_text(found.break_even)])
    head = ("student", "deployed", "capability", "relief", "interaction", "slower one loses from ms")
    return aligned(head, rows, left=("student",)) if rows else ""


def sentences(study: Headline) -> list[str]:
    """Return the answer in words, a sentence or two per chip and world: who is safer than the teacher, and who is not."""
    teacher = study.plan.variants[0].name
    told = [d for d in study.drives if d.whose == "own" and d.variant != teacher and not math.isnan(d.against.estimate)]
    said: dict[tuple[str, str], dict[str, list[str]]] = {}
    for drive, p_value in zip(told, holm([d.p_value for d in told]), strict=True):
        one = f"{drive.variant} {_share(drive)} ({interval_text(drive.against, '+')}, p {p_text(p_value)})"
        said.setdefault((drive.chip, drive.world), {}).setdefault(_verdict(drive, p_value), []).append(one)
    found = []
    for (chip, world), verdicts in said.items():
        base = next(d for d in study.drives if (d.variant, d.world, d.whose, d.chip) == (teacher, world, "own", chip))
        words = "; ".join(f"{verdict}: {', '.join(verdicts[verdict])}" for verdict in VERDICTS if verdict in verdicts)
        found.append(
            f"On {chip} in {world}, each at its own speed, {teacher} fails {_share(base)} of {base.total} avoidable cases. "
            f"{words[0].upper()}{words[1:]}."
        )
    return found


def _verdict(drive: Drive, p_value: float) -> str:
    """Return who is safer, where the interval says so and as many comparisons as there are do not make it a chance find."""
    if drive.against.high < 0.0 and p_value < SURE:
        return SAFER
    return WORSE if drive.against.low > 0.0 and p_value < SURE else UNTOLD


def headline_text(study: Headline) -> str:
    """Return the study as plain text."""
    worlds = ", ".join(f"{name} ({count} cases)" for name, count in study.worlds.items())
    parts = [f"worlds: {worlds}", "\n".join(sentences(study)), drive_table(study), NOTE, cost_table(study)]
    for title, table in (
        ("latency budgets", budget_table(study)),
        ("student less teacher, points", split_table(study)),
    ):
        parts += [f"{title}\n{table}"] if table else []
    if study.telling is not None:
        told = study.telling
        parts.append(
            f"telling case: {told.case_key[:8]} ({told.scenario}); in {told.alike} cases the teacher fails by its latency "
            f"alone and {told.student} survives at its own"
        )
    return "\n\n".join(part for part in parts if part)


def headline_markdown(study: Headline, command: str) -> str:
    """Return the generated part of a results page, between its marks."""
    blocks = [("Failures", drive_table(study)), ("What a request costs", cost_table(study)),
              ("Latency budgets", budget_table(study)), ("Where the difference comes from", split_table(study))]  # fmt: skip
    lines = [BEGIN, "", f"Made by `{command}`; worlds: "
             + ", ".join(f"{name} ({count} cases)" for name, count in study.worlds.items()) + ".", ""]  # fmt: skip
    lines += [f"- {line}" for line in sentences(study)]
    for title, table in blocks:
        if table:
            lines += ["", f"### {title}", "", "```", table, "```"]
    return "\n".join([*lines, "", NOTE, "", END])


def put_into(page: str, part: str) -> str:
    """Return a page with its generated part replaced, or added at the end where it has none."""
    if BEGIN in page and END in page:
        before, rest = page.split(BEGIN, 1)
        return before + part + rest.split(END, 1)[1]
    return page.rstrip("\n") + "\n\n" + part + "\n" if page.strip() else part + "\n"


def drive_records(study: Headline) -> list[dict[str, Any]]:
    """Return a row per drive."""
    return [
        {
            "variant": d.variant, "world": d.world, "latency": d.whose, "chip": d.chip, "failures": d.failures, "cases": d.total,
            "rate": d.rate.estimate, "low": d.rate.low, "high": d.rate.high, "against": d.against.estimate,
            "against_low": d.against.low, "against_high": d.against.high, "p_value": d.p_value, **d.means,
            "worst_scenario": d.worst_scenario,
            "worst_lighting": d.worst_lighting, "run": d.folder,
        }
        for d in study.drives
    ]  # fmt: skip


def cost_records(study: Headline) -> list[dict[str, Any]]:
    """Return a row per variant and chip."""
    return [
        {"variant": c.variant, "chip": c.chip, "charged": c.charged, "energy_j": c.energy_j, "peak_gib": c.peak_gib,
         "parameters": c.parameters, "weight_bytes": c.weight_bytes, **({} if c.took is None else vars(c.took)),
         "refused": c.refused}
        for c in study.costs
    ]  # fmt: skip


def _latency(drive: Drive) -> str:
    return drive.whose if drive.whose == "zero" else f"{drive.whose}, {drive.chip}"


def _share(drive: Drive) -> str:
    return f"{percent(drive.rate.estimate)} %"


def _mean(drive: Drive, metric: str, digits: int) -> str:
    return _number(drive.means.get(metric, math.nan), digits)


def _number(value: float, digits: int) -> str:
    return NONE if math.isnan(value) else f"{value:.{digits}f}"


def _size(value: int | None, unit: float) -> str:
    return NONE if value is None else f"{value / unit:.1f}"


def _ms(cost: Cost) -> str:
    return NONE if cost.took is None or cost.refused else f"{cost.took.median_ms:.0f} ({cost.took.p95_ms:.0f})"


def _crossing(found: Any, crosses: bool) -> str:
    return f"{found.estimate:.0f} [{found.low:.0f}, {found.high:.0f}]" if crosses else "does not"
