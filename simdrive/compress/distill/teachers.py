"""The teachers of a distillation: which model answers for which term, and what it shows of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from simdrive.compress.batches import Batch
from simdrive.compress.distill.kept import Heard, Kept
from simdrive.compress.distill.names import KL, OF_STATES
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.distill.sight import Sight, carried_maps, carried_states
from simdrive.compress.distill.terms import ByLayer, layers_of
from simdrive.compress.learner import Learner
from simdrive.errors import ParameterError
from simdrive.models.tap import hidden_states, tapped


class Teachers:
    """One model for all terms, or one for each."""

    def __init__(
        self, given: Mapping[str, Any], student: Any, settings: DistillSettings, precision: str = "fp32",
        sights: Mapping[str, Sight | None] | None = None, keep: Path | None = None,
    ) -> None:  # fmt: skip
        """Take the teachers, which learn nothing; they compute in the student's precision.

        ``sights``, under the names of ``given``, are of teachers whose pictures make other tokens than the student's. What is
        heard of them is kept in the folder ``keep``.

        Raises:
            ParameterError: if a term has no teacher, or a teacher's vocabulary or pictures are not the student's.
        """
        self._settings, self.own_depth, self._precision = settings, _depth(student), precision
        self._of = {term: given.get(term, given.get("")) for term in settings.terms}
        self._sights = {id(given[name]): sight for name, sight in (sights or {}).items()}
        self._own_image = student.config.image_token_id
        missing = [term for term, teacher in self._of.items() if teacher is None]
        if missing:
            raise ParameterError(f"no teacher for {', '.join(missing)}; give one for all, or one for each of the terms")
        for teacher in self._of.values():
            teacher.requires_grad_(False).eval()
            if teacher.config.text_config.vocab_size != student.config.text_config.vocab_size:
                raise ParameterError("teacher and student have different tokenizers; train them with the same one")
        models = {} if keep is None else {id(model): model for model in self._of.values()}
        self._kept = {place: Kept(keep, model, settings.signal, precision) for place, model in models.items() if keep}

    def depth(self, term: str) -> int:
        """Return how many language layers the teacher of a term has."""
        return _depth(self._of[term])

    def width(self, term: str) -> int:
        """Return how wide its hidden states are."""
        return int(self._of[term].config.text_config.hidden_size)

    @torch.no_grad()
    def heard(self, batch: Batch) -> dict[str, Heard]:
        """Return by term what its teacher shows; each model is asked once."""
        found: dict[int, Heard] = {}
        for teacher in {id(model): model for model in self._of.values()}.values():
            terms = [term for term, model in self._of.items() if model is teacher and term != KL]
            layers = layers_of(terms, self.own_depth, _depth(teacher))[1]
            ask = partial(self._asked, teacher, layers, batch)
            kept = self._kept.get(id(teacher))
            found[id(teacher)] = ask() if kept is None else kept.heard(batch, layers, ask)
        return {term: found[id(model)] for term, model in self._of.items()}

    def _asked(self, teacher: Any, layers: Sequence[int], batch: Batch) -> Heard:
        """Return what a teacher shows of some layers."""
        sight = self._sights.get(id(teacher))
        text, seen = (batch.text, batch.seen) if sight is None else sight.batch(batch)
        with watched(teacher, layers, self._settings.signal) as kept, self._cast(text.ids.device.type):
            said = Learner(teacher)(text.ids, text.labels, seen.values, seen.grid)
        assert said.logits is not None
        if sight is not None:
            kept = self._carried(kept, sight.places(batch.text, text, self._own_image, teacher.config.image_token_id))
        return Heard(dict(kept), said.logits)

    def _carried(self, kept: ByLayer, places: torch.Tensor) -> dict[int, torch.Tensor]:
        over = carried_states if self._settings.signal in OF_STATES else carried_maps
        return {layer: over(values, places) for layer, values in kept.items()}

    def _cast(self, kind: str) -> torch.autocast:
        return torch.autocast(kind, torch.bfloat16, enabled=self._precision == "bf16")


@contextmanager
def watched(model: Any, layers: Sequence[int], signal: str) -> Iterator[dict[int, torch.Tensor]]:
    """Keep what the ``signal`` of a distillation is made of, of each forward pass."""
    if not layers:
        yield {}  # only what is said matters
    elif signal in OF_STATES:
        with hidden_states(model, layers) as states:
            yield states
    else:
        with tapped(model, layers) as maps:
            yield maps


def _depth(model: Any) -> int:
    return len(model.model.language_model.layers)
