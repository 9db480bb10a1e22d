"""New cases: of chosen kinds, or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simdrive.compress.flywheel.degraded import Target
from simdrive.errors import ParameterError
from simdrive.eval.kinds import kinds_of
from simdrive.scenarios.sampling import suite_cases
from simdrive.streams import digest, stream
from simdrive.types import Case, Suite, SuiteEntry

MOST_TARGETS = 5
SEEDS = 100  # that the cases of one call may take, from its seed on
_TRIES = SEEDS // MOST_TARGETS


def any_cases(suite: Suite, count: int, seed: int) -> tuple[Case, ...]:
    """Return ``count`` cases, evenly from all entries of a suite."""
    each = -(-count // len(suite.entries))
    cases = _drawn(suite, suite.entries, each, seed)
    order = stream(digest({"suite": suite.name, "seed": seed}), "flywheel.any").permutation(len(cases))
    return tuple(cases[k] for k in sorted(order[:count].tolist()))


def cases_of(targets: Sequence[Target], suite: Suite, count: int, seed: int) -> tuple[Case, ...]:
    """Return ``count`` cases, each target's share of them of its kind.

    Raises:
        ParameterError: if the suite's ranges hold hardly any case of a kind.
    """
    found: dict[str, Case] = {}
    for place, target in enumerate(targets[:MOST_TARGETS]):
        share = count // len(targets) + (place < count % len(targets))
        for case in _of_kind(target, suite, share, seed + place * _TRIES):
            found[case.key] = case
    return tuple(found.values())


def _of_kind(target: Target, suite: Suite, count: int, seed: int) -> list[Case]:
    entries = [e for e in suite.entries if target.slice != "scenario" or e.scenario == target.value]
    found: list[Case] = []
    for number in range(_TRIES):
        # A kind may be rare (fog: 3 % of long_tail_v1), so later draws are larger.
        each = -(-count // len(entries)) * 2 ** min(number, 4)
        drawn = _drawn(suite, entries, each, seed + number)
        kept = target.holds(kinds_of(drawn))
        found += [case for case, ok in zip(drawn, kept.tolist(), strict=True) if ok]
        if len(found) >= count:
            return found[:count]
    raise ParameterError(
        f"{suite.name} gave {len(found)} of {count} cases with {target.slice} {target.value} in {_TRIES} draws; "
        "ask for fewer cases or another suite"
    )


def _drawn(suite: Suite, entries: Sequence[SuiteEntry], each: int, seed: int) -> tuple[Case, ...]:
    asked = tuple(replace(entry, cases=each) for entry in entries)
    return suite_cases(replace(suite, entries=asked, seed=seed))
