"""Distillation as an objective of the trainer: the right answers, and beside them what the teachers attend to and say.

Drive-KD (arXiv 2601.21288) in its full form is ``method=agp`` with all three capabilities, mixed and weighted online;
everything else is an arm of its ablation. A batch asks one kind of question, so its gradients are those of one
question type; the public code joins them sample by sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from simdrive.compress.batches import Batch
from simdrive.compress.distill.kept import Heard
from simdrive.compress.distill.names import KL, OF_STATES, SUPERVISED
from simdrive.compress.distill.projection import method_named
from simdrive.compress.distill.settings import DistillSettings, asked_of
from simdrive.compress.distill.sight import Sight
from simdrive.compress.distill.teachers import Teachers, watched
from simdrive.compress.distill.terms import Tokens, attention_loss, layers_of, state_loss, widening
from simdrive.compress.distill.weights import OnlineWeights, mixing_of
from simdrive.compress.learner import Learner
from simdrive.compress.processes import Processes
from simdrive.compress.supervision import Supervision


class Distillation:
    """Adds the gradients of supervision and of the teachers, joined as the settings say."""

    def __init__(
        self, supervision: Supervision, learner: Learner, teachers: Mapping[str, Any], settings: DistillSettings,
        seed: int = 0, processes: Processes | None = None, sights: Mapping[str, Sight | None] | None = None,
        keep: Path | None = None,
    ) -> None:  # fmt: skip
        """Prepare; ``teachers`` has a model per capability, or one under the name ``""`` for all, and ``sights`` how those of
        them are asked whose pictures make other tokens. What they show is kept in the folder ``keep``.

        Raises:
            ParameterError: if a term has no teacher, or a teacher's vocabulary is not the student's.
        """
        self._supervision, self._learner, self._settings, self._seed = supervision, learner, settings, seed
        self._processes = processes or Processes()
        self._student = learner.model
        self._teachers = Teachers(teachers, self._student, settings, supervision.precision, sights, keep)
        self.online = OnlineWeights((SUPERVISED, *settings.terms), settings.weights)
        self._join = method_named(settings.method)
        depth = self._teachers.own_depth
        self._layers = sorted({k for term in settings.capabilities
                               for k in layers_of([term], depth, self._teachers.depth(term))[0]})  # fmt: skip
        if settings.signal in OF_STATES:
            wide = {self._teachers.width(term) for term in settings.capabilities}
            own = self._student.config.text_config.hidden_size
            learner.aside = torch.nn.ModuleDict(
                {str(width): widening(self._layers, own, width, seed) for width in sorted(wide)}
            ).to(next(learner.parameters()).device)
        self.norms: dict[str, float] = {}  # lengths of the last raw gradients, by term
        self._window: list[tuple[float, dict[str, float]]] = []  # of one optimizer step

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add the gradients of a batch; return its supervised loss."""
        # Gradients are joined by hand, so what averages them among processes is not asked either.
        learner = getattr(forward, "module", forward)
        with watched(self._student, self._layers, self._settings.signal) as own:
            told = self._supervision.told(learner, batch, step)
        parameters = [p for p in learner.parameters() if p.requires_grad]
        joined = torch.zeros((), device=parameters[0].device)
        if told.dense is not None:  # beside the join: the anchor of Drive-KD is the answers alone
            joined = _flat(told.dense, parameters, last=told.words is None)
        if told.words is not None and told.logits is not None:  # None while the model only learns to see
            losses = {SUPERVISED: told.words} | self._terms(batch, Heard(own, told.logits))
            rng = np.random.Generator(np.random.Philox(key=self._seed, counter=step << 64))
            joined = joined + self._joined(losses, asked_of(batch.lesson), parameters, rng)
        self._add(self._averaged(joined) * share, parameters)
        if self._settings.reweight and told.words is not None:
            self._weigh(share)
        return float(told.total.detach()) * share

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside the weights."""
        return self.online.state()

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a kept state; a run that began without teachers has none."""
        if state:
            self.online.load(state)

    def _joined(
        self, losses: Mapping[str, torch.Tensor], asked: Sequence[str], parameters: list[torch.nn.Parameter],
        rng: np.random.Generator,
    ) -> torch.Tensor:  # fmt: skip
        """Return the gradient of all terms as one vector."""
        weight = self.online.weights() if self._settings.reweight else self._static()
        row = mixing_of(asked) if self._settings.mixing else {}
        factor = {term: weight[term] * row.get(term, 1.0) for term in losses if term != SUPERVISED}
        if self._settings.summed and not self._settings.reweight:  # one pass gives the same
            times = max(len(factor), 1) if self._settings.method == "equal_supervision" else 1
            total = losses[SUPERVISED] * (weight[SUPERVISED] * times)
            return _flat(sum((losses[term] * factor[term] for term in factor), start=total), parameters, last=True)
        names = list(losses)
        raw = {name: _flat(losses[name], parameters, last=name == names[-1]) for name in names}
        self.norms = {term: float(gradient.norm()) for term, gradient in raw.items()}
        weighted = {term: raw[term] * factor[term] for term in factor}
        return self._join(raw[SUPERVISED] * weight[SUPERVISED], weighted, rng)

    def _terms(self, batch: Batch, own: Heard) -> dict[str, torch.Tensor]:
        text, settings = batch.text, self._settings
        tokens = Tokens(text.ids == self._student.config.image_token_id, text.mask.bool())
        found: dict[str, torch.Tensor] = {}
        heard = self._teachers.heard(batch)
        for term in settings.terms:
            theirs, depths = heard[term], (self._teachers.own_depth, self._teachers.depth(term))
            if term == KL:
                found[term] = softened_kl(own.logits, theirs.logits, settings.temperature)
            elif settings.signal in OF_STATES:
                widen: Any = self._learner.aside[str(self._teachers.width(term))]  # type: ignore[index]
                found[term] = state_loss(term, settings.signal, own.layers, theirs.layers, tokens, depths, widen)
            else:
                found[term] = attention_loss(term, settings.signal, own.layers, theirs.layers, tokens, depths)
        return found

    def _weigh(self, share: float) -> None:
        """Adjust the weights once per optimizer step, by lengths averaged over its parts."""
        self._window.append((share, dict(self.norms)))
        if sum(part for part, _ in self._window) < 1.0 - 1e-6:
            return
        total = {term: sum(part * norms[term] for part, norms in self._window) for term in self._window[0][1]}
        self._window.clear()
        device = next(self._learner.parameters()).device  # some backends average only what is on theirs
        lengths = self._averaged(torch.tensor(list(total.values()), dtype=torch.float64, device=device)).tolist()
        self.online.step(dict(zip(total, lengths, strict=True)))

    def _averaged(self, values: torch.Tensor) -> torch.Tensor:
        if self._processes.count > 1:
            torch.distributed.all_reduce(values)
            values = values / self._processes.count
        return values

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
    log_p = (student.float() / temperature).log_softmax(-1)  # of half precision the tails would be lost
    q = (teacher.detach().float() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="batchmean")


def _flat(loss: torch.Tensor, parameters: list[torch.nn.Parameter], last: bool) -> torch.Tensor:
    """Return the gradient of a loss over all parameters as one vector; only the ``last`` pass lets the graph go."""
    found = torch.autograd.grad(loss, parameters, retain_graph=not last, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in found])
