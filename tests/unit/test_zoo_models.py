"""The models that come with simdrive: whole, small enough, priced, parsable, and named by an agent each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loop_kit import inputs

from simdrive.build import build, config_names
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.models.where import zoo_names
from simdrive.models.zoo import ZooEntry, zoo
from simdrive.types import RequestStatus

ENTRIES = {entry.folder.name: entry for entry in zoo()}
MOST_BYTES = 80_000_000  # of all weights together


def card(entry: ZooEntry) -> dict[str, object]:
    assert entry.card is not None, entry.state
    return dict(entry.row())


def test_weights_are_small_and_every_model_has_an_agent() -> None:
    assert sum(entry.size_bytes for entry in ENTRIES.values()) < MOST_BYTES
    assert set(zoo_names()) == set(ENTRIES)
    assert set(ENTRIES) <= set(config_names("agent"))


def test_students_are_at_most_a_fifth_of_their_teacher() -> None:
    sizes = {name: int(str(card(entry)["parameters"])) for name, entry in ENTRIES.items()}
    assert 8_000_000 <= sizes["teacher"] <= 12_000_000
    assert all(5 * size <= sizes["teacher"] for name, size in sizes.items() if name != "teacher")


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_cards_say_data_and_scores_without_a_path(name: str) -> None:
    row = card(ENTRIES[name])
    data, scores = row["data"], row["scores"]
    assert isinstance(data, dict)
    assert data["folders"]
    assert not any(Path(str(folder)).is_absolute() for folder in data["folders"])
    assert isinstance(scores, dict)
    assert scores["answers"]["plan"]["unparsable"] < 0.005
    assert scores["driving"]["cases"] > 0


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_it_drives_from_its_cameras(name: str) -> None:
    agent = build("agent", name)
    assert agent.charge.architecture
    assert agent.card.weight_hash
    (log,) = rollout(inputs(), agent, LatencySetting(Constant(400), Mode("streaming")))
    answered = log.requests.status[log.requests.status < RequestStatus.DROPPED]
    assert len(answered) >= 3
    assert (answered == RequestStatus.OK).all()
    assert (log.requests.image_tokens[: len(answered)] > 0).all()
    assert np.isfinite(log.x[:, 0]).all()
