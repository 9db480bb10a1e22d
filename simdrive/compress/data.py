"""Makes a data folder: cases of a suite in shuffled shards, over worker processes; what is there is not made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simdrive.build import build
from simdrive.compress.collect import Keeping, collect
from simdrive.compress.samples import Pictured, split_of, write_shard
from simdrive.errors import ParameterError
from simdrive.eval.pool import Pool
from simdrive.scenarios.sampling import load_suite, suite_cases
from simdrive.streams import stream
from simdrive.types import Case

CONTROL = "control"


@dataclass(frozen=True)
class DataRequest:
    """Everything that decides what is in a data folder."""

    suite: str
    seed: int
    cases: int
    pictured: Pictured
    control: float = 0.3
    agent: str | None = None
    model_share: float = 0.8
    labels: str | None = None  # model whose answers are learned instead of the expert's (simdrive.compress.labels)
    number: int = 0
    batch: int = 32
    keeping: Keeping = Keeping()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        if self.cases < 1 or self.batch < 1:
            raise ParameterError(f"cases and batch must be at least 1, got {self.cases} and {self.batch}")
        if not 0.0 <= self.model_share <= 1.0 or self.control < 0.0:
            raise ParameterError("model_share must be within 0 and 1, control at least 0")
        if min(self.keeping.critical, self.keeping.calm) < 1:
            raise ParameterError("keep_critical and keep_calm must be at least 1")


@dataclass(frozen=True)
class ShardTask:
    """One shard: some cases, and where their samples go."""

    path: str
    cases: tuple[Case, ...]
    request: DataRequest


@dataclass(frozen=True)
class ShardResult:
    """How many samples a shard has, and of how many cases."""

    samples: int
    cases: int


def data_cases(request: DataRequest) -> tuple[Case, ...]:
    """Return the cases of a data folder, mixed: every shard holds a bit of every scenario."""
    suite = load_suite(request.suite)
    entries = tuple(replace(entry, cases=request.cases) for entry in suite.entries)
    cases = suite_cases(replace(suite, entries=entries, seed=request.seed))
    calm = load_suite(CONTROL)
    count = round(request.control * len(cases) / len(calm.entries))
    if count:
        free = tuple(replace(entry, cases=count) for entry in calm.entries)
        cases += suite_cases(replace(calm, entries=free, seed=request.seed))
    order = stream(cases[0].key, "data.cases", request.number).permutation(len(cases))
    return tuple(cases[k] for k in order.tolist())


def make_data(request: DataRequest, out: Path, workers: int = 1) -> Iterator[ShardResult]:
    """Yield the shards of a folder as they are made.

    Raises:
        UnknownNameError: if the suite, the agent or the model of ``labels`` does not exist.
    """
    yield from make_samples(data_cases(request), request, out, workers)


def make_samples(cases: tuple[Case, ...], request: DataRequest, out: Path, workers: int = 1) -> Iterator[ShardResult]:
    """Yield the shards of a folder of given cases as they are made; suite and numbers of ``request`` do not count.

    Raises:
        UnknownNameError: if the agent or the model of ``labels`` does not exist.
    """
    out.mkdir(parents=True, exist_ok=True)
    tasks = [
        ShardTask(str(_path(out, request, number)), cases[start : start + request.batch], request)
        for number, start in enumerate(range(0, len(cases), request.batch))
    ]
    if request.labels:  # a wrong name shall not be told after hours of driving
        from simdrive.compress.labels import check_labeller

        check_labeller(request.labels, request.pictured)
    missing = [task for task in tasks if not Path(task.path).is_file()]
    with Pool(workers) as pool:
        yield from pool.map(make_shard, missing)


def make_shard(task: ShardTask) -> ShardResult:
    """Drive the cases of one shard and write it."""
    request = task.request
    model = build("agent", request.agent) if request.agent else None
    rows = collect(
        task.cases, request.pictured, model=model, keeping=request.keeping, model_share=request.model_share,
        number=request.number,
    )  # fmt: skip
    if request.labels:
        from simdrive.compress.labels import answered  # torch comes with it, and the expert's labels need none

        rows = answered(rows, request.pictured, request.labels)
    write_shard(Path(task.path), rows, request.pictured, request.labels or "")
    return ShardResult(len(rows), len(task.cases))


def splits(cases: tuple[Case, ...]) -> dict[str, int]:
    """Return how many cases fall to each split."""
    names, counts = np.unique([split_of(case.key) for case in cases], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _path(out: Path, request: DataRequest, number: int) -> Path:
    kind = ("model" if request.agent else "expert") + ("-answered" if request.labels else "")
    return out / f"{kind}-{request.seed}-{request.number}-{number:04d}.parquet"
