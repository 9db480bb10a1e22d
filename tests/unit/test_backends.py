"""Where a run is driven: what each backend promises, shown without Ray, submitit or a cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_eval_runner import Silent, request
from typer.testing import CliRunner

from simdrive.build import build, config_names
from simdrive.cli import app, doctor
from simdrive.errors import IncompleteRunError, ParameterError, RunFolderError, SimdriveError
from simdrive.eval import extras, warm
from simdrive.eval.backends import ray_tasks, submitted
from simdrive.eval.backends.backend import Effort
from simdrive.eval.backends.local import Local
from simdrive.eval.backends.model_actors import ModelActors, is_model
from simdrive.eval.backends.ray_tasks import RayTasks
from simdrive.eval.backends.shard_job import DriveShard, ShardTask
from simdrive.eval.backends.submitted import Submitit
from simdrive.eval.grid import AgentConfig
from simdrive.eval.lock import is_busy, only_writer
from simdrive.eval.runner import RunRequest
from simdrive.eval.schema import TABLES
from simdrive.eval.work import ChunkTask
from simdrive.streams import canonical_json


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = importlib.import_module

    def absent(name: str, *rest: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(extras, "importlib", SimpleNamespace(import_module=absent))


@pytest.mark.parametrize("name", ["ray", "submitit"])
def test_an_absent_extra_ends_the_command_with_the_line_that_installs_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, name)
    with pytest.raises(SimdriveError, match=rf"{name} is not installed: pip install .*simdrive\[{name}\]"):
        build("backend", name).check()
    words = ["eval", "suite=smoke", "agents=[idm]", f"backend={name}", f"out={tmp_path / 'run'}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    assert f"simdrive[{name}]" in result.stderr.replace("\n", "")
    assert not (tmp_path / "run").exists()


def test_doctor_names_the_extras_of_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "version", absent)
    remedies = {finding.name: (finding.state, finding.remedy) for finding in doctor._extras()}
    for name in ("ray", "submitit"):
        assert remedies[name] == ("absent", f"pip install 'simdrive[{name}]'")


def test_every_backend_says_what_it_drives_with() -> None:
    assert set(config_names("backend")) == {"local", "ray", "submitit"}
    build("backend", "local").check()
    result = CliRunner().invoke(app, ["eval", "backend=slurm"])
    assert result.exit_code == 2
    assert "local, ray, submitit" in result.stderr


# --- Ray ---------------------------------------------------------------------------------------------------------


class DeadError(Exception):
    pass


class OtherError(Exception):
    pass


@dataclass
class FakeRay:
    """Does tasks in this process; those in ``fatal`` cost their worker so many times."""

    fatal: dict[Any, int] = field(default_factory=dict)
    gpus: int = 0
    done: list[Any] = field(default_factory=list)
    most: int = 0
    stopped: bool = False
    actors: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = (*ray_tasks._DEATHS, "RayTaskError")
        self.exceptions = SimpleNamespace(RayError=(DeadError, OtherError), **dict.fromkeys(names, DeadError))
        self.exceptions.RayTaskError = type("RayTaskError", (Exception,), {})

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        self.options = options

    def shutdown(self) -> None:
        self.stopped = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0, "GPU": float(self.gpus)} if self.gpus else {"CPU": 2.0}

    def remote(self, *target: Any, **_: Any) -> Any:
        if target:  # an actor's class
            return SimpleNamespace(options=lambda **kw: SimpleNamespace(remote=lambda: self._acting(kw)))
        return lambda function: SimpleNamespace(remote=lambda *words: _Reference(function, words))

    def _acting(self, options: dict[str, Any]) -> dict[str, Any]:
        self.actors.append(options)
        return options

    def wait(self, references: list[_Reference], num_returns: int) -> tuple[list[_Reference], list[_Reference]]:
        self.most = max(self.most, len(references))
        return references[-1:], references[:-1]

    def get(self, reference: _Reference) -> Any:
        task = reference.words[-1]
        self.done.append(task)
        if self.fatal.get(task, 0):
            self.fatal[task] -= 1
            raise DeadError
        return reference.function(*reference.words)


@dataclass(frozen=True, eq=False)
class _Reference:
    function: Callable[..., Any]
    words: tuple[Any, ...]


def crew(monkeypatch: pytest.MonkeyPatch, fake: FakeRay, workers: int = 2) -> RayTasks:
    monkeypatch.setattr(ray_tasks, "need_extra", lambda _: fake)
    monkeypatch.setattr(ray_tasks, "_settle", lambda folder: None)
    monkeypatch.setattr(warm, "ensure_warm", lambda: None)
    return RayTasks(workers)


def squared(number: int) -> int:
    if number < 0:
        raise ParameterError(f"{number} is below 0")
    return number * number


def test_tasks_of_ray_are_done_so_many_at_a_time_and_ray_goes_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    with crew(monkeypatch, fake) as tasks:
        assert sorted(tasks.map(squared, range(5))) == [0, 1, 4, 9, 16]
        stopped_before = fake.stopped
    assert (stopped_before, fake.stopped) == (False, True)
    assert fake.most == 2
    assert (fake.options["address"], fake.options["num_cpus"]) == ("local", 2)


def test_ray_is_not_started_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    with crew(monkeypatch, fake) as tasks:
        assert list(tasks.map(squared, [])) == []
    assert not fake.stopped


def test_a_task_that_loses_its_worker_is_done_once_more_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(fatal={1: 1, 2: 2})
    with crew(monkeypatch, fake) as tasks:
        found = list(tasks.map(squared, [1, 2, 3], lambda task, message: -task))
    assert sorted(found) == [-2, 1, 9]
    assert [fake.done.count(task) for task in (1, 2, 3)] == [2, 2, 1]
    fake = FakeRay(fatal={1: 2})
    with crew(monkeypatch, fake) as tasks, pytest.raises(IncompleteRunError, match="a Ray worker died"):
        list(tasks.map(squared, [1]))


def test_errors_come_back_as_they_were_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with crew(monkeypatch, FakeRay()) as tasks, pytest.raises(ParameterError, match=r"^-1 is below 0$"):
        list(tasks.map(squared, [-1]))


def chunk(**config: Any) -> ChunkTask:
    latency: Any = None
    return ChunkTask("run", (), AgentConfig("a", canonical_json({"_target_": "x.Y", **config})), latency, ())


def test_chunks_of_models_go_to_the_gpus_in_turn_and_nothing_else_does() -> None:
    fake = FakeRay(gpus=2)
    actors = ModelActors(fake)
    for task in (chunk(), chunk(model="m", url="http://h/v1"), chunk(model="m", device="cpu"), 7):
        assert actors.served(task) is task
    assert not fake.actors  # none is needed yet
    served = [actors.served(chunk(model="m")) for _ in range(3)]
    assert [task.agent.config.count("simdrive-models-0") for task in served] == [1, 0, 1]
    assert [(options["name"], options["num_gpus"]) for options in fake.actors] == [
        ("simdrive-models-0", 1), ("simdrive-models-1", 1),
    ]  # fmt: skip
    assert served[0].agent.name == "a"
    assert not is_model(served[0].agent)  # its halves, if they are tried again, stay as they are
    assert ModelActors(FakeRay()).served(task := chunk(model="m")) is task


# --- submitit ----------------------------------------------------------------------------------------------------


class FailedJobError(Exception):
    pass


@dataclass(eq=False)
class FakeJob:
    """A job that has done its work, or died."""

    work: Callable[[], Any]
    dies: bool
    job_id: str = "7"
    paths: Any = field(default_factory=lambda: SimpleNamespace(stderr="7.err"))

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        if self.dies:
            raise FailedJobError
        return self.work()


class FakeSubmitit:
    """Does jobs in this process; the first ``deaths`` jobs of the second shard die."""

    def __init__(self) -> None:
        self.deaths, self.jobs = 0, 0
        self.core = SimpleNamespace(utils=SimpleNamespace(
            FailedJobError=FailedJobError, UncompletedJobError=FailedJobError, FailedSubmissionError=FailedJobError
        ))  # fmt: skip

    def AutoExecutor(self, folder: Path, cluster: str | None) -> FakeSubmitit:
        self.cluster = cluster or "local"
        return self

    def update_parameters(self, **parameters: Any) -> None:
        self.parameters = parameters

    def map_array(self, function: Callable[[Any], Any], tasks: list[Any]) -> list[FakeJob]:
        self.jobs += len(tasks)
        jobs = []
        for task in tasks:
            dies = self.deaths > 0 and Path(task.out).name.startswith("2-of")
            self.deaths -= dies
            jobs.append(FakeJob(lambda task=task: function(task), dies))
        return jobs


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSubmitit:
    fake = FakeSubmitit()
    monkeypatch.setattr(submitted, "need_extra", lambda _: fake)
    monkeypatch.setattr("simdrive.eval.backends.jobs._LOOK_S", 0.0)
    return fake


def small() -> RunRequest:
    return request(["idm"], ["zero"])


def table_bytes(run: Path) -> dict[str, bytes]:
    return {name: (run / f"{name}.parquet").read_bytes() for name in ("plan", *TABLES)}


def test_jobs_make_the_run_of_one_machine_even_if_one_dies(fake: FakeSubmitit, tmp_path: Path) -> None:
    Local().drive(small(), tmp_path / "local", Silent(), Effort())
    fake.deaths, out = 2, tmp_path / "jobs"
    with pytest.raises(IncompleteRunError, match=r"1 of 3 shards are not complete(.|\n)*its job 7 died \(log: 7.err\)"):
        Submitit(shards=8).drive(small(), out, Silent(), Effort())
    assert fake.jobs == 3 + 1  # as many shards as there are cases, and a second try
    assert not out.exists()
    with pytest.raises(RunFolderError, match=r"use backend.shards=3 to go on"):
        Submitit(shards=2).drive(small(), out, Silent(), Effort())
    Submitit(shards=8).drive(small(), out, Silent(), Effort(provenance={"a": 1}))
    assert fake.jobs == 4 + 1  # what was done stayed
    assert table_bytes(out) == table_bytes(tmp_path / "local")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "local"]  # the shards are gone
    Submitit(shards=8).drive(small(), out, Silent(), Effort())
    assert fake.jobs == 5  # it is complete


def test_a_job_with_other_code_than_the_command_drives_nothing(tmp_path: Path) -> None:
    task = ShardTask(small().part("1/3"), str(tmp_path / "1-of-3"), Effort(), "other")
    assert "the code has changed" in DriveShard()(task).message
    assert not list(tmp_path.iterdir())


def test_jobs_are_asked_for_as_said(fake: FakeSubmitit) -> None:
    backend = Submitit(cluster="slurm", at_once=5, mem_gb=4.0, slurm={"partition": "low"})
    backend._jobs(Path("x.shards"), Effort(workers=3))
    wanted = {"cpus_per_task": 3, "mem_gb": 4.0, "slurm_array_parallelism": 5, "slurm_partition": "low"}
    assert wanted.items() <= fake.parameters.items()
    assert fake.parameters["gpus_per_node"] is None


def test_what_cannot_be_cut_into_jobs_is_refused(fake: FakeSubmitit, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="leave one of them out"):
        Submitit().drive(small().part("1/2"), tmp_path / "run", Silent(), Effort())
    stopping = replace(small(), stop=object())
    with pytest.raises(ParameterError, match="looks at all cases"):
        Submitit().drive(stopping, tmp_path / "run", Silent(), Effort())
    for wrong in ({"shards": 0}, {"at_once": True}, {"cluster": "lsf"}):
        with pytest.raises(ParameterError, match=rf"backend.{next(iter(wrong))}"):
            Submitit(**wrong)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_writer_is_busy(tmp_path: Path) -> None:
    assert not is_busy(tmp_path / "run")
    with only_writer(tmp_path / "run"):
        assert is_busy(tmp_path / "run")
    assert not is_busy(tmp_path / "run")
