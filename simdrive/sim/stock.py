"""A batch of stock highway-env roads stepped together by the compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from highway_env.road.road import Road

from simdrive.errors import ControlError, ParameterError
from simdrive.sim import kernel_frame as k
from simdrive.sim.compile import StockBatch, compile_roads
from simdrive.sim.frames import first_lanes, pack, read_state, write_state
from simdrive.sim.kernel_stock import command_frames, locate_frames, step_frames
from simdrive.sim.roads import LaneIndex
from simdrive.sim.state import Actors, Float, Whole, snapshot

Saved = tuple[Float, Whole, npt.NDArray[np.int32]]


class StockWorlds:
    """Roads of highway-env as one batch: world b is the b-th road, actor i its i-th vehicle, objects last.

    Results equal highway-env's bit for bit where numpy uses the same libm, and never depend on the batch.
    """

    def __init__(self, roads: Sequence[Road]) -> None:
        self.batch: StockBatch = compile_roads(roads)
        batch = self.batch
        self._first_lane = first_lanes(batch.info, batch.roads.map_lane_start)
        self._numbers, self._whole = pack(batch.actors, batch.traits, batch.routes, batch.extras, self._first_lane)
        self._fused = bool(batch.roads.fused_dot[0])
        self._circles = np.empty((3, batch.actors.x.shape[1]))
        self._locate()

    @property
    def count(self) -> int:
        """How many worlds there are."""
        return len(self._numbers)

    def read(self) -> Actors:
        """Return a copy of the present state, ``[worlds, actors]``."""
        read_state(self._numbers, self._whole, self.batch.actors, self._first_lane)
        return snapshot(self.batch.actors)

    def write(self, actors: Actors) -> None:
        """Replace the state, e.g. by one from ``read`` with other positions, speeds or presence."""
        write_state(self._numbers, self._whole, actors, self._first_lane)
        self._locate()

    def lane_names(self, world: int) -> dict[int, LaneIndex]:
        """Return highway-env's lane index of every lane row of a world's map."""
        names = self.batch.maps[int(self.batch.info.map_id[world])].lane_index
        return {int(self._first_lane[world]) + row: name for row, name in enumerate(names)}

    def step(self, sub_steps: int, dt_s: float) -> None:
        """Advance every world by ``sub_steps`` times ``Road.act`` and ``Road.step(dt_s)``.

        Raises:
            ParameterError: if ``sub_steps`` is negative, or ``dt_s`` is not in (0, 0.5].
        """
        if sub_steps < 0 or not 0 < dt_s <= 0.5:
            raise ParameterError(f"sub_steps must be at least 0 and dt_s in (0, 0.5] s, got {sub_steps} and {dt_s}")
        scratch, routes, info, roads = self.batch.scratch, self.batch.routes, self.batch.info, self.batch.roads
        step_frames(
            dt_s, sub_steps, self._numbers, self._whole, scratch.s, scratch.r, scratch.members, routes.road,
            routes.lane_id, info.map_id, info.connected, info.regulated, info.rule_steps, roads.lane_geometry,
            roads.points, roads.lane_link, roads.road_codes, roads.road_next, roads.map_lane_start,
            roads.map_road_start, self._fused, self._circles,
        )  # fmt: skip

    def control(self, steering_rad: npt.ArrayLike, acceleration_mps2: npt.ArrayLike, actor: int = 0) -> None:
        """Set the controls of a kinematic or bicycle vehicle in every world; they hold until set again.

        Args:
            steering_rad: ``[worlds]`` or one number.
            acceleration_mps2: ``[worlds]`` or one number.
            actor: index of the vehicle.

        Raises:
            ControlError: for a number that is not finite.
        """
        steering, acceleration = np.asarray(steering_rad, float), np.asarray(acceleration_mps2, float)
        if not (np.isfinite(steering).all() and np.isfinite(acceleration).all()):
            raise ControlError("steering_rad and acceleration_mps2 must be finite")
        self._numbers[:, actor, k.STEERING] = steering
        self._numbers[:, actor, k.ACCELERATION] = acceleration

    def command(self, meta_actions: npt.ArrayLike, actor: int = 0) -> None:
        """Apply one meta action per world to a controlled vehicle, before the first frame of a policy step.

        Args:
            meta_actions: ``[worlds]`` integers: 0 lane left, 1 idle, 2 lane right, 3 faster, 4 slower, -1 none.
            actor: index of the commanded vehicle.

        Raises:
            ControlError: for a number outside -1 .. 4 or a wrong shape.
        """
        actions = np.asarray(meta_actions, dtype=np.int32)
        if actions.shape != (self.count,) or actions.min() < -1 or actions.max() > 4:
            raise ControlError(f"meta_actions must be {self.count} integers in -1 .. 4, got {actions.tolist()}")
        scratch, routes, info, roads = self.batch.scratch, self.batch.routes, self.batch.info, self.batch.roads
        command_frames(
            actor, actions, self.batch.extras.target_speeds, self._numbers, self._whole, scratch.s, scratch.r,
            routes.road, routes.lane_id, info.map_id, roads.lane_geometry, roads.points, roads.road_codes,
            roads.road_next, roads.map_lane_start, roads.map_road_start, self._fused,
        )  # fmt: skip

    def save(self) -> Saved:
        """Return a snapshot for ``load``."""
        return self._numbers.copy(), self._whole.copy(), self.batch.info.rule_steps.copy()

    def load(self, saved: Saved) -> None:
        """Return to a snapshot."""
        numbers, whole, rule_steps = saved
        self._numbers[...], self._whole[...], self.batch.info.rule_steps[...] = numbers, whole, rule_steps
        self._locate()

    def _locate(self) -> None:
        scratch, info, roads = self.batch.scratch, self.batch.info, self.batch.roads
        locate_frames(
            self._numbers, self._whole, scratch.s, scratch.r, scratch.members, info.map_id, roads.lane_geometry,
            roads.points, roads.map_lane_start, self._fused,
        )  # fmt: skip
