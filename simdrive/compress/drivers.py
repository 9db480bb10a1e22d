"""Who drives while data is collected: the expert, the expert with faults, or a model; the labels are always the expert's.

States that only a faulty driver reaches are where a learner needs to know what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.agents.answers import slopes
from simdrive.agents.language.targets import Targets, plans_of, targets_of
from simdrive.sim.plans import hold_plans
from simdrive.streams import stream
from simdrive.types import Case, Float, ObservationBatch

VLM = "simdrive.agents.vlm.Vlm"
FAULTS = ("none", "late", "asleep", "off")
SHARES = (0.30, 0.25, 0.25, 0.20)
_LATE_S = (0.4, 1.0)
_OFF_S = 1.2  # how long a wrong bias lasts
_STEP_S = 0.2  # spacing of the expert's plans


def driven_by(model: Path | str, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an agent that drives with a model of a stage; ``how`` are fields of the agent."""
    return {"_target_": VLM, "threads": 1, "constrained": True, **how, "model": str(model)}


@dataclass(frozen=True)
class Fault:
    """What is wrong with the driver of one case."""

    kind: str
    late_s: float = 0.0
    asleep_s: tuple[float, float] = (0.0, 0.0)  # from, until
    seed: int = 0


def fault_of(case: Case, hazard_us: int, number: int = 0) -> Fault:
    """Draw the fault of a case; ``number`` tells several drives of one case apart."""
    rng = stream(case.key, "data.fault", number)
    kind = str(rng.choice(FAULTS, p=SHARES))
    late = float(np.round(rng.uniform(*_LATE_S) / _STEP_S) * _STEP_S)
    start = (hazard_us * 1e-6 if hazard_us >= 0 else float(rng.uniform(2.0, 8.0))) + float(rng.uniform(-1.0, 0.4))
    asleep = (start, start + float(rng.uniform(0.6, 2.2)))
    return Fault(kind, late, asleep, int(rng.integers(2**31)))


class FaultyExpert:
    """Turns the expert's plans into those of a driver with faults, one per slot."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults
        self._past: dict[int, list[tuple[int, Float]]] = {}

    def plans(self, batch: ObservationBatch, labels: Float) -> Float:
        """Return what is driven instead of the labels ``[N, P, 5]``; the same shape."""
        driven = labels.copy()
        held: Float | None = None
        for row, slot in enumerate(batch.slot.tolist()):
            fault, now_s = self._faults[slot], float(batch.t_obs_us[row]) * 1e-6
            if fault.kind == "late":
                driven[row] = self._late(slot, int(batch.t_obs_us[row]), labels[row], fault.late_s)
            elif fault.kind == "asleep" and fault.asleep_s[0] <= now_s < fault.asleep_s[1]:
                if held is None:
                    held = hold_plans(
                        batch.route, batch.route_s, batch.route_r, slopes(batch), np.maximum(batch.ego[:, 3], 0.0)
                    )
                driven[row] = _resampled(held[row], labels.shape[1])
            elif fault.kind == "off":
                driven[row] = _off(batch, row, labels, now_s, fault.seed)
        return driven

    def _late(self, slot: int, now_us: int, label: Float, late_s: float) -> Float:
        """Return the plan of ``late_s`` ago, in the time of now."""
        past = self._past.setdefault(slot, [])
        if past and now_us < past[-1][0]:
            past.clear()
        past.append((now_us, label))
        old = next((plan for t_us, plan in past if now_us - t_us <= late_s * 1e6 + 1.0), label)
        age_s = (now_us - next(t for t, plan in past if plan is old)) * 1e-6
        del past[:-16]
        return _shifted(old, age_s)


def _shifted(plan: Float, age_s: float) -> Float:
    """Return a plan ``[P, 5]`` seen ``age_s`` later: the rest of it, its end held on straight."""
    times = plan[:, 0] + age_s
    moved: Float = np.empty_like(plan)
    moved[:, 0] = plan[:, 0]
    for column in range(1, 5):
        moved[:, column] = np.interp(times, plan[:, 0], plan[:, column])
    past = np.maximum(times - plan[-1, 0], 0.0) * plan[-1, 4]
    moved[:, 1] += past * np.cos(plan[-1, 3])
    moved[:, 2] += past * np.sin(plan[-1, 3])
    return moved


def _resampled(plan: Float, rows: int) -> Float:
    times = np.linspace(0.0, plan[-1, 0], rows)
    found: Float = np.empty((rows, 5))
    found[:, 0] = times
    for column in range(1, 5):
        found[:, column] = np.interp(times, plan[:, 0], plan[:, column])
    return found


def _off(batch: ObservationBatch, row: int, labels: Float, now_s: float, seed: int) -> Float:
    """Return the expert's plan with a bias of speed and side that changes now and then."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=int(now_s / _OFF_S) << 64))
    if rng.random() < 0.5:
        plan: Float = labels[row]
        return plan
    one = _row(batch, row)
    told = targets_of(labels[row : row + 1], one)
    ramp = np.array([0.5, 1.0, 1.5])
    biased = Targets(told.change_mps + rng.normal(0.0, 1.5) * ramp, told.side_m + rng.normal(0.0, 0.5))
    return _resampled(plans_of(biased, one)[0], labels.shape[1])


def _row(batch: ObservationBatch, row: int) -> ObservationBatch:
    from dataclasses import replace

    names = (
        "slot", "t_obs_us", "ego", "route", "route_s", "route_r", "lane_left_m", "lane_right_m", "cruise_speed_mps",
        "speed_limit_mps", "command", "ego_size",
    )  # fmt: skip
    part = {name: getattr(batch, name)[row : row + 1] for name in names}
    return replace(
        batch, **part, frames=None, world=None, age_us=None, pending=None, same_left_m=None, same_right_m=None
    )
