"""Where failing begins: a grid over two parameters around the nearest failure, all others held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.failures.space import Space
from simdrive.eval.failures.trials import Trial
from simdrive.scenarios.parameters import Range
from simdrive.types import Case, Float


@dataclass(frozen=True)
class Boundary:
    """Outcomes on a grid.

    Attributes:
        names: the two parameters, horizontal first.
        axes: values of each along the grid, ascending.
        outcome: per row of the second and column of the first parameter; "" = values do not go together.
        margin: the same; NaN where not known.
        held: values of all other parameters.
    """

    names: tuple[str, str]
    axes: tuple[tuple[float, ...], tuple[float, ...]]
    outcome: tuple[tuple[str, ...], ...]
    margin: tuple[tuple[float, ...], ...]
    held: tuple[tuple[str, float | int | str | bool], ...]


def choose_axes(space: Space, wanted: Sequence[str] | None, nearest: Float | None) -> tuple[str, str] | None:
    """Return the parameters of the map: the wanted ones, else the two ranges in which the nearest failure is furthest off.

    None where there are fewer than two ranges and nobody asked for some.

    Raises:
        UnknownNameError, ParameterError: if the wanted ones are not two different ranges that vary.
    """
    ranges = [name for name, kind in space.parameters.items() if isinstance(kind, Range) and kind.high > kind.low]
    if wanted is not None:
        for name in wanted:
            if name not in ranges:
                raise UnknownNameError("range for the map", str(name), ranges)
        if len(wanted) != 2 or wanted[0] == wanted[1]:
            raise ParameterError(f"map needs two different ranges, got {list(wanted)}")
        return str(wanted[0]), str(wanted[1])
    if len(ranges) < 2:
        return None
    offsets = dict.fromkeys(ranges, 0.0) if nearest is None else space.offsets(nearest)
    first, second = sorted(ranges, key=lambda name: -abs(offsets[name]))[:2]
    return first, second


def draw_boundary(
    space: Space,
    names: tuple[str, str],
    through: Float,
    cells: int,
    drive: Callable[[Sequence[Case]], Sequence[Trial]],
) -> Boundary:
    """Drive the middle of ``cells`` x ``cells`` cells of the plane through a point.

    Args:
        space: what varies.
        names: the two parameters.
        through: ``[P]`` point that gives all other parameters.
        cells: along each parameter.
        drive: drives cases and judges them.
    """
    steps = (np.arange(cells) + 0.5) / cells
    columns = [space.names.index(name) for name in names]
    places: list[tuple[int, int]] = []
    cases: list[Case] = []
    for row in range(cells):
        for column in range(cells):
            point = through.copy()
            point[columns] = steps[column], steps[row]
            try:
                cases.append(space.case(point))
            except ParameterError:
                continue
            places.append((row, column))
    outcome = [[""] * cells for _ in range(cells)]
    margin = [[float("nan")] * cells for _ in range(cells)]
    for (row, column), trial in zip(places, drive(cases), strict=True):
        outcome[row][column], margin[row][column] = trial.outcome, trial.margin
    axes = tuple(
        tuple(kind.at(float(step)) for step in steps)
        for kind in (space.parameters[name] for name in names)
        if isinstance(kind, Range)
    )
    held = tuple((name, value) for name, value in space.values(through).items() if name not in names)
    return Boundary(names, (axes[0], axes[1]), tuple(map(tuple, outcome)), tuple(map(tuple, margin)), held)
