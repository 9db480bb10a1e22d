"""A grid in one folder: how it is cut, and that the expert's episodes behind the references count as its own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.build import load_config
from simdrive.eval import runner
from simdrive.eval.blocks import reference_block
from simdrive.eval.grid import agent_configs, latency_configs
from simdrive.eval.runner import RunRequest, run
from simdrive.eval.schema import TABLES
from simdrive.scenarios.sampling import sample_cases

IMMEDIATE = ("zero", "fixed_delay", "streaming", "queue")


class Silent:
    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass


def request(agents: list[str], modes: list[str], delay_ms: float = 0.0) -> RunRequest:
    cases = sample_cases("cut_in", 2, seed=3) + sample_cases("pedestrian_occluded", 1, seed=3)
    latencies = latency_configs(
        "constant", load_config("latency", "constant") | {"delay_ms": delay_ms}, modes, "follow_plan", False
    )
    return RunRequest("test", 1, tuple(cases), agent_configs(agents), latencies)


def block(out: Path, name: str, number: int, cases: int) -> pa.Table:
    """Return the rows of one block, without what names the block."""
    table = pq.read_table(out / f"{name}.parquet")
    rows = table.column("row").to_numpy()
    chosen = table.filter(pa.array((rows >= number * cases) & (rows < (number + 1) * cases)))
    return chosen.drop_columns([column for column in ("row", "key", "latency") if column in chosen.column_names])


def test_all_immediate_settings_give_the_same_episodes_and_one_of_them_is_taken_from_the_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(["expert"], list(IMMEDIATE))
    kept = reference_block(wanted.blocks())
    assert kept is not None
    assert kept.first_row == 0
    run(wanted, tmp_path / "kept", Silent())
    monkeypatch.setattr(runner, "_KEPT_CASES", 0)
    run(wanted, tmp_path / "driven", Silent())
    for name in ("plan", *TABLES):
        assert (tmp_path / "kept" / f"{name}.parquet").read_bytes() == (
            tmp_path / "driven" / f"{name}.parquet"
        ).read_bytes()
    for name in TABLES:
        first = block(tmp_path / "driven", name, 0, len(wanted.cases))
        assert len(first)
        for number in range(1, len(IMMEDIATE)):
            # As text, since NaN does not equal itself.
            assert str(block(tmp_path / "driven", name, number, len(wanted.cases)).to_pylist()) == str(
                first.to_pylist()
            )


@pytest.mark.parametrize(
    ("agents", "modes", "delay_ms"),
    [(["idm"], ["zero"], 0.0), (["expert"], ["streaming"], 0.001), (["expert"], ["periodic"], 0.0)],
)
def test_other_settings_are_driven(agents: list[str], modes: list[str], delay_ms: float) -> None:
    assert reference_block(request(agents, modes, delay_ms).blocks()) is None


@given(st.integers(0, 300), st.integers(1, 200), st.integers(1, 8))
def test_pieces_cover_everything_in_order_and_are_balanced(count: int, size: int, workers: int) -> None:
    pieces = list(runner._pieces(range(count), size, workers))
    assert [item for piece in pieces for item in piece] == list(range(count))
    lengths = [len(piece) for piece in pieces]
    assert not lengths or (max(lengths) <= size and max(lengths) - min(lengths) <= 1)
    assert count < workers or len(pieces) % workers == 0 or len(pieces) == count
