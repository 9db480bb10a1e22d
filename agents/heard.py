"""From what a model said to plans, for every agent that answers in text."""

from __future__ import annotations

from collections.abc import Sequence

from simdrive.agents.language.codec import targets_from
from simdrive.agents.language.targets import plans_of
from simdrive.types import ObservationBatch, PlanBatch, TokenUsage

UNPARSABLE = "unparsable"


def heard(
    batch: ObservationBatch, texts: Sequence[str], usage: TokenUsage, errors: Sequence[str | None] | None = None
) -> PlanBatch:
    """Return the plans behind N answers; what is no driving answer keeps its text and usage, but gives no plan.

    ``errors`` [N] names rows that have failed already.
    """
    targets, good = targets_from(texts)
    plans = plans_of(targets, batch)
    plans[:, :, 1:] = plans[:, :, 1:].astype("float32")  # as all agents: nobody can tell, and logs are half as large
    known = errors if errors is not None else (None,) * len(texts)
    found = tuple(
        error if error is not None else None if parsed else UNPARSABLE
        for error, parsed in zip(known, good.tolist(), strict=True)
    )
    return PlanBatch(plans, usage, tuple(texts), found)
