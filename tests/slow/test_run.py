"""A whole run: the same bytes for any workers and batch size, and after SIGKILL at any moment."""

from pathlib import Path

import pytest
from command_kit import finish, hashes, killed_often, refused

pytestmark = pytest.mark.slow

WORDS = (
    "suite=smoke", "scenarios=[cut_in,pedestrian_occluded,roundabout_entry]", "cases=2",
    "agents=[idm,expert]", "latency=lognormal", "latency.median_ms=[60,300]", "latency.p99_ms=500",
)  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return finish(tmp_path_factory.mktemp("one") / "run", (*WORDS, "workers=1", "batch=64"))


def test_same_bytes_for_workers_and_batch(expected: dict[str, str], tmp_path: Path) -> None:
    assert finish(tmp_path / "a", (*WORDS, "workers=2", "batch=5")) == expected
    assert finish(tmp_path / "b", (*WORDS, "workers=1", "batch=1")) == expected


def test_same_bytes_after_kills(expected: dict[str, str], tmp_path: Path) -> None:
    assert killed_often(tmp_path / "run", (*WORDS, "workers=1", "batch=1"), parts=4) >= 3
    assert hashes(tmp_path / "run") == expected


def test_complete_run_is_a_success_and_a_changed_one_is_refused(expected: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert finish(out, (*WORDS, "workers=1")) == expected
    assert finish(out, (*WORDS, "workers=2")) == expected
    assert "another configuration" in refused(out, (*WORDS, "latency.p99_ms=900"))
    assert hashes(out) == expected
