"""Actors that replay a recording: where they are is given for every moment, whatever the ego does.

A track drives a free SCRIPTED actor without events of its own. Before every tick the path of that actor is laid
through its next recorded place, so that the compiled kernels move it exactly there, in the same phase as everybody
else. Between recorded states places, headings and speeds are interpolated linearly. Recorded actors never hit one
another: boxes of a recording overlap where its measurements are off, and nobody replans for it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.sim.batch import Batch
from simdrive.sim.kernel_frame import ACCELERATION, CHECKS
from simdrive.sim.play import (
    FREE_HEADING,
    FREE_S,
    FREE_X,
    FREE_Y,
    OFFSET,
    PATH_LATERAL,
    PATH_R,
    PATH_S,
    PATH_SPEED,
    TICK,
)
from simdrive.sim.scripted import BRAKE_LIGHT_MPS2
from simdrive.sim.spec import WorldSpec
from simdrive.sim.state import Behaviour, Bool, Float
from simdrive.types import Long

_SLOPE_S = 0.5  # accelerations are slopes over this long: those of recordings are noise from state to state
_TIME_TOLERANCE = 1e-6  # of a tick


@dataclass(frozen=True, eq=False)
class Track:
    """One actor of a recording; arrays ``[n]``, world frame, times ascending."""

    actor: int  # index in the world, the ego is 0
    time_s: Float
    x_m: Float
    y_m: Float
    heading_rad: Float  # unwrapped
    speed_mps: Float


@dataclass(frozen=True)
class TrackedWorldSpec(WorldSpec):
    """A world in which some actors replay a recording."""

    tracks: tuple[Track, ...] = ()


def tracks_of(spec: WorldSpec) -> tuple[Track, ...]:
    """Return the tracks of a world, none for one without a recording."""
    return spec.tracks if isinstance(spec, TrackedWorldSpec) else ()


def unhurt(spec: WorldSpec) -> frozenset[int]:
    """Return the actors that never hit one another: those on tracks, and obstacles where there are any."""
    tracks = tracks_of(spec)
    standing = (v for v, actor in enumerate(spec.actors, start=1) if actor.behaviour == Behaviour.OBSTACLE)
    return frozenset([*(track.actor for track in tracks), *standing]) if tracks else frozenset()


def check_tracks(spec: WorldSpec) -> None:
    """Check the tracks of one world.

    Raises:
        ParameterError: naming the track and what is wrong with it.
    """
    seen: set[int] = set()
    for track in tracks_of(spec):
        where = f"track of actor {track.actor}"
        if not 1 <= track.actor <= len(spec.actors):
            raise ParameterError(f"{where}: there is no such actor; allowed 1 to {len(spec.actors)}")
        actor = spec.actors[track.actor - 1]
        moved = any(event.actor == track.actor and event.channel < 2 for event in spec.events)
        if actor.behaviour != Behaviour.SCRIPTED or actor.lane is not None or moved or track.actor in seen:
            raise ParameterError(f"{where}: needs a SCRIPTED actor of its own, on no lane, that no event moves")
        seen.add(track.actor)
        columns = (track.time_s, track.x_m, track.y_m, track.heading_rad, track.speed_mps)
        if len({np.shape(column) for column in columns}) != 1 or np.ndim(track.time_s) != 1 or not len(track.time_s):
            raise ParameterError(f"{where}: its columns must have one equal length of at least 1")
        if not all(np.isfinite(column).all() for column in columns) or (np.diff(track.time_s) <= 0.0).any():
            raise ParameterError(f"{where}: needs finite numbers and ascending times")


@functools.lru_cache(maxsize=4096)
def _sampled(track: Track, frequency_hz: int) -> tuple[int, Float]:
    """Return (first tick, ``[ticks, 5]`` x, y, heading, speed, acceleration) of a track at physics ticks."""
    time = track.time_s
    first = math.ceil(time[0] * frequency_hz - _TIME_TOLERANCE)
    last = max(math.floor(time[-1] * frequency_hz + _TIME_TOLERANCE), first)
    at = np.arange(first, last + 1) / frequency_hz
    columns = [np.interp(at, time, column) for column in (track.x_m, track.y_m, track.heading_rad, track.speed_mps)]
    early, late = np.clip(at - 0.5 * _SLOPE_S, time[0], time[-1]), np.clip(at + 0.5 * _SLOPE_S, time[0], time[-1])
    gain = np.interp(late, time, track.speed_mps) - np.interp(early, time, track.speed_mps)
    slope = np.divide(gain, late - early, out=np.zeros_like(gain), where=late > early)
    return first, np.column_stack([*columns, slope])


@dataclass(frozen=True)
class TrackPlayer:
    """Moves the recorded actors of a batch; holds nothing that changes."""

    frequency_hz: int
    world: Long  # [N] row of the batch per track
    actor: Long  # [N]
    first: Long  # [N] tick of the first row
    offset: Long  # [N] where its rows begin in the table
    count: Long  # [N]
    table: Float  # [rows, 5] x, y, heading, speed, acceleration

    def before(self, batch: Batch, active: Bool) -> None:
        """Lay the paths of all recorded actors of the ``active`` worlds [B] through their places after this tick."""
        rows = np.flatnonzero(active[self.world])
        w, v = self.world[rows], self.actor[rows]
        motion, target = batch.play.motion, self.table[self._row(batch, rows, 1)]
        speed = target[:, 3]
        motion[w, v, FREE_X], motion[w, v, FREE_Y], motion[w, v, FREE_HEADING] = (
            target[:, 0],
            target[:, 1],
            target[:, 2],
        )
        motion[w, v, FREE_S] = motion[w, v, PATH_S] + 0.5 * (speed + speed) * (1.0 / self.frequency_hz)
        motion[w, v, PATH_SPEED], motion[w, v, PATH_R], motion[w, v, OFFSET] = speed, 0.0, 0.0
        motion[w, v, PATH_LATERAL] = 1.0  # keeps the kernel from leaving out who stands; it takes it off itself

    def after(self, batch: Batch, active: Bool) -> None:
        """Tell the accelerations and brake lights of all recorded actors of the ``active`` worlds [B]."""
        rows = np.flatnonzero(active[self.world])
        w, v = self.world[rows], self.actor[rows]
        slope = np.where(batch.actors.present[w, v], self.table[self._row(batch, rows, 0), 4], 0.0)
        batch.frame.numbers[w, v, ACCELERATION] = slope
        batch.actors.acceleration[w, v] = slope
        batch.actors.brake_light[w, v] = slope < BRAKE_LIGHT_MPS2

    def _row(self, batch: Batch, rows: Long, ahead: int) -> Long:
        tick = batch.record.codes[self.world[rows], TICK] + ahead
        place: Long = self.offset[rows] + np.clip(tick - self.first[rows], 0, self.count[rows] - 1)
        return place


def track_player(specs: Sequence[WorldSpec], frequency_hz: int) -> TrackPlayer | None:
    """Return what moves the recorded actors of some worlds, None if there are none."""
    entries = [(w, track) for w, spec in enumerate(specs) for track in tracks_of(spec)]
    if not entries:
        return None
    parts: list[Float] = []
    known: dict[Track, tuple[int, int, int]] = {}  # the same recording may be played by many worlds
    size = 0
    for _, track in entries:
        if track not in known:
            begin, part = _sampled(track, frequency_hz)
            known[track] = begin, size, len(part)
            parts.append(part)
            size += len(part)
    columns = np.array([(w, track.actor, *known[track]) for w, track in entries], np.int64)
    world, actor, first, offset, count = (np.ascontiguousarray(columns[:, column]) for column in range(5))
    return TrackPlayer(int(frequency_hz), world, actor, first, offset, count, np.concatenate(parts))


def spare_recorded(batch: Batch, specs: Sequence[WorldSpec]) -> None:
    """Switch off contacts of recorded actors with one another; those with the ego are found all the same."""
    for w, spec in enumerate(specs):
        columns = sorted(unhurt(spec))
        batch.traits.check_collisions[w, columns] = False
        batch.frame.whole[w, columns, CHECKS] = 0
