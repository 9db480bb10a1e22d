"""Learning again after a cut: right answers, and the stream between layers as it was in the whole model.

Features are compared where every model of a family has them whatever its heads and widths: in the residual stream, each
token's vector brought to length one. ``|| norm(F_student) - norm(F_teacher) ||^2`` as in head-agnostic distillation (Wang et
al. 2025, arXiv 2511.05557, by its public description); the projection between the two is the identity, since pruning
leaves the width of the stream alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from simdrive.compress.batches import Batch
from simdrive.compress.distill.objective import softened_kl
from simdrive.compress.distill.sight import Sight
from simdrive.compress.learner import Learner
from simdrive.compress.prune.sparse import Masks, hold
from simdrive.compress.supervision import Supervision
from simdrive.errors import ParameterError, SimdriveError
from simdrive.models.anatomy import PARTS, TEXT, layers_of
from simdrive.models.chat import TrainingBatch

Streams = Mapping[str, Sequence[torch.Tensor]]  # by part, the output of each layer


@dataclass(frozen=True)
class RecoverySettings:
    """What is learned from the whole model beside right answers."""

    features: float = 1.0  # weight of the difference of features
    kl: float = 0.0  # weight of the divergence of softened answers
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if min(self.features, self.kl) < 0.0 or self.temperature <= 0.0:
            raise ParameterError(
                "weights of features and kl must be at least 0 and the temperature above 0, got "
                f"{(self.features, self.kl, self.temperature)}"
            )

    @property
    def needs_teacher(self) -> bool:
        """Whether anything is learned from the whole model."""
        return self.features > 0.0 or self.kl > 0.0


@dataclass(frozen=True)
class Elder:
    """The model before pruning.

    Args:
        model: unchanged.
        left: by part, the numbers of its layers that the pruned model still has.
        sight: how it is shown what the pruned one sees, if picture tokens were joined.
    """

    model: Any
    left: Mapping[str, Sequence[int]]
    sight: Sight | None = None

    def partners(self, part: str) -> list[int]:
        """Return for each layer left the layer of the whole model whose output it should have: the last one before the next
        that was left, so that this one finds the stream it knows."""
        left, depth = list(self.left[part]), len(layers_of(self.model, part))
        return [following - 1 for following in (*left[1:], depth)]


class Recovery:
    """Adds the gradients of answers and features of a batch; zeros of a sparse model stay zero."""

    def __init__(
        self, supervision: Supervision, student: Any, elder: Elder | None, settings: RecoverySettings,
        masks: Masks | None = None, precision: str = "fp32",
    ) -> None:  # fmt: skip
        """Prepare; without an elder only answers are learned."""
        self._supervision, self._student, self._settings = supervision, student, settings
        self._elder = elder if settings.needs_teacher else None
        self._masks, self._precision = dict(masks or {}), precision
        self.last: dict[str, float] = {}  # parts of the last loss
        if self._elder is not None:
            self._elder.model.requires_grad_(False).eval()

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add the gradients of a batch; return as much of its loss on answers.

        Raises:
            SimdriveError: if the loss is not finite; the last checkpoint is untouched.
        """
        with streams(self._student) as own:
            told, logits = self._supervision.loss_and_logits(forward, batch, step)
        loss, parts = told, {"answers": told}
        if self._elder is not None:
            parts |= self._taught(self._elder, batch, own, logits)
            loss = (
                loss + self._settings.features * parts.get("features", 0.0) + self._settings.kl * parts.get("kl", 0.0)
            )
        if not bool(torch.isfinite(loss)):
            raise SimdriveError(
                f"the loss is {float(loss)} at step {step} ({', '.join(f'{k} {float(v):.3g}' for k, v in parts.items())}); "
                "the last checkpoint is as it was: lower the learning rate and run the command again"
            )
        (loss * share).backward()  # type: ignore[no-untyped-call]
        hold(self._masks)
        self.last = {name: float(value.detach()) for name, value in parts.items()}
        return self.last["answers"] * share

    def state(self) -> dict[str, Any]:
        """Return nothing: all that is learned are weights."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Do nothing."""

    def _taught(self, elder: Elder, batch: Batch, own: Streams, logits: torch.Tensor | None) -> dict[str, torch.Tensor]:
        image_id = self._student.config.image_token_id
        text, seen = (batch.text, batch.seen) if elder.sight is None else elder.sight.batch(batch)
        kind, low = text.ids.device.type, self._precision == "bf16"
        with torch.no_grad(), streams(elder.model) as theirs, torch.autocast(kind, torch.bfloat16, enabled=low):
            said = Learner(elder.model)(text.ids, text.labels, seen.values, seen.grid).logits
        found: dict[str, torch.Tensor] = {}
        if self._settings.features:
            places = _words(batch.text, image_id), _words(text, image_id)
            found["features"] = feature_gap(own, theirs, elder, places, vision=elder.sight is None or seen.grid is None)
        if self._settings.kl:
            assert logits is not None
            found["kl"] = softened_kl(logits.float(), said.float(), self._settings.temperature)
        return found


def _words(text: TrainingBatch, image_id: int) -> torch.Tensor:
    return text.mask.bool() & (text.ids != image_id)


def feature_gap(
    own: Streams, theirs: Streams, elder: Elder, places: tuple[torch.Tensor, torch.Tensor], vision: bool = True
) -> torch.Tensor:
    """Return the mean over layers and tokens of ``|| norm(F_student) - norm(F_teacher) ||^2``, both parts added.

    Args:
        own, theirs: outputs of all layers of the pruned and of the whole model.
        elder: which layer goes with which.
        places: ``[N, S]`` which text tokens count, of the pruned and of the whole model; as many in both.
        vision: whether the vision tower counts.
    """
    total = torch.zeros((), device=places[0].device)
    for part in PARTS if vision else (TEXT,):
        gaps = []
        for mine, number in zip(own[part], elder.partners(part), strict=True):
            yours = theirs[part][number]
            if part == TEXT:
                mine, yours = mine[places[0]], yours[places[1]]
            gaps.append((_unit(mine) - _unit(yours.detach())).square().sum(-1).mean())
        total = total + torch.stack(gaps).mean()
    return total


def _unit(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(values.float().reshape(-1, values.shape[-1]), dim=-1)


@contextmanager
def streams(model: Any) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Collect the output of every layer by part, of the last pass inside the context."""
    found: dict[str, list[torch.Tensor]] = {}
    hooks = []
    for part in PARTS:
        layers = layers_of(model, part)
        found[part] = [torch.empty(0)] * len(layers)
        for layer in layers:
            hooks.append(layer.module.register_forward_hook(_keep(found[part], layer.number)))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _keep(kept: list[torch.Tensor], number: int) -> Any:
    def hook(module: Any, given: Any, out: Any) -> None:
        kept[number] = out[0] if isinstance(out, tuple) else out

    return hook
