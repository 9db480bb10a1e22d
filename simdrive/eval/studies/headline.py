"""Is the compressed student safer than its teacher at the speed that each really reaches, on which chip, and where not?

Variants of one model family drive the same cases: in every world at zero latency and at the speed of their own charge, and in the
first world also on every chip, and at the first variant's (the teacher's) speed. Whatever is driven is an ordinary run
folder; the same call continues, and a part that fits one machine is a list of worlds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.eval.charges import check_charges
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.kinds import kinds_of
from simdrive.eval.stats import Interval, mcnemar, wilson
from simdrive.eval.studies.breakeven import Steps
from simdrive.eval.studies.budget import explore
from simdrive.eval.studies.curve import Budget, budget
from simdrive.eval.studies.decompose import DecomposeStudy, study_decompose
from simdrive.eval.studies.deploy import Measured, measured
from simdrive.eval.studies.headline_cost import Cost, charge_of, cost_on
from simdrive.eval.studies.headline_plan import Chip, Plan, Variant
from simdrive.eval.studies.paired import pair, tango
from simdrive.eval.studies.runs import METRICS, StudyRuns, delay_name
from simdrive.eval.summary import counted, outcomes
from simdrive.latency.charging import charged_pricer
from simdrive.streams import digest, stream

SMOOTH = ("bench2drive_smoothness", "longitudinal_jerk_rms_mps3", "plan_flicker_m")
FEWEST = 10  # scored cases of a kind before it can be called the worst


@dataclass(frozen=True)
class Drive:
    """One variant in one world under one latency: ``zero``, ``own`` on a chip, or the ``teacher's`` on the first chip."""

    variant: str
    world: str
    whose: str
    chip: str
    failures: int
    total: int
    rate: Interval
    against: Interval  # less the teacher's rate under the same kind of latency, paired (Tango)
    p_value: float  # that both fail alike (exact McNemar)
    means: dict[str, float]  # of SMOOTH over scored episodes
    worst_scenario: str
    worst_lighting: str
    folder: str


@dataclass(frozen=True)
class Telling:
    """The case to look at: the teacher fails it by its latency alone, and the student survives it at its own."""

    student: str
    case_key: str
    scenario: str
    alike: int  # cases of which the same is true


@dataclass(frozen=True)
class Headline:
    """Everything that ``simdrive study headline`` shows."""

    plan: Plan
    worlds: dict[str, int]  # name: cases
    costs: tuple[Cost, ...]
    drives: tuple[Drive, ...]
    budgets: dict[str, Budget]
    splits: tuple[DecomposeStudy, ...]
    telling: Telling | None


def study_headline(plan: Plan, worlds: Mapping[str, Callable[[], StudyRuns]], main: str = "") -> Headline:
    """Drive what is missing and return the study.

    Args:
        plan: who is compared, and where they are priced.
        worlds: the runs of each world by name.
        main: the world of latency budgets, decompositions and every chip; empty = the first.

    Raises:
        UnknownNameError: if a chip, runtime or charge does not exist; nothing is driven then.
        RunFolderError, IncompleteRunError: see ``StudyRuns.store``.
    """
    if not worlds:
        raise ParameterError("a headline study needs one world or more")
    study = _Study(plan)
    for variant in plan.variants:
        for chip in plan.chips:
            study.check(variant, chip)
    main = main or next(iter(worlds))
    for name, opened in worlds.items():
        study.world(name, opened(), name == main)
    return study.result()


@dataclass
class _World:
    name: str
    runs: StudyRuns
    kinds: pd.DataFrame
    failed: dict[tuple[str, str, str], pd.Series[float]] = field(default_factory=dict)  # variant, whose, chip


class _Study:
    def __init__(self, plan: Plan) -> None:
        self._plan, self._refused = plan, dict[tuple[str, str], str]()
        self._worlds: list[_World] = []
        self._drives: list[Drive] = []
        self._took: dict[tuple[str, str], Measured] = {}
        self._budgets: dict[str, Budget] = {}
        self._splits: list[DecomposeStudy] = []

    def check(self, variant: Variant, chip: Chip) -> None:
        """Find out whether a variant can be priced on a chip, before anything is driven."""
        charge = charge_of(variant)
        try:
            pricer = charged_pricer(chip.name, self._plan.runtime, charge, chip.power_mode)
            tokens = self._plan.tokens
            prompt, image = tokens.get("prompt_tokens") or 1, tokens.get("image_tokens") or 0
            pricer.check_fit(prompt + image, tokens.get("output_tokens") or 1, image)
        except UnknownNameError:
            raise
        except SimdriveError as error:
            self._refused[variant.name, chip.name] = str(error)

    def world(self, name: str, runs: StudyRuns, main: bool) -> None:
        """Drive one world."""
        runs.metrics = tuple(dict.fromkeys((*METRICS, *SMOOTH)))
        world = _World(name, runs, kinds_of(runs.base.cases))
        self._worlds.append(world)
        for reference in self._plan.references:
            self._drive(world, reference.name, reference, "zero", "", runs.base.delay(0.0))
        for variant in self._plan.variants:  # the teacher first: the others are held against it
            agent = AgentConfig(variant.name, variant.agent.config)
            self._drive(world, variant.name, agent, "zero", "", runs.base.delay(0.0))
            for chip in self._plan.chips if main else self._plan.chips[:1]:
                if (variant.name, chip.name) not in self._refused:
                    store = self._drive(
                        world, variant.name, agent, "own", chip.name, self._setting(runs, variant, agent, chip)
                    )
                    self._took.setdefault((variant.name, chip.name), measured(store))
            slow_ms = self._took_ms(self._plan.variants[0], self._plan.chips[0])
            if main and not math.isnan(slow_ms) and variant != self._plan.variants[0]:
                self._drive(world, variant.name, agent, "teacher", self._plan.chips[0].name, runs.base.delay(slow_ms))
        if main:
            self._explain(world)

    def result(self) -> Headline:
        """Return everything."""
        costs = tuple(
            cost_on(self._plan, variant, chip, self._took.get((variant.name, chip.name)),
                    self._refused.get((variant.name, chip.name), ""))
            for variant in self._plan.variants for chip in self._plan.chips
        )  # fmt: skip
        return Headline(
            self._plan, {world.name: len(world.runs.base.cases) for world in self._worlds}, costs, tuple(self._drives),
            self._budgets, tuple(self._splits), self._telling(),
        )  # fmt: skip

    def _explain(self, world: _World) -> None:
        """Seek latency budgets, and split every student's difference to the teacher."""
        plan, runs = self._plan, world.runs
        scenario_of = {case.key: case.scenario for case in runs.base.cases}
        for variant in plan.variants if plan.grid is not None else ():
            assert plan.grid is not None
            agent = AgentConfig(variant.name, variant.agent.config)
            found = explore(lambda delay, agent=agent: runs.failures_at(agent, delay), plan.grid, plan.criterion)  # type: ignore[misc]
            rng = stream(f"{runs.base.suite}/{variant.name}", "study.bootstrap")
            self._budgets[variant.name] = budget(found, plan.criterion, scenario_of, rng)
        teacher, *students = plan.variants
        for student in (each for each in students if each.name in plan.decompose):
            times = (self._took_ms(student, plan.chips[0]), self._took_ms(teacher, plan.chips[0]))
            if not any(math.isnan(each) for each in times):
                pair_of = [AgentConfig(each.name, each.agent.config) for each in (student, teacher)]
                most = max(plan.grid.most_ms if plan.grid is not None else 0.0, *times)
                step = max(50.0, abs(times[1] - times[0]) / 4.0)
                steps = Steps(step, max(step, most))
                self._splits.append(
                    study_decompose(runs, pair_of[0], pair_of[1], times, steps, plan.criterion.confidence)
                )

    def _setting(self, runs: StudyRuns, variant: Variant, agent: AgentConfig, chip: Chip) -> LatencyConfig:
        fields = {"chip": chip.name, "runtime": self._plan.runtime, "power_mode": chip.power_mode, **self._plan.tokens}
        if variant.architecture:
            fields |= {"architecture": variant.architecture, "precision": variant.precision}
        setting = runs.base.setting("chip", fields)
        check_charges([agent], [setting])
        return setting

    def _drive(
        self, world: _World, name: str, agent: AgentConfig, whose: str, chip: str, setting: LatencyConfig
    ) -> Any:
        folder = f"own_{chip}_{digest(setting.source, 8)}"
        if whose != "own":  # a constant delay, whose run other parts of the study want as well
            folder = delay_name(float(json.loads(setting.source)["delay_ms"]))
        store = world.runs.store(agent, setting, folder)
        episodes = store.episodes()
        failed = outcomes(episodes)
        world.failed[name, whose, chip] = failed
        count, total = int((failed > 0.0).sum()), len(failed)
        teacher = self._plan.variants[0].name
        base = world.failed.get((teacher, "own" if whose == "teacher" else whose, chip))
        against, p_value = Interval(math.nan, math.nan, math.nan), math.nan
        if base is not None and name != teacher:
            pairs = pair(base, failed)
            against = tango(pairs, self._plan.criterion.confidence)
            p_value = mcnemar(pairs.only_first, pairs.only_second)
        kept = counted(episodes)
        means = {metric: float(kept[metric].mean()) for metric in SMOOTH if metric in kept}
        self._drives.append(
            Drive(name, world.name, whose, chip, count, total, wilson(count, total), against, p_value, means,
                  _worst(failed, world.kinds["scenario"]), _worst(failed, world.kinds["lighting"]), store.path.as_posix())
        )  # fmt: skip
        return store

    def _took_ms(self, variant: Variant, chip: Chip) -> float:
        took = self._took.get((variant.name, chip.name))
        return math.nan if took is None else round(took.median_ms, 1)

    def _telling(self) -> Telling | None:
        """Return the case that shows best what the study is about, None if there is none."""
        world, chip, teacher = self._worlds[0], self._plan.chips[0].name, self._plan.variants[0].name
        slow, still = world.failed.get((teacher, "own", chip)), world.failed.get((teacher, "zero", ""))
        best: Telling | None = None
        for student in self._plan.variants[1:]:
            own = world.failed.get((student.name, "own", chip))
            if own is None or slow is None or still is None:
                continue
            keys = [key for key in slow.index[slow > 0.0] if own.get(key) == 0.0 and still.get(key) == 0.0]
            if keys and (best is None or len(keys) > best.alike):
                scenarios = world.kinds["scenario"][keys]
                common = scenarios.mode().iloc[0]
                best = Telling(student.name, sorted(scenarios.index[scenarios == common])[0], str(common), len(keys))
        return best


def _worst(failed: pd.Series[float], kinds: pd.Series[str]) -> str:
    """Return the kind of cases that fails most, e.g. ``cut_in 4/12``; empty where no kind has enough cases."""
    groups = [(name, int((part > 0.0).sum()), len(part)) for name, part in failed.groupby(kinds.reindex(failed.index))]
    large = [each for each in groups if each[2] >= FEWEST]
    if not large:
        return ""
    name, count, total = max(large, key=lambda each: (each[1] / each[2], str(each[0])))
    return f"{name} {count}/{total}"


def runs_in(out: Path, name: str) -> Path:
    """Return the folder of a world's runs."""
    return out / "worlds" / name
