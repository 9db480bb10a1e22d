"""What a frozen vision tower says of every sample, computed once: most of what a small student's step costs.

A tower that does not learn says the same of a sample each time. Its answers are kept in a file, under a name made of the
tower's weights and the samples, so that all students with that tower and those samples share them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from simdrive.compress.parts import modules_of
from simdrive.compress.processes import Processes
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.errors import ParameterError
from simdrive.models.pixels import Pictures
from simdrive.models.processor import Processor, grey

_AT_ONCE = 64  # rows


@dataclass(frozen=True)
class Remembered:
    """Last hidden states of a vision tower, the class token's first."""

    states: (
        np.ndarray
    )  # [N, tiles, tokens, width] bits of bfloat16; of a model that sees nothing one row stands for all

    def pictures(self, rows: Sequence[int], device: torch.device) -> Pictures:
        """Return what a recalling model takes for pixels of some rows."""
        chosen = np.zeros(len(rows), np.int64) if len(self.states) == 1 else np.asarray(rows)
        bits = torch.from_numpy(np.ascontiguousarray(self.states[chosen]).view(np.int16))
        return Pictures(bits.view(torch.bfloat16).flatten(0, 1).to(device).float())


def check_remembering(model: Any, settings: TrainSettings) -> None:
    """Check that a training can do with what a tower said before.

    Raises:
        ParameterError: if the tower learns, its pictures change, or the family keeps tower and projector together.
    """
    if model.config.model_type != "internvl":
        raise ParameterError(
            f"remember knows towers of the family internvl, not {model.config.model_type}; leave it out"
        )
    if "vision" not in settings.freeze:
        raise ParameterError(
            "remember is for a vision tower that does not learn: set train.freeze=[vision] or leave it out"
        )
    if settings.augment and not settings.blind:
        raise ParameterError("remember shows every sample as it is: set train.augment=false or leave it out")


def remembered(
    model: Any, processor: Processor, samples: Samples, settings: TrainSettings, folder: Path,
    device: torch.device | str = "cpu", processes: Processes | None = None,
) -> Remembered:  # fmt: skip
    """Return what the tower of ``model`` says of all samples; computed by all processes together unless it is in ``folder``.

    Raises:
        ParameterError: as ``check_remembering``.
    """
    check_remembering(model, settings)
    processes = processes or Processes()
    if settings.blind:
        return Remembered(_said(model, processor, grey(samples.frames([0])), settings, device))
    path = folder / f"{_digest(model, processor, samples, settings)}.npy"
    if not path.is_file():
        _compute(path, model, processor, samples, settings, device, processes)
    return Remembered(np.load(path, mmap_mode="r"))


def recall(model: Any) -> None:
    """Make a model take remembered states for pixels, in place; what is saved of it stays as it is."""
    modules_of(model, "vision")[0].forward = _as_given


def same_sight(one: Any, other: Any) -> bool:
    """Tell whether two models have the same vision tower, weight by weight."""
    mine, theirs = (modules_of(model, "vision")[0].state_dict() for model in (one, other))
    if mine.keys() != theirs.keys():
        return False
    return all(
        value.shape == theirs[name].shape and bool(torch.equal(value, theirs[name])) for name, value in mine.items()
    )


def _as_given(pixel_values: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
    return BaseModelOutputWithPooling(last_hidden_state=pixel_values)


def _compute(
    path: Path, model: Any, processor: Processor, samples: Samples, settings: TrainSettings,
    device: torch.device | str, processes: Processes,
) -> None:  # fmt: skip
    """Write the file at ``path``, whole or not at all; processes take turns by blocks of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.environ.get('MASTER_PORT') if processes.count > 1 else os.getpid()}.part")
    shape = _said(model, processor, samples.frames([0]), settings, device).shape[1:]
    if processes.rank == 0:
        np.lib.format.open_memmap(part, "w+", np.uint16, (len(samples), *shape)).flush()
    _wait(processes)
    kept = np.lib.format.open_memmap(part, "r+")
    for start in range(processes.rank * _AT_ONCE, len(samples), processes.count * _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(samples)))
        kept[rows.start : rows.stop] = _said(model, processor, samples.frames(rows), settings, device)
    kept.flush()
    _wait(processes)
    if processes.rank == 0:
        part.replace(path)
    _wait(processes)


@torch.no_grad()
def _said(
    model: Any, processor: Processor, frames: np.ndarray, settings: TrainSettings, device: torch.device | str
) -> np.ndarray:
    """Return what the tower says of frames ``[N, ...]`` as bits of bfloat16, ``[N, tiles, tokens, width]``."""
    tower = modules_of(model, "vision")[0].to(device)
    pixels = processor.pictures(frames, device).values
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=settings.precision == "bf16"):
        states = tower(pixel_values=pixels).last_hidden_state
    bits: np.ndarray = states.to(torch.bfloat16).view(torch.int16).cpu().numpy().view(np.uint16)
    return bits.reshape(len(frames), -1, *bits.shape[1:])


def _digest(model: Any, processor: Processor, samples: Samples, settings: TrainSettings) -> str:
    found = hashlib.blake2b(digest_size=12)
    found.update(json.dumps([processor.to_config(), settings.precision], sort_keys=True, default=str).encode())
    for name, value in sorted(modules_of(model, "vision")[0].state_dict().items()):
        found.update(name.encode() + value.detach().cpu().float().numpy().tobytes())
    for block in samples.blocks:
        found.update(block)
    return found.hexdigest()


def _wait(processes: Processes) -> None:
    if processes.count > 1:
        torch.distributed.barrier()
