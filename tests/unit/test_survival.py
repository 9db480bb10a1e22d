"""Whatever happens to a run: nothing finished is lost, nothing counts twice, the exit code tells, the next call ends it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fault_kit import Nursery, hashes, parts, wait_for

from simdrive.eval.schema import SCHEMA_VERSION

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
GRID = ("suite=smoke", "scenarios=[cut_in]", "cases=2", "latency.delay_ms=[0,200]", "batch=2")
WORDS = ("eval", *GRID, "agents=[idm,expert]")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("children"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    nursery.run(*WORDS, f"out={out}")
    return out


def faulty(folder: Path, fault: str, until: Path | None = None) -> str:
    path = folder / f"{fault}.yaml"
    path.write_text(
        f"_target_: faulty_agents.Faulty\nfault: {fault}\n" + (f"until: {until}\n" if until is not None else "")
    )
    return str(path)


def interrupted(nursery: Nursery, out: Path, number: int = signal.SIGKILL) -> tuple[int, str]:
    """Start the run and stop it in the middle; return its exit code and what it said."""
    child = nursery.start(*WORDS, f"out={out}")
    wait_for(lambda: parts(out) >= 2)
    child.signal(number)
    return child.wait(), child.said


def killed_at_random(nursery: Nursery, words: tuple[str, ...], out: Path, kills: int, longest_s: float) -> list[Path]:
    """Kill runs ``kills`` times at random moments; return the folders, each finished in the end."""
    draws, folders, count = random.Random(kills), [out / "0"], 0
    while count < kills:
        child = nursery.start(*words, f"out={folders[-1]}")
        time.sleep(draws.uniform(0.0, longest_s))
        child.signal(signal.SIGKILL)
        code = child.wait()
        assert code in (0, -signal.SIGKILL), child.said
        count += code != 0
        if code == 0:
            folders.append(out / str(len(folders)))
    nursery.run(*words, f"out={folders[-1]}")
    return folders


def test_five_kills_at_random_moments(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    for folder in killed_at_random(nursery, WORDS, tmp_path, 5, 1.0):
        assert hashes(folder) == hashes(undisturbed)
        assert not list(folder.rglob("*.tmp"))


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments_over_two_hundred_episodes(nursery: Nursery, tmp_path: Path) -> None:
    words = ("eval", "suite=smoke", "scenarios=[cut_in,pedestrian_occluded]", "cases=25", "agents=[idm,expert]",
             "latency.delay_ms=[0,200]", "batch=4")  # fmt: skip
    began = time.monotonic()
    nursery.run(*words, f"out={tmp_path / 'undisturbed'}")
    took_s = time.monotonic() - began
    expected = hashes(tmp_path / "undisturbed")
    folders = killed_at_random(nursery, words, tmp_path / "killed", 100, 0.3 * took_s)
    assert all(hashes(folder) == expected for folder in folders)
    assert len(pd.read_parquet(folders[-1] / "episodes.parquet")) == 200


def test_ctrl_c_says_how_to_go_on(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, said = interrupted(nursery, out, signal.SIGINT)
    assert code == 130
    assert "The same command continues" in said
    assert "Traceback" not in said
    done = parts(out)
    assert done >= 2
    nursery.run(*WORDS, f"out={out}")
    assert hashes(out) == hashes(undisturbed)


def test_a_worker_that_dies_costs_nothing_but_time(nursery: Nursery, tmp_path: Path) -> None:
    agent = faulty(tmp_path, "die_once", tmp_path / "died")
    words = ("eval", *GRID[:-1], "batch=3", "agents=[idm," + agent + "]")
    nursery.run(*words, f"out={tmp_path / 'hurt'}", "workers=2")
    assert (tmp_path / "died").exists()
    nursery.run(*words, f"out={tmp_path / 'undisturbed'}")  # the file is there now
    assert hashes(tmp_path / "hurt") == hashes(tmp_path / "undisturbed")


@pytest.mark.slow
def test_an_agent_that_kills_every_worker_takes_no_other_with_it(nursery: Nursery, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    words = ("eval", *GRID, "workers=2", f"agents=[idm,{faulty(tmp_path, 'die', mended)}]")
    child = nursery.start(*words, f"out={tmp_path / 'run'}")
    assert child.wait() == 4, child.said
    assert "a worker process died" in child.said
    assert "Traceback" not in child.said
    assert shown(nursery, tmp_path / "run") == {"idm": 4}
    mended.touch()
    nursery.run(*words, f"out={tmp_path / 'run'}")
    assert shown(nursery, tmp_path / "run") == {"idm": 4, "die": 4}


def shown(nursery: Nursery, run: Path) -> dict[str, int]:
    """Return how many episodes of each agent count."""
    frames = [pd.read_parquet(path) for path in [*run.glob("episodes/part-*"), *run.glob("episodes.parquet")]]
    episodes = pd.concat(frames)
    assert episodes["key"].is_unique
    counts = {str(name): int(count) for name, count in episodes["agent"].value_counts().items()}
    return {Path(name).stem if name.endswith(".yaml") else name: count for name, count in counts.items()}


NONSENSE = {"raise": "exception", "nan": "invalid", "garbage": "unparsable", "shape": "exception"}


def test_agents_that_answer_nonsense_end_no_run(nursery: Nursery, tmp_path: Path) -> None:
    out = tmp_path / "run"
    agents = ",".join(["idm", *(faulty(tmp_path, fault) for fault in NONSENSE)])
    nursery.run("eval", *GRID[:2], "cases=1", f"agents=[{agents}]", "latency.delay_ms=0", f"out={out}")
    healthy, *broken = pd.read_parquet(out / "episodes.parquet").to_dict("records")
    for episode, column in zip(broken, NONSENSE.values(), strict=True):
        assert healthy[f"requests_{column}"] == 0
        assert episode[f"requests_{column}"] > 0
        assert episode["requests_ok"] == 0
    report = nursery.start("report", str(out), "-o", str(tmp_path / "r.html"))
    assert report.wait() == 1, report.said  # written, and says that these figures are none
    assert "INVALID" in report.said
    assert "tolerated" in report.said
    assert "\x00" not in (tmp_path / "r.html").read_text()


def test_an_agent_that_hangs_is_left_to_the_next_run(nursery: Nursery, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    words = ("eval", *GRID[:2], "cases=2", "latency.delay_ms=0", "agent_timeout_s=2",
             f"agents=[{faulty(tmp_path, 'hang', mended)},idm]")  # fmt: skip
    child = nursery.start(*words, f"out={tmp_path / 'hurt'}")
    assert child.wait() == 4, child.said
    assert "has not answered for 2 s" in child.said
    assert "agent_timeout_s" in child.said
    assert "Traceback" not in child.said
    assert len(list((tmp_path / "hurt/errors").glob("*.json"))) == 2
    mended.touch()
    nursery.run(*words, f"out={tmp_path / 'hurt'}")
    nursery.run(*words, f"out={tmp_path / 'undisturbed'}")
    assert hashes(tmp_path / "hurt") == hashes(tmp_path / "undisturbed")
    assert not list((tmp_path / "hurt/errors").iterdir())


class MortalServer:
    """Serves a model that says the same to all, for some requests; then nothing is left of it."""

    def __init__(self, life: float, port: int = 0) -> None:
        left = [life]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say({"data": [{"id": "m"}]})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                left[0] -= 1
                if left[0] < 0:
                    threading.Thread(target=server.shutdown).start()
                    server.socket.close()
                    self.connection.close()
                    return
                self._say({"choices": [{"message": {"content": "hello"}}], "usage": {"prompt_tokens": 9}})

            def _say(self, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

            def finish(self) -> None:
                if left[0] >= 0:
                    super().finish()

        server = self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


def test_a_server_that_dies_leaves_its_episodes_to_the_next_run(nursery: Nursery, tmp_path: Path) -> None:
    first = MortalServer(60)
    agent = tmp_path / "served.yaml"
    agent.write_text(
        f"_target_: simdrive.agents.api.ApiVlm\nurl: http://127.0.0.1:{first.port}/v1\nmodel: m\nname: served\n"
        "text_only: true\nretries: 0\n"
    )
    words = ("eval", *GRID[:2], "cases=3", "latency.delay_ms=200", f"agents=[{agent},idm]", "batch=1")
    child = nursery.start(*words, f"out={tmp_path / 'hurt'}")
    assert child.wait() == 4, child.said
    assert "start the server again" in child.said
    assert "Traceback" not in child.said
    counts = shown(nursery, tmp_path / "hurt")
    assert counts["idm"] == 3
    second = MortalServer(float("inf"), first.port)
    nursery.run(*words, f"out={tmp_path / 'hurt'}")
    nursery.run(*words, f"out={tmp_path / 'undisturbed'}")
    second.server.shutdown()
    second.server.server_close()
    assert hashes(tmp_path / "hurt") == hashes(tmp_path / "undisturbed")


def test_files_that_may_not_grow_end_a_run_with_a_reason(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    child = nursery.start(*WORDS, f"out={out}", file_bytes=16_000)
    assert child.wait() == 4, child.said
    assert "cannot be written (File too large)" in child.said
    assert "Traceback" not in child.said
    assert not list(out.rglob("*.tmp"))
    nursery.run(*WORDS, f"out={out}")
    assert hashes(out) == hashes(undisturbed)


def test_a_full_disk_ends_a_run_with_a_reason(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        child = nursery.start(*WORDS, f"out={disk / 'run'}")
        assert child.wait() == 4, child.said
        assert "No space left on device" in child.said
        assert "Traceback" not in child.said
        assert parts(disk / "run") > 0
        subprocess.run([mount, "-o", "remount,size=50m", str(disk)], check=True)
        nursery.run(*WORDS, f"out={disk / 'run'}")
        assert hashes(disk / "run") == hashes(undisturbed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_cut_off_files_are_made_again(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    interrupted(nursery, out)
    draws = random.Random(5)
    (out / "errors/x.json").write_text('{"key"')
    hurt = [sorted(out.glob(f"{name}/part-*"))[0] for name in ("episodes", "steps", "requests")]
    hurt = [*hurt, next(out.glob("maps/*.npz")), out / "config.yaml", out / "plan.parquet"]
    for path in hurt:
        os.truncate(path, draws.randrange(path.stat().st_size))
    assert "cut-off files" in nursery.run(*WORDS, f"out={out}").said
    assert hashes(out) == hashes(undisturbed)
    assert not list((out / "errors").iterdir())
    for path in [out / "steps.parquet", next(out.glob("maps/*.npz"))]:  # after all was done
        os.truncate(path, path.stat().st_size // 2)
    assert "steps.parquet" in nursery.run(*WORDS, f"out={out}").said
    assert hashes(out) == hashes(undisturbed)
    maps = {path.name: path.read_bytes() for path in undisturbed.glob("maps/*.npz")}
    assert {path.name: path.read_bytes() for path in out.glob("maps/*.npz")} == maps


def test_a_run_that_lost_what_it_is_known_by_is_refused_by_name(nursery: Nursery, tmp_path: Path) -> None:
    out = tmp_path / "run"
    interrupted(nursery, out)
    bare = json.dumps({"format": "simdrive-run", "schema": SCHEMA_VERSION})
    for content, message in (("", "run.json cannot be read"), (bare, "lacks")):
        (out / "run.json").write_text(content)
        child = nursery.start(*WORDS, f"out={out}")
        assert child.wait() == 2
        assert message in child.said
        assert "Traceback" not in child.said


@pytest.mark.slow
def test_clocks_may_jump(nursery: Nursery, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    interrupted(nursery, out)
    for number, path in enumerate(sorted(out.rglob("*"))):
        os.utime(path, (4e9, 4e9) if number % 2 else (1e6, 1e6))
    nursery.run(*WORDS, f"out={out}", clock_jumps=True)
    assert hashes(out) == hashes(undisturbed)


def test_a_second_process_on_a_folder_is_refused(nursery: Nursery, tmp_path: Path) -> None:
    out, go = tmp_path / "run", tmp_path / "go"
    words = ("eval", *GRID[:2], "cases=2", f"agents=[idm,{faulty(tmp_path, 'wait', go)}]", "latency.delay_ms=0")
    first = nursery.start(*words, f"out={out}")
    wait_for(lambda: parts(out) >= 1)
    second = nursery.start(*words, f"out={out}")
    assert second.wait() == 2
    assert "another process is writing" in second.said
    go.touch()
    assert first.wait() == 0, first.said
    assert shown(nursery, out) == {"idm": 2, "wait": 2}


@pytest.mark.slow
def test_four_shards_merged_are_the_run_of_one_machine(nursery: Nursery, tmp_path: Path) -> None:
    words, undisturbed = ("eval", "cases=4", *GRID[:2], *GRID[3:], "agents=[idm,expert]"), tmp_path / "undisturbed"
    nursery.run(*words, f"out={undisturbed}")
    folders = [str(tmp_path / f"shard{number}") for number in (1, 2, 3, 4)]
    for number, folder in enumerate(folders, 1):
        nursery.run(*words, f"shard={number}/4", f"out={folder}")
    merge, out = ("merge", "-o", str(tmp_path / "run")), tmp_path / "run"
    missing = nursery.start(*merge, *folders[:3])
    assert missing.wait() == 4
    assert "4/4" in missing.said
    assert not out.exists()
    twice = nursery.start(*merge, *folders, folders[0])
    assert twice.wait() == 2
    assert "are both shard 1/4" in twice.said
    nursery.run(*merge, *reversed(folders))
    assert hashes(out) == hashes(undisturbed)
    assert {path.name for path in out.glob("maps/*")} == {path.name for path in undisturbed.glob("maps/*")}
    nursery.run(*words, f"out={out}")  # the whole command finds it complete
    assert hashes(out) == hashes(undisturbed)
