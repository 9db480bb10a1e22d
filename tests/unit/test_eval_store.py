"""The run folder: same bytes however it was cut, killed or resumed; foreign and broken folders stay
untouched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import make_log, with_fields
from run_fixtures import CONFIG, log_of, plan, planned, result_of, tables_of

from simdrive.errors import IncompleteRunError, RunFolderError, UnknownNameError
from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.plan import plan_frame
from simdrive.eval.schema import TABLES
from simdrive.eval.store import RunStore
from simdrive.metrics.evaluate import Evaluation

ROWS = 12


def final_bytes(path: Path) -> dict[str, str]:
    names = [*(f"{table}.parquet" for table in TABLES), "plan.parquet", "config.yaml"]
    return {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}


def tree(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def create(path: Path) -> RunStore:
    return RunStore.create_or_open(path, CONFIG, plan())


def drive(path: Path, chunk: int) -> RunStore:
    """Do what a runner does: open, write what is pending in chunks, compact."""
    store = create(path)
    pending = store.pending_rows().tolist()
    for first in range(0, len(pending), chunk):
        store.write_part(tables_of(*pending[first : first + chunk]))
    store.compact()
    return store


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "reference"
    drive(path, ROWS)
    return path


@pytest.mark.parametrize("chunk", [1, 5, 7])
def test_bytes_do_not_depend_on_chunks(tmp_path: Path, reference: Path, chunk: int) -> None:
    drive(tmp_path / "run", chunk)
    assert final_bytes(tmp_path / "run") == final_bytes(reference)


def test_bytes_do_not_depend_on_the_order_of_parts(tmp_path: Path, reference: Path) -> None:
    store = create(tmp_path / "run")
    for rows in ([11, 2], [3, 4, 5, 0], [10, 9, 1], [8, 7, 6]):
        store.write_part(tables_of(*rows))
    store.compact()
    assert final_bytes(store.path) == final_bytes(reference)


class _Killed(BaseException):
    """Stands for SIGKILL: no handler of the store may catch it."""


def test_killed_at_every_single_step_and_started_again(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = final_bytes(reference)
    real_replace, real_unlink, real_mkdir = os.replace, Path.unlink, Path.mkdir
    countdown = [0]

    def step() -> None:
        countdown[0] -= 1
        if countdown[0] == 0:
            raise _Killed

    def replace(*args: Any) -> None:
        step()
        real_replace(*args)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        step()
        real_unlink(path, missing_ok=missing_ok)

    def mkdir(path: Path, *args: Any, **options: Any) -> None:
        step()
        real_mkdir(path, *args, **options)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    killed = 0
    for point in range(1, 200):
        path = tmp_path / f"run{point}"
        countdown[0] = point
        try:
            drive(path, 6)
        except _Killed:
            killed += 1
            countdown[0] = point // 2 + 2  # the second start is killed, too, somewhere else
            with contextlib.suppress(_Killed):
                drive(path, 4)
            countdown[0] = 0
            drive(path, 6)
            assert final_bytes(path) == expected, f"killed at step {point}"
            assert not list(path.rglob("*.tmp"))
            assert not list(path.rglob("part-*"))
            continue
        break
    assert killed > 25
    assert final_bytes(path) == expected


RUNNER = """
    import sys, time
    sys.path.insert(0, {unit!r})
    from pathlib import Path
    import test_eval_store as store_tests
    write_part = store_tests.RunStore.write_part
    def write_and_wait(store, tables):
        write_part(store, tables)
        time.sleep(0.3)
    store_tests.RunStore.write_part = write_and_wait
    store_tests.drive(Path({path!r}), 1)
"""


def test_sigkill_and_restart_ends_with_the_same_bytes(tmp_path: Path, reference: Path) -> None:
    path = tmp_path / "run"
    source = textwrap.dedent(RUNNER).format(unit=str(Path(__file__).parent), path=str(path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", source], env=environment)
    while not list(path.glob("episodes/part-*")):  # killed in the middle of its work
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(RunStore.open(path).pending_rows()) > 0
    drive(path, 5)
    assert final_bytes(path) == final_bytes(reference)


def test_log_round_trip_is_lossless(reference: Path) -> None:
    store = RunStore.open(reference)
    for entry in planned():
        assert_same(store.load_log(entry.key), log_of(entry))


def test_log_round_trip_before_compaction(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    store.write_part(tables_of(4, 2))
    reader = RunStore.open(tmp_path / "run")
    assert_same(reader.load_log(planned()[2].key), log_of(planned()[2]))
    with pytest.raises(IncompleteRunError, match="not done yet"):
        reader.load_log(planned()[3].key)


def assert_same(found: Any, expected: Any, name: str = "log") -> None:
    assert type(found) is type(expected), name
    if dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name), f"{name}.{field.name}")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)
    else:
        assert found == expected or (found != found and expected != expected), name


def test_tables_for_readers(reference: Path) -> None:
    store = RunStore.open(reference)
    episodes = store.episodes()
    assert episodes["row"].tolist() == list(range(ROWS))
    assert set(episodes["end"]) == {"contact", "time_limit"}
    assert episodes["contact"].tolist() == [0.0] * 6 + [1.0] * 6
    key = planned()[7].key
    steps, actors, requests = store.steps(key), store.actors(key), store.requests(key)
    assert len(steps) == 14
    assert set(steps["row"]) == {7}
    assert len(actors) == 2 * 14
    assert actors["actor"].tolist() == [1] * 14 + [2] * 14
    assert requests["status"].tolist() == ["ok"] * 4
    assert [len(points) for points in requests["plan_x_m"]] == [41, 20, 41, 41]
    with pytest.raises(UnknownNameError, match="episode key 'nothing'"):
        store.steps("nothing")


def test_pending_rows_and_status(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    assert store.status == "incomplete"
    assert store.progress() == (0, ROWS)
    with pytest.raises(IncompleteRunError, match="no episode is done yet"):
        store.episodes()
    store.write_part(tables_of(3, 0))
    assert store.pending_rows().tolist() == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    with pytest.raises(IncompleteRunError, match="10 of 12 planned episodes are not done"):
        store.compact()
    store.write_part(tables_of(*store.pending_rows().tolist()))
    assert store.status == "done"
    store.compact()
    store.compact()
    assert store.status == "complete"
    assert not list(store.path.rglob("part-*"))


def test_a_part_without_all_its_tables_does_not_count(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    store.write_part(tables_of(0, 1))
    next((store.path / "actors").glob("part-*")).unlink()
    assert len(store.pending_rows()) == ROWS
    again = create(store.path)
    assert not list((store.path / "episodes").iterdir())  # swept, so that it cannot be mistaken later
    assert len(again.pending_rows()) == ROWS


def test_rows_of_another_plan_are_refused(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    with pytest.raises(ValueError, match="is not row 13 of the plan"):
        store.write_part(tables_of(13, count=4))
    assert len(store.pending_rows()) == ROWS


def test_errors_stay_until_the_episode_is_done(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    store.record_error(2, "simulator", "ValueError: boom", "trace")
    note = RunStore.open(store.path).errors()[0]
    assert (note["row"], note["kind"], note["message"]) == (2, "simulator", "ValueError: boom")
    assert note["key"] == planned()[2].key
    assert 2 in store.pending_rows()
    store.write_part(tables_of(2))
    assert store.errors() == []


def test_maps_are_stored_once_with_the_same_bytes(tmp_path: Path) -> None:
    arrays = {"lanes": np.arange(6.0).reshape(2, 3), "kind": np.array([1, 2], dtype=np.int8)}
    stores = [create(tmp_path / name) for name in ("a", "b")]
    for store in stores:
        store.write_map("cafe", arrays)
        store.write_map("cafe", {"lanes": np.zeros(1)})  # the key names the content: kept as it is
        loaded = store.load_map("cafe")
        np.testing.assert_array_equal(loaded["lanes"], arrays["lanes"])
        assert loaded["kind"].dtype == np.int8
    assert (stores[0].path / "maps/cafe.npz").read_bytes() == (stores[1].path / "maps/cafe.npz").read_bytes()
    with pytest.raises(RunFolderError, match="no map beef"):
        stores[0].load_map("beef")


def test_a_run_can_be_moved(tmp_path: Path, reference: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(reference, moved)
    store = RunStore.open(moved)
    assert len(store.episodes()) == ROWS
    texts = [(moved / name).read_text(encoding="utf-8") for name in ("run.json", "config.yaml")]
    assert not any(str(reference) in text or str(Path.cwd()) in text for text in texts)


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    before = tree(store.path)
    other = CONFIG | {"latency": {"source": "constant", "delay_ms": [0, 200]}, "extra": 1}
    with pytest.raises(RunFolderError) as caught:
        RunStore.create_or_open(store.path, other, plan())
    assert "latency.delay_ms: [0, 400] -> [0, 200]" in str(caught.value)
    assert "extra: (not set) -> 1" in str(caught.value)
    assert tree(store.path) == before


def test_another_plan_is_refused(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    before = tree(store.path)
    keys = list(plan()["key"])
    keys[5] = "0" * 20
    changed = plan().assign(key=keys)
    with pytest.raises(RunFolderError, match="1 episodes have another key, first row 5"):
        RunStore.create_or_open(store.path, CONFIG, changed)
    with pytest.raises(RunFolderError, match="12 planned episodes -> 16"):
        RunStore.create_or_open(store.path, CONFIG, plan(4))
    assert tree(store.path) == before


def foreign(path: Path) -> None:
    (path / "notes.txt").write_text("mine")


def broken_json(path: Path) -> None:
    (path / "run.json").write_text("{")


def other_json(path: Path) -> None:
    (path / "run.json").write_text(json.dumps({"format": "something else"}))


def newer(path: Path) -> None:
    (path / "run.json").write_text(json.dumps({"format": "simdrive-run", "schema": 99}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (foreign, "not a run folder"),
        (broken_json, "cannot be read"),
        (other_json, "not one of simdrive's"),
        (newer, "schema version 99"),
    ],
)
def test_foreign_and_broken_folders_are_refused_untouched(tmp_path: Path, spoil: Any, message: str) -> None:
    path = tmp_path / "run"
    path.mkdir()
    spoil(path)
    before = tree(path)
    with pytest.raises(RunFolderError, match=message):
        create(path)
    with pytest.raises(RunFolderError, match=message):
        RunStore.open(path)
    assert tree(path) == before


def test_files_and_absent_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="is a file"):
        create(tmp_path / "file")
    with pytest.raises(RunFolderError, match="is no folder"):
        RunStore.open(tmp_path / "absent")


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    store.write_part(tables_of(0, 1))
    part = next((store.path / "episodes").glob("part-*"))
    part.write_bytes(b"PAR1 not really")
    with pytest.raises(RunFolderError, match=r"part-0000000-0000001\.parquet cannot be read"):
        store.pending_rows()


def test_a_broken_plan_is_named(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    (store.path / "plan.parquet").write_bytes(b"nothing")
    with pytest.raises(RunFolderError, match=r"plan\.parquet cannot be read"):
        RunStore.open(store.path)


def test_reading_changes_nothing(reference: Path) -> None:
    before = tree(reference)
    store = RunStore.open(reference)
    store.episodes()
    store.load_log(planned()[0].key)
    assert tree(reference) == before


def test_orphans_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    store = create(tmp_path / "run")
    living = store.path / "steps" / f".part.parquet.{os.getppid()}.tmp"
    dead = store.path / "steps" / ".part.parquet.999999999.tmp"
    for path in (living, dead):
        path.write_text("half")
    create(store.path)
    assert living.is_file()
    assert not dead.is_file()


def test_plans_with_gaps_or_doubles_are_refused(tmp_path: Path) -> None:
    keys = list(plan()["key"])
    doubled = plan().assign(key=[keys[0], *keys[:1], *keys[2:]])
    with pytest.raises(RunFolderError, match="1 episodes twice"):
        RunStore.create_or_open(tmp_path / "run", CONFIG, doubled)
    with pytest.raises(RunFolderError, match="numbered 0, 1, 2"):
        RunStore.create_or_open(tmp_path / "run", CONFIG, plan().iloc[1:])
    with pytest.raises(RunFolderError, match="lacks the columns seed"):
        RunStore.create_or_open(tmp_path / "run", CONFIG, plan().drop(columns="seed"))
    assert not (tmp_path / "run").exists()


def test_episodes_without_other_actors_and_requests_are_stored(tmp_path: Path) -> None:
    entries = planned(1)[:2]
    logs = [with_fields(make_log(rows), case=entry.case) for rows, entry in zip((3, 1), entries, strict=True)]
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan_frame(entries))
    for entry, log in zip(entries, logs, strict=True):
        store.write_part(encode([EpisodeResult(entry, log, Evaluation({}, {}))]))
    store.compact()
    assert len(store.requests(entries[0].key)) == 0
    for entry, log in zip(entries, logs, strict=True):
        assert_same(store.load_log(entry.key), log)


def test_an_empty_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no episode"):
        RunStore.create_or_open(tmp_path / "run", CONFIG, plan().iloc[:0])
    assert not (tmp_path / "run").exists()


def test_extra_columns_of_a_plan_are_kept(tmp_path: Path) -> None:
    wide = plan().assign(oracle_progress_m=np.linspace(0.0, 1.0, ROWS))
    RunStore.create_or_open(tmp_path / "run", CONFIG, wide)
    assert RunStore.open(tmp_path / "run").plan["oracle_progress_m"].tolist() == wide["oracle_progress_m"].tolist()


def test_size_of_an_episode_on_disk_is_bounded(reference: Path) -> None:
    rows = sum(len(result_of(row).log.t_us) for row in range(ROWS))
    size = sum((reference / f"{table}.parquet").stat().st_size for table in TABLES[1:])
    assert size / rows < 1500  # bytes per 10 Hz row, plans included
