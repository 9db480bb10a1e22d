"""The study of a model's layers on driving samples: which layers carry a capability, and how sure the model is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simdrive.agents.language.questions import PHRASINGS
from simdrive.compress.collect import part_of
from simdrive.compress.layer_study.choice import Measure, choose
from simdrive.compress.layer_study.measures import binned, likeness, pair_mean, reliability, rephrased
from simdrive.compress.layer_study.probe import TEMPERATURES, Probed, probe
from simdrive.compress.layer_study.result import (
    CONSISTENCY,
    NORM,
    RELIABILITY,
    Choice,
    Confidence,
    LayerRow,
    LayerStudy,
)
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.samples import Pictured, Samples
from simdrive.errors import ParameterError
from simdrive.models.folder import LoadedModel
from simdrive.models.local import LocalModel
from simdrive.types import Bytes, Float

LESSONS = {"perception": "perception", "reasoning": "reasoning", "planning": "planning", "driving": "plan"}
_LONGEST = 64  # tokens of an answer that is not of the driving language
_NAN = float("nan")


@dataclass(frozen=True)
class Seen:
    """What one capability's questions show."""

    first: Probed  # asked in the first wording, with the model's own answer
    state: Float  # [N, P, L + 1, D]
    attention: Float  # [N, P, L, V]
    text_attention: Float  # [N, P, L, V]
    exact: float


def study_layers(
    loaded: LoadedModel, samples: Samples, rows: Sequence[int], *, batch: int = 8, redraws: int = 200, seed: int = 0,
    longest: int = _LONGEST, say: Callable[[str], None] = lambda _: None,
) -> LayerStudy:  # fmt: skip
    """Return the study of a model on some samples, each asked for every capability in every wording.

    Args:
        loaded: the model.
        samples, rows: which frames are shown; at least two.
        batch: samples that go through the model together.
        redraws: sample sets drawn again, for how firm each verdict stands; drawn from ``seed``.
        longest: tokens of an answer at most.
        say: told which capability is asked.

    Raises:
        ParameterError: if there are fewer than two samples, or the samples do not show what the model wants to see.
    """
    if len(rows) < 2:
        raise ParameterError(
            f"a study compares samples: it needs at least 2, got {len(rows)}; make more with 'simdrive data'"
        )
    local = _local(loaded, samples.pictured)
    frames = _shown(samples, rows, local)
    seen: dict[str, Seen] = {}
    for capability, lesson in LESSONS.items():
        say(capability)
        seen[capability] = _asked(local, samples, rows, frames, lesson, batch, longest)
    depth = seen["perception"].attention.shape[2]
    choices = _choices(seen, len(rows), depth, redraws, np.random.Generator(np.random.Philox(key=seed)))
    return LayerStudy(
        loaded.card.name, loaded.card.family, depth, len(rows), PHRASINGS, _rows(seen, depth), choices,
        tuple(_confidence(name, found) for name, found in seen.items()),
    )  # fmt: skip


def _local(loaded: LoadedModel, pictured: Pictured) -> LocalModel:
    """Return a model that sees what the samples show; a released one takes their cameras and newest frames."""
    if loaded.is_zoo:
        return LocalModel(loaded)
    return LocalModel(loaded, cameras=pictured.cameras, frame_offsets_us=pictured.frame_offsets_us[:1])


def _shown(samples: Samples, rows: Sequence[int], local: LocalModel) -> Bytes:
    part = part_of(samples.pictured, local.wants)
    if part is None:
        raise ParameterError("this model sees no pictures; the study compares what layers make of them")
    cameras, times = part
    return samples.frames(rows)[:, cameras][:, :, times]


def _asked(
    local: LocalModel, samples: Samples, rows: Sequence[int], frames: Bytes, lesson: str, batch: int, longest: int
) -> Seen:
    """Ask in every wording; only in the first the model also answers, since answers differ in length."""
    found: list[Probed] = []
    exact = _NAN
    for phrasing in range(PHRASINGS):
        turns = [turns_of(samples, row, lesson_named(lesson), phrasing)[0] for row in rows]
        questions = [question for question, _ in turns]
        own = [""] * len(rows)
        if phrasing == 0:
            own = local.answer(questions, frames, np.full(len(rows), longest, np.int64), batch=batch).texts
            exact = sum(mine == right for mine, (_, right) in zip(own, turns, strict=True)) / len(rows)
        found.append(probe(local, frames, list(zip(questions, own, strict=True)), batch))
    state, attention, text = (
        np.stack([getattr(each, name) for each in found], axis=1) for name in ("state", "attention", "text_attention")
    )
    return Seen(found[0], state, attention, text, exact)


def _rows(seen: dict[str, Seen], depth: int) -> tuple[LayerRow, ...]:
    """Return a row per layer and one for the final norm; what no capability owns is a mean over all of them."""

    def mean(values: Callable[[Seen], Float]) -> list[float]:
        found = np.mean([values(each).mean(axis=0) for each in seen.values()], axis=0)
        return [*found.tolist(), *[_NAN] * (depth + 1 - len(found))]

    adjacent, mixed = mean(lambda s: s.first.adjacent), mean(lambda s: s.first.vision_text)
    looks = mean(lambda s: s.first.looks)
    moved = (
        mean(lambda s: rephrased(s.state)),
        mean(lambda s: rephrased(s.attention)),
        mean(lambda s: rephrased(s.text_attention)),
    )
    by = {name: _by_capability(each, depth) for name, each in seen.items()}
    return tuple(
        LayerRow(
            k if k < depth else NORM, adjacent[k], mixed[k], looks[k], moved[0][k], moved[1][k], moved[2][k],
            *({name: float(by[name][which][k]) for name in seen} for which in range(3)),
        )
        for k in range(depth + 1)
    )  # fmt: skip


def _by_capability(seen: Seen, depth: int) -> tuple[Float, Float, Float]:
    """Return consistency of states, consistency of attention and reliability, ``[L + 1]`` each."""
    counts = np.ones(len(seen.state))
    states, attention = likeness(seen.state), likeness(seen.attention)
    firm = reliability(attention, rephrased(seen.attention), counts)
    return (
        pair_mean(states, counts), np.append(pair_mean(attention, counts), _NAN), np.append(firm, _NAN),
    )  # fmt: skip


def _choices(
    seen: dict[str, Seen], samples: int, depth: int, redraws: int, rng: np.random.Generator
) -> tuple[Choice, ...]:
    found = []
    for name, each in seen.items():
        states, attention, moved = (
            likeness(each.state[:, :, :depth]),
            likeness(each.attention),
            rephrased(each.attention),
        )
        measures: dict[str, Measure] = {
            CONSISTENCY: partial(pair_mean, states),
            RELIABILITY: partial(reliability, attention, moved),
        }
        found += [choose(name, rule, measure, samples, depth, redraws, rng) for rule, measure in measures.items()]
    return tuple(found)


def _confidence(name: str, seen: Seen) -> Confidence:
    rows = seen.first.certainty
    values = np.concatenate(rows)
    places = np.concatenate([np.arange(len(row)) / len(row) for row in rows])
    margins = {f"{t:g}": float(values[:, 2 + k].mean()) for k, t in enumerate(TEMPERATURES)}
    at_one = values[:, 2 + TEMPERATURES.index(1.0)]
    return Confidence(
        name, len(values), seen.exact, float(values[:, 0].mean()), float(values[:, 1].mean()), margins,
        binned(at_one, places),
    )  # fmt: skip
