"""Small CommonRoad files: a straight road of two lanes, vehicles that move evenly, one planning problem."""

from __future__ import annotations

from collections.abc import Sequence


def bound(y: float, length: float = 300.0, marking: str = "") -> str:
    points = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x in (0.0, 0.5 * length, length))
    return points + (f"<lineMarking>{marking}</lineMarking>" if marking else "")


def lanelet(key: int, low: float, high: float, more: str = "") -> str:
    """A lanelet that leads to the east between two y."""
    return (
        f'<lanelet id="{key}"><leftBound>{bound(high)}</leftBound><rightBound>{bound(low)}</rightBound>{more}</lanelet>'
    )


ROAD = lanelet(1, 0.0, 3.5, '<adjacentLeft ref="2" drivingDir="same"/>') + lanelet(
    2, 3.5, 7.0, '<adjacentRight ref="1" drivingDir="same"/>'
)


def state(tag: str, time: str, x: float, y: float, heading: str = "", speed: str = "") -> str:
    more = (f"<orientation>{heading}</orientation>" if heading else "") + (
        f"<velocity>{speed}</velocity>" if speed else ""
    )
    place = f"<position><point><x>{x}</x><y>{y}</y></point></position>"
    return f"<{tag}>{place}{more}<time>{time}</time></{tag}>"


def exact(value: float) -> str:
    return f"<exact>{value}</exact>"


BOX = "<shape><rectangle><length>4.0</length><width>2.0</width></rectangle></shape>"


def vehicle(
    key: int, places: Sequence[tuple[float, float]], *, first: int = 0, shape: str = BOX, speed: str = exact(10.0),
    heading: str = exact(0.0), kind: str = "car",
) -> str:  # fmt: skip
    """A 2020a vehicle with one state per time step."""
    states = [
        state("initialState" if i == 0 else "state", exact(first + i), x, y, heading, speed)
        for i, (x, y) in enumerate(places)
    ]
    return (
        f'<dynamicObstacle id="{key}"><type>{kind}</type>{shape}{states[0]}'
        f"<trajectory>{''.join(states[1:])}</trajectory></dynamicObstacle>"
    )


def evenly(x: float, y: float, speed: float, steps: int, step_s: float = 0.1) -> list[tuple[float, float]]:
    return [(x + speed * step_s * i, y) for i in range(steps)]


GOAL = "<goalState><time><intervalStart>40</intervalStart><intervalEnd>50</intervalEnd></time></goalState>"


def problem(key: int = 100, x: float = 50.0, y: float = 1.75, speed: float = 10.0, goal: str = GOAL) -> str:
    start = state("initialState", exact(0), x, y, exact(0.0), exact(speed))
    return f'<planningProblem id="{key}">{start}{goal}</planningProblem>'


def document(*parts: str, road: str = ROAD, version: str = "2020a", step: str = "0.1") -> bytes:
    head = f'<commonRoad commonRoadVersion="{version}" timeStepSize="{step}" benchmarkID="T">'
    return "\n".join(["<?xml version='1.0'?>", head, road, *parts, "</commonRoad>"]).encode()
