"""Training state on disk: safetensors and JSON, written whole or not at all, so that a killed run continues."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from simdrive.errors import SimdriveError

FOLDER = "checkpoint"


def save_checkpoint(
    out: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    """Write model, optimizers and plain ``state`` under ``out``, replacing what was there."""
    new, old = out / f"{FOLDER}.new", out / FOLDER
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    names = [name for name, _ in model.named_parameters()]
    save_file({n: p.detach().contiguous() for n, p in model.named_parameters()}, str(new / "model.safetensors"))
    tensors: dict[str, torch.Tensor] = {}
    for place, optimizer in enumerate(optimizers):
        for number, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"{place}.{number}.{key}"] = value.detach().contiguous()
    save_file(tensors, str(new / "optimizer.safetensors"))
    (new / "state.json").write_text(json.dumps({**state, "parameters": names}))
    before = out / f"{FOLDER}.old"
    shutil.rmtree(before, ignore_errors=True)
    if old.exists():
        old.rename(before)
    new.rename(old)
    shutil.rmtree(before, ignore_errors=True)


def load_checkpoint(
    out: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer] = ()
) -> dict[str, Any] | None:
    """Restore what ``save_checkpoint`` wrote; return its state, None if there is nothing.

    Raises:
        SimdriveError: if it is damaged or of another model.
    """
    folder = out / FOLDER
    if not folder.is_dir():
        folder = out / f"{FOLDER}.old"  # killed between the two renames
        if not folder.is_dir():
            return None
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        weights = load_file(str(folder / "model.safetensors"))
        moments = load_file(str(folder / "optimizer.safetensors"))
    except Exception as error:
        raise SimdriveError(f"{folder} is damaged ({error}); delete it to start again") from error
    own = dict(model.named_parameters())
    if set(own) != set(weights) or any(own[name].shape != weights[name].shape for name in own):
        raise SimdriveError(f"{folder} belongs to another model; choose another out folder or delete it")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
    for place, optimizer in enumerate(optimizers):
        packed: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in moments.items():
            of, number, key = name.split(".")
            if int(of) == place:
                packed.setdefault(int(number), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": packed, "param_groups": groups})
    return state


def load_head(out: Path, head: torch.nn.Module | None) -> bool:
    """Give a dense head what the one of another training under ``out`` had learned; False if none fits."""
    file = out / FOLDER / "model.safetensors"
    if head is None or not file.is_file():
        return False
    own = {f"head.{name}": parameter for name, parameter in head.named_parameters()}
    with safe_open(str(file), "pt") as weights:
        named = set(weights.keys())
        if any(name not in named or weights.get_slice(name).get_shape() != list(p.shape) for name, p in own.items()):
            return False
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights.get_tensor(name))
    return True
