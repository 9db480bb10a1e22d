"""The gate: rules, pairs and what has none, one verdict behind text and exit code; names that try to inject."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_eval_summary import episodes
from test_report_page import make_run
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.eval.compare import compare
from simdrive.eval.differences import paired_difference, totals_difference
from simdrive.eval.gate import Gate, parse_rule, read_gate
from simdrive.eval.sides import Side, open_side
from simdrive.eval.stats import Interval, fisher, newcombe_unpaired
from simdrive.eval.summary import summarise, write_summary
from simdrive.report.comparison import as_annotations, as_junit, as_markdown, as_table, as_values

NAN = math.nan


def side(name: str, *groups: tuple[str, str, list[float]], planned: pd.DataFrame | None = None) -> Side:
    frame = episodes(*groups, seed=7, key="k")
    plan = frame if planned is None else planned
    return Side(name, plan, frame, (), len(plan), len(frame))


def gate(*rules: str, **settings: Any) -> Gate:
    return Gate(tuple(parse_rule(rule) for rule in rules), **settings)


def test_pairs_by_hand() -> None:
    base, candidate = side("a", ("m", "0 ms", [0, 0, 0, 1, 1])), side("b", ("m", "0 ms", [1, 1, 0, 0, 1]))
    found = compare(base, candidate, gate("failure_rate>+0.1"))
    (group,) = found.groups
    failure = group.differences[0]
    assert (failure.pairs, failure.only_base, failure.only_candidate) == (5, 1, 2)
    assert (failure.base, failure.candidate.estimate) == (0.4, 0.6)
    assert failure.change.estimate == pytest.approx(0.2)
    assert failure.p_value == 1.0  # two against one: 3 of the 3 outcomes are at least as extreme
    assert (found.verdict.word, found.verdict.exit_code) == ("FAIL", 3)
    assert compare(base, candidate, gate("failure_rate>+0.3")).verdict.word == "PASS"


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("failure_rate>0.5", "FAIL"),
        ("failure_rate>=+0.2", "FAIL"),
        ("failure_rate>0.7", "PASS"),
        ("failure_rate<0.7", "FAIL"),
        ("min_ttc_s<-0.1", "PASS"),
        ("min_ttc_s>1.5", "FAIL"),
    ],
)
def test_rules_on_values_and_differences(rule: str, word: str) -> None:
    base, candidate = side("a", ("m", "0 ms", [0, 0, 0, 1, 1])), side("b", ("m", "0 ms", [1, 1, 0, 0, 1]))
    assert compare(base, candidate, gate(rule)).verdict.word == word


def test_burden_of_proof_on_the_candidate() -> None:
    same = side("a", ("m", "0 ms", [0.0] * 20))
    assert compare(same, same, gate("failure_rate>+0.02")).verdict.word == "PASS"
    assert compare(same, same, gate("failure_rate>+0.02", decide="interval")).verdict.word == "FAIL"


def test_settings_are_paired_apart_and_unpaired_episodes_listed() -> None:
    base = side("a", ("m", "0 ms", [0, 0, 1]), ("m", "9 ms", [0, 0, 1]))
    candidate = side("b", ("m", "0 ms", [0, 0, 1, 1]))
    found = compare(base, candidate, Gate())
    assert [group.latency for group in found.groups] == ["0 ms"]
    assert [(entry.side, entry.case_key) for entry in found.unpaired] == [
        ("candidate", "c3"), ("base", "c0"), ("base", "c1"), ("base", "c2"),
    ]  # fmt: skip
    assert (found.verdict.word, found.verdict.exit_code) == ("INCOMPLETE", 4)
    assert "3 episodes of the baseline have no counterpart" in as_table(found)
    assert compare(base, candidate, Gate(allow_unpaired=True)).verdict.word == "PASS"


def test_one_sided_scores_are_listed_and_mutual_gaps_counted() -> None:
    base, candidate = side("a", ("m", "0 ms", [0, NAN, 0])), side("b", ("m", "0 ms", [0, NAN, NAN]))
    found = compare(base, candidate, Gate())
    assert [(entry.side, entry.case_key, entry.reason) for entry in found.unpaired] == [
        ("base", "c2", "failure is not scored in the candidate")
    ]
    assert found.unscored_in_both == 1


def test_half_a_candidate_is_incomplete_even_if_a_rule_fires() -> None:
    base = side("a", ("m", "0 ms", [0, 0, 0]))
    candidate = side("b", ("m", "0 ms", [1, 1]), planned=base.plan)
    found = compare(base, candidate, gate("failure_rate>+0.02"))
    assert found.verdict.exit_code == 4
    assert found.verdict.reasons[0] == "b has 2 of 3 planned episodes"
    assert "fired" in found.verdict.reasons[1]
    assert [entry.reason for entry in found.unpaired] == ["not driven yet in the candidate"]


def test_agents_with_other_names() -> None:
    one, two = side("a", ("x", "0 ms", [0, 1])), side("b", ("y", "0 ms", [0, 1]), ("z", "0 ms", [1, 1]))
    assert [(group.base_agent, group.agent) for group in compare(one, two, Gate()).groups] == [("x", "y"), ("x", "z")]
    with pytest.raises(ParameterError, match="--base-agent"):
        compare(two, one, Gate())
    assert len(compare(two.only("z"), one, Gate()).groups) == 1
    with pytest.raises(UnknownNameError, match="agent of b"):
        two.only("w")


def test_nothing_in_common() -> None:
    with pytest.raises(ParameterError, match="nothing can be paired: a has 0 ms, b has 9 ms"):
        compare(side("a", ("m", "0 ms", [0])), side("b", ("m", "9 ms", [0])), Gate())


def test_unscored_figures_are_invalid() -> None:
    empty = side("a", ("m", "0 ms", [NAN, NAN]))
    found = compare(empty, empty, gate("failure_rate>+0.02"))
    assert (found.verdict.word, found.verdict.exit_code) == ("INVALID", 1)


def test_rule_of_one_scenario() -> None:
    base, candidate = side("a", ("m", "0 ms", [0, 0, 0, 0])), side("b", ("m", "0 ms", [0, 1, 0, 1]))
    odd, even = (replace(parse_rule("failure_rate>+0.6"), scenario=name) for name in ("odd", "even"))
    assert compare(base, candidate, Gate((odd,))).verdict.word == "FAIL"
    assert compare(base, candidate, Gate((even,))).verdict.word == "PASS"
    with pytest.raises(UnknownNameError, match="scenario of the rule"):
        compare(base, candidate, Gate((replace(odd, scenario="oddd"),)))
    with pytest.raises(UnknownNameError, match="Did you mean 'failure_rate'"):
        compare(base, candidate, gate("failures_rate>+0.1"))


def test_means_are_paired() -> None:
    base = episodes(("m", "0 ms", [0.0] * 12))
    worse = base.assign(min_ttc_s=base["min_ttc_s"] - 0.5)
    found = paired_difference(base, worse, "min_ttc_s", is_rate=False)
    assert found.change == Interval(-0.5, -0.5, -0.5)  # the same in every pair: nothing to resample
    assert (found.base, found.candidate.estimate) == (5.5, 5.0)


def test_stored_totals_are_not_paired() -> None:
    # Newcombe 1998 (independent proportions), table II: 56/70 against 48/80, method 10: 0.0524 .. 0.3339.
    found = newcombe_unpaired((48, 80), (56, 70))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert fisher((0, 3), (3, 3)) == pytest.approx(0.1)  # 2 of the 20 ways to choose 3 of 6
    totals = {"rates": {"failure": {"count": 1, "total": 4}}, "scores": {"min_ttc_s": {"mean": 1.0}}}
    rate = totals_difference(totals, episodes(("m", "0 ms", [1, 1, 0, 0])), "failure", is_rate=True)
    assert (rate.pairs, rate.change.estimate) == (0, 0.25)
    assert (
        totals_difference(totals, episodes(("m", "0 ms", [1, 1])), "min_ttc_s", is_rate=False).change.estimate == -0.5
    )
    with pytest.raises(ParameterError, match="cannot be read"):
        totals_difference({"rates": 3}, episodes(("m", "0 ms", [1.0])), "failure", is_rate=True)


@given(st.text(max_size=20))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except SimdriveError:
        return
    assert math.isfinite(rule.threshold)


def test_thresholds_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(
        "decide: interval\nconfidence: 0.9\nrules:\n- failure_rate>+0.02\n- {rule: 'min_ttc_s<-1', scenario: cut_in}\n"
    )
    found = read_gate(path)
    assert (found.decide, found.confidence, len(found.rules)) == ("interval", 0.9, 2)
    assert (found.rules[1].scenario, found.rules[1].threshold, found.rules[1].relative) == ("cut_in", -1.0, True)
    for text, message in (
        ("ruls: []", "Did you mean 'rules'"), ("rules: [3]", "a rule of"), ("[]", "must be a mapping"),
        ("rules: x", "must be a list"), ("confidence: 2", "confidence"), ("decide: maybe", "way to decide"),
        ("rules: [failure_rate]", "METRIC"), ("a: [", "cannot be read"), ("allow_unpaired: 3", "true or false"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(SimdriveError, match=message):
            read_gate(path)
    with pytest.raises(ParameterError, match="cannot be read"):
        read_gate(tmp_path / "none.yaml")


def test_names_cannot_inject_into_any_format() -> None:
    name = "<b>|\n::error::x\x07`*"
    base, candidate = side("a", (name, "0 ms", [0, 0])), side("b", (name, "0 ms", [1, 1]))
    found = compare(base, candidate, gate("failure_rate>+0.02"))
    assert all(line.startswith("::error title=simdrive compare FAIL::") for line in as_annotations(found).splitlines())
    assert len(as_annotations(found).splitlines()) == len(found.verdict.reasons)
    assert "<b>" not in as_markdown(found)
    assert not any(line.startswith("::") for line in as_markdown(found).splitlines())
    suite = ElementTree.fromstring(as_junit(found))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert json.loads(json.dumps(as_values(found)))["verdict"] == "FAIL"


@pytest.mark.parametrize("form", ["table", "json", "md", "github", "junit"])
def test_command_line(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_run(tmp_path / "run")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    run = str(tmp_path / "run")
    chosen = ["--base-agent", "careful", "--candidate-agent", "rash", "--fail-on", "failure_rate>+0.02"]
    result = CliRunner().invoke(app, ["compare", run, run, *chosen, "--format", form])
    assert result.exit_code == 3, result.output
    assert "FAIL" in result.output
    assert (tmp_path / "step.md").is_file() == (form == "github")
    write_summary(store, summarise(store))
    result = CliRunner().invoke(app, ["compare", f"{run}/summary.json", run, *chosen, "--format", form])
    assert result.exit_code == 3, result.output
    assert open_side(tmp_path / "run" / "summary.json").agents == ["careful", "rash"]
    assert CliRunner().invoke(app, ["compare", run, run, "--format", "xml"]).exit_code == 2
    assert CliRunner().invoke(app, ["compare", run, f"{run}/summary.json"]).exit_code == 2
    assert CliRunner().invoke(app, ["compare", run, run]).exit_code == 0
