"""A run in N parts that need not know of each other: every N-th case of the suite, for job arrays and many machines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simdrive.errors import ParameterError
from simdrive.streams import digest
from simdrive.types import Case, Long

_FORM = re.compile(r"^(\d{1,6})/(\d{1,6})$")


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``count``; ``cases`` and ``cases_hash`` are those of the whole run."""

    number: int
    count: int
    cases: int
    cases_hash: str

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def chosen(self, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        """Return the cases of this part: every ``count``-th, so that all parts are about as hard."""
        return cases[self.number - 1 :: self.count]


def parse_shard(value: object, cases: tuple[Case, ...]) -> Shard | None:
    """Return the part that ``shard=i/N`` means for these cases, None for none.

    Raises:
        ParameterError: if it is not of that form, or there are fewer cases than parts.
    """
    if value is None:
        return None
    found = _FORM.match(str(value))
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ParameterError(f"shard must be i/N with i from 1 to N, for example shard=2/4, got {value!r}")
    number, count = int(found[1]), int(found[2])
    if count > len(cases):
        raise ParameterError(f"shard={value}: there are {len(cases)} cases; use at most as many shards")
    return Shard(number, count, len(cases), digest([case.key for case in cases]))


def whole_rows(rows: Long, number: int, count: int, cases: int) -> Long:
    """Return where rows [N] of the plan of a part stand in the plan of the whole run of ``cases`` cases.

    Both plans hold one block of rows per agent and setting, cases innermost; the order is kept.
    """
    own = len(range(number - 1, cases, count))
    return rows // own * cases + rows % own * count + number - 1
