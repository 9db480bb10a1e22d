"""Distillation as an objective of the trainer: the right answers, and beside them what the teachers attend to and say.

Drive-KD (arXiv 2601.21288) in its full form is ``method=agp`` with all three capabilities, mixed and weighted online;
everything else is an arm of its ablation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from simdrive.compress.batches import Batch
from simdrive.compress.distill.attention import Maps, perception_loss, planning_loss, reasoning_loss
from simdrive.compress.distill.projection import method_named
from simdrive.compress.distill.weights import CAPABILITIES, SUPERVISED, OnlineWeights, mixing_row
from simdrive.compress.lessons import Lesson
from simdrive.compress.supervision import Supervision
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.tap import tapped

KL = "kl"
TERMS = (*CAPABILITIES, KL)
_ATTENTION = {"perception": perception_loss, "reasoning": reasoning_loss, "planning": planning_loss}


@dataclass(frozen=True)
class DistillSettings:
    """What is taken from the teachers, and how it is joined."""

    method: str = "agp"  # see simdrive.compress.distill.projection
    terms: tuple[str, ...] = CAPABILITIES  # of TERMS
    mixing: bool = True  # a question's own capability counts most
    reweight: bool = True  # terms are kept pulling equally hard
    weights: Mapping[str, float] = field(default_factory=dict)  # static weights, 1 where none is given
    temperature: float = 2.0  # of the softened answers for ``kl``

    def __post_init__(self) -> None:
        method_named(self.method)
        for term in (*self.terms, *self.weights):
            if term not in (*TERMS, SUPERVISED):
                raise UnknownNameError("term of a distillation", term, TERMS)
        if not self.terms or self.temperature <= 0.0:
            raise ParameterError("a distillation needs at least one term and a temperature above 0")


def question_type(lesson: Lesson) -> str:
    """Return the capability that a lesson asks for; driving is planning."""
    return lesson.topic if lesson.topic and not lesson.style else "planning"


class Distillation:
    """Adds the gradients of supervision and of the teachers, joined as the settings say."""

    def __init__(
        self,
        supervision: Supervision,
        student: Any,
        teachers: Mapping[str, Any],
        settings: DistillSettings,
        seed: int = 0,
    ) -> None:
        """Prepare; ``teachers`` has a model per capability, or one under the name ``""`` for all.

        Raises:
            ParameterError: if a term has no teacher, or a teacher's vocabulary is not the student's.
        """
        self._supervision, self._student, self._settings, self._seed = supervision, student, settings, seed
        self._teacher = {term: teachers.get(term, teachers.get("")) for term in settings.terms}
        missing = [term for term, teacher in self._teacher.items() if teacher is None]
        if missing:
            raise ParameterError(f"no teacher for {', '.join(missing)}; give one for all, or one for each of the terms")
        own = student.config.text_config.vocab_size
        for teacher in self._teacher.values():
            teacher.requires_grad_(False).eval()
            if teacher.config.text_config.vocab_size != own:
                raise ParameterError("teacher and student have different tokenizers; train them with the same one")
        self.online = OnlineWeights((SUPERVISED, *settings.terms), settings.weights)
        self._join = method_named(settings.method)
        self.norms: dict[str, float] = {}  # lengths of the last raw gradients, by term

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add the gradients of a batch; return its supervised loss."""
        layers = range(len(self._student.model.language_model.layers))
        with tapped(self._student, layers) as own:
            supervised, logits = self._supervision.loss_and_logits(forward, batch, step)
        assert logits is not None
        losses = {SUPERVISED: supervised, **self._terms(batch, own, logits)}
        parameters = [p for p in self._student.parameters() if p.requires_grad]
        raw = {term: _flat(loss, parameters, retain=True) for term, loss in losses.items()}
        self.norms = {term: float(gradient.norm()) for term, gradient in raw.items()}
        weight = self.online.weights() if self._settings.reweight else self._static()
        row = mixing_row(question_type(batch.lesson)) if self._settings.mixing else {}
        weighted = {term: raw[term] * (weight[term] * row.get(term, 1.0)) for term in self._settings.terms}
        rng = np.random.Generator(np.random.Philox(key=self._seed, counter=step << 64))
        self._add(self._join(raw[SUPERVISED] * weight[SUPERVISED], weighted, rng) * share, parameters)
        if self._settings.reweight:
            self.online.step(self.norms)
        return float(supervised.detach()) * share

    def _terms(self, batch: Batch, own: Maps, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        text, config = batch.text, self._student.config
        is_image, counts = text.ids == config.image_token_id, text.mask.bool()
        found: dict[str, torch.Tensor] = {}
        said: dict[int, tuple[Maps, torch.Tensor]] = {}
        for term in self._settings.terms:
            teacher = self._teacher[term]
            if id(teacher) not in said:
                said[id(teacher)] = self._asked(teacher, batch)
            maps, their_logits = said[id(teacher)]
            if term == KL:
                found[term] = softened_kl(logits, their_logits, self._settings.temperature)
            else:
                found[term] = _ATTENTION[term](own, maps, is_image, counts)
        return found

    @torch.no_grad()
    def _asked(self, teacher: Any, batch: Batch) -> tuple[Maps, torch.Tensor]:
        """Return a teacher's maps of all layers, and its logits where the student learns."""
        from simdrive.compress.learner import Learner

        with tapped(teacher, range(len(teacher.model.language_model.layers))) as maps:
            found = Learner(teacher)(batch.text.ids, batch.text.labels, batch.seen.values, batch.seen.grid)
        assert found.logits is not None
        return dict(maps), found.logits

    def _static(self) -> dict[str, float]:
        return {term: float(self._settings.weights.get(term, 1.0)) for term in (SUPERVISED, *self._settings.terms)}

    def _add(self, gradient: torch.Tensor, parameters: list[torch.nn.Parameter]) -> None:
        start = 0
        for parameter in parameters:
            part = gradient[start : start + parameter.numel()].view_as(parameter)
            parameter.grad = part.clone() if parameter.grad is None else parameter.grad + part
            start += parameter.numel()


def softened_kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return T^2 times the divergence of softened answers ``[K, V]`` from the teacher's (Hinton et al. 2015)."""
    log_p, q = (student / temperature).log_softmax(-1), (teacher.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="batchmean")


def _flat(loss: torch.Tensor, parameters: list[torch.nn.Parameter], retain: bool) -> torch.Tensor:
    """Return the gradient of a loss over all parameters as one vector."""
    found = torch.autograd.grad(loss, parameters, retain_graph=retain, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in found])
