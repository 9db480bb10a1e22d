"""Which kinds of cases there are: by scenario, and by light and weather."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from simdrive.eval.prepared import world_of
from simdrive.scenarios.lights import lighting_name
from simdrive.types import Case

KINDS = ("scenario", "lighting")


def kinds_of(cases: Sequence[Case]) -> pd.DataFrame:
    """Return the kinds of cases (columns ``KINDS``), indexed by their keys."""
    rows = [{"scenario": case.scenario, "lighting": lighting_name(world_of(case).lighting)} for case in cases]
    return pd.DataFrame(rows, index=[case.key for case in cases], columns=list(KINDS))
