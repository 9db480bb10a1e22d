"""The same small run by every backend, with the same bytes, also where workers and commands are killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_kit import finish, hashes, killed_after

pytestmark = pytest.mark.slow

WORDS = ("suite=smoke", "scenarios=[cut_in,pedestrian_occluded]", "cases=4", "agents=[idm,expert]",
         "latency.delay_ms=[0,200]", "batch=3")  # fmt: skip
JOBS = ("backend=submitit", "backend.cluster=local", "backend.shards=3", "backend.at_once=2")
MODELLED = '''
import os
from pathlib import Path

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.types import AgentCard


class Modelled(ConstantSpeed):
    """Drives at constant speed and leaves the number of the process that it lives in."""

    def __init__(self, model, told, weight_hash=""):
        super().__init__()
        self.card = AgentCard("modelled", "model", "", {}, weight_hash)
        Path(told, str(os.getpid())).touch()
'''


def ray_or_skip() -> Any:
    return pytest.importorskip("ray", reason="the extra ray is not installed")


def submitit_or_skip() -> Any:
    return pytest.importorskip("submitit", reason="the extra submitit is not installed")


def faulty(folder: Path) -> str:
    """Return an agent that ends the process it is in, once."""
    path = folder / "die_once.yaml"
    path.write_text(f"_target_: faulty_agents.Faulty\nfault: die_once\nuntil: {folder / 'died'}\n")
    return f"agents=[idm,{path}]"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return finish(tmp_path_factory.mktemp("local") / "run", (*WORDS, "workers=2"))


def test_shards_merged(expected: dict[str, str], tmp_path: Path) -> None:
    folders = [tmp_path / f"part{number}" for number in range(1, 5)]
    for number, folder in enumerate(folders, 1):
        finish(folder, (*WORDS, f"shard={number}/4"))
    merge = [sys.executable, "-m", "simdrive", "merge", *map(str, folders), "-o", str(tmp_path / "whole")]
    subprocess.run(merge, check=True, stdout=subprocess.DEVNULL)
    assert hashes(tmp_path / "whole") == expected


def test_submitit(expected: dict[str, str], tmp_path: Path) -> None:
    submitit_or_skip()
    assert finish(tmp_path / "run", (*WORDS, *JOBS)) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert finish(tmp_path / "run", (*WORDS, *JOBS)) == expected  # complete: no job is sent


def test_submitit_goes_on_when_the_command_was_killed(expected: dict[str, str], tmp_path: Path) -> None:
    submitit_or_skip()
    killed_after(2, tmp_path, tmp_path / "run", (*WORDS, *JOBS))
    assert finish(tmp_path / "run", (*WORDS, *JOBS)) == expected


def test_submitit_gives_a_job_that_died_another_try(tmp_path: Path) -> None:
    submitit_or_skip()
    words = (*WORDS[:3], "latency.delay_ms=200", faulty(tmp_path))
    hurt = finish(tmp_path / "hurt", (*words, *JOBS))
    assert (tmp_path / "died").exists()
    assert hurt == finish(tmp_path / "undisturbed", words)


def test_ray(expected: dict[str, str], tmp_path: Path) -> None:
    ray_or_skip()
    assert finish(tmp_path / "run", (*WORDS, "backend=ray", "workers=2")) == expected


def test_ray_goes_on_when_the_command_was_killed(expected: dict[str, str], tmp_path: Path) -> None:
    ray_or_skip()
    killed_after(2, tmp_path, tmp_path / "run", (*WORDS, "backend=ray", "workers=2"))
    done = len(list(tmp_path.rglob("episodes/part-*")))
    assert done >= 2
    assert finish(tmp_path / "run", (*WORDS, "workers=1")) == expected  # by another backend


def test_ray_loses_nothing_with_a_worker(tmp_path: Path) -> None:
    ray_or_skip()
    words = (*WORDS[:3], "latency.delay_ms=200", faulty(tmp_path), "batch=2")
    hurt = finish(tmp_path / "hurt", (*words, "backend=ray", "workers=2"))
    assert (tmp_path / "died").exists()
    assert hurt == finish(tmp_path / "undisturbed", words)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_model_answers_all_workers_from_one_actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is told of a GPU that is not there: the model does not need it."""
    ray = ray_or_skip()
    from simdrive.eval.backends.backend import Effort
    from simdrive.eval.backends.local import Local
    from simdrive.eval.backends.ray_run import Ray

    told, config = tmp_path / "told", tmp_path / "modelled.yaml"
    told.mkdir()
    (tmp_path / "modelled.py").write_text(MODELLED)
    config.write_text(f"_target_: modelled.Modelled\nmodel: none\nweight_hash: abc\ntold: {told}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = small_request(str(config))
    Local().drive(wanted, tmp_path / "local", Silent(), Effort())
    for note in told.iterdir():
        note.unlink()
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        Ray().drive(wanted, tmp_path / "ray", Silent(), Effort(workers=2, batch=2))
    finally:
        ray.shutdown()
    assert len(list(told.iterdir())) == 1
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "local")


def small_request(agent: str) -> Any:
    from simdrive.build import load_config
    from simdrive.eval.grid import agent_configs, latency_configs
    from simdrive.eval.runner import RunRequest
    from simdrive.scenarios.sampling import sample_cases

    source = load_config("latency", "constant")
    latencies = latency_configs("constant", source, ["streaming"], "follow_plan", False)
    return RunRequest("test", 1, tuple(sample_cases("cut_in", 6, seed=3)), agent_configs([agent, "idm"]), latencies)


class Silent:
    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass
