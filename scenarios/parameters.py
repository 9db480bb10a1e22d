"""What may vary in a scenario: ranges and choices that can be sampled, narrowed by a suite, and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simdrive.errors import ParameterError, UnknownNameError

Value = float | int | str | bool
_DECIMALS = 4  # sampled numbers are short, so that a case is readable and its hash does not hang on the last bit


@dataclass(frozen=True)
class Range:
    """A closed interval of a real parameter with its unit.

    Raises:
        ParameterError: if a bound is not finite or the bounds are in the wrong order.
    """

    low: float
    high: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ParameterError(f"a range needs finite bounds with low <= high, got [{self.low}, {self.high}]")

    def at(self, fraction: float) -> float:
        """Return the value at ``fraction`` (0 = low, 1 = high), rounded to 4 decimals but never outside."""
        value = round(self.low + fraction * (self.high - self.low), _DECIMALS)
        return min(max(value, self.low), self.high)

    def check(self, field: str, value: object) -> float:
        """Return ``value`` as a float.

        Raises:
            ParameterError: if it is no number inside the range; the message names field and range.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ParameterError(f"{field} must be a number in {self}, got {value!r}")
        if not self.low <= value <= self.high:
            raise ParameterError(f"{field} = {value:g} is outside {self}; choose a value inside")
        return float(value)

    def narrow(self, field: str, given: object) -> Range:
        """Return the part of the range that ``given`` asks for: one number, or [low, high]."""
        bounds = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given, given]
        if len(bounds) != 2:
            raise ParameterError(f"{field} must be one number or [low, high] in {self}, got {given!r}")
        return Range(self.check(field, bounds[0]), self.check(field, bounds[1]), self.unit)

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}]{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Choice:
    """A closed list of values, all equally likely.

    Raises:
        ParameterError: if the list is empty or names a value twice.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ParameterError(f"a choice needs different values, got {self.values!r}")

    def at(self, fraction: float) -> Value:
        """Return the value that ``fraction`` in [0, 1] falls on."""
        return self.values[min(int(fraction * len(self.values)), len(self.values) - 1)]

    def check(self, field: str, value: object) -> Value:
        """Return the member of the list that equals ``value``.

        Raises:
            UnknownNameError: if a name is not in the list.
            ParameterError: if anything else is not in the list.
        """
        for allowed in self.values:
            if type(allowed) is type(value) and allowed == value:
                return allowed
        if isinstance(value, str):
            raise UnknownNameError(field, value, map(str, self.values))
        raise ParameterError(f"{field} must be one of {self}, got {value!r}")

    def narrow(self, field: str, given: object) -> Choice:
        """Return the part of the list that ``given`` asks for: one value, or several."""
        wanted = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        return Choice(tuple(self.check(field, value) for value in wanted))

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Parameter = Range | Choice


def check_parameters(
    scenario: str, parameters: Mapping[str, Parameter], given: Mapping[str, object]
) -> dict[str, Value]:
    """Return the full, checked parameter values of one case.

    Raises:
        UnknownNameError: if a name or a named choice is unknown.
        ParameterError: if one is missing or out of range; the message names field and range.
    """
    for name in given:
        if name not in parameters:
            raise UnknownNameError(f"parameter of {scenario}", name, parameters)
    missing = [name for name in parameters if name not in given]
    if missing:
        wanted = "; ".join(f"{name} in {parameters[name]}" for name in missing)
        raise ParameterError(f"{scenario} needs {wanted}")
    return {name: kind.check(f"{scenario}.{name}", given[name]) for name, kind in parameters.items()}


def narrow_parameters(
    scenario: str, parameters: Mapping[str, Parameter], overrides: Mapping[str, object]
) -> dict[str, Parameter]:
    """Return ``parameters`` with the ranges that ``overrides`` narrow.

    Raises:
        UnknownNameError: if a name or a named choice is unknown.
        ParameterError: if an override leaves the range; the message names field and range.
    """
    for name in overrides:
        if name not in parameters:
            raise UnknownNameError(f"parameter of {scenario}", name, parameters)
    return {
        name: kind.narrow(f"{scenario}.{name}", overrides[name]) if name in overrides else kind
        for name, kind in parameters.items()
    }
