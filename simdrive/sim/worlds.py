"""A batch of scenario worlds that step together: what drivers, search, rollout and scenarios build on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrive.errors import ControlError, ParameterError
from simdrive.sim.assemble import assemble
from simdrive.sim.batch import MUTABLE, Batch
from simdrive.sim.grip import Grip, grip_of, slicks_in_view
from simdrive.sim.play import (
    APPLIED_ACCELERATION,
    APPLIED_STEERING,
    CONTACT_ACTOR,
    CONTACT_ACTOR_SPEED,
    CONTACT_EGO_SPEED,
    CONTACT_IMPACT_SPEED,
    CONTACT_TICK,
    FIRED_S,
    OUTSIDE_M,
    ROUTE_R,
    ROUTE_S,
    TICK,
)
from simdrive.sim.spec import WorldSpec
from simdrive.sim.state import Actors, Bool, Float, Int, RoadTables, Traits
from simdrive.sim.tick import look_up_lanes, step_worlds
from simdrive.sim.tracks import spare_recorded, track_player
from simdrive.sim.views import world_view
from simdrive.types import Long, WorldView


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The complete mutable state of a batch of worlds; opaque, for ``Worlds.restore``."""

    parts: dict[str, tuple[npt.NDArray[Any], ...]]


class Worlds:
    """Worlds on any maps, stepped by one compiled kernel.

    A world's results depend on its spec, its controls and the frequency alone: not on the batch size, its row, or
    the other worlds. Tick k is at ``t_us = round(k * 1e6 / frequency_hz)``. Arrays handed out are the live ones
    (read them, do not write them) and stay the same objects for the life of the batch.

    Attributes:
        specs: what the worlds were built from, one per world.
        size: number of worlds B.
        frequency_hz: physics ticks per second.
        grip: slick ground of the worlds, None if there is none.
    """

    def __init__(self, specs: Sequence[WorldSpec], frequency_hz: int = 50) -> None:
        """Lay out the worlds at time zero.

        Raises:
            ParameterError: naming world, actor, event row or field that is not allowed.
        """
        if not 1 <= frequency_hz <= 1000:
            raise ParameterError(f"frequency_hz is {frequency_hz}; allowed are 1 to 1000")
        batch = assemble(tuple(specs))
        spare_recorded(batch, specs)
        self._set(batch, specs, frequency_hz)

    def _set(self, batch: Batch, specs: Sequence[WorldSpec], frequency_hz: int) -> None:
        self.specs: tuple[WorldSpec, ...] = tuple(specs)
        self.frequency_hz = int(frequency_hz)
        self._batch = batch
        self._tracks = track_player(specs, int(frequency_hz))
        self.grip: Grip | None = grip_of(specs)
        self._hazard_row = np.array([spec.hazard_row for spec in specs], np.int64)
        self._lead_in_s = np.array([spec.lead_in_s for spec in specs])
        self._has_hazard = np.array([bool(spec.hazard_actors) for spec in specs])
        self.cruise_speed_mps: Float = np.array([spec.cruise_speed_mps for spec in specs], np.float64)
        self.command: Int = np.array([spec.command for spec in specs], np.int32)

    # --- what there is ---------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of worlds."""
        return len(self.specs)

    @property
    def actors(self) -> Actors:
        """State of all actors, ``[B, V]``, the ego in column 0, unused columns absent."""
        return self._batch.actors

    @property
    def traits(self) -> Traits:
        """Sizes and driver parameters, ``[B, V]``. ``collidable`` is False for the ego: see ``contact_tick``."""
        return self._batch.traits

    @property
    def roads(self) -> RoadTables:
        """Lanes of all maps of the batch; lane rows of all arrays point in here."""
        return self._batch.roads

    @property
    def map_id(self) -> Int:
        """``[B]`` map of each world in ``roads``."""
        return self._batch.setting.map_id

    @property
    def first_lane(self) -> Int:
        """``[B]`` first lane row of each world's map: row minus this is the row in the map on its own."""
        rows: Int = self.roads.map_lane_start[self.map_id]
        return rows

    @property
    def actor_count(self) -> Long:
        """``[B]`` actors in use, ego included."""
        return self._batch.ways.actor_count

    # --- clock -----------------------------------------------------------------------------------------------

    @property
    def tick(self) -> Long:
        """``[B]`` physics ticks done."""
        return self._batch.record.codes[:, TICK]

    @property
    def t_us(self) -> Long:
        """``[B]`` simulated time, microseconds."""
        return self._microseconds(self.tick)

    def _microseconds(self, tick: Long) -> Long:
        time_us: Long = np.rint(tick * (1e6 / self.frequency_hz)).astype(np.int64)
        return time_us

    # --- ego -------------------------------------------------------------------------------------------------

    @property
    def ego_control(self) -> Float:
        """``[B, 2]`` acceleration (m/s2) and steering (rad) applied in the last tick.

        Brakes do not make a car reverse: a deceleration that would is cut so that the ego stops. On a slick both are
        what the tyres hold, not what was asked for.
        """
        return self._batch.record.numbers[:, APPLIED_ACCELERATION : APPLIED_STEERING + 1]

    @property
    def route(self) -> Float:
        """``[B, R, 5]`` x, y, heading, s, curvature of the ego route every metre; s = 0 where the ego started.

        Rows beyond ``route_count`` repeat the last point. It reaches 40 m behind the start and 160 m beyond the
        goal where the lanes do.
        """
        return self._batch.ways.route

    @property
    def route_count(self) -> Long:
        """``[B]`` valid rows of ``route``."""
        return self._batch.ways.route_count

    @property
    def route_s(self) -> Float:
        """``[B]`` position of the ego along its route since the start, m; goal reached at ``spec.goal_m``."""
        return self._batch.record.numbers[:, ROUTE_S]

    @property
    def route_r(self) -> Float:
        """``[B]`` offset of the ego to the right of its route, m."""
        return self._batch.record.numbers[:, ROUTE_R]

    @property
    def lane_left_m(self) -> Float:
        """``[B, R]`` drivable width left of each route point, oncoming lanes included, m, at most 12."""
        return self._batch.widths.left

    @property
    def lane_right_m(self) -> Float:
        """``[B, R]`` drivable width right of each route point, m, at most 12."""
        return self._batch.widths.right

    @property
    def same_left_m(self) -> Float:
        """``[B, R]`` the part of ``lane_left_m`` on lanes that lead the ego's way, m."""
        return self._batch.widths.same_left

    @property
    def same_right_m(self) -> Float:
        """``[B, R]`` the part of ``lane_right_m`` on lanes that lead the ego's way, m."""
        return self._batch.widths.same_right

    @property
    def outside_m(self) -> Float:
        """``[B]`` largest distance of an ego corner outside the drivable area, m; 0 = inside."""
        return self._batch.record.numbers[:, OUTSIDE_M]

    # --- contacts --------------------------------------------------------------------------------------------

    @property
    def contact_tick(self) -> Long:
        """``[B]`` tick at whose state the ego's box first overlapped another's, -1 = not yet."""
        return self._batch.record.codes[:, CONTACT_TICK]

    @property
    def contact_us(self) -> Long:
        """``[B]`` time of the first contact, microseconds, -1 = none."""
        tick = self._batch.record.codes[:, CONTACT_TICK]
        return np.where(tick < 0, -1, self._microseconds(tick))

    @property
    def contact_actor(self) -> Long:
        """``[B]`` actor of the first contact, -1 = none."""
        return self._batch.record.codes[:, CONTACT_ACTOR]

    @property
    def contact_ego_speed(self) -> Float:
        """``[B]`` speed of the ego at the first contact, m/s."""
        return self._batch.record.numbers[:, CONTACT_EGO_SPEED]

    @property
    def contact_actor_speed(self) -> Float:
        """``[B]`` speed of the touched actor, m/s."""
        return self._batch.record.numbers[:, CONTACT_ACTOR_SPEED]

    @property
    def contact_impact_speed(self) -> Float:
        """``[B]`` magnitude of the relative velocity at the first contact, m/s."""
        return self._batch.record.numbers[:, CONTACT_IMPACT_SPEED]

    @property
    def others_crashed(self) -> Bool:
        """``[B]`` actors other than the ego have crashed into each other."""
        return np.asarray(self._batch.actors.crashed[:, 1:].any(axis=1))

    # --- hazard ----------------------------------------------------------------------------------------------

    @property
    def hazard_us(self) -> Long:
        """``[B]`` time since when the hazard exists, microseconds, -1 = not (yet).

        That is when ``hazard_row`` fired, or the end of the lead-in where there is no such row; a world without
        ``hazard_actors`` never has one.
        """
        fired = self._batch.play.event_times[np.arange(self.size), np.maximum(self._hazard_row, 0), FIRED_S]
        start_us = np.rint(np.where(self._hazard_row >= 0, fired, self._lead_in_s) * 1e6)
        exists = self._has_hazard & (start_us <= self.t_us)  # NaN, not fired yet, compares false
        return np.where(exists, start_us, -1.0).astype(np.int64)

    @property
    def hazard_on(self) -> Bool:
        """``[B]`` the hazard exists by now."""
        return self.hazard_us >= 0

    # --- motion ----------------------------------------------------------------------------------------------

    def step(
        self, controls: npt.ArrayLike, active: Bool | None = None, ticks: int = 1, *, look_up_lanes: bool = True
    ) -> None:
        """Advance worlds by ``ticks`` ticks under constant controls.

        Args:
            controls: ``[B, 2]`` acceleration (m/s2) and front-wheel steering (rad, positive to the right); rows of
                inactive worlds are not looked at.
            active: ``[B]`` worlds to advance; None = all. The others stay untouched.
            ticks: at least 1.
            look_up_lanes: also find the lanes of everybody afterwards. Off saves a third of the time; what tells lanes
                is then old until ``look_up_lanes`` is called. Nothing else depends on it.

        Raises:
            ControlError: if a control is not finite or the array has another shape; nothing was advanced.
        """
        values = np.ascontiguousarray(controls, dtype=np.float64)
        if values.shape != (self.size, 2):
            raise ControlError(f"controls have shape {values.shape}; {self.size} worlds need ({self.size}, 2)")
        going = np.ones(self.size, np.bool_) if active is None else np.ascontiguousarray(active, np.bool_)
        if going.shape != (self.size,):
            raise ControlError(f"active has shape {going.shape}; {self.size} worlds need ({self.size},)")
        if ticks < 1:
            raise ControlError(f"ticks is {ticks}; at least 1 is needed")
        bad = ~np.isfinite(values) & going[:, None]
        if bad.any():
            world, column = (int(index) for index in np.argwhere(bad)[0])
            name = ("acceleration", "steering")[column]
            raise ControlError(f"world {world}: control {column} ({name}) is {values[world, column]}; must be finite")
        if self._tracks is None and self.grip is None:
            self._advance(values, going, ticks, look_up_lanes)
            return
        for tick in range(ticks):
            if self._tracks is not None:
                self._tracks.before(self._batch, going)
            held = values if self.grip is None else self._held(self.grip, values, going)
            self._advance(held, going, 1, look_up_lanes and tick == ticks - 1)
            if self._tracks is not None:
                self._tracks.after(self._batch, going)

    def _held(self, grip: Grip, values: Float, going: Bool) -> Float:
        return grip.held(values, going, self.route_s, self.actors.speed[:, 0], self.traits.length[:, 0])

    def _advance(self, values: Float, going: Bool, ticks: int, look: bool) -> None:
        batch = self._batch
        step_worlds(
            self.frequency_hz, ticks, look, values, going, batch.roads, batch.shared, batch.setting, batch.script,
            batch.ways, batch.actors, batch.frame, batch.play, batch.record,
        )  # fmt: skip

    def look_up_lanes(self, rows: Long) -> None:
        """Find the lanes of everybody in the worlds ``rows`` [N], after steps that left it out."""
        batch = self._batch
        look_up_lanes(rows, batch.roads, batch.setting, batch.actors, batch.frame)

    # --- copies ----------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that changes: actors, events, routes, contacts, clock."""
        parts = {}
        for name in MUTABLE:
            parts[name] = tuple(array.copy() for array in getattr(self._batch, name))
        return Snapshot(parts)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of these worlds (or of worlds of the same shapes, e.g. another replica).

        Raises:
            ParameterError: if it was taken from a batch of another shape.
        """
        for name in MUTABLE:
            for array, old in zip(getattr(self._batch, name), snapshot.parts[name], strict=True):
                if array.shape != old.shape:
                    raise ParameterError(
                        f"snapshot holds {name} of shape {old.shape}, these worlds have {array.shape}; "
                        "restore it into the worlds it came from"
                    )
        for name in MUTABLE:
            for array, old in zip(getattr(self._batch, name), snapshot.parts[name], strict=True):
                array[...] = old

    def replicate(self, world: int, count: int) -> Worlds:
        """Return ``count`` independent copies of one world in its present state, as a new batch.

        Raises:
            ParameterError: if there is no such world or ``count`` is below 1.
        """
        if not 0 <= world < self.size:
            raise ParameterError(f"world {world} does not exist; allowed 0 to {self.size - 1}")
        if count < 1:
            raise ParameterError(f"count is {count}; at least 1 copy is needed")
        return self.select([world] * count)

    def select(self, worlds: Iterable[int]) -> Worlds:
        """Return independent copies of the given worlds (repeats allowed) in their present state, as a new batch."""
        rows = np.fromiter(worlds, np.intp)
        specs = [self.specs[row] for row in rows]
        copies = Worlds.__new__(Worlds)
        copies._set(self._batch.select(rows), specs, self.frequency_hz)
        return copies

    # --- views -----------------------------------------------------------------------------------------------

    def view(self, rows: npt.ArrayLike, visible: Bool | None = None, *, clairvoyant: bool = False) -> WorldView:
        """Return read-only copies of the state of some worlds.

        Args:
            rows: ``[N]`` worlds.
            visible: ``[N, V]`` line of sight from the ego; unseen actors are blanked (absent, NaN, lane -1). None =
                nothing is hidden.
            clairvoyant: also hand out the simulator itself, to read and to copy.

        Raises:
            ParameterError: if ``visible`` has another shape.
        """
        chosen = np.atleast_1d(np.asarray(rows, np.intp))
        slicks = slicks_in_view(self.grip, chosen, self.route_s[chosen])
        return world_view(self._batch, chosen, visible, self if clairvoyant else None, slicks)
