"""Event tables that are refused, with their row and the reason."""

from __future__ import annotations

import math
from typing import Any

import pytest
from events_kit import STOP
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import actor, ego, event

from simdrive.errors import ParameterError
from simdrive.sim.checks import check_events
from simdrive.sim.spec import CHANNEL_OF, Action, Channel, Event, Trigger
from simdrive.sim.state import Behaviour

ACTORS = (ego(), actor("a"), actor("b", behaviour=Behaviour.IDM), actor("c", lane=None, x_m=150.0, y_m=30.0))
GOOD = event(1, Trigger.TIME, 1.0, **STOP)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actor": 0}, "event 0: actor 0"),
        ({"actor": 4}, "event 0: actor 4"),
        ({"subject": 9}, "event 0: subject 9"),
        ({"trigger": Trigger.EGO_TTC, "subject": 0}, "event 0: subject 0"),
        ({"threshold": math.nan}, "event 0: threshold"),
        ({"magnitude": math.inf}, "event 0: magnitude"),
        ({"magnitude": 0.0}, "event 0: magnitude"),
        ({"rate": -1.0}, "event 0: rate"),
        ({"delay_s": -0.1}, "event 0: delay_s"),
        ({"after_row": 0}, "event 0: after_row"),
        ({"after_row": 5}, "event 0: after_row"),
        ({"trigger": Trigger.FIRED}, "event 0: after_row"),
        ({"trigger": 99}, "event 0: trigger"),
        ({"action": 99}, "event 0: action"),
        ({"channel": Channel.LIGHT}, "event 0: channel"),
        ({"until": 3.0}, "event 0: until"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        check_events((GOOD._replace(**changes),), ACTORS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (event(2, Trigger.TIME, 1.0, Action.OFFSET, magnitude=1.0, rate=1.0), "needs SCRIPTED"),
        (event(1, Trigger.TIME, 1.0, Action.HEADING, magnitude=1.0), "free straight path"),
        (event(3, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=1.0, rate=1.0), "needs `lane`"),
        (event(1, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=0.5, rate=1.0), "whole number"),
        (event(1, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=1.0), "rate"),
        (event(1, Trigger.TIME, 1.0, Action.SPEED, magnitude=5.0), "rate"),
        (event(1, Trigger.TIME, 1.0, Action.LATERAL_SPEED), "direction"),
        (event(1, Trigger.TIME, 1.0, Action.INDICATOR, magnitude=3), "INDICATOR"),
    ],
)
def test_an_action_that_its_actor_cannot_do_is_refused(row: Event, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        check_events((row,), ACTORS)


def test_a_circle_of_rows_is_refused() -> None:
    rows = tuple(event(1, Trigger.FIRED, 0.0, after_row=(row + 1) % 3, **STOP) for row in range(3))
    with pytest.raises(ParameterError, match="circle"):
        check_events(rows, ACTORS)


def test_obstacles_do_not_drive() -> None:
    wall = actor("wall", behaviour=Behaviour.OBSTACLE)
    with pytest.raises(ParameterError, match="OBSTACLE and cannot STOP"):
        check_events((GOOD,), (ego(), wall))


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True, width=32), st.sampled_from([0.0, 1.0, -1.0, 2.0]))
rows = st.builds(
    Event,
    actor=st.integers(-1, 5),
    trigger=st.sampled_from(list(Trigger)),
    threshold=numbers,
    channel=st.sampled_from(list(Channel)),
    action=st.sampled_from(list(Action)),
    magnitude=numbers,
    rate=numbers,
    until=numbers,
    subject=st.integers(-2, 5),
    after_row=st.integers(-2, 4),
    delay_s=numbers,
)


@given(table=st.lists(rows, max_size=4), fit=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_table_is_either_refused_with_its_row_or_safe_to_run(table: list[Event], fit: bool) -> None:
    if fit:
        table = [row._replace(channel=CHANNEL_OF[row.action]) for row in table]
    try:
        check_events(table, ACTORS)
    except ParameterError as error:
        assert str(error).startswith("event ")  # noqa: PT017  (which row is checked by the examples above)
        return
    for number, row in enumerate(table):
        assert 1 <= row.actor < len(ACTORS)
        assert -1 <= row.subject < len(ACTORS)
        assert row.after_row != number
        assert all(math.isfinite(value) for value in (row.threshold, row.magnitude, row.rate, row.delay_s))
        assert not math.isinf(row.until)
        assert row.channel == CHANNEL_OF[row.action]
