"""What the statistics promise, measured: coverage at every time, error of the paired test, power as planned."""

import math
from pathlib import Path

import pytest
from command_kit import finish, hashes, killed_often, refused

from simdrive.eval import simulated
from simdrive.eval.simulated import Simulated

pytestmark = pytest.mark.slow

RUNS = 4000
WORDS = (
    "suite=long_tail_v1", "scenarios=[cut_in,pedestrian_occluded]", "cases=40", "agents=[idm,expert]",
    "stop=half_width:0.19",
)  # fmt: skip


def kept(rows: list[Simulated]) -> None:
    assert [f"{row.what}, {row.setting}: {row.share}" for row in rows if row.kept is False] == []


def test_anytime_intervals_cover_at_every_time() -> None:
    rows = simulated.coverage(RUNS)
    kept(rows)
    ours = [row for row in rows if not math.isnan(row.promised)]
    assert len(ours) >= 9
    assert max(row.share.high for row in ours) < 0.06
    # The same looks at Wilson intervals break their promise many times over: the test can see what it looks for.
    assert min(row.share.low for row in rows if "Wilson" in row.what) > 0.2


def test_paired_tests_keep_their_level_also_at_the_end_of_a_stopped_run_and_over_sweeps() -> None:
    rows = simulated.paired_error(RUNS)
    kept(rows)
    raw = {row.what: row.share for row in rows if math.isnan(row.promised)}
    assert raw["smallest raw p < 0.05"].low > 0.05
    assert raw["exact McNemar at any look of it"].low > 0.05


def test_power_is_what_is_planned() -> None:
    rows = simulated.power_table(RUNS)
    kept(rows)
    planned = [row.share.estimate for row in rows if "planned for 0.8" in row.what]
    assert planned
    assert all(0.78 < share < 0.83 for share in planned)


def test_a_stopped_run_ends_the_same_for_any_workers_and_batch_and_after_kills(tmp_path: Path) -> None:
    def ended(name: str, *words: str) -> dict[str, str]:
        finish(tmp_path / name, (*WORDS, *words), says="reached for every rate")
        return hashes(tmp_path / name, ("summary.json",))

    expected = ended("one", "workers=1", "batch=64")
    assert ended("two", "workers=2", "batch=7") == expected
    assert killed_often(tmp_path / "killed", (*WORDS, "workers=1", "batch=4"), parts=5) >= 2
    assert ended("killed", "workers=1") == expected
    assert "stop.half_width: 0.19 -> 0.18" in refused(tmp_path / "killed", (*WORDS[:-1], "stop=half_width:0.18"))
