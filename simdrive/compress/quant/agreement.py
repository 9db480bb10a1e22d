"""How often a compressed model says what its parent says: plan by plan, and where they would have differed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from simdrive.agents.language.grammar import answer_forms
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.quant.calibrate import CalibrationBatch, answer_logits
from simdrive.compress.samples import Samples
from simdrive.models.local import LocalModel


def plans_of(model: LocalModel, samples: Samples, rows: Sequence[int], batch: int = 64) -> list[str]:
    """Return a model's driving answers to some samples."""
    turns = [turns_of(samples, row, lesson_named("plan"), 0)[0] for row in rows]
    grammar = model.grammar(answer_forms("plan"))
    frames = samples.frames(rows) if model.chat.slots else None
    limits = np.full(len(rows), grammar.longest, np.int64)
    return model.answer([question for question, _ in turns], frames, limits, grammar, batch).texts


def same_plans(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Return the share of answers that are equal."""
    return float(np.mean([said == true for said, true in zip(given, wanted, strict=True)]))


@torch.no_grad()
def exact_logits(model: object, batches: Sequence[CalibrationBatch]) -> list[torch.Tensor]:
    """Return the logits ``[K, vocabulary]`` of each batch at the places that answer."""
    return [answer_logits(model, batch)[0] for batch in batches]


def divergence(given: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float:
    """Return the mean KL divergence, nats per answer token, of ``given`` from ``wanted`` logits."""
    parts = [
        torch.nn.functional.kl_div(a.log_softmax(-1), b.log_softmax(-1), reduction="none", log_target=True).sum(-1)
        for a, b in zip(given, wanted, strict=True)
    ]
    return float(torch.cat(parts).mean())


def same_tokens(given: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float:
    """Return the share of answer tokens whose best choice is the same."""
    hits = torch.cat([a.argmax(-1) == b.argmax(-1) for a, b in zip(given, wanted, strict=True)])
    return float(hits.float().mean())
