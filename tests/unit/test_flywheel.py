"""The flywheel: what is aimed at, which cases are made, equal rows, and the rule that judges; all by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from test_compress_samples import PICTURED, rows

from simdrive.build import load_config
from simdrive.compress.flywheel.degraded import Target, degraded, rates_z
from simdrive.compress.flywheel.judging import Rule, judge
from simdrive.compress.flywheel.rounds import Flywheel, FlywheelRequest, Round
from simdrive.compress.flywheel.rows import drawn, rows_in
from simdrive.compress.flywheel.settings import ARMS, flywheel_settings
from simdrive.compress.flywheel.targeting import any_cases, cases_of
from simdrive.compress.samples import read_samples, write_shard
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.kinds import kinds_of
from simdrive.report.flywheel import flywheel_text, round_records, slice_records
from simdrive.report.flywheel_picture import flywheel_picture
from simdrive.scenarios.sampling import load_suite


def target(name: str = "scenario", value: str = "cut_in") -> Target:
    return Target(name, value, 10, 10, 5, 0.5, 2.0, 2.0, 2.83)


def kinds(*scenarios: str, lighting: str = "day") -> pd.DataFrame:
    table = [{"scenario": name, "lighting": lighting} for name in scenarios]
    return pd.DataFrame(table, index=[f"c{k}" for k in range(len(scenarios))])


def test_two_shares_by_hand() -> None:
    # 3 of 4 against 1 of 4: pooled share 1/2, spread sqrt(1/4 * 2/4) = 0.3536, difference 0.5.
    assert rates_z(np.array([1, 1, 1, 0.0]), np.array([1, 0, 0, 0.0])) == pytest.approx(0.5 / math.sqrt(0.125))
    assert math.isnan(rates_z(np.array([]), np.array([1.0])))
    assert rates_z(np.zeros(3), np.zeros(3)) == 0.0


def test_what_fails_more_is_aimed_at_first_and_differences_count_beside() -> None:
    names = ["cut_in"] * 20 + ["merge"] * 20 + ["cut_out"] * 20
    table = kinds(*names)
    failed = pd.Series([1.0] * 10 + [0.0] * 10 + [1.0] * 4 + [0.0] * 16 + [0.0] * 20, index=table.index)
    by_failure = degraded(table, failed, None, "waypoint_m", 3)
    assert [each.value for each in by_failure] == ["cut_in"]  # merge fails 20 %, the others 25 %
    assert (by_failure[0].failures, by_failure[0].scored, by_failure[0].cases) == (10, 20, 20)
    assert by_failure[0].z == by_failure[0].z_failure == pytest.approx(rates_z(failed[:20], failed[20:]))
    rng = np.random.default_rng(0)
    level = {"cut_in": 1.0, "merge": 1.0, "cut_out": 4.0}  # one that differs without failing yet
    rows = [{"case_key": key, "waypoint_m": level[name] + rng.normal(0, 0.3)}
            for key, name in zip(table.index, names, strict=True) for _ in range(4)]  # fmt: skip
    rows.append({"case_key": "c0", "waypoint_m": math.nan})
    both = degraded(table, failed, pd.DataFrame(rows), "waypoint_m", 1)
    assert [each.value for each in both] == ["cut_out"]
    assert both[0].difference == pytest.approx(3.0, abs=0.2)
    assert both[0].z == pytest.approx((both[0].z_difference + both[0].z_failure) / math.sqrt(2.0))
    assert both[0].z_failure < 0.0 < both[0].z_difference


def test_few_cases_and_equal_ones_are_no_target() -> None:
    table = kinds(*["cut_in"] * 4 + ["merge"] * 20)
    assert degraded(table, pd.Series(1.0, index=table.index[:4]), None, "waypoint_m", 3) == []
    even = kinds(*["cut_in"] * 10 + ["merge"] * 10)
    assert degraded(even, pd.Series(1.0, index=even.index), None, "waypoint_m", 3) == []


def test_new_cases_are_of_the_kinds_asked_for_and_of_seeds_of_their_own() -> None:
    suite = load_suite("long_tail_v1")
    made = cases_of([target(), target("lighting", "night")], suite, 11, 9100)
    found = kinds_of(made)
    assert (len(made), len({case.key for case in made})) == (11, 11)
    assert (found["scenario"][:6] == "cut_in").all()
    assert (found["lighting"][6:] == "night").all()
    assert {case.seed // 1_000_000 for case in made} <= set(range(9100, 9200))
    assert made == cases_of([target(), target("lighting", "night")], suite, 11, 9100)
    assert len(any_cases(suite, 17, 3)) == 17
    rare = cases_of([target("lighting", "fog")], suite, 40, 9100)  # about 3 % of the worlds
    assert (kinds_of(rare)["lighting"] == "fog").all()
    assert len({case.key for case in rare}) == 40
    with pytest.raises(ParameterError, match="lighting eclipse"):
        cases_of([target("lighting", "eclipse")], suite, 2, 1)


def test_arms_get_equally_many_training_rows(tmp_path: Path) -> None:
    made = [{**each, "split": "train" if k % 4 else "test"} for k, each in enumerate(rows(12))]
    for number, part in enumerate((made[:8], made[8:])):
        (tmp_path / "data").mkdir(exist_ok=True)
        write_shard(tmp_path / "data" / f"{number}.parquet", part, PICTURED)
    assert rows_in(tmp_path / "data") == 9
    few = drawn([tmp_path / "data"], 5, tmp_path / "few", seed=1)
    assert rows_in(few) == len(read_samples([few])) == 5
    before = (few / "rows.parquet").read_bytes()
    assert (drawn([tmp_path / "data"], 5, tmp_path / "few", seed=1) / "rows.parquet").read_bytes() == before
    with pytest.raises(ParameterError, match="hold 9 training rows, 10 are asked for"):
        drawn([tmp_path / "data"], 10, tmp_path / "many", seed=1)


def test_files_of_other_cameras_or_another_version_are_not_mixed(tmp_path: Path) -> None:
    other = replace(PICTURED, frame_offsets_us=(*PICTURED.frame_offsets_us[:-1], -700_000))
    for name, pictured in (("a", PICTURED), ("b", other)):
        (tmp_path / name).mkdir()
        write_shard(tmp_path / name / "0.parquet", [{**each, "split": "train"} for each in rows(4)], pictured)
    with pytest.raises(ParameterError, match="show different pictures"):
        drawn([tmp_path / "a", tmp_path / "b"], 8, tmp_path / "out", seed=1)


def test_a_kind_of_the_same_cases_as_another_counts_once() -> None:
    table = kinds(*["tunnel_queue"] * 10 + ["merge"] * 20)
    table["lighting"] = ["tunnel"] * 10 + ["day"] * 20
    failed = pd.Series([1.0] * 10 + [0.0] * 20, index=table.index)
    assert len(degraded(table, failed, None, "waypoint_m", 3)) == 1


def outcome(*failed: int) -> pd.Series[float]:
    return pd.Series([float(value) for value in failed], index=[f"c{k}" for k in range(len(failed))])


def test_fewer_failures_are_accepted_and_as_many_are_not() -> None:
    table = kinds("cut_in", "cut_in", "merge", "merge")
    better = judge(outcome(1, 1, 0, 0), outcome(0, 1, 0, 0), table, [target()], Rule())
    assert better.accepted
    assert better.why == "fails in 1 fewer of 4 held-out cases"
    assert (better.overall.difference.estimate, better.targeted.difference.estimate) == (-0.25, -0.5)
    assert [(each.value, each.targeted) for each in better.slices] == [
        ("cut_in", True),
        ("merge", False),
        ("day", False),
    ]
    assert not judge(outcome(1, 0, 0, 0), outcome(0, 1, 0, 0), table, [], Rule()).accepted
    assert judge(outcome(0, 0), outcome(0, 1), table, [], Rule()).why == "fails in 1 more of 2 held-out cases"
    assert judge(outcome(), outcome(), table, [], Rule()).why == "no held-out case is scored for both"


def test_a_gain_bought_in_another_kind_is_rolled_back() -> None:
    table = kinds(*["cut_in"] * 40 + ["merge"] * 40)
    before, after = outcome(*[1] * 40, *[0] * 40), outcome(*[0] * 40, *[1] * 12, *[0] * 28)
    found = judge(before, after, table, [target()], Rule())
    assert not found.accepted
    assert found.why == "worse in scenario merge (+30.0 points)"
    mild = judge(before, outcome(*[0] * 40, 1, *[0] * 39), table, [target()], Rule())
    assert mild.accepted  # 2.5 points are within the tolerance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slices": 9}, "slices must be at most 5"),
        ({"arms": ["shadow"]}, "shadow"),
        ({"verify": {"seed": 9100, "cases": 5}}, "training seeds"),
        ({"verify": {"seed": 5000002, "cases": 5}}, "same seed"),
        ({"cases": 0}, "cases must be at least 1"),
        ({"colour": 1}, "colour"),
        ({"rule": {"tolerance": 2.0}}, "tolerance"),
        ({"by": "taste"}, "taste"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        flywheel_settings({**load_config("flywheel", "student"), **change})


def test_seeds_of_rounds_and_arms_do_not_meet() -> None:
    settings = flywheel_settings(load_config("flywheel", "student"))
    first = [settings.data_seed(r, arm) for r in (1, 2, 3) for arm in ARMS] + [
        settings.mining_seed(r) for r in (1, 2, 3)
    ]
    assert min(b - a for a, b in zip(sorted(first), sorted(first)[1:], strict=False)) >= 100


def test_text_tables_and_picture(tmp_path: Path) -> None:
    table = kinds("cut_in", "cut_in", "merge", "merge")
    found = judge(outcome(1, 1, 0, 0), outcome(0, 1, 0, 0), table, [target()], Rule())
    rounds = [Round("flywheel", 1, (target(),), 5, 20, 300, found, "flywheel/round_1/train/best", 60.0),
              Round("random", 1, (), 0, 0, 300, judge(outcome(1), outcome(1), table, [], Rule()), "x", 60.0)]  # fmt: skip
    text = flywheel_text(rounds, {("first", "flywheel"): found})
    assert "-1 +0 of 4" in text
    assert "rolled back" in text
    assert round_records(rounds)[0]["targeted_difference"] == -0.5
    assert {each["slice"] for each in slice_records({("random", "flywheel"): found})} == {
        "all", "targeted", "scenario", "lighting"}  # fmt: skip
    flywheel_picture(rounds, tmp_path / "one.png")
    flywheel_picture(rounds, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_another_flywheel_in_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    settings = flywheel_settings({**load_config("flywheel", "student"), "replay_rows": 2})
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "0.parquet", [{**each, "split": "train"} for each in rows(3)], PICTURED)

    class Quiet:
        def stage(self, name: str, total: int) -> None: ...
        def advance(self, count: int) -> None: ...
        def note(self, message: str) -> None: ...

    def wheel(**changes: Any) -> Flywheel:
        request = FlywheelRequest(str(tmp_path / "model"), "expert", (tmp_path / "data",), settings, tmp_path / "out")
        return Flywheel(FlywheelRequest(**{**vars(request), **changes}), print, Quiet())

    wheel()
    other = flywheel_settings({**load_config("flywheel", "student"), "replay_rows": 2, "slices": 2})
    with pytest.raises(RunFolderError, match="slices"):
        wheel(settings=other)
    with pytest.raises(UnknownNameError, match="nobody"):  # before the folder is claimed
        wheel(teacher="nobody", out=tmp_path / "late")
    with pytest.raises(ParameterError, match="3 training rows, replay_rows asks for 4"):
        wheel(settings=replace(settings, replay_rows=4), out=tmp_path / "late")
    assert not (tmp_path / "late").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    with pytest.raises(RunFolderError, match="holds no flywheel"):
        wheel(out=tmp_path / "other")
    assert yaml.safe_dump(asdict(settings.verify))
