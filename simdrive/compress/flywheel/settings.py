"""What a flywheel is told: how much is driven, where new cases come from, and on which held-out cases it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from simdrive.compress.flywheel.judging import Rule
from simdrive.compress.flywheel.targeting import MOST_TARGETS
from simdrive.compress.shadow.differences import MEASURES
from simdrive.errors import ParameterError, UnknownNameError

ARMS = ("flywheel", "failures", "random")  # by shadow and failures, by failures alone, any cases
_STEP = 1000  # seeds of a round
_PLACES = 100  # of them, of an arm
_MINED = 900  # place of the cases that are watched: the same for every arm


@dataclass(frozen=True)
class HeldOut:
    """Cases that nobody learns from."""

    seed: int
    cases: int  # per scenario


@dataclass(frozen=True)
class FlywheelSettings:
    """The values of ``configs/flywheel/<recipe>.yaml``; what each means stands there."""

    suite: str
    seed: int
    mine_cases: int
    by: str
    period_ms: float
    slices: int
    cases: int
    model_share: float
    replay_rows: int
    rounds: int
    patience: int
    arms: tuple[str, ...]
    verify: HeldOut
    test: HeldOut
    rule: Rule = Rule()  # noqa: RUF009 - frozen
    train: Mapping[str, Any] = field(default_factory=dict)
    quantize: Mapping[str, Any] | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        for name in ("mine_cases", "slices", "cases", "replay_rows", "rounds", "patience"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.slices > MOST_TARGETS:
            raise ParameterError(f"slices must be at most {MOST_TARGETS}, got {self.slices}")
        if self.by not in MEASURES:
            raise UnknownNameError("measure", self.by, MEASURES)
        if not 0.0 <= self.model_share <= 1.0:
            raise ParameterError(f"model_share must be within 0 and 1, got {self.model_share}")
        for arm in self.arms:
            if arm not in ARMS:
                raise UnknownNameError("arm", arm, ARMS)
        if not self.arms:
            raise ParameterError(f"arms names none; give some of {', '.join(ARMS)}")
        self._check_held_out()

    def _check_held_out(self) -> None:
        taken = range(self.seed + _STEP, self.seed + _STEP * (self.rounds + 1))
        for name in ("verify", "test"):
            held: HeldOut = getattr(self, name)
            if held.seed in taken:
                raise ParameterError(
                    f"{name}.seed {held.seed} is one of the training seeds {taken.start} to {taken.stop - 1}; choose another"
                )
            if held.cases < 1:
                raise ParameterError(f"{name}.cases must be at least 1, got {held.cases}")
        if self.verify.seed == self.test.seed:
            raise ParameterError("verify and test have the same seed: the test would know what was chosen by it")

    def mining_seed(self, number: int) -> int:
        """Return the seed of the cases that are watched in a round (from 1)."""
        return self.seed + _STEP * number + _MINED

    def data_seed(self, number: int, arm: str) -> int:
        """Return the first of the seeds of an arm's new cases in a round."""
        return self.seed + _STEP * number + _PLACES * ARMS.index(arm)


def flywheel_settings(config: Mapping[str, Any]) -> FlywheelSettings:
    """Return the settings of a plain mapping.

    Raises:
        ParameterError, UnknownNameError: if a field is missing, unknown, or out of range.
    """
    known = [each.name for each in fields(FlywheelSettings)]
    for name in config:
        if name not in known:
            raise UnknownNameError("field of a flywheel", name, known)
    given = dict(config)
    try:
        given["arms"] = tuple(given["arms"])
        given["verify"], given["test"] = HeldOut(**given["verify"]), HeldOut(**given["test"])
        given["rule"] = Rule(**given.get("rule", {}))
        return FlywheelSettings(**given)
    except (KeyError, TypeError) as error:
        raise ParameterError(f"the settings of the flywheel are not complete: {error}") from error
