"""The stage ``quantize`` of a recipe: a model folder and samples in, a quantized model folder with its card out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simdrive.compress.charge import charge_on, quantized_charge
from simdrive.compress.judged import judged
from simdrive.compress.learner import Learner
from simdrive.compress.quant.agreement import plans_of, same_plans
from simdrive.compress.quant.calibrate import CalibrationBatch, calibration_batches
from simdrive.compress.quant.layout import bits_by_layer, linears
from simdrive.compress.quant.mixed import CHOICES, Choice, Option, choose, parts_of, sensitivity
from simdrive.compress.quant.part_price import Request, Target, part_bytes, part_seconds
from simdrive.compress.quant.qat import Imitation, make_integer, make_trainable
from simdrive.compress.quant.ranges import Range
from simdrive.compress.quant.rounding import Rounding, prepare, round_all, specs_of, summary
from simdrive.compress.samples import Samples, read_samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Objective, Supervision
from simdrive.compress.trainer import Trainer
from simdrive.compress.validate import ClosedLoop, balanced_rows
from simdrive.errors import ParameterError
from simdrive.models.folder import LoadedModel, load_model, save_model
from simdrive.models.kv_cache import KV_BITS
from simdrive.models.local import LocalModel
from simdrive.models.quantized_folder import Quantization, quantization_of
from simdrive.models.where import find_model, weight_files

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Given:
    loaded: LoadedModel
    samples: Samples
    batches: list[CalibrationBatch]


def rounding_of(settings: Mapping[str, Any]) -> Rounding:
    """Return what a stage's settings say about rounding.

    Raises:
        ParameterError, UnknownNameError: if a value is out of range.
    """
    if int(settings["kv_bits"]) not in KV_BITS:
        raise ParameterError(f"kv_bits must be 16 (as they are) or 8, got {settings['kv_bits']}")
    return Rounding(
        methods=tuple(settings["methods"] or ()),
        group=int(settings["group"]),
        zero=bool(settings["zero"]),
        activation=str(settings["activation"]),
        activation_bits=int(settings["activation_bits"]),
        activation_4bit=str(settings["activation_4bit"]),
        kv_bits=int(settings["kv_bits"]),
        alpha=float(settings["alpha"]),
        high=int(settings["high"]),
        balance=str(settings["balance"]),
        weight_range=Range(**settings["weight_range"]),
        activation_range=Range(**settings["activation_range"]),
        seed=int(settings["seed"]),
    )


def quantize_stage(settings: Mapping[str, Any], folder: Path, say: Say) -> Path:
    """Quantize the model of ``settings`` (``configs/quantize.yaml``); return the folder of the result.

    Raises:
        ParameterError, UnknownNameError: if a method, layer or group does not exist, a group does not divide a width, the
            data shows other pictures than the model sees, or a budget cannot be met.
        SimdriveError: if the model or the data cannot be read.
    """
    if not settings["model"]:
        raise ParameterError("model names nothing to quantize: give a folder, a name of the zoo, or an earlier stage")
    how, parent = rounding_of(settings), find_model(str(settings["model"]))
    if quantization_of(parent) is not None:
        raise ParameterError(f"{parent} is quantized already; give the model that it was made from")
    samples = read_samples([Path(str(path)) for path in settings["data"]], "train")
    loaded = load_model(parent)
    rows = balanced_rows(samples, int(settings["rows"]), int(settings["seed"]))
    given = _Given(loaded, samples, calibration_batches(loaded, samples, rows))
    bits, chosen = _bits(settings, given, how, say)
    model = copy.deepcopy(loaded.model)
    specs = specs_of(model, bits, how)
    stats = prepare(model, specs, given.batches, how)
    exact = copy.deepcopy(model)
    done = round_all(model, specs, stats, given.batches, how)
    if int(settings["qat"]["steps"]):
        compensated = not {"gptq", "temperature"}.isdisjoint(done.methods)
        _train(model, exact, compensated, given, settings["qat"], folder, say)
        done = replace(done, methods=(*done.methods, "qat"))
    return _saved(settings, given, model, done, bits, chosen, folder, say)


def _bits(settings: Mapping[str, Any], given: _Given, how: Rounding, say: Say) -> tuple[dict[str, int], Choice | None]:
    """Return bits by layer: as the groups say, or as a budget on a chip allows."""
    model, mixed = given.loaded.model, dict(settings["mixed"])
    by_group = bits_by_layer(model, settings["groups"], settings["layers"])
    ms, mb = mixed.pop("budget_ms"), mixed.pop("budget_mb")
    if ms is None and mb is None:
        return by_group, None
    if ms is not None and mb is not None:
        raise ParameterError("mixed takes one budget, budget_ms or budget_mb; the other must be null")
    parts = parts_of(model)
    if ms is not None:
        request = Request(**{name: int(mixed[name]) for name in vars(Request())})
        target = Target(mixed["chip"], mixed["runtime"], mixed["architecture"], power_mode=mixed["power_mode"])
        cost, budget, unit = part_seconds(target, list(parts), request), float(ms) * 1e-3, "s"
    else:
        weights = {part: sum(linears(model)[name].weight.numel() for name in names) for part, names in parts.items()}
        cost, budget, unit = part_bytes(weights, CHOICES, how.group or 64), float(mb) * 1e6, "bytes"
    say(f"sensitivity of {len(parts)} parts at {', '.join(map(str, CHOICES[1:]))} bits")
    lost = sensitivity(model, given.batches, {8: how, 4: how}, parts)
    options = {part: [Option(b, lost[part][b], cost[part][b]) for b in CHOICES] for part in parts}
    found = choose(options, budget, unit)
    say(f"chosen: {', '.join(f'{part} {b}' for part, b in found.bits.items())} ({found.cost:.6g} {unit})")
    return {name: found.bits[part] for part, names in parts.items() for name in names}, found


def _train(
    model: Any, exact: Any, compensated: bool, given: _Given, qat: Mapping[str, Any], folder: Path, say: Say
) -> None:  # fmt: skip
    """Train the rounded model, or go on training it, and round it for good."""
    make_trainable(model, exact, compensated)
    fields = {name: qat[name] for name in ("steps", "batch", "learning_rate", "warmup", "decay", "seed")}
    train = TrainSettings(**fields, weight_decay=0.0)
    loaded, samples = given.loaded, given.samples
    weight, supervised = float(qat["imitation"]), float(qat["supervised"])
    if weight <= 0.0 and supervised <= 0.0:
        raise ParameterError("qat learns from nothing: give imitation or supervised a weight above 0")

    def objective(base: Supervision, learner: Learner) -> Objective:
        return Imitation(base, exact, weight, supervised) if weight > 0.0 else base

    trainer = Trainer(model, loaded.tokenizer, loaded.processor, samples, train, folder, objective=objective)
    resumed = trainer.resume()
    say(f"training with rounding, step {trainer.step} of {train.steps}" + (" (continued)" if resumed else ""))
    trainer.run()
    model.eval()
    make_integer(model)


def _saved(
    settings: Mapping[str, Any], given: _Given, model: Any, done: Quantization, bits: Mapping[str, int],
    chosen: Choice | None, folder: Path, say: Say,
) -> Path:  # fmt: skip
    loaded, out = given.loaded, folder / "model"
    data: dict[str, Any] = {
        "folders": [Path(str(path)).name for path in settings["data"]], "methods": list(done.methods),
        "bits": summary(bits), "group": settings["group"], "activation": settings["activation"],
        "activation_bits": settings["activation_bits"], "kv_bits": done.kv_bits, "high": settings["high"],
        "balance": settings["balance"], "rows": settings["rows"], "seed": settings["seed"],
        "charge": quantized_charge(charge_on(loaded.card), model),  # of an agent that drives with this model
    }  # fmt: skip
    if chosen is not None:
        data["mixed"] = {"bits": chosen.bits, "cost": chosen.cost, **settings["mixed"]}
    if int(settings["qat"]["steps"]):
        data["qat"] = dict(settings["qat"])
    scores = _agreement(settings, given, model)
    validate = dict(settings["validate"])
    rows, closed_loop = int(validate.pop("rows")), ClosedLoop(**validate)
    name = str(settings["name"] or f"{loaded.card.name}_q")
    for _ in range(2):  # the card states the size of the file that it vouches for
        tokenizer: Any = loaded.tokenizer
        card = save_model(
            out, model, tokenizer, loaded.processor, name, quantization=done, parents=(*loaded.card.parents, loaded.card.name),
            data=data, scores=scores,
        )  # fmt: skip
        data["bytes"] = sum(path.stat().st_size for path in weight_files(out))
        if "answers" not in scores and "driving" not in scores:
            scores |= judged(out, [Path(str(path)) for path in settings["data"]], rows, closed_loop)
    told = f", {scores['plans_as_parent']:.1%} of its plans as {loaded.card.name}" if scores else ""
    say(f"{name}: {data['bytes']:,} bytes, {card.bits:.2f} bits per weight{told}")
    return out


def _agreement(settings: Mapping[str, Any], given: _Given, model: Any) -> dict[str, Any]:
    """Return how often the model plans as its parent on validation samples; nothing where there are none."""
    held = read_samples([Path(str(path)) for path in settings["data"]], "validation")
    rows = balanced_rows(held, int(settings["agree_rows"])) if len(held) and int(settings["agree_rows"]) else []
    if not rows:
        return {}
    told = [plans_of(LocalModel(replace(given.loaded, model=one)), held, rows) for one in (model, given.loaded.model)]
    return {"plans_as_parent": round(same_plans(*told), 4), "plans_compared": len(rows)}
