"""``simdrive study headline``: two rule drivers that stand for a teacher and a student, on a few cases; its text and page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from model_kit import save_tiny, tiny_model
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.cli.study_headline import _config, _plan
from simdrive.errors import ParameterError
from simdrive.eval.grid import AgentConfig
from simdrive.eval.stats import Interval
from simdrive.eval.studies.headline import Drive, Headline, _worst
from simdrive.eval.studies.headline_cost import Cost, size_of
from simdrive.eval.studies.headline_plan import Chip, Plan, Variant
from simdrive.report.headline import BEGIN, END, headline_markdown, headline_text, put_into, sentences

FAMILY = "variants={big: {agent: idm, charge: internvl3_8b/w16a16}, small: {agent: idm, charge: internvl3_1b/w4a16}}"
WORLDS = (
    "worlds={near: {suite: smoke, scenarios: [cut_in], cases: 2, seed: 5}, "
    "far: {suite: smoke, scenarios: [cut_out], cases: 1, seed: 5}}"
)
REST = (
    "chips=[{name: agx_orin_64gb, power_mode: 50w},orin_nx_8gb]",
    "tokens={prompt_tokens: 300, image_tokens: 1792, output_tokens: 30}", "budget=null", "decompose=[small]", "references=[]",
)  # fmt: skip


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["study", "headline", *words])


def test_a_family_is_driven_priced_and_told(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nwords before\n")
    words = (FAMILY, WORLDS, *REST, f"out={tmp_path / 'out'}", f"page={page}", "--json")
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["worlds"] == {"near": 2, "far": 1}
    settings = [(d["variant"], d["world"], d["whose"], d["chip"]) for d in found["drives"]]
    assert settings == [
        ("big", "near", "zero", ""), ("big", "near", "own", "agx_orin_64gb"),
        ("small", "near", "zero", ""), ("small", "near", "own", "agx_orin_64gb"), ("small", "near", "own", "orin_nx_8gb"),
        ("small", "near", "teacher", "agx_orin_64gb"),
        ("big", "far", "zero", ""), ("big", "far", "own", "agx_orin_64gb"),
        ("small", "far", "zero", ""), ("small", "far", "own", "agx_orin_64gb"),
    ]  # fmt: skip
    costs = {(c["variant"], c["chip"]): c for c in found["costs"]}
    assert "does not fit" in costs["big", "orin_nx_8gb"]["refused"]
    assert (
        costs["big", "agx_orin_64gb"]["took"]["median_ms"] > 5.0 * costs["small", "agx_orin_64gb"]["took"]["median_ms"]
    )
    assert costs["small", "agx_orin_64gb"]["energy_j"] > 0.0
    # One and the same driver: no difference where thinking takes no time, and the split says that it is latency alone.
    (zero,) = [d for d in found["drives"] if (d["variant"], d["world"], d["whose"]) == ("small", "near", "zero")]
    assert zero["against"]["estimate"] == 0.0
    (split,) = found["splits"]
    assert split["splits"][0]["capability"]["failures"] == 0
    text = (tmp_path / "out" / "headline.txt").read_text()
    assert "slower one loses from ms" in text
    assert page.read_text().startswith("# Results\n\nwords before\n")
    assert BEGIN in page.read_text()
    assert (tmp_path / "out" / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "out" / "drives.csv")) == len(settings)

    alone = invoke(*words[:-1], "only=[far]", "video=false", "--json")
    part = json.loads(alone.stdout.splitlines()[-1])
    assert [(d["world"], d["whose"]) for d in part["drives"]] == [("far", "zero"), ("far", "own")] * 2
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "worlds").rglob("*.parquet")}
    again = invoke(*words)
    assert json.loads(again.stdout.splitlines()[-1]) == found
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "worlds").rglob("*.parquet")} == written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("variants={a: {agent: idm, charge: internvl3_8b}}",), "charge=architecture/precision"),
        (("variants={a: idm, b: {agnet: idm}}",), "charge=architecture/precision"),
        (("variants={a: idm}", "only=[moon]"), "moon"),
        (("variants={a: idm}", "wheels=4"), "wheels"),
        (("variants={a: idm, expert: idm}",), "expert more than once"),
        (("variants={a: idm}", "chips=[]"), "a chip or more"),
        (("variants={a: idm, b: idm}", "decompose=[a]"), "student to decompose"),
        (("config=nothing.yaml",), "nothing.yaml cannot be read"),
    ],
)
def test_wrong_words_are_told(words: tuple[str, ...], message: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize(("given", "students"), [("true", ("b", "c")), ("false", ()), ("[c]", ("c",))])
def test_who_is_decomposed(given: str, students: tuple[str, ...]) -> None:
    names = "variants={a: idm, b: idm, c: idm}"
    changes = {word.partition("=")[0]: yaml.safe_load(word.partition("=")[2]) for word in (names, f"decompose={given}")}
    assert _plan(_config(None, changes, quick=False)).decompose == students


def interval(estimate: float, half: float = 0.01) -> Interval:
    return Interval(estimate, estimate - half, estimate + half)


def drive(variant: str, whose: str, rate: float, against: float = math.nan, p_value: float = 0.01) -> Drive:
    chip = "" if whose == "zero" else "orin"
    return Drive(
        variant, "road", whose, chip, int(100 * rate), 100, interval(rate), interval(against), p_value, {}, "", "", "x"
    )


def study(*drives: Drive) -> Headline:
    agent = AgentConfig("idm", "{}")
    plan = Plan((Variant("teacher", agent), Variant("small", agent)), (), (Chip("orin"),))
    cost = Cost("small", "orin", "tiny w4", None, math.nan, math.nan, "needs 9 GiB", 1_600_000, 3_210_000)
    return Headline(plan, {"road": 100}, (cost,), drives, {}, (), None)


def test_the_answer_in_words_follows_the_interval() -> None:
    told = sentences(
        study(drive("teacher", "own", 0.4), drive("small", "own", 0.3, -0.1), drive("small", "zero", 0.2, 0.1))
    )
    assert told == ["On orin in road, each at its own speed, teacher fails 40.0 % of 100 avoidable cases. "
                    "Safer: small 30.0 % (-10.0 [-11.0, -9.0], p 0.010)."]  # fmt: skip
    # Two comparisons are two chances of a find: 0.03 is 0.06 after Holm.
    (untold,) = sentences(study(drive("teacher", "own", 0.4), *[drive("small", "own", 0.3, -0.1, 0.03)] * 2))
    assert untold.count("p 0.060") == 2
    assert "Not told apart from it: small 30.0 %" in untold
    assert "Less safe: small" in sentences(study(drive("teacher", "own", 0.1), drive("small", "own", 0.3, 0.2)))[0]
    assert "Not told" in sentences(study(drive("teacher", "own", 0.1), drive("small", "own", 0.1, 0.001)))[0]
    both = study(
        drive("teacher", "own", 0.4), drive("near", "own", 0.4, 0.001, 0.9), drive("small", "own", 0.3, -0.1, 0.01)
    )
    assert sentences(both)[0].endswith(
        "Safer: small 30.0 % (-10.0 [-11.0, -9.0], p 0.020); not told apart from it: near 40.0 % (+0.1 [-0.9, +1.1], p 0.900)."
    )
    assert sentences(study(drive("small", "own", 0.1))) == []


def test_a_variant_that_is_a_model_says_how_large_it_is(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    config = {"_target_": "simdrive.agents.vlm.Vlm", "model": str(folder), "charge": {"architecture": "internvl3_1b"}}
    parameters, weight_bytes = size_of(Variant("tiny", AgentConfig("tiny", json.dumps(config))))
    assert parameters == sum(value.numel() for value in tiny_model().parameters())
    assert weight_bytes == (folder / "model.safetensors").stat().st_size
    assert size_of(Variant("rule", AgentConfig("idm", json.dumps({"_target_": "x"})))) == (None, None)


def test_the_page_keeps_what_people_wrote() -> None:
    part = headline_markdown(study(drive("teacher", "zero", 0.4)), "simdrive study headline")
    page = put_into("# Results\n\nmine\n", part)
    assert put_into(page, part) == page
    assert put_into(f"a\n{BEGIN}\nold\n{END}\nb\n", part) == f"a\n{part}\nb\n"
    text = headline_text(study(drive("teacher", "zero", 0.4)))
    assert "needs 9 GiB" in text
    assert [word for word in ("1.6", "3.2") if word in text] == ["1.6", "3.2"]  # millions of parameters, megabytes


def test_the_worst_kind_needs_enough_cases() -> None:
    failed = pd.Series([1.0, 0.0] * 6 + [1.0] * 3, index=[f"c{k}" for k in range(15)])
    kinds = pd.Series(["cut_in"] * 12 + ["fog"] * 3, index=failed.index)
    assert _worst(failed, kinds) == "cut_in 6/12"
    assert _worst(failed[:5], kinds) == ""
    with pytest.raises(ParameterError, match="one variant"):
        Plan((), (), (Chip("orin"),))
