"""A comparison of two runs as text: table, Markdown, GitHub annotations, JUnit. Names in it are not trusted."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from simdrive.eval.compare import ComparedGroup, Comparison
from simdrive.eval.differences import Difference
from simdrive.eval.stats import Interval
from simdrive.report.aligned import aligned
from simdrive.report.table import p_text

HEADINGS = ("metric", "pairs", "base", "candidate", "change [95 %]", "only base", "only cand.", "p")
LISTED = 20  # unpaired episodes that a text lists one by one
NONE = "-"
_ILLEGAL_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _number(value: float, rate: bool) -> str:
    if math.isnan(value):
        return NONE
    return f"{100.0 * value:.1f} %" if rate else f"{value:.3f}"


def _change(value: Interval, rate: bool) -> str:
    if math.isnan(value.estimate):
        return NONE
    scale, form = (100.0, "+.1f") if rate else (1.0, "+.3f")
    low, high = scale * value.low, scale * value.high
    if math.isnan(low):
        return f"{scale * value.estimate:{form}} ({value.reason})"
    return f"{scale * value.estimate:{form}} [{low:{form}}, {high:{form}}]"


def _cells(each: Difference, paired: bool) -> list[str]:
    rate = each.kind == "rate"
    discordant = [str(each.only_base), str(each.only_candidate)] if rate and paired else [NONE, NONE]
    return [
        each.metric, str(each.pairs) if paired else "unpaired", _number(each.base, rate),
        _number(each.candidate.estimate, rate), _change(each.change, rate), *discordant, p_text(each.p_value),
    ]  # fmt: skip


def _heading(group: ComparedGroup) -> str:
    against = f" against {group.base_agent}" if group.base_agent != group.agent else ""
    return f"{group.label}{against}"


def _unpaired_lines(comparison: Comparison) -> list[str]:
    if not comparison.unpaired:
        return []
    counts = Counter((entry.side, entry.reason) for entry in comparison.unpaired)
    lines = [f"{count} episodes of the {side}: {reason}" for (side, reason), count in counts.items()]
    for entry in comparison.unpaired[:LISTED]:
        lines.append(f"  {entry.scenario} seed {entry.seed} case {entry.case_key}, {entry.agent}, {entry.latency}")
    if len(comparison.unpaired) > LISTED:
        lines.append(f"  ... and {len(comparison.unpaired) - LISTED} more (--format json lists all)")
    return lines


def as_table(comparison: Comparison) -> str:
    """Return aligned text that ends with the verdict."""
    lines = [f"base       {comparison.base}", f"candidate  {comparison.candidate}"]
    for group in comparison.groups:
        cells = [_cells(each, group.paired) for each in group.differences]
        lines += ["", _heading(group), aligned(HEADINGS, cells, left=("metric",))]
        if len(comparison.groups) > 1 and not math.isnan(group.p_holm):
            lines.append(f"failure: p after Holm over {len(comparison.groups)} groups {p_text(group.p_holm)}")
        if not group.paired:
            lines.append("against stored totals: not paired, so intervals are wider; give the run folder to pair cases")
        lines += [result.text for result in group.results]
    if comparison.unpaired:
        lines += ["", "not paired", *_unpaired_lines(comparison)]
    if comparison.unscored_in_both:
        lines += [
            "",
            f"{comparison.unscored_in_both} pairs have no failure scored on either side (unavoidable, blocked)",
        ]
    return "\n".join([*lines, "", *_verdict_lines(comparison)])


def _verdict_lines(comparison: Comparison) -> list[str]:
    verdict = comparison.verdict
    return [verdict.title, *(f"  {reason}" for reason in verdict.reasons[1:])]


def _safe_markdown(text: str) -> str:
    """Return text that means itself in Markdown: no markup, no table cell, no line of its own."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~@])", r"\\\1", text)


def as_markdown(comparison: Comparison) -> str:
    """Return a Markdown section whose heading is the verdict."""
    safe = _safe_markdown
    lines = [f"## {safe(comparison.verdict.title)}", ""]
    lines += [f"- {safe(reason)}" for reason in comparison.verdict.reasons[1:]]
    lines += ["", f"Base {safe(comparison.base)}, candidate {safe(comparison.candidate)}", ""]
    for group in comparison.groups:
        lines += [f"### {safe(_heading(group))}", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
        for each in group.differences:
            lines.append(f"| {' | '.join(safe(cell) for cell in _cells(each, group.paired))} |")
        lines += ["", *(f"- {safe(result.text)}" for result in group.results), ""]
    if comparison.unpaired:
        lines += ["### Not paired", "", *(f"- {safe(line.strip())}" for line in _unpaired_lines(comparison)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _safe_command(text: str) -> str:
    """Return text as the data of a GitHub workflow command: it cannot end the command or start another one."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def as_annotations(comparison: Comparison) -> str:
    """Return one GitHub workflow command per reason: errors, or a notice if the verdict is PASS."""
    kind = "notice" if comparison.verdict.word == "PASS" else "error"
    title = f"simdrive compare {comparison.verdict.word}"
    return "\n".join(f"::{kind} title={title}::{_safe_command(reason)}" for reason in comparison.verdict.reasons)


def as_junit(comparison: Comparison) -> str:
    """Return a JUnit file: one test case per rule and group, and one for the verdict."""
    suite = ElementTree.Element("testsuite", name="simdrive compare")
    failures = 0
    for group in comparison.groups:
        for result in group.results:
            case = _test_case(suite, result.group, result.rule.text)
            if result.fired is not False:
                failures += 1
                ElementTree.SubElement(case, "failure", message=_legal(result.text))
    case = _test_case(suite, "verdict", comparison.verdict.word)
    if comparison.verdict.exit_code:
        failures += 1
        note = ElementTree.SubElement(case, "failure", message=_legal(comparison.verdict.title))
        note.text = _legal("\n".join(comparison.verdict.reasons))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _test_case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_legal(group), name=_legal(name))


def _legal(text: str) -> str:
    return _ILLEGAL_IN_XML.sub("?", text)


def as_values(comparison: Comparison) -> dict[str, Any]:
    """Return plain values for JSON; every unpaired episode is listed."""
    verdict = comparison.verdict
    return {
        "verdict": verdict.word,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "base": comparison.base,
        "candidate": comparison.candidate,
        "groups": [
            {
                **{key: value for key, value in asdict(group).items() if key != "results"},
                "results": [
                    {"rule": each.rule.text, "scenario": each.rule.scenario, "fired": each.fired, **asdict(each.value)}
                    for each in group.results
                ],
            }
            for group in comparison.groups
        ],
        "unpaired": [asdict(entry) for entry in comparison.unpaired],
        "unscored_in_both": comparison.unscored_in_both,
    }
