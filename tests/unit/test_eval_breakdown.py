"""Failures by kind of situation."""

from __future__ import annotations

import pandas as pd
import pytest

from simdrive.build import build, config_names
from simdrive.errors import UnknownNameError
from simdrive.eval.breakdown import ABILITIES, NONE, breakdown, labels_of
from simdrive.scenarios.taxonomy import VOCABULARIES


def episodes(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame([
        {"scenario": scenario, "failure": failure, "agent": "idm", "latency": "zero", "valid": True, "end": "goal"}
        for scenario, failure in rows
    ])  # fmt: skip


def test_every_type_of_the_abilities_is_one_of_bench2drives() -> None:
    named = {name for types in ABILITIES.values() for name in types}
    assert named <= VOCABULARIES["bench2drive"].keys()
    assert VOCABULARIES["bench2drive"].keys() - named == set()
    assert [len(set(types)) for types in ABILITIES.values()] == [9, 16, 12, 2, 19]


def test_a_scenario_counts_under_all_its_abilities() -> None:
    assert labels_of("cut_in", "ability") == ("merging",)
    assert labels_of("lead_braking", "ability") == ("emergency brake",)
    assert labels_of("red_light_runner", "ability") == ("emergency brake", "traffic signs")
    assert labels_of("ncap_ccrs", "ability") == (NONE,)
    for name in config_names("scenario"):
        codes = [tag for tag in build("scenario", name).tags if tag.startswith("bench2drive:")]
        assert (labels_of(name, "ability") == (NONE,)) == (not codes)


def test_failures_are_counted_once_per_label() -> None:
    frame = episodes(
        ("cut_in", 1.0), ("cut_in", 0.0), ("lead_braking", 1.0), ("red_light_runner", 0.0), ("cut_in", float("nan"))
    )
    found = {part.label: (part.failures, part.scored) for part in breakdown(frame, "ability")}
    assert found == {"merging": (1, 2), "emergency brake": (1, 2), "traffic signs": (0, 1)}
    assert [part.label for part in breakdown(frame, "scenario")] == ["cut_in", "lead_braking", "red_light_runner"]
    assert [part.label.split()[0] for part in breakdown(frame, "nhtsa")][:1] == ["4"]  # in the order of its numbers
    assert breakdown(frame, "scenario")[0].interval.estimate == 0.5


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="kind of situation"):
        breakdown(episodes(("cut_in", 1.0)), "colour")
