"""Head counts that a transformers configuration cannot say, kept beside the weights in ``prune_plan.json``.

Qwen2 (the language model of InternVL) has a head width of its own, so fewer heads are plain configuration. The language
model of Qwen2.5-VL and both vision towers take their head width as width over heads: fewer heads of the same width cannot
be written down. Such a folder is loaded by building the configured model and cutting it to these counts before the weights
are read; plain ``from_pretrained`` refuses it by its sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from simdrive.errors import ParameterError
from simdrive.models.anatomy import PARTS, head_counts, layers_of
from simdrive.models.surgery import configs_of, keep_heads
from simdrive.models.where import weight_files

PLAN = "prune_plan.json"
Plan = Mapping[str, Mapping[str, int]]  # by part: heads, kv_heads


def plan_of(model: Any) -> dict[str, dict[str, int]]:
    """Return the head counts that the model's configuration does not say; empty = it says all."""
    found: dict[str, dict[str, int]] = {}
    for part in PARTS:
        heads, groups = head_counts(model, part)
        if (heads, groups) != _configured(configs_of(model, part)[0]):
            found[part] = {"heads": heads, "kv_heads": groups}
    return found


def _configured(config: Any) -> tuple[int, int]:
    heads = config.num_heads if hasattr(config, "num_heads") else config.num_attention_heads
    return int(heads), int(getattr(config, "num_key_value_heads", heads))


def cut_to_plan(model: Any, plan: Plan) -> None:
    """Cut a freshly built model to a plan, in place; which heads go does not matter, weights come later.

    Raises:
        ParameterError: if a part does not exist or its counts do not fit the model.
    """
    for part, counts in plan.items():
        if part not in PARTS or set(counts) != {"heads", "kv_heads"}:
            raise ParameterError(f"a plan holds heads and kv_heads for {' and '.join(PARTS)}, got {part}: {counts}")
        heads, groups = int(counts["heads"]), int(counts["kv_heads"])
        for layer in layers_of(model, part):
            size = layer.heads // layer.kv_heads
            if groups < 1 or heads % groups or heads // groups > size or groups > layer.kv_heads:
                raise ParameterError(
                    f"{part} has {layer.heads} heads in {layer.kv_heads} groups; it cannot be cut to {heads} in {groups}"
                )
            kept = [group * size + slot for group in range(groups) for slot in range(heads // groups)]
            keep_heads(layer, kept, list(range(groups)))


def read_plan(folder: Path) -> Plan | None:
    """Return the plan beside a model's weights, None if there is none.

    Raises:
        ParameterError: if it is no JSON object of counts.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {part: {name: int(count) for name, count in counts.items()} for part, counts in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ParameterError(f"{path} is no plan of head counts ({error}); copy it again") from error


def write_plan(folder: Path, plan: Plan) -> None:
    """Write a plan beside a model's weights, or take an old one away where there is nothing to say."""
    path = folder / PLAN
    path.unlink(missing_ok=True)
    if plan:
        path.write_text(json.dumps(plan, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_planned(
    folder: Path, kind: type[PreTrainedModel], dtype: torch.dtype, plan: Plan
) -> tuple[PreTrainedModel, dict[str, list[str]]]:
    """Return the model of a folder with a plan, and the weights that are missing or not expected.

    Raises:
        RuntimeError: if a weight has another size than the plan says.
    """
    config: Any = kind.config_class.from_pretrained(folder, local_files_only=True)  # type: ignore[union-attr]
    assert isinstance(config, PretrainedConfig)
    with no_init_weights():
        model: Any = kind._from_config(config, dtype=dtype, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    cut_to_plan(model, plan)
    weights: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        weights |= load_file(path)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    model.tie_weights()
    tied = {name for name in missing if any(name.startswith(head) for head in ("lm_head.",))}
    untold = [] if config.tie_word_embeddings else sorted(tied)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    report = {"missing_keys": sorted(set(missing) - tied) + untold, "unexpected_keys": sorted(unexpected)}
    found: PreTrainedModel = model
    return found, report
