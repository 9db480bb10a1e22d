"""A model on disk: Hugging Face layout, a processor configuration, and a card that vouches for the weights.

``config.json``, ``model.safetensors``, the tokenizer and ``preprocessor_config.json`` load with the plain classes of
transformers; ``card.json`` says where the model comes from. Nothing is unpickled, no code of a folder is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from simdrive.errors import ParameterError, SimdriveError
from simdrive.models.build import CLASSES
from simdrive.models.headcount import cut_to_plan, load_planned, plan_of, read_plan, write_plan
from simdrive.models.patches import map_patches
from simdrive.models.processor import KIND, Processor
from simdrive.models.quantized import QuantizedLinear
from simdrive.models.quantized_folder import (
    Quantization,
    fill_quantized,
    quantization_of,
    write_quantized,
)
from simdrive.models.tokenizer import IMAGE
from simdrive.models.where import WEIGHTS, weight_files, weight_hash

CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "card.json"
logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar per saved or loaded file is noise beside a run's own progress
_BY_ARCHITECTURE = {kind.__name__: kind for kind in CLASSES.values()}


class ModelFolderError(SimdriveError):
    """A model folder is incomplete, damaged or of another kind; the message names the file and what to do."""


@dataclass(frozen=True)
class ModelCard:
    """Where a model comes from; beside every model as ``card.json``."""

    name: str
    family: str
    parameters: int
    bits: float = 16.0  # per weight, as stored
    parents: tuple[str, ...] = ()
    weight_hash: str = ""  # SHA-256 of the weight file
    tokenizer_hash: str = ""  # SHA-256 of tokenizer.json: ids of another tokenizer would be taken in silence
    data: Mapping[str, Any] = field(default_factory=dict)  # what it was trained on, and how long
    scores: Mapping[str, Any] = field(default_factory=dict)
    sparsity: float = 0.0  # share of the matrices' weights that are exactly zero


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    config: Mapping[str, Any]  # content of preprocessor_config.json
    card: ModelCard
    folder: Path

    @property
    def is_zoo(self) -> bool:
        """Whether the folder was written here, cameras included, and not by the makers of a released model."""
        return self.config.get("processor") == KIND

    @property
    def processor(self) -> Processor:
        """The processor of a folder written here.

        Raises:
            ModelFolderError: if its configuration is not one of this version.
        """
        try:
            return Processor.from_config(dict(self.config))
        except SimdriveError as error:
            raise ModelFolderError(f"{self.folder / PROCESSOR}: {error}") from error


def save_model(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    processor: Processor,
    name: str,
    *,
    dtype: torch.dtype = torch.bfloat16,
    bits: float | None = None,
    quantization: Quantization | None = None,
    parents: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    scores: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Write a model folder; the model itself is left as it is. Returns the card that was written.

    Args:
        folder: created where it is missing.
        model, tokenizer, processor: what is saved.
        name: of the model, for every table.
        dtype: of the stored weights.
        bits: per weight; None = those of ``dtype``, or of a quantized model the mean of what the file holds.
        quantization: what was done to a model with quantized layers.
        parents: models it was made from.
        data, scores: for the card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan, sparsity, size = plan_of(model), 0.0, 0
    kept, model.config.dtype = model.config.dtype, dtype
    try:
        if quantization is not None:
            size = write_quantized(folder, model, quantization, dtype)
        else:
            weights = {key: value.detach().to("cpu", dtype) for key, value in _untied(model).items()}
            sparsity = _sparsity(weights)  # before saving, which empties the mapping
            # A folder with a plan is read here only, and under the names that the modules have.
            model.save_pretrained(folder, state_dict=weights, max_shard_size="1000GB", save_original_format=not plan)
    finally:
        model.config.dtype = kept
    write_plan(folder, plan)
    tokenizer.save_pretrained(folder)
    _write(folder / PROCESSOR, processor.to_config())
    count = weight_count(model)
    if bits is None:
        bits = 8.0 * dtype.itemsize if quantization is None else round(8.0 * size / count, 3)
    card = ModelCard(
        name,
        processor.family,
        count,
        bits,
        tuple(parents),
        weight_hash(folder),
        _tokenizer_hash(folder),
        dict(data or {}),
        dict(scores or {}),
        sparsity,
    )
    _write(folder / CARD, asdict(card))
    return card


def load_model(
    folder: Path | str, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> LoadedModel:
    """Return the model of a folder, in evaluation mode with SDPA attention.

    Raises:
        ModelFolderError: if a file is missing, truncated, changed, or does not belong to the others.
    """
    folder = Path(folder)
    config = _read(folder / CONFIG, "give the folder of a model, e.g. one that 'simdrive zoo' lists")
    kind = _class_of(folder, config)
    _check_weights(folder)
    card = _card(folder)
    tokenizer = _tokenizer(folder)
    done = _quantization(folder)
    model = _weights(folder, kind, dtype) if done is None else _quantized(folder, kind, done, dtype)
    map_patches(model)
    _check_tokenizer(folder, tokenizer, model)
    if card is not None and card.tokenizer_hash not in ("", _tokenizer_hash(folder)):
        raise ModelFolderError(
            f"{folder / 'tokenizer.json'} does not belong to this model: it is not the one that {CARD} speaks of; "
            "take the tokenizer that was saved with the weights"
        )
    processor = _read(folder / PROCESSOR, "copy it from the folder the model was saved to")
    if card is None:
        family = next(name for name, known in CLASSES.items() if known is kind)
        card = ModelCard(folder.name, family, sum(v.numel() for v in model.parameters()), 8.0 * dtype.itemsize)
    torch.nn.Module.to(model, device)
    model.eval()  # type: ignore[no-untyped-call]
    return LoadedModel(model, tokenizer, processor, card, folder)


def read_card(folder: Path | str) -> ModelCard:
    """Return the card of a model folder without loading the model.

    Raises:
        ModelFolderError: if there is none, or it is not one.
    """
    card = _card(Path(folder))
    if card is None:
        raise ModelFolderError(f"{Path(folder) / CARD} is missing: only models saved by simdrive carry a card")
    return card


def weight_count(model: PreTrainedModel) -> int:
    """Return how many weights a model has, those behind integer codes included; shared ones count once."""
    coded = [part for part in model.modules() if isinstance(part, QuantizedLinear)]
    hidden = sum(p.in_features * p.out_features + (0 if p.bias is None else p.out_features) for p in coded)
    return sum(value.numel() for value in model.parameters()) + hidden


def _untied(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the weights of a model, those that several layers share once."""
    first: dict[int, str] = {}
    weights: dict[str, torch.Tensor] = model.state_dict()
    return {key: value for key, value in weights.items() if first.setdefault(value.data_ptr(), key) == key}


def _sparsity(weights: Mapping[str, torch.Tensor]) -> float:
    matrices = [value for value in weights.values() if value.ndim > 1]
    zeros = sum(int((value == 0).sum()) for value in matrices)
    return round(zeros / max(sum(value.numel() for value in matrices), 1), 6)


def _tokenizer_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()


def _class_of(folder: Path, config: Mapping[str, Any]) -> type[PreTrainedModel]:
    named = (config.get("architectures") or ["(none)"])[0]
    if named not in _BY_ARCHITECTURE:
        raise ModelFolderError(
            f"{folder / CONFIG} names the architecture {named!r}; simdrive drives {', '.join(_BY_ARCHITECTURE)} "
            "(for InternVL take the release in transformers layout, its name ends in -hf)"
        )
    return _BY_ARCHITECTURE[named]


def _check_weights(folder: Path) -> None:
    for path in weight_files(folder):
        if not path.is_file():
            pickled = sorted(other.name for other in folder.glob("*.bin"))
            hint = f"; {pickled[0]} is a pickle and is not read, convert it to safetensors" if pickled else ""
            raise ModelFolderError(f"{path} is missing{hint or '; copy it from where the model comes from'}")
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise ModelFolderError(f"{path} is no complete safetensors file ({error}); copy it again") from error


def _card(folder: Path) -> ModelCard | None:
    path = folder / CARD
    if not path.is_file():
        return None
    fields = _read(path, "")
    try:
        card = ModelCard(**{**fields, "parents": tuple(fields.get("parents", ()))})
    except TypeError as error:
        raise ModelFolderError(f"{path} is no card of a model: {error}; save the model again") from error
    found = weight_hash(folder)
    if card.weight_hash and card.weight_hash != found:
        raise ModelFolderError(
            f"{folder / WEIGHTS} was changed: its hash is {found[:12]}, {CARD} says {card.weight_hash[:12]}; "
            "restore the file, or save the model again so that its card speaks of it"
        )
    return card


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not (folder / "tokenizer.json").is_file():
        raise ModelFolderError(f"{folder / 'tokenizer.json'} is missing; copy it from where the model comes from")
    try:
        loaded: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ModelFolderError(f"{folder / 'tokenizer.json'} cannot be read ({error}); copy it again") from error
    loaded.padding_side = "left"
    return loaded


def _weights(folder: Path, kind: type[PreTrainedModel], dtype: torch.dtype) -> PreTrainedModel:
    options: dict[str, Any] = {
        "dtype": dtype,
        "attn_implementation": "sdpa",
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    try:
        plan = read_plan(folder)
        loaded: Any = (
            kind.from_pretrained(folder, **options) if plan is None else load_planned(folder, kind, dtype, plan)
        )
    except (RuntimeError, ValueError, OSError, KeyError, TypeError, ParameterError) as error:
        first = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise ModelFolderError(f"{folder / WEIGHTS} does not fit {folder / CONFIG}: {first}") from error
    model, report = loaded
    for name in ("missing_keys", "unexpected_keys"):
        keys = sorted(report.get(name) or ())
        if keys:
            raise ModelFolderError(
                f"{folder / WEIGHTS} does not fit {folder / CONFIG}: {len(keys)} {name.replace('_', ' ')}, "
                f"e.g. {keys[0]}; take both files from the same model"
            )
    found: PreTrainedModel = model
    return found


def _quantization(folder: Path) -> Quantization | None:
    try:
        return quantization_of(folder)
    except SimdriveError as error:
        raise ModelFolderError(str(error)) from error


def _quantized(folder: Path, kind: type[PreTrainedModel], done: Quantization, dtype: torch.dtype) -> PreTrainedModel:
    """Return a model whose linear maps are integers (``simdrive.models.quantized``)."""
    try:
        config: Any = kind.config_class.from_pretrained(folder, local_files_only=True)  # type: ignore[union-attr]
        config._attn_implementation = "sdpa"
        model = kind(config)
        cut_to_plan(model, read_plan(folder) or {})
        return fill_quantized(model, folder, done, dtype)
    except (SimdriveError, ValueError, TypeError) as error:
        raise ModelFolderError(str(error)) from error


def _check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase, model: Any) -> None:
    rows = len(model.get_input_embeddings().weight)
    slot = tokenizer.convert_ids_to_tokens([model.config.image_token_id])[0]
    if len(tokenizer) > rows or slot not in (IMAGE, "<|image_pad|>"):
        raise ModelFolderError(
            f"{folder / 'tokenizer.json'} does not belong to this model: {len(tokenizer)} tokens for {rows} embeddings, "
            f"and the image slot is {slot!r}; take the tokenizer that was saved with the weights"
        )


def _read(path: Path, fix: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFolderError(f"{path} is missing" + (f"; {fix}" if fix else ""))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path} is no JSON ({error}); copy it again") from error
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} must hold one JSON object, got {type(content).__name__}")
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
