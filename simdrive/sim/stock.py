"""A batch of stock highway-env roads stepped together by the compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from highway_env.road.road import Road

from simdrive.errors import ControlError, ParameterError
from simdrive.sim.compile import StockBatch, compile_roads
from simdrive.sim.kernel import command_worlds, locate_worlds, step_stock
from simdrive.sim.roads import LaneIndex
from simdrive.sim.state import Actors, restore, snapshot


class StockWorlds:
    """Roads of highway-env as one batch: world b is the b-th road, actor i its i-th vehicle, objects last.

    Results equal highway-env's bit for bit where numpy uses the same libm, and never depend on the batch.
    """

    def __init__(self, roads: Sequence[Road]) -> None:
        self.batch: StockBatch = compile_roads(roads)
        self._locate()

    @property
    def actors(self) -> Actors:
        """The live state arrays, ``[worlds, actors]``; after writing positions or headings call ``refresh``."""
        return self.batch.actors

    def lane_names(self, world: int) -> dict[int, LaneIndex]:
        """Return highway-env's lane index of every lane row of a world's map."""
        place = int(self.batch.info.map_id[world])
        first = int(self.batch.roads.map_lane_start[place])
        return {first + row: name for row, name in enumerate(self.batch.maps[place].lane_index)}

    def step(self, sub_steps: int, dt_s: float) -> None:
        """Advance every world by ``sub_steps`` times ``Road.act`` and ``Road.step(dt_s)``.

        Raises:
            ParameterError: if ``sub_steps`` is negative, or ``dt_s`` is not in (0, 0.5].
        """
        if sub_steps < 0 or not 0 < dt_s <= 0.5:
            raise ParameterError(
                f"sub_steps must be at least 0 and dt_s in (0, 0.5] s, got {sub_steps} and {dt_s}"
            )
        batch = self.batch
        step_stock(
            dt_s, sub_steps, batch.actors, batch.traits, batch.routes, batch.roads, batch.extras, batch.info,
            batch.scratch,
        )  # fmt: skip

    def command(self, meta_actions: npt.ArrayLike, actor: int = 0) -> None:
        """Apply one meta action per world to a controlled vehicle, before the first frame of a policy step.

        Args:
            meta_actions: ``[worlds]`` integers: 0 lane left, 1 idle, 2 lane right, 3 faster, 4 slower, -1 none.
            actor: index of the commanded vehicle.

        Raises:
            ControlError: for a number outside -1 .. 4 or a wrong shape.
        """
        actions = np.asarray(meta_actions, dtype=np.int32)
        worlds = self.batch.actors.x.shape[0]
        if actions.shape != (worlds,) or actions.min() < -1 or actions.max() > 4:
            raise ControlError(f"meta_actions must be {worlds} integers in -1 .. 4, got {actions.tolist()}")
        batch = self.batch
        command_worlds(
            actor, actions, batch.actors, batch.traits, batch.routes, batch.roads, batch.extras, batch.info,
            batch.scratch,
        )  # fmt: skip

    def refresh(self) -> None:
        """Recompute lane coordinates after positions, headings or presence were written from outside."""
        self._locate()

    def save(self) -> tuple[Any, ...]:
        """Return a snapshot for ``load``."""
        info, extras = self.batch.info, self.batch.extras
        return snapshot(self.batch.actors), info.rule_steps.copy(), extras.yielding.copy(), extras.yield_timer.copy()

    def load(self, saved: tuple[Any, ...]) -> None:
        """Return to a snapshot."""
        actors, rule_steps, yielding, yield_timer = saved
        restore(self.batch.actors, actors)
        self.batch.info.rule_steps[...] = rule_steps
        self.batch.extras.yielding[...] = yielding
        self.batch.extras.yield_timer[...] = yield_timer
        self._locate()

    def _locate(self) -> None:
        batch = self.batch
        locate_worlds(False, batch.actors, batch.traits, batch.roads, batch.info, batch.scratch)
