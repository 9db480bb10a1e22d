"""The parameters of a scenario as a space to search: points, what is likely, and what is near.

A point is one row of numbers: each range as a fraction of its width (0 = low, 1 = high), each choice as the index of its
value. The exposure says how likely a point is in traffic: every range is normal around its nominal value, cut at the
ends of the range (or uniform), every choice is equally likely. The distance of a point counts standard deviations of the
exposure from the nominal values, so the nearest failure is the most likely one: the design point of structural
reliability (Hasofer and Lind 1974).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.failures.proposal import Proposal
from simdrive.scenarios.parameters import Choice, Parameter, Range, Value, narrow_parameters
from simdrive.scenarios.sampling import make_case, scenario
from simdrive.types import Case, Float

Exposure = Literal["normal", "uniform"]
_SEEDS = 1_000_000  # as suites: the first case of seed s has s * 1,000,000, so that a suite can name it
_DRAWS = 1000


@dataclass(frozen=True)
class Space:
    """What may vary, and how likely it is.

    Attributes:
        scenario: config name.
        parameters: ranges and choices, narrowed; ranges of no width are fixed.
        nominal: fraction of each range, by name.
        spread: standard deviation of the exposure as a share of a range's width.
        exposure: normal or uniform.
        seed: of all cases.
    """

    scenario: str
    parameters: Mapping[str, Parameter]
    nominal: Mapping[str, float]
    spread: float
    exposure: Exposure
    seed: int

    @classmethod
    def of(
        cls,
        scenario_name: str,
        narrowed: Mapping[str, Any],
        nominal: Mapping[str, Any],
        spread: float,
        exposure: str,
        seed: Any,
    ) -> Space:
        """Return the space of a scenario; ranges are centred on their middle where ``nominal`` does not say otherwise.

        Raises:
            UnknownNameError: if scenario, parameter or exposure is unknown.
            ParameterError: if a value is outside its declared range, or nothing varies.
        """
        kind = scenario(scenario_name)
        parameters = narrow_parameters(kind.name, kind.parameters, narrowed)
        if exposure not in ("normal", "uniform"):
            raise UnknownNameError("exposure", exposure, ("normal", "uniform"))
        if not 0.0 < spread <= 10.0:
            raise ParameterError(f"spread is a share of each range, above 0 and at most 10, got {spread:g}")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**43:
            raise ParameterError(f"seed must be a whole number from 0 to 2^43 - 1, got {seed!r}")
        centre = {name: 0.5 for name, kind in parameters.items() if isinstance(kind, Range)}
        for name, value in nominal.items():
            chosen = parameters.get(name)
            if not isinstance(chosen, Range):
                raise UnknownNameError("range with a nominal value", name, centre)
            width = chosen.high - chosen.low
            at = chosen.check(f"nominal {name}", value)
            centre[name] = (at - chosen.low) / width if width else 0.5
        if not any(isinstance(kind, Range) and kind.high > kind.low for kind in parameters.values()):
            raise ParameterError(f"{scenario_name} leaves no range to search; there must be one that is not fixed")
        return cls(scenario_name, parameters, centre, float(spread), exposure, seed)  # type: ignore[arg-type]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters in the order of a point."""
        return tuple(self.parameters)

    @property
    def choices(self) -> tuple[int, ...]:
        """Number of values of each parameter; 0 = a range."""
        return tuple(len(kind.values) if isinstance(kind, Choice) else 0 for kind in self.parameters.values())

    def likely(self) -> Proposal:
        """Return the exposure."""
        sigma = self.spread if self.exposure == "normal" else math.inf
        return Proposal.around(self.choices, [self.nominal.get(name, 0.5) for name in self.names], sigma)

    def everything(self) -> Proposal:
        """Return the uniform distribution over all ranges and choices, which suites draw from."""
        return Proposal.around(self.choices, [0.5] * len(self.names), math.inf)

    def distance(self, point: Float) -> float:
        """Return how many standard deviations of the exposure ``point [P]`` lies from the nominal values."""
        return math.sqrt(sum(z * z for z in self.offsets(point).values()))

    def offsets(self, point: Float) -> dict[str, float]:
        """Return the distance per range, with its sign; ranges of no width are left out."""
        return {
            name: (float(value) - self.nominal[name]) / self.spread
            for (name, kind), value in zip(self.parameters.items(), point, strict=True)
            if isinstance(kind, Range) and kind.high > kind.low
        }

    def values(self, point: Float) -> dict[str, Value]:
        """Return the parameter values of a point, inside their ranges and rounded as suites round them."""
        return {
            name: kind.values[int(value)] if isinstance(kind, Choice) else kind.at(float(value))
            for (name, kind), value in zip(self.parameters.items(), point, strict=True)
        }

    def case(self, point: Float) -> Case:
        """Return the case at a point.

        Raises:
            ParameterError: if its values do not go together.
        """
        return make_case(self.scenario, self.values(point), self.seed * _SEEDS)

    def draw(self, sample: Any, count: int) -> tuple[Float, list[Case]]:
        """Return ``count`` points with their cases; points whose values do not go together are drawn again.

        Args:
            sample: returns ``[n, P]`` points when called with n.
            count: how many.

        Raises:
            ParameterError: if hardly any point has values that go together.
        """
        points: list[Float] = []
        cases: list[Case] = []
        for attempt in range(_DRAWS):
            for point in sample(count - len(points)):
                try:
                    cases.append(self.case(point))
                except ParameterError:
                    if attempt == _DRAWS - 1:
                        raise
                else:
                    points.append(point)
            if len(points) == count:
                break
        return np.array(points).reshape(count, len(self.names)), cases
