"""What the inputs of linear maps look like on driving samples: extremes, means, second moments, some rows themselves.

A prompt of two cameras has many more visual tokens than words. ``equal`` lets both kinds count the same in all; ``gradient``
weighs them by how much the loss moves with them (MBQ: Li et al. 2024, arXiv:2412.19509).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.quant.layout import TEXT
from simdrive.compress.samples import Samples
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.chat import IGNORED, Chat, training_batch
from simdrive.models.folder import LoadedModel

BALANCES = ("none", "equal", "gradient")
_LESSONS = ("plan", "perception", "plan", "reasoning", "plan", "planning")
KEPT_ROWS = 1024  # inputs of a map that are kept as they are


@dataclass(frozen=True)
class CalibrationBatch:
    """Conversations with their pictures, as the model takes them."""

    inputs: dict[str, Any]
    labels: torch.Tensor  # [N, L]
    counts: torch.Tensor  # [N, L] bool: no padding
    visual: torch.Tensor  # [N, L] bool: image slots


@dataclass
class InputStats:
    """Inputs ``[tokens, in]`` of one linear map."""

    largest: torch.Tensor  # [in] of the absolute values
    mean: torch.Tensor  # [in] weighted mean of the absolute values
    rows: torch.Tensor  # [n, in] some of them
    weights: torch.Tensor  # [n] of those
    moment: torch.Tensor | None = None  # [in, in] weighted mean of x x^T


def calibration_batches(
    loaded: LoadedModel, samples: Samples, rows: Sequence[int], batch: int = 16
) -> list[CalibrationBatch]:
    """Return conversations about some samples, answers included, driving and the triad in turn.

    Raises:
        ParameterError: if the samples show other pictures than the model sees, or there are none.
    """
    processor, shown = loaded.processor, samples.pictured
    if not rows:
        raise ParameterError("calibration has no samples; give data with at least one row of the split 'train'")
    if (processor.cameras, processor.frame_offsets_us) != (shown.cameras, shown.frame_offsets_us):
        raise ParameterError(
            f"{loaded.folder} sees {_seen(processor.cameras, processor.frame_offsets_us)}, but the calibration data shows "
            f"{_seen(shown.cameras, shown.frame_offsets_us)}; make data with its cameras ('simdrive data')"
        )
    chat = Chat(loaded.tokenizer, processor.slots)
    made = []
    for number, start in enumerate(range(0, len(rows), batch)):
        part = list(rows[start : start + batch])
        lesson = lesson_named(_LESSONS[number % len(_LESSONS)])
        text = training_batch(chat, [turns_of(samples, row, lesson, row) for row in part]).to(loaded.model.device)
        seen = processor.pictures(samples.frames(part), loaded.model.device)
        visual = text.ids == loaded.model.config.image_token_id
        inputs: dict[str, Any] = {"input_ids": text.ids, "pixel_values": seen.values, "use_cache": False}
        if seen.grid is not None:
            inputs |= {"image_grid_thw": seen.grid, "mm_token_type_ids": visual.long()}
        made.append(CalibrationBatch(inputs, text.labels, text.mask.bool(), visual))
    return made


def _seen(cameras: Sequence[Any], offsets: Sequence[int]) -> str:
    sizes = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in cameras)
    return f"[{sizes}] at {list(offsets)} us"


def answer_logits(model: Any, batch: CalibrationBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits ``[K, vocabulary]`` at the places that answer, and the right tokens ``[K]``."""
    hidden = model.model(**batch.inputs).last_hidden_state
    told = batch.labels[:, 1:]
    learned = told != IGNORED
    return model.lm_head(hidden[:, :-1][learned]).float(), told[learned]


@torch.no_grad()
def collect(
    model: Any,
    batches: Sequence[CalibrationBatch],
    names: Sequence[str],
    balance: str = "none",
    moments: bool = False,
) -> dict[str, InputStats]:
    """Return what goes into some linear maps.

    Args:
        model: in floating point, or partly quantized.
        batches: what it is shown.
        names: of the maps.
        balance: of visual and text tokens, one of ``BALANCES``; the vision tower has only one kind.
        moments: also return ``x x^T``, which GPTQ needs.

    Raises:
        UnknownNameError: if the balance is unknown.
    """
    if balance not in BALANCES:
        raise UnknownNameError("balance", balance, BALANCES)
    shares = modality_gradients(model, batches, names) if balance == "gradient" else {}
    found: dict[str, _Sum] = {}
    for batch in batches:
        with _watched(model, names) as seen:
            answer_logits(model, batch)
        for name, x in seen.items():
            rows, weights = _tokens(name, x, batch, balance, shares)
            found.setdefault(name, _Sum(rows.shape[1], moments)).add(rows, weights, KEPT_ROWS // len(batches) + 1)
    return {name: part.stats() for name, part in found.items()}


def _tokens(
    name: str, x: torch.Tensor, batch: CalibrationBatch, balance: str, shares: dict[str, tuple[float, float]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs that count and their weights."""
    if not name.startswith(TEXT):
        rows = x.reshape(-1, x.shape[-1]).float()
        return rows, torch.ones(len(rows), device=rows.device)
    rows, visual = x[batch.counts].float(), batch.visual[batch.counts]
    weights = torch.ones(len(rows), device=rows.device)
    if balance == "equal" and visual.any() and not visual.all():
        weights[visual] = (~visual).sum() / visual.sum()
    elif balance == "gradient":
        seen, said = shares[name]
        weights = torch.where(visual, weights * seen, weights * said)
    return rows, weights


class _Sum:
    def __init__(self, width: int, moments: bool) -> None:
        self._largest, self._mean, self._total = torch.zeros(width), torch.zeros(width), 0.0
        self._moment = torch.zeros(width, width) if moments else None
        self._rows: list[torch.Tensor] = []
        self._weights: list[torch.Tensor] = []

    def add(self, rows: torch.Tensor, weights: torch.Tensor, most: int) -> None:
        rows, weights = rows.cpu(), weights.cpu()
        self._largest = torch.maximum(self._largest, rows.abs().amax(0))
        self._mean += (rows.abs() * weights[:, None]).sum(0)
        self._total += float(weights.sum())
        if self._moment is not None:
            self._moment.addmm_(rows.T, rows * weights[:, None])
        step = max(len(rows) // most, 1)  # evenly spread, so that both kinds of tokens and all samples are there
        self._rows.append(rows[::step][:most].clone())
        self._weights.append(weights[::step][:most].clone())

    def stats(self) -> InputStats:
        moment = None if self._moment is None else self._moment / self._total
        return InputStats(
            self._largest, self._mean / self._total, torch.cat(self._rows), torch.cat(self._weights), moment
        )


def modality_gradients(
    model: Any, batches: Sequence[CalibrationBatch], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return per language map the mean absolute gradient of the loss at its output: (visual, text), text scaled to 1."""
    total = {name: [0.0, 0.0] for name in names if name.startswith(TEXT)}
    for batch in batches:
        kept: dict[str, torch.Tensor] = {}

        handles = [model.get_submodule(name).register_forward_hook(_kept(name, kept)) for name in total]
        try:
            with torch.enable_grad():
                logits, told = answer_logits(model, batch)
                F.cross_entropy(logits, told).backward()  # type: ignore[no-untyped-call]
        finally:
            for handle in handles:
                handle.remove()
        for name, out in kept.items():
            size = out.grad.abs().mean(-1) if out.grad is not None else out.new_zeros(out.shape[:-1])
            for place, which in enumerate((batch.visual, batch.counts & ~batch.visual)):
                total[name][place] += float(size[which].mean()) if which.any() else 0.0
        model.zero_grad(set_to_none=True)
    return {name: (seen / max(said, 1e-30), 1.0) for name, (seen, said) in total.items()}


def _kept(name: str, kept: dict[str, torch.Tensor]) -> Any:
    """Return a hook that keeps a map's output, gradient included."""

    def hook(module: nn.Module, given: Any, out: torch.Tensor) -> None:
        out.retain_grad()
        kept[name] = out

    return hook


@contextmanager
def _watched(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect the inputs of linear maps by name during a forward pass."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            seen[name] = given[0].detach()

        return hook

    handles = [model.get_submodule(name).register_forward_pre_hook(keep(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
