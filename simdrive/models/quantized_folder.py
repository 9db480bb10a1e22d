"""A quantized model on disk: ``quantization.json`` names the layers, ``model.safetensors`` holds codes and scales."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from simdrive.errors import SimdriveError
from simdrive.models.kv_cache import set_kv_bits
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import QuantizedLinear
from simdrive.models.where import WEIGHTS, weight_files

QUANTIZATION = "quantization.json"
VERSION = 1


@dataclass(frozen=True)
class Quantization:
    """What was done to a model."""

    layers: Mapping[str, QuantSpec]  # by name of the linear map
    kv_bits: int = 16
    methods: Sequence[str] = ()  # for the reader; nothing depends on it
    turned: bool = False  # rotated in place: the head is no longer the embedding
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "version": VERSION, "kv_bits": self.kv_bits, "methods": list(self.methods), "turned": self.turned,
            "notes": dict(self.notes), "layers": {name: spec.to_json() for name, spec in sorted(self.layers.items())},
        }  # fmt: skip

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Quantization:
        """Return what ``to_json`` wrote.

        Raises:
            SimdriveError: if it is of another version or malformed.
        """
        if given.get("version") != VERSION:
            raise SimdriveError(f"version {given.get('version')!r} is not {VERSION}; quantize the model again")
        if not isinstance(given.get("layers"), dict):
            raise SimdriveError("it lacks its layers; quantize the model again")
        layers = {str(name): QuantSpec.from_json(spec) for name, spec in given["layers"].items()}
        return cls(layers, int(given.get("kv_bits", 16)), tuple(given.get("methods", ())),
                   bool(given.get("turned", False)), dict(given.get("notes", {})))  # fmt: skip


def quantization_of(folder: Path) -> Quantization | None:
    """Return what was done to the model of a folder; None if it is not quantized.

    Raises:
        SimdriveError: if the file is damaged.
    """
    path = folder / QUANTIZATION
    if not path.is_file():
        return None
    try:
        return Quantization.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError, SimdriveError) as error:
        raise SimdriveError(f"{path} cannot be used: {error}") from error


def write_quantized(folder: Path, model: PreTrainedModel, done: Quantization, dtype: torch.dtype) -> int:
    """Write configuration, weights and ``quantization.json``; return the bytes of the weights.

    The weights are written under the names of the modules: transformers would give some of them older names, which it
    knows how to undo for its own layers only.
    """
    state = _stored(model, dtype)
    save_file(state, str(folder / WEIGHTS), {"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)
    text = json.dumps(done.to_json(), indent=2, sort_keys=True)
    (folder / QUANTIZATION).write_text(text + "\n", encoding="utf-8")
    return sum(value.nbytes for value in state.values())


def _stored(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return what a weight file holds: codes as they are, scales in bfloat16, the rest in ``dtype``."""
    first: dict[int, str] = {}
    found: dict[str, torch.Tensor] = {}
    for key, value in model.state_dict().items():
        if value.numel() and first.setdefault(value.data_ptr(), key) != key:
            continue
        last = key.rpartition(".")[2]
        kind = torch.bfloat16 if last in ("scale", "zero") else torch.float32 if last == "input_scale" else dtype
        found[key] = value.detach().to("cpu", kind if value.is_floating_point() else value.dtype).contiguous()
    return found


def fill_quantized(model: PreTrainedModel, folder: Path, done: Quantization, dtype: torch.dtype) -> PreTrainedModel:
    """Put the content of a quantized folder into ``model``, which has the structure of its config and any weights.

    Raises:
        SimdriveError: if the files do not belong together.
    """
    state: dict[str, torch.Tensor] = {}
    try:
        for path in weight_files(folder):
            state |= load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise SimdriveError(f"{folder / WEIGHTS} cannot be read ({error}); copy it again") from error
    for name, spec in done.layers.items():
        place_quantized(model, name, _empty(folder, name, spec, state))
    try:
        report = model.load_state_dict(state, strict=False, assign=False)
    except RuntimeError as error:
        raise SimdriveError(f"{folder / WEIGHTS} does not fit {QUANTIZATION}: {str(error).splitlines()[-1]}") from error
    model.tie_weights()
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    missing = [key for key in report.missing_keys if key not in tied]
    for what, keys in (("missing", missing), ("unexpected", report.unexpected_keys)):
        if keys:
            raise SimdriveError(
                f"{folder / WEIGHTS} does not fit {QUANTIZATION}: {len(keys)} {what} keys, e.g. {keys[0]}"
            )
    for value in model.parameters():  # scales are buffers and stay in fp32, whatever the model computes in
        value.data = value.data.to(dtype)
    set_kv_bits(model, done.kv_bits)
    return model


def place_quantized(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of the one called ``name``.

    Raises:
        SimdriveError: if there is none.
    """
    above, _, last = name.rpartition(".")
    try:
        owner = model.get_submodule(above)
        owner.get_submodule(last)
    except AttributeError as error:
        raise SimdriveError(f"the model has no layer {name!r}; take both files from the same model") from error
    if isinstance(owner, nn.ModuleList | nn.Sequential):
        owner[int(last)] = module
    else:
        setattr(owner, last, module)


def _empty(folder: Path, name: str, spec: QuantSpec, state: Mapping[str, torch.Tensor]) -> QuantizedLinear:
    """Return room of the stored sizes: they may be smaller than the config says, after pruning."""
    codes = state.get(f"{name}.codes")
    if codes is None:
        raise SimdriveError(f"{folder / WEIGHTS} lacks {name}.codes, which {QUANTIZATION} names; copy both again")
    inputs = codes.shape[1] * (2 if spec.bits == 4 else 1)
    return QuantizedLinear(spec, inputs, codes.shape[0], f"{name}.bias" in state)
