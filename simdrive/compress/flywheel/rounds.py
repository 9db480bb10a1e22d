"""The rounds of a flywheel: watch, choose, collect, train, judge; every arm begins with the same student."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from simdrive.build import config_names
from simdrive.compress.data import DataRequest, make_samples
from simdrive.compress.drivers import driven_by
from simdrive.compress.flywheel.degraded import Target, degraded
from simdrive.compress.flywheel.judging import Judgement, judge
from simdrive.compress.flywheel.pictures import check_alike, pictured_by
from simdrive.compress.flywheel.rows import drawn, rows_in
from simdrive.compress.flywheel.settings import FlywheelSettings, HeldOut
from simdrive.compress.flywheel.targeting import any_cases, cases_of
from simdrive.compress.requests import settings_of, train_request
from simdrive.compress.samples import shards
from simdrive.compress.shadow.driving import ShadowRequest, read_shadow, shadow
from simdrive.errors import ParameterError, RunFolderError
from simdrive.eval.files import write_json
from simdrive.eval.folder import differences, is_empty, plain
from simdrive.eval.grid import AgentConfig, vouched
from simdrive.eval.kinds import kinds_of
from simdrive.eval.runner import Progress
from simdrive.eval.studies.runs import StudyBase, StudyRuns
from simdrive.eval.summary import plain_values
from simdrive.models.quantized_folder import quantization_of
from simdrive.models.where import find_model
from simdrive.scenarios.sampling import load_suite
from simdrive.streams import canonical_json
from simdrive.types import Case, Suite

Say = Callable[[str], None]
FORMAT, VERSION = "simdrive-flywheel", 1
CARD = "round.json"


@dataclass(frozen=True)
class FlywheelRequest:
    """Everything that decides what a flywheel finds.

    Attributes:
        student: model that it begins with: a folder or a name of the zoo, in floating point.
        teacher: model (folder, name of the zoo) or agent (as in a list of agents) that shadows; a model is also learned from.
        data: folders of samples that the student has learned from; some of their rows are repeated in each round.
        settings: how much of everything.
        out: folder; the same call continues there.
    """

    student: str
    teacher: str | Mapping[str, Any]
    data: tuple[Path, ...]
    settings: FlywheelSettings
    out: Path
    workers: int = 1

    def config(self) -> dict[str, Any]:
        """Return this as plain values; equal for equal flywheels."""
        student = vouched({"model": self.student})["weight_hash"]
        data = [[file.name, file.stat().st_size] for file in shards(self.data)]
        teacher = json.loads(_teacher(self.teacher, self.settings.quantile).config)
        return plain({"format": FORMAT, "version": VERSION, "student": student, "teacher": teacher, "data": data,
                      **asdict(self.settings)})  # fmt: skip


@dataclass(frozen=True)
class Round:
    """What one arm did in one round."""

    arm: str
    number: int
    targets: tuple[Target, ...]
    watched_failures: int
    watched: int  # scored cases among those watched
    rows: int  # new ones
    judgement: Judgement
    model: str  # folder of the candidate, below the flywheel's
    seconds: float


@dataclass
class Standing:
    """How far an arm is."""

    arm: str
    model: Path  # in floating point
    driver: Path  # the same, or its quantized form
    rows: list[Path] = field(default_factory=list)  # new samples of all its rounds
    misses: int = 0  # rounds in a row that were rolled back
    rounds: list[Round] = field(default_factory=list)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Everything that it was trained for."""
        return tuple(dict.fromkeys(target for each in self.rounds for target in each.targets))


class Flywheel:
    """Turns the rounds of one request."""

    def __init__(self, request: FlywheelRequest, say: Say, progress: Progress) -> None:
        """Claim the folder.

        Raises:
            RunFolderError: if it holds something else, or a flywheel with other settings.
            ParameterError, UnknownNameError: if the student is quantized, a model does not exist, there is too little data, or
                the teacher sees or speaks otherwise than the student.
        """
        folder = find_model(request.student)
        if quantization_of(folder) is not None:
            raise ParameterError(
                f"{folder} is quantized; give the model that it was made from, and how it is quantized under 'quantize:'"
            )
        self._request, self._settings, self._say, self._progress = request, request.settings, say, progress
        self._suite = load_suite(request.settings.suite)
        self._student = folder
        self._teacher = _teacher(request.teacher, request.settings.quantile)
        self._runs: dict[Path, StudyRuns] = {}
        if (model := _learned_from(self._teacher)) is not None:
            check_alike(folder, find_model(model))
        if (rows := sum(map(rows_in, request.data))) < request.settings.replay_rows:
            raise ParameterError(
                f"data holds {rows} training rows, replay_rows asks for {request.settings.replay_rows}"
            )
        _claim(request.out, request.config())
        self.first = self._quantized(folder, request.data, request.out / "start")

    def turn(self) -> list[Standing]:
        """Turn all rounds; return how the arms stand.

        Raises:
            SimdriveError: if a stage fails; the same call continues.
        """
        settings = self._settings
        arms = [Standing(arm, self._student, self.first) for arm in settings.arms]
        for number in range(1, settings.rounds + 1):
            # All arms go on together: one that stopped early would be held against another with more rows.
            if all(arm.misses >= settings.patience for arm in arms):
                self._say(f"no arm was accepted in {settings.patience} rounds; stopped before round {number}")
                break
            self._round(number, arms)
        return arms

    def failures(self, driver: Path, held: HeldOut, name: str) -> pd.Series[float]:
        """Return the scored failures of a model on held-out cases, by case key."""
        return self._failures(driver, self._cases(held.seed, held.cases), self._request.out / name)

    def kinds(self, held: HeldOut) -> pd.DataFrame:
        """Return the kinds of held-out cases."""
        return kinds_of(self._cases(held.seed, held.cases))

    def _round(self, number: int, arms: Sequence[Standing]) -> None:
        started = time.monotonic()
        chosen = {arm.arm: self._watch(number, arm) for arm in arms}
        made = {arm.arm: self._collect(number, arm, chosen[arm.arm][0]) for arm in arms}
        count = min(rows_in(folder) for folder in made.values())  # equally many for every arm
        shared = (time.monotonic() - started) / len(arms)
        for arm in arms:
            started = time.monotonic()
            targets, failed = chosen[arm.arm]
            folder = self._folder(number, arm)
            arm.rows.append(drawn([made[arm.arm]], count, folder / "rows", number))
            rows = [self._again(), *arm.rows]
            model = self._train(number, arm, rows, folder)
            driver = self._quantized(model, rows, folder)
            judgement = self._judge(arm, driver, targets)
            done = Round(arm.arm, number, tuple(targets), int(failed.sum()), len(failed), count, judgement,
                         driver.relative_to(self._request.out).as_posix(),
                         _seconds(folder, shared + time.monotonic() - started))  # fmt: skip
            arm.rounds.append(done)
            write_json(folder / CARD, plain_values(asdict(done)))
            verdict = "accepted" if judgement.accepted else "rolled back"
            self._say(f"round {number}, {arm.arm}: {verdict}, {judgement.why}")
            if judgement.accepted:
                arm.model, arm.driver, arm.misses = model, driver, 0
            else:
                arm.misses += 1

    def _watch(self, number: int, arm: Standing) -> tuple[list[Target], pd.Series[float]]:
        """Return what an arm aims at and the failures of the watched cases; an arm that takes any case aims at nothing."""
        settings = self._settings
        if arm.arm == "random":
            return [], pd.Series(dtype=float)
        cases = self._cases(settings.mining_seed(number), settings.mine_cases)
        folder, frames = self._folder(number, arm), None
        if arm.arm == "flywheel":
            watched = ShadowRequest(
                self._teacher,
                _driver(arm.driver, settings.quantile),
                _driver(arm.driver, settings.quantile),
                cases,
                period_ms=settings.period_ms,
                by=settings.by,
            )
            self._progress.stage("shadow", len(cases))
            for done in shadow(watched, folder / "shadow", self._request.workers):
                self._progress.advance(done)
            _, frames, episodes = read_shadow(folder / "shadow")
            failed = episodes.set_index("case_key")["failure"].dropna()
        else:
            failed = self._failures(arm.driver, cases, folder / "watched")
        targets = degraded(kinds_of(cases), failed, frames, settings.by, settings.slices)
        if not targets:
            self._say(f"round {number}, {arm.arm}: no kind of cases stands out; any cases are taken")
        return targets, failed

    def _collect(self, number: int, arm: Standing, targets: Sequence[Target]) -> Path:
        """Drive new cases with the student, the expert's answers beside; return the data folder."""
        settings, folder = self._settings, self._folder(number, arm)
        seed = settings.data_seed(number, arm.arm)
        cases = (
            cases_of(targets, self._suite, settings.cases, seed)
            if targets
            else any_cases(self._suite, settings.cases, seed)
        )
        agent = folder / "agent.yaml"
        agent.parent.mkdir(parents=True, exist_ok=True)
        agent.write_text(yaml.safe_dump(_driving(arm.driver, settings.quantile)), encoding="utf-8")
        request = DataRequest(
            settings.suite, seed, settings.cases, pictured_by(self._student), control=0.0, agent=str(agent),
            model_share=settings.model_share, number=number,
        )  # fmt: skip
        self._progress.stage("samples", len(cases))
        for shard in make_samples(cases, request, folder / "samples", self._request.workers):
            self._progress.advance(shard.cases)
        return folder / "samples"

    def _again(self) -> Path:
        """Return rows that the student knows, the same in every round."""
        return drawn(self._request.data, self._settings.replay_rows, self._request.out / "replay", 0)

    def _train(self, number: int, arm: Standing, data: Sequence[Path], folder: Path) -> Path:
        """Fine-tune an arm's student on its new rows and some that it knows."""
        from simdrive.compress.training import train

        changes = {
            **self._settings.train, "name": f"{arm.arm}_{number}", "data": [str(path) for path in data],
            "init": str(arm.model), "teacher": _learned_from(self._teacher), "out": str(folder / "train"),
        }  # fmt: skip
        return train(train_request(settings_of("train", changes)), self._say)

    def _quantized(self, model: Path, data: Sequence[Path], folder: Path) -> Path:
        """Return the form in which a model drives: quantized with training where the settings say so."""
        if self._settings.quantize is None:
            return model
        from simdrive.compress.quant.stage import quantize_stage

        out = folder / "quantized"
        if (out / "model" / "card.json").is_file():
            return out / "model"
        changes = {
            **self._settings.quantize,
            "model": str(model),
            "data": [str(path) for path in data],
            "out": str(out),
        }
        return quantize_stage(settings_of("quantize", changes), out, self._say)

    def _judge(self, arm: Standing, driver: Path, targets: Sequence[Target]) -> Judgement:
        held = self._settings.verify
        before, after = (self.failures(each, held, "verify") for each in (arm.driver, driver))
        return judge(before, after, self.kinds(held), targets, self._settings.rule)

    def _failures(self, driver: Path, cases: tuple[Case, ...], out: Path) -> pd.Series[float]:
        if out not in self._runs:  # kept, since it knows the references of its cases by then
            suite: Suite = self._suite
            mode = {"name": "periodic", "period_ms": self._settings.period_ms}
            base = StudyBase(suite.name, suite.version, cases, mode)
            self._runs[out] = StudyRuns(base, out, self._progress, self._request.workers)
        return self._runs[out].failures_at(_driver(driver, self._settings.quantile), 0.0)

    def _cases(self, seed: int, each: int) -> tuple[Case, ...]:
        return any_cases(self._suite, each * len(self._suite.entries), seed)

    def _folder(self, number: int, arm: Standing) -> Path:
        return self._request.out / arm.arm / f"round_{number}"


def _claim(out: Path, config: dict[str, Any]) -> None:
    path = out / "flywheel.json"
    if is_empty(out):
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, config)
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{out} holds no flywheel ({path.name} is missing or damaged); choose another out="
        ) from error
    if (there.get("format"), there.get("version")) != (FORMAT, VERSION):
        raise RunFolderError(f"{out} is no flywheel of version {VERSION}; choose another out=")
    lines = list(differences(there, config))
    if lines:
        raise RunFolderError(f"{out} holds another flywheel:\n" + "\n".join(lines) + "\nchoose another out=")


def _driving(model: Path, quantile: float | None) -> dict[str, Any]:
    return driven_by(model, {} if quantile is None else {"quantile": quantile})


def _driver(model: Path, quantile: float | None) -> AgentConfig:
    """Return the agent that drives with a model; its weights are part of its name, since folders are called alike."""
    config = vouched(_driving(model, quantile))
    return AgentConfig(f"{model.parent.name}_{config['weight_hash'][:8]}", canonical_json(config))


def _teacher(given: str | Mapping[str, Any], quantile: float | None) -> AgentConfig:
    """Return the agent that shadows; a model is as cautious as the student, or the difference would be that of their caution."""
    if not isinstance(given, str) or given in config_names("agent") or given.endswith((".yaml", ".yml")):
        return AgentConfig("teacher", AgentConfig.of(given).config)
    return AgentConfig("teacher", canonical_json(vouched(_driving(find_model(given), quantile))))


def _learned_from(teacher: AgentConfig) -> str | None:
    """Return the model whose signals a student learns from; None for rules and for models behind a server."""
    config = json.loads(teacher.config)
    return None if "url" in config else config.get("model")


def _seconds(folder: Path, taken: float) -> float:
    """Return how long a round took: what it said when it was made, where it is only read again."""
    path = folder / CARD
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.is_file() else taken
