"""What a teacher showed of a batch, kept on disk: trainings that see the same batches ask it once.

A batch is known by its content, so that a changed one is simply asked about. Arms of an ablation with one training seed see
the same batches, and most of their time would go to the teacher. Files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from simdrive.compress.batches import Batch
from simdrive.compress.distill.attention import head_mean
from simdrive.compress.distill.names import OF_STATES
from simdrive.compress.distill.terms import ByLayer

_LOGITS = "logits"


@dataclass(frozen=True)
class Heard:
    """What a model shows of itself in one pass."""

    layers: ByLayer  # attention or hidden states of the layers that matter
    logits: torch.Tensor  # [K, vocabulary] at the K learned places


class Kept:
    """What one teacher showed, a file per batch: head-mean attention in half precision, or hidden states in bfloat16."""

    def __init__(self, folder: Path, teacher: Any, signal: str, precision: str) -> None:
        """Keep below ``folder``, apart from other teachers and other signals."""
        self._of_states = signal in OF_STATES
        self._folder = folder / _digest(teacher, "states" if self._of_states else "attention", precision)
        self._folder.mkdir(parents=True, exist_ok=True)

    def heard(self, batch: Batch, layers: Iterable[int], ask: Callable[[], Heard]) -> Heard:
        """Return what the teacher shows of a batch in ``layers``; it is asked if any of that is not there.

        What comes back is as it is kept, the first time too, so that every training learns from the same.
        """
        path, wanted = self._folder / f"{_content(batch)}.safetensors", list(layers)
        kept = _read(path)
        if _LOGITS not in kept or any(str(layer) not in kept for layer in wanted):
            asked = ask()
            kept |= {str(layer): self._reduced(asked.layers[layer]) for layer in wanted}
            kept[_LOGITS] = asked.logits.cpu().contiguous()
            _write(path, kept)
        device = batch.text.ids.device
        found = {layer: kept[str(layer)].to(device) for layer in wanted}
        return Heard(found, kept[_LOGITS].to(device))

    def _reduced(self, shown: torch.Tensor) -> torch.Tensor:
        """Return attention ``[N, heads, S, S]`` as ``[N, 1, S, S]``: no loss asks for more; states as they are."""
        if self._of_states:
            return shown.to(torch.bfloat16).cpu().contiguous()
        return head_mean(shown)[:, None].to(torch.float16).cpu().contiguous()


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path) if path.is_file() else {}
    except (SafetensorError, OSError):  # cut off: asked about again
        return {}


def _write(path: Path, kept: dict[str, torch.Tensor]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file(kept, part)
    part.replace(path)


def _content(batch: Batch) -> str:
    found = hashlib.blake2b(digest_size=16)
    for tensor in (batch.text.ids, batch.text.mask, batch.text.labels, batch.seen.values):
        found.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _digest(teacher: Any, *words: str) -> str:
    found = hashlib.blake2b(" ".join(words).encode(), digest_size=12)
    for name, value in sorted(teacher.state_dict().items()):
        found.update(name.encode() + _bytes(value))
    return found.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
