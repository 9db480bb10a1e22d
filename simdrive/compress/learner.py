"""What is trained: a model with its pictures and words, and beside it a head that is thrown away afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from simdrive.compress.dense import DenseHead
from simdrive.models.chat import IGNORED
from simdrive.models.processor import Processor


class Learned(NamedTuple):
    """What a forward pass gives a loss to work on (a plain tuple, so that DDP finds the tensors)."""

    logits: torch.Tensor | None  # [K, vocabulary] at the K learned places
    labels: torch.Tensor | None  # [K]
    dense: torch.Tensor | None  # [N, camera, columns, values] of the head


class Learner(torch.nn.Module):
    """Computes logits only where something is learned: most of a sequence is prompt."""

    def __init__(self, model: Any, seen_by: Processor | None = None) -> None:
        """Wrap a model; with the processor of its pictures a dense head comes beside it."""
        super().__init__()
        self.model = model
        self.head = DenseHead(seen_by, model.config.text_config.hidden_size) if seen_by else None
        self.aside: torch.nn.ModuleDict | None = None  # what else is trained and thrown away, an objective's own
        self._tokens: torch.Tensor | None = None
        if self.head is not None:
            inner = model.model
            last = inner.multi_modal_projector if hasattr(inner, "multi_modal_projector") else inner.visual
            last.register_forward_hook(self._keep)

    def _keep(self, module: Any, given: Any, found: Any) -> None:
        self._tokens = found if isinstance(found, torch.Tensor) else found.pooler_output

    def forward(
        self, ids: torch.Tensor, labels: torch.Tensor, pixels: torch.Tensor, grid: torch.Tensor | None,
        words: bool = True,
    ) -> Learned:  # fmt: skip
        """Return logits and labels at learned places, and the head's answers; without ``words`` only the latter."""
        logits, told = self._words(ids, labels, pixels, grid) if words else (None, None)
        if self.head is None:
            return Learned(logits, told, None)
        if not words:
            self.model.model.get_image_features(pixels, *(() if grid is None else (grid,)))
        assert self._tokens is not None
        found, self._tokens = self.head(self._tokens), None
        return Learned(logits, told, found)

    def _words(
        self, ids: torch.Tensor, labels: torch.Tensor, pixels: torch.Tensor, grid: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        given: dict[str, Any] = {"input_ids": ids, "pixel_values": pixels, "use_cache": False}
        if grid is not None:  # the Qwen family wants to know where pictures are, and how large
            places = (ids == self.model.config.image_token_id).long()
            given |= {"image_grid_thw": grid, "mm_token_type_ids": places}
        hidden = self.model.model(**given).last_hidden_state
        told = labels[:, 1:]
        learned = told != IGNORED
        return self.model.lm_head(hidden[:, :-1][learned]), told[learned]
