"""States that a chip passes through while it drives: thermal, power mode, memory clock.

A small Markov chain in seconds, not in requests. Compute and memory bandwidth scale apart, because they do on real chips:
a lower memory clock slows decoding and leaves a long prefill as it was.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.streams import stream

_FIELDS = ("compute", "bandwidth", "dwell_s", "next")


@dataclass(frozen=True)
class ClockState:
    """One state: shares of the nominal speeds, mean time in it (None = for good), and weights of what follows."""

    name: str
    compute: float
    bandwidth: float
    dwell_s: float | None
    following: tuple[tuple[str, float], ...]


class ClockStates:
    """A chain of states with exponential dwell times."""

    def __init__(
        self, states: Mapping[str, Mapping[str, Any]], start: str | None = None, name: str = "", description: str = ""
    ) -> None:
        """Read the states.

        Args:
            states: name -> ``{compute, bandwidth, dwell_s, next}``: shares of the nominal speeds above 0, mean seconds in
                the state (left out = for good), weights of the states that follow (left out = all others alike).
            start: state at time 0; None = the first.
            name, description: of a config entry.

        Raises:
            ParameterError: if a value is out of range or missing.
            UnknownNameError: if a state or field does not exist.
        """
        if not states:
            raise ParameterError("latency.states needs at least one state under states:")
        self.name, self.description = name, description
        self.states = tuple(_state(str(key), value, [str(one) for one in states]) for key, value in states.items())
        self.start = str(start) if start is not None else self.states[0].name
        self._by_name = {state.name: state for state in self.states}
        if self.start not in self._by_name:
            raise UnknownNameError("start of latency.states", self.start, self._by_name)

    def at(self, case_key: str, t_us: int) -> ClockState:
        """Return the state of a case at a time."""
        for until_us, name in _timeline(self, case_key, 1 << max(20, int(t_us).bit_length())):
            if t_us < until_us:
                return self._by_name[name]
        raise RuntimeError("a timeline ends before the time that was asked for")

    def timeline(self, case_key: str, to_us: int) -> list[tuple[int, str]]:
        """Return (end of the state in us, its name) until past ``to_us``.

        Dwell k and what follows it come from draw k of the stream, so a longer timeline begins with the shorter one.
        """
        state, t_s = self._by_name[self.start], 0.0
        found: list[tuple[int, str]] = []
        while t_s * 1e6 <= to_us:
            draw = stream(case_key, "latency.states", len(found))
            t_s = math.inf if state.dwell_s is None else t_s + float(draw.exponential(state.dwell_s))
            found.append((round(t_s * 1e6) if math.isfinite(t_s) else 2**62, state.name))
            if math.isfinite(t_s):
                names, weights = zip(*state.following, strict=True)
                total = sum(weights)
                state = self._by_name[str(draw.choice(names, p=[weight / total for weight in weights]))]
        return found

    def identity(self) -> dict[str, Any]:
        """Return what decides the states; names of entries are not part of it, names of states are."""
        return {
            "start": self.start,
            "states": {one.name: [one.compute, one.bandwidth, one.dwell_s, dict(one.following)] for one in self.states},
        }


@functools.lru_cache(maxsize=4096)
def _timeline(states: ClockStates, case_key: str, to_us: int) -> list[tuple[int, str]]:
    return states.timeline(case_key, to_us)


def _state(name: str, given: Mapping[str, Any], names: list[str]) -> ClockState:
    if not isinstance(given, Mapping):
        raise ParameterError(f"state {name!r} must be a mapping with {', '.join(_FIELDS)}, got {given!r}")
    for key in given:
        if key not in _FIELDS:
            raise UnknownNameError(f"field of state {name!r}", str(key), _FIELDS)
    compute, bandwidth = (_above_zero(name, field, given.get(field, 1.0)) for field in ("compute", "bandwidth"))
    dwell = given.get("dwell_s")
    others = {other: 1.0 for other in names if other != name}
    following = {str(key): float(value) for key, value in (given.get("next") or others).items()}
    for other, weight in following.items():
        if other not in names:
            raise UnknownNameError(f"next of state {name!r}", other, names)
        if not (math.isfinite(weight) and weight >= 0.0):
            raise ParameterError(f"next.{other} of state {name!r} must be a weight of at least 0, got {weight}")
    if dwell is None:
        return ClockState(name, compute, bandwidth, None, ())
    if not sum(following.values()) > 0.0:
        raise ParameterError(f"state {name!r} has a dwell_s but nothing follows it: give next or leave dwell_s out")
    return ClockState(name, compute, bandwidth, _above_zero(name, "dwell_s", dwell), tuple(sorted(following.items())))


def _above_zero(state: str, field: str, value: Any) -> float:
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not (number and value > 0.0):
        raise ParameterError(f"{field} of state {state!r} must be a finite number above 0, got {value!r}")
    return float(value)
