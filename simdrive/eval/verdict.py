"""One value behind the printed verdict, the title of a report and the exit code, so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Word = Literal["PASS", "FAIL", "INCOMPLETE", "INVALID"]
EXIT_CODES: dict[Word, int] = {"PASS": 0, "INVALID": 1, "FAIL": 3, "INCOMPLETE": 4}


@dataclass(frozen=True)
class Verdict:
    """What a run or a comparison amounts to.

    Attributes:
        word: PASS, FAIL (a rule of the gate fired), INCOMPLETE (planned work is missing) or INVALID (the figures cannot
            carry a verdict).
        reasons: the rules behind it, in plain words, at least one.
    """

    word: Word
    reasons: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """What a process that ends with this verdict returns."""
        return EXIT_CODES[self.word]

    @property
    def title(self) -> str:
        """Word and first reason on one line."""
        return f"{self.word}: {self.reasons[0]}"


def decide(invalid: Sequence[str], missing: Sequence[str], fired: Sequence[str], otherwise: str) -> Verdict:
    """Return the verdict that a list of findings of each kind leads to; graver kinds first, later ones stay listed.

    Missing work comes before a rule that fired: figures of half a run are not the figures of the run.

    Args:
        invalid: why the figures cannot be judged.
        missing: what planned work is not there.
        fired: the rules of the gate that fired.
        otherwise: the reason of a PASS.
    """
    found = (*invalid, *missing, *fired)
    if invalid:
        return Verdict("INVALID", found)
    if missing:
        return Verdict("INCOMPLETE", found)
    return Verdict("FAIL", found) if fired else Verdict("PASS", (otherwise,))
