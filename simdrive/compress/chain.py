"""What a chain of compression does to a model, frame by frame: its answers, the signals that were distilled, where it looks.

Open loop, beside what its driving says. The first model is what the others are held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats as scipy_stats

from simdrive.agents.language.grammar import answer_forms
from simdrive.agents.language.questions import TOPICS
from simdrive.agents.language.sights import KINDS, MOTIONS, PLACES
from simdrive.compress.columns import CELL_PX, KIND, PLACE, WORD
from simdrive.compress.distill.names import ATTENTION, CAPABILITIES
from simdrive.compress.distill.sight import carried_maps, sight_of
from simdrive.compress.distill.terms import Tokens, attention_loss, layers_of
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.quant.calibrate import calibration_batches
from simdrive.compress.samples import Samples
from simdrive.compress.validate import answer_scores
from simdrive.errors import ParameterError
from simdrive.models.chat import TrainingBatch
from simdrive.models.folder import LoadedModel
from simdrive.models.local import LocalModel, open_model
from simdrive.models.processor import Processor
from simdrive.models.tap import tapped
from simdrive.models.where import weight_files, weight_hash
from simdrive.types import Bool, Float

FEWEST_RANKED = 5  # models before a rank correlation says anything


@dataclass(frozen=True)
class Link:
    """One model of a chain."""

    model: str
    parents: tuple[str, ...]
    weight_hash: str
    parameters: int
    weight_bytes: int
    bits: float  # per weight, as stored
    sparsity: float
    exact: dict[str, float]  # share of exact answers by question of the triad
    speed_error_mps: tuple[float, ...]  # of the driving answer, after 1, 2 and 4 s
    drift: dict[str, float]  # of Drive-KD's signals from the first model's, by capability; NaN where words are others
    on_actor: float  # share of the answers' attention to pictures that falls on who decides
    by_chance: float  # share of the picture tokens that show who decides
    frames_with_actor: int

    @property
    def triad(self) -> float:
        """Mean share of exact answers over the triad."""
        return float(np.mean(list(self.exact.values())))


@dataclass(frozen=True)
class Ranked:
    """Spearman's correlation of open-loop scores with closed-loop failures over models, two-sided permutation p-value."""

    models: int
    rho: float  # -1: who answers better fails less; NaN with fewer than FEWEST_RANKED models
    p_value: float


def chain(models: Sequence[str], samples: Samples, rows: Sequence[int]) -> list[Link]:
    """Return what becomes of the first of ``models`` (folders or zoo names) in the others, on some samples.

    Raises:
        UnknownNameError, ModelFolderError: if a model does not exist or is damaged.
        ParameterError: if a model is a released one, or sees other pictures than the samples show.
    """
    opened = [open_model(name) for name in models]
    for name, loaded in zip(models, opened, strict=True):
        if not loaded.is_zoo:
            raise ParameterError(f"{name} is a released model; a chain is made of models in simdrive's folders")
    return [_link(loaded, opened[0], samples, rows) for loaded in opened]


def _link(loaded: LoadedModel, first: LoadedModel, samples: Samples, rows: Sequence[int]) -> Link:
    local = LocalModel(loaded)
    scores = answer_scores(local, samples, rows)
    on_actor, by_chance, frames = looks(local, samples, rows)
    card = loaded.card
    return Link(
        card.name, card.parents, weight_hash(loaded.folder), card.parameters,
        sum(path.stat().st_size for path in weight_files(loaded.folder)), card.bits, card.sparsity,
        {topic: scores[topic]["exact"] for topic in TOPICS}, tuple(scores["plan"]["speed_error_mps"]),
        drift(loaded, first, samples, rows), on_actor, by_chance, frames,
    )  # fmt: skip


@torch.inference_mode()
def drift(own: LoadedModel, first: LoadedModel, samples: Samples, rows: Sequence[int]) -> dict[str, float]:
    """Return how far a model's attention is from the first's, as Drive-KD measures it, by capability.

    Mean squared difference of head means: text to pictures of the first layer (perception) and the penultimate one
    (planning), whole maps of the others (reasoning). The first's maps are carried over where its pictures make other
    tokens (``simdrive.compress.distill.sight``); with other words there is nothing to compare, NaN.
    """
    if own.tokenizer.get_vocab() != first.tokenizer.get_vocab():
        return dict.fromkeys(CAPABILITIES, float("nan"))
    models: list[Any] = [own.model, first.model]
    depths = len(models[0].model.language_model.layers), len(models[1].model.language_model.layers)
    kept, sight = layers_of(CAPABILITIES, *depths), sight_of(own.processor, first)
    mine = calibration_batches(own, samples, rows)
    theirs = mine if sight is None else calibration_batches(first, samples, rows)
    found: dict[str, list[float]] = {name: [] for name in CAPABILITIES}
    for pair in zip(mine, theirs, strict=True):
        maps = []
        for model, layers, batch in zip(models, kept, pair, strict=True):
            with tapped(model, layers) as seen:
                model.model(**batch.inputs)
            maps.append(dict(seen))
        if sight is not None:
            text, told = (TrainingBatch(batch.inputs["input_ids"], batch.counts.long(), batch.labels) for batch in pair)
            image_ids = [model.config.image_token_id for model in models]
            places = sight.places(text, told, image_ids[0], image_ids[1])
            maps[1] = {layer: carried_maps(values, places) for layer, values in maps[1].items()}
        tokens = Tokens(pair[0].visual, pair[0].counts)
        for name in CAPABILITIES:
            found[name].append(float(attention_loss(name, ATTENTION, maps[0], maps[1], tokens, depths)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def looks(local: LocalModel, samples: Samples, rows: Sequence[int]) -> tuple[float, float, int]:
    """Return the share of attention on the deciding actor, its share of picture tokens, and frames with one in sight."""
    decides = deciding(samples, rows, local.loaded.processor)
    chosen = np.flatnonzero(decides.any(axis=(1, 2)))
    if not len(chosen):
        return float("nan"), float("nan"), 0
    asked = [rows[place] for place in chosen.tolist()]
    forms = local.grammar(answer_forms("plan"))
    questions = [turns_of(samples, row, lesson_named("plan"), 0)[0][0] for row in asked]
    limits = np.full(len(asked), forms.longest, np.int64)
    said = local.answer(questions, samples.frames(asked), limits, forms, look=True)
    assert said.looked is not None
    looked = local.loaded.processor.spread(said.looked)  # [N, camera, rows, columns]
    there = np.broadcast_to(decides[chosen][:, :, None, :], looked.shape)
    share = (looked * there).sum(axis=(1, 2, 3)) / looked.sum(axis=(1, 2, 3))
    return float(share.mean()), float(there.mean()), len(asked)


def deciding(samples: Samples, rows: Sequence[int], processor: Processor) -> Bool:
    """Return which columns of picture tokens show who decides, ``[N, camera, columns]``; none where nobody does.

    Who decides stands in the exact answer to the question of reasoning: kind, place and motion, as every column of the
    pictures knows them of whom it shows.
    """
    per_token = processor.patch_px * processor.merge // CELL_PX
    if not per_token:
        raise ParameterError(
            f"picture tokens narrower than {CELL_PX} pixels cannot be held against columns of that width"
        )
    cells = samples.columns(list(rows))
    found = np.zeros(cells.shape[:3], np.bool_)
    names: tuple[tuple[int, list[str]], ...] = (
        (KIND, list(KINDS.values())), (PLACE, list(PLACES)), (WORD, list(MOTIONS))
    )  # fmt: skip
    for place, row in enumerate(rows):
        words = samples.texts["reasoning"][row].split()
        if len(words) != len(names):
            continue
        found[place] = np.logical_and.reduce(
            [
                cells[place, :, :, value] == 1 + known.index(word)
                for word, (value, known) in zip(words, names, strict=True)
            ]
        )
    shown: Bool = np.asarray(found.reshape(*found.shape[:2], -1, per_token).any(axis=-1), np.bool_)
    return shown


def ranked(links: Sequence[Link], failures: Mapping[str, float]) -> Ranked:
    """Return the rank correlation of the triad's scores with failure rates (by weight hash) over models that have both."""
    both = [(link.triad, failures[link.weight_hash]) for link in links if link.weight_hash in failures]
    if len(both) < FEWEST_RANKED:
        return Ranked(len(both), float("nan"), float("nan"))
    scores, rates = (np.array(column) for column in zip(*both, strict=True))

    def rho(order: Float) -> float:
        return float(scipy_stats.spearmanr(order, rates).statistic)

    if len(set(scores.tolist())) == 1 or len(set(rates.tolist())) == 1:
        return Ranked(len(both), float("nan"), float("nan"))
    test = scipy_stats.permutation_test(
        (scores,), rho, permutation_type="pairings", n_resamples=9999, rng=np.random.default_rng(0)
    )
    return Ranked(len(both), float(test.statistic), float(test.pvalue))
