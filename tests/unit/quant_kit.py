"""A tiny model with samples that calibrate it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.quant.calibrate import CalibrationBatch, calibration_batches
from simdrive.compress.samples import Samples
from simdrive.models.build import build_model
from simdrive.models.folder import LoadedModel, load_model, save_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape


def saved(folder: Path, family: str = "internvl", **shape: int) -> Path:
    """A folder with a tiny model whose answers vary."""
    chosen = VlmShape(**{**vars(TINY), "family": family, **shape})
    model = build_model(chosen, TOKENIZER, seed=3)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 and "embed" not in name and "lm_head" not in name:
                value.mul_(5.0)
            if "norm" in name and value.ndim == 1:
                value.mul_(torch.rand(value.shape, generator=rng) + 0.5)
    processor = Processor.of(chosen, PICTURED.cameras, PICTURED.frame_offsets_us)
    save_model(folder, model, TOKENIZER, processor, "tiny", dtype=torch.float32)
    return folder


def ready(
    folder: Path, family: str = "internvl", rows: int = 16, **shape: int
) -> tuple[LoadedModel, Samples, list[CalibrationBatch]]:
    """The model, its samples, and calibration batches."""
    loaded = load_model(saved(folder / family, family, **shape))
    samples = written(folder, 24)
    return loaded, samples, calibration_batches(loaded, samples, list(range(rows)), batch=8)


def copied(loaded: LoadedModel) -> Any:
    """A model to change."""
    return copy.deepcopy(loaded.model)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal draws."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()
