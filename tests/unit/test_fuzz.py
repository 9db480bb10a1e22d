"""Whatever a user or a model gives: no traceback, and an error that says what is wrong; 200 inputs here, 10,000 slowly."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_fixtures import CONFIG, plan, tables_of
from scenes import observe
from typer.testing import CliRunner

from simdrive.agents.api_trace import read_trace as read_replies
from simdrive.agents.heard import heard
from simdrive.agents.language.waypoints import WaypointForm
from simdrive.cli import app
from simdrive.errors import ParameterError
from simdrive.eval.schema import SCHEMA_VERSION
from simdrive.eval.store import RunStore
from simdrive.latency.trace_files import read_trace
from simdrive.types import TokenUsage

runner = CliRunner()
BARE_RUN = json.dumps({"format": "simdrive-run", "schema": SCHEMA_VERSION}).encode()
EACH = [50, pytest.param(2500, marks=pytest.mark.slow)]

KEYS = st.sampled_from(
    ["suite", "agents", "mode", "waiting", "deadline", "aeb_monitor", "corruption", "corruption.severity", "workers", "batch",
     "scenarios", "cases", "seed", "stop", "record", "metrics", "shard", "agent_timeout_s", "latency", "latency.delay_ms",
     "latency.jitter.p99_over_median", "latency.states", "latency.corunners", "latency.device", "latency.path", "nothing"]
) | st.text(max_size=12)  # fmt: skip
VALUES = st.sampled_from(
    ["", "null", "true", "-1", "0", "1", "2.5", "1e400", "nan", "[]", "[1,2]", "[[1]]", "{}", "{a: 1}", "[idm,idm]", "{ms: -3}",
     "smoke", "cut_in", "[cut_in]", "idm", "[none,fog]", "9/4", "1/2", "half_width:0.2", "half_width:x", "worst:0", "constant",
     "lognormal", "chip", "trace", "trace.csv", "zero", "[streaming,zero]", "${oc.env:NOTHING}", "${suite}", "'", "[", "{", "../x",
     "/", "/dev/null", "\x00", "[{name: lidar}]", "[{name: lidar, bandwidth: 2}]", "0x10", "1_0"]
) | st.text(max_size=10)  # fmt: skip


def for_all(count: int, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
    """Run a check on ``count`` draws."""

    def run(check: Callable[..., None]) -> None:
        limits = settings(max_examples=count, deadline=None, database=None, derandomize=True,
                          suppress_health_check=list(HealthCheck))  # fmt: skip
        limits(given(**strategies)(check))()

    return run


def check_told(words: list[str]) -> None:
    """A command ends by itself, with a code of ours, and with a reason where that is not 0."""
    result = runner.invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    assert result.exit_code in (0, 1, 2, 4), words
    if result.exit_code:
        reason = result.stderr.lower().partition("error")[2].strip(" :\n│╭╮╰╯─")
        assert len(reason) > 15, (words, result.stderr)


@pytest.mark.parametrize("count", EACH)
def test_configurations(count: int) -> None:
    @for_all(count, words=st.lists(st.tuples(KEYS, VALUES).map("=".join) | st.text(max_size=8), min_size=1, max_size=3))
    def check(words: list[str]) -> None:
        check_told(["eval", "--dry-run", "--", *words])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that is under way, and a finished one."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("half", "whole"):
        store = RunStore.create_or_open(root / name, CONFIG, plan())
        store.write_map("m0", {"a": plan()["row"].to_numpy()})
        store.write_part(tables_of(0, 1, 2, 3, 4, 5))
        if name == "whole":
            store.write_part(tables_of(6, 7, 8, 9, 10, 11))
            store.compact()
    return root / "half", root / "whole"


@pytest.mark.parametrize("count", EACH)
def test_run_folders(count: int, runs: tuple[Path, Path], tmp_path: Path) -> None:
    commands = [
        ["show"],
        ["show", "--json"],
        ["export"],
        ["export", "--to", "csv", "--table", "requests"],
        ["merge", "-o"],
    ]

    @for_all(
        count, which=st.integers(0, 1), command=st.sampled_from(commands), place=st.integers(0, 40), cut=st.floats(0, 1),
        content=st.none() | st.just(b"gone") | st.binary(max_size=40)
        | st.sampled_from([b"{}", b"[]", b"null", b"a: [", b"\xff", b"PAR1PAR1", BARE_RUN]),
    )  # fmt: skip
    def check(which: int, command: list[str], place: int, cut: float, content: bytes | None) -> None:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(runs[which], folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        hurt = files[place % len(files)]
        if content == b"gone":
            hurt.unlink()
        else:
            hurt.write_bytes(hurt.read_bytes()[: int(cut * hurt.stat().st_size)] if content is None else content)
        tail = [str(tmp_path / "merged"), str(folder)] if command[0] == "merge" else [str(folder)]
        check_told([*command, *tail])
        check_told(["ls", "runs", "--root", str(tmp_path)])


@pytest.mark.parametrize("count", EACH)
def test_texts_of_models(count: int) -> None:
    batch, form = observe([], speed=8.0), WaypointForm(interval_s=1.0, points=2)
    words = st.sampled_from(
        ["path", "speed", "stop", "left", "right", "m/s", "(", ")", ",", "[", "1.5", "-3", "nan", "inf", "1e999"]
    )

    @for_all(count, text=st.text(max_size=60) | st.lists(words, max_size=25).map(" ".join), own=st.booleans())
    def check(text: str, own: bool) -> None:
        answer = heard(batch, [text], TokenUsage.zeros(1), form=form if own else None)
        assert answer.error is None or answer.error[0] in (None, "unparsable", "invalid")
        assert answer.plan.shape[0] == 1
        assert answer.text == (text,)


@pytest.mark.parametrize("count", EACH)
def test_traces(count: int, tmp_path: Path) -> None:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    names = st.sampled_from(["rows", "case", "request", "decode_us", "key", "text", "tokens", "header"]) | st.text(
        max_size=4
    )
    values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
    content = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())
    lines = st.lists(
        st.sampled_from(["case,request,decode_us", "a,0,1", "a,0,-1", "a,0,x", ",,", '"', "a,0,1,2,3"]), max_size=4
    )

    @for_all(
        count, content=content | lines.map(lambda some: "\n".join(some).encode()), kind=st.sampled_from(["csv", "json"])
    )
    def check(content: bytes, kind: str) -> None:
        file = tmp_path / f"trace.{kind}"
        file.write_bytes(content)
        for read in (read_trace, read_replies):
            with contextlib.suppress(ParameterError):
                read(file)
