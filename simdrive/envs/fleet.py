"""Slots of a vector environment over few large batches of worlds, although episodes end at different times.

Worlds of a batch are laid out together, so a slot cannot swap its world for another. Each slot therefore has
its next episodes laid out ahead, in batches that all slots share; a batch goes when its last episode is over.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from simdrive.envs.task import Field, Observation, Outcome, Task
from simdrive.types import Float, Long

AHEAD = 4  # episodes per slot that are laid out together
Place = tuple[Field, int]  # a batch and a row in it
Group = tuple[Field, Long, Long]  # a batch, slots that are in it, their rows


class Fleet:
    """N slots, each in an episode of its own.

    Attributes:
        rng: ``[N]`` what each slot draws its cases from; its cases depend on nothing else.
    """

    def __init__(self, task: Task, rng: list[np.random.Generator]) -> None:
        """Make a fleet without episodes; call ``begin`` for every slot first."""
        self.rng = rng
        self._task = task
        self._ahead: list[deque[Place]] = [deque() for _ in rng]
        self._now: list[Place | None] = [None] * len(rng)
        self._laid_out = 0
        self._route_s, self._acceleration = np.zeros(len(rng)), np.zeros(len(rng))

    def reseed(self, slot: int, rng: np.random.Generator) -> None:
        """Let a slot draw from ``rng`` from its next episode on."""
        self.rng[slot] = rng
        self._ahead[slot].clear()

    def begin(self, slots: Long) -> None:
        """Start the next episode of some slots."""
        if any(not self._ahead[slot] for slot in slots):
            self._lay_out()
        for slot in slots:
            self._now[slot] = self._ahead[slot].popleft()
        self._note(slots)

    def _lay_out(self) -> None:
        """Fill up the episodes ahead of all slots; the first time, only one each, so that a start is
        quick."""
        depth = AHEAD if self._laid_out else 1
        self._laid_out += 1
        wanted = [slot for slot, queue in enumerate(self._ahead) for _ in range(depth - len(queue))]
        field = self._task.open([self._task.draw(self.rng[slot]) for slot in wanted])
        for row, slot in enumerate(wanted):
            self._ahead[slot].append((field, row))

    def _groups(self, slots: Long) -> list[Group]:
        fields: dict[int, tuple[Field, list[int], list[int]]] = {}
        for slot in slots.tolist():
            place = self._now[slot]
            if place is None:
                raise RuntimeError(f"slot {slot} has no episode; begin one first")
            _, members, rows = fields.setdefault(id(place[0]), (place[0], [], []))
            members.append(slot)
            rows.append(place[1])
        return [(field, np.array(members), np.array(rows)) for field, members, rows in fields.values()]

    def _note(self, slots: Long) -> None:
        for field, members, rows in self._groups(slots):
            self._route_s[members] = field.worlds.route_s[rows]
            self._acceleration[members] = field.worlds.ego_control[rows, 0]

    def step(self, slots: Long, controls: Float) -> Outcome:
        """Advance some slots [N] by one step under ``controls`` [N, 2]; return what it brought, ``[N]``."""
        place = {slot: number for number, slot in enumerate(slots.tolist())}
        outcome = Outcome(np.zeros(len(slots)), *np.zeros((2, len(slots)), np.bool_))
        for field, members, rows in self._groups(slots):
            at = [place[slot] for slot in members.tolist()]
            wanted, active = np.zeros((field.worlds.size, 2)), np.zeros(field.worlds.size, np.bool_)
            wanted[rows], active[rows] = controls[at], True
            field.worlds.step(wanted, active, ticks=self._task.sub_steps)
            part = self._task.judge(field, rows, self._route_s[members], self._acceleration[members])
            outcome.reward[at], outcome.terminated[at] = part.reward, part.terminated
            outcome.truncated[at] = part.truncated
        self._note(slots)
        return outcome

    def observe(self, slots: Long, out: Observation) -> None:
        """Write the observations of some slots into their rows of ``out``, arrays ``[N, ...]``."""
        for field, members, rows in self._groups(slots):
            for name, values in self._task.observe(field, rows).items():
                out[name][members] = values

    def info(self, slots: Long, out: dict[str, npt.NDArray[np.generic]]) -> None:
        """Write the facts of some slots into their rows of ``out``; missing columns are added."""
        for field, members, rows in self._groups(slots):
            for name, values in self._task.info(field, rows).items():
                out.setdefault(name, np.zeros(len(self.rng), values.dtype))[members] = values

    def place(self, slot: int) -> Place:
        """Return the batch and row of a slot's episode.

        Raises:
            RuntimeError: if it has none.
        """
        place = self._now[slot]
        if place is None:
            raise RuntimeError(f"slot {slot} has no episode; call reset() first")
        return place
