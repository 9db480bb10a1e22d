"""The parameter ranges over which the regulation's drivers are compared, as grids of cases.

Ranges as published with the Joint Research Centre's simulation (JRC-FSM): cut-in below and above 60 km/h, cut-out, and
deceleration of the leader. Reg157 speaks of cut-in only, so the other two grids leave it out.
"""

from __future__ import annotations

from collections.abc import Iterator

from simdrive.errors import UnknownNameError
from simdrive.r157.cases import COLUMNS
from simdrive.r157.parameters import CC_HUMAN, FSM, MODELS, REG157, RSS, SCENARIOS
from simdrive.r157.verdict import following_gap

_ORDER = {"cut_in": (CC_HUMAN, REG157, RSS, FSM), "cut_out": (CC_HUMAN, RSS, FSM), "deceleration": (CC_HUMAN, RSS, FSM)}
GRAVITY_MPS2 = 9.81


def _cut_in() -> Iterator[tuple[float, float, float, float]]:
    for egos, others, gaps in (
        (range(20, 61, 10), 10, range(1, 60)),
        (range(70, 131, 20), 30, range(1, 120, 2)),
    ):
        for ego in egos:
            for other in range(10, ego, others):
                for gap in gaps:
                    for tenths in range(18):
                        yield ego, other, gap, tenths / 10.0


def _cut_out() -> Iterator[tuple[float, float, float]]:
    for ego in range(10, 131, 10):
        for gap in range(2, 152, 5):
            for tenths in range(1, 31, 2):
                yield ego, gap, tenths / 10.0


def _deceleration() -> Iterator[tuple[float, float]]:
    for share in range(1, 20):
        for ego in range(12, 130, 2):
            yield ego, round(GRAVITY_MPS2 * share / 20.0, 6)


def grid(scenario: str, models: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield rows of text in the order of ``cases.COLUMNS``, driver by driver.

    Args:
        scenario: cut_in (29,970 cases), cut_out (5,850) or deceleration (1,121).
        models: the drivers; empty = all that the scenario is defined for.

    Raises:
        UnknownNameError: for a scenario or a driver that does not exist.
    """
    if scenario not in SCENARIOS:
        raise UnknownNameError("grid", scenario, SCENARIOS)
    for name in models:
        if name not in MODELS:
            raise UnknownNameError("model", name, MODELS)
    for name in models or tuple(MODELS[k] for k in _ORDER[scenario]):
        if scenario == "cut_in":
            for ego, other, gap, lateral in _cut_in():
                yield _row(scenario, name, ego, other, gap, lateral)
        elif scenario == "cut_out":
            for ego, gap, lateral in _cut_out():
                yield _row(scenario, name, ego, ego, gap, lateral, lead_gap=_following(name, ego))
        else:
            for ego, decel in _deceleration():
                yield _row(scenario, name, ego, ego, decel=decel, lead_gap=_following(name, ego))


def _following(model: str, ego_kph: float) -> float:
    return float(following_gap(MODELS.index(model), ego_kph / 3.6))


def _row(
    scenario: str,
    model: str,
    ego: float,
    other: float,
    gap: float | None = None,
    lateral: float | None = None,
    decel: float | None = None,
    lead_gap: float | None = None,
) -> tuple[str, ...]:
    values = dict(zip(COLUMNS, (scenario, ego, other, gap, lateral, decel, model, lead_gap), strict=True))
    return tuple("" if value is None else str(value) for value in values.values())
