"""The whole of pruning as one stage: rounds, then a model folder with a card that says what was done and what it is worth."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from simdrive.compress.charge import charge_on, compounded
from simdrive.compress.judged import judged
from simdrive.compress.priced import PriceSettings, own_price, prices
from simdrive.compress.prune.cutting import sizes_of
from simdrive.compress.prune.recovery import RecoverySettings
from simdrive.compress.prune.rounds import Plan, Say, State, beginning, run_round
from simdrive.compress.prune.settings import PruneSettings, target
from simdrive.compress.prune.shares import shares_left
from simdrive.compress.samples import read_samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.validate import ClosedLoop
from simdrive.errors import ParameterError, RunFolderError
from simdrive.latency.hf_config import architecture_from_hf
from simdrive.models.folder import CONFIG, LoadedModel, load_model, save_model
from simdrive.models.headcount import read_plan
from simdrive.models.local import device_of
from simdrive.models.where import find_model
from simdrive.streams import digest


@dataclass(frozen=True)
class PruneRequest:
    """Everything that decides a pruning."""

    name: str
    init: str  # model folder, or name of a model of the zoo
    data: tuple[Path, ...]
    out: Path
    settings: PruneSettings
    recover: TrainSettings | None = None
    recovery: RecoverySettings = RecoverySettings()  # noqa: RUF009 - frozen
    price: PriceSettings = PriceSettings()  # noqa: RUF009 - frozen
    validate_rows: int = 0
    closed_loop: ClosedLoop = field(default_factory=lambda: ClosedLoop(cases=0))
    device: str = "auto"
    threads: int = 1


def prune(request: PruneRequest, say: Say) -> Path:
    """Prune, or go on pruning; return the folder of the pruned model.

    Raises:
        SimdriveError: if the model, the data or a setting is wrong, or ``out`` belongs to another pruning.
    """
    started = time.monotonic()
    torch.set_num_threads(request.threads)
    plan = _plan(request)
    _claim(request, plan.whole)
    state = beginning(plan)
    for number in range(1, plan.settings.rounds + 1):
        state = run_round(plan, state, number, request.out, say)
    folder = request.out / "model"
    card = _described(request, plan, state)
    scores = _write(request, plan, state, folder, card, {})
    scores |= judged(folder, request.data, request.validate_rows, request.closed_loop, request.device)
    card["wall_seconds"] = round(time.monotonic() - started, 1)  # of this call; a recipe adds what was spent before
    _write(request, plan, state, folder, card, scores)
    say(_line(plan, card, scores))
    return folder


def _plan(request: PruneRequest) -> Plan:
    device = device_of(request.device)
    whole = load_model(find_model(request.init), device=device)
    if not whole.is_zoo:
        raise ParameterError(
            f"{request.init} is a released model; only models in the folder layout of simdrive are pruned"
        )
    needed = request.settings.needs_data or request.recover is not None or request.validate_rows
    if needed and not request.data:
        raise ParameterError(
            f"importance={request.settings.importance}, recovery and validation look at samples: name folders in data, "
            "or take importance=magnitude, recover.steps=0, validate.rows=0"
        )
    samples = read_samples(request.data, "train") if needed else None
    if samples is not None and (samples.pictured.cameras, samples.pictured.frame_offsets_us) != (
        whole.processor.cameras, whole.processor.frame_offsets_us,
    ):  # fmt: skip
        raise ParameterError(f"{request.init} sees other pictures than the samples show; make data with its cameras")
    before = sizes_of(whole.model)
    end = target(before, request.settings)
    settings = request.settings
    if end == before and not settings.drop and not settings.sparsity and settings.merge == 1:
        raise ParameterError("nothing is pruned: give shares below 1 in keep, layers to drop, a sparsity, or merge")
    return Plan(settings, whole, before, end, samples, request.recover, request.recovery, torch.device(device))


def _claim(request: PruneRequest, whole: LoadedModel) -> None:
    """Refuse a folder in which another pruning was begun: its rounds would be taken for this one's."""
    recover = None if request.recover is None else asdict(request.recover)
    asked = {"init": whole.card.weight_hash or str(whole.folder), "prune": asdict(request.settings),
             "recover": recover, "recovery": asdict(request.recovery), "data": [path.name for path in request.data]}  # fmt: skip
    key, kept = digest(json.loads(json.dumps(asked))), request.out / "prune.json"
    if kept.is_file() and json.loads(kept.read_text(encoding="utf-8")).get("key") != key:
        raise RunFolderError(f"{request.out} holds another pruning; choose another out folder, or delete it")
    request.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"key": key, **asked}, indent=2) + "\n", encoding="utf-8")


def _described(request: PruneRequest, plan: Plan, state: State) -> dict[str, Any]:
    """Return what the card says under ``data``."""
    after, settings = sizes_of(state.model), plan.settings
    charge = compounded(charge_on(plan.whole.card), shares_left(plan.before, after, settings.merge))
    return {
        "folders": [path.name for path in request.data],
        "pruned": {
            "importance": settings.importance, "rounds": settings.rounds, "sizes": asdict(after),
            "sizes_before": asdict(plan.before), "layers_left": {k: list(v) for k, v in state.left.items()},
            "merge": settings.merge, "sparsity": settings.sparsity, "scope": settings.scope,
            "conflict": settings.conflict if settings.importance == "safe" else None,
            "capabilities": list(settings.capabilities) if settings.importance == "safe" else None,
            "parameters_before": sum(value.numel() for value in plan.whole.model.parameters()),
            "recovery_steps": plan.recover.steps * settings.rounds if plan.recover else 0,
            "recovery": asdict(plan.recovery) if plan.recover else None, "seed": settings.seed,
        },
        "charge": charge,  # fields of the charge of an agent that drives with this model
        "priced": prices(charge, request.price),
    }  # fmt: skip


def _write(
    request: PruneRequest, plan: Plan, state: State, folder: Path, card: Mapping[str, Any], scores: Mapping[str, Any]
) -> dict[str, Any]:
    tokenizer: Any = plan.whole.tokenizer
    save_model(
        folder, state.model, tokenizer, state.processor, request.name, parents=(plan.whole.card.name,), data=card,
        scores=scores,
    )  # fmt: skip
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    own = architecture_from_hf(config, request.name, read_plan(folder))
    return {"own_price": {chip: own_price(own, chip, request.price) for chip in request.price.chips}}


def _line(plan: Plan, card: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    before = card["pruned"]["parameters_before"]
    words = [f"{before:,} weights before"]
    for chip, row in card["priced"]["chips"].items():
        priced = row.get("refused") or f"{row['whole']['total']:.1f} -> {row['left']['total']:.1f} ms"
        words.append(f"{chip} {priced}")
    if "answers" in scores:
        error = "/".join(f"{value:.2f}" for value in scores["answers"]["plan"]["speed_error_mps"])
        words.append(f"speeds off by {error} m/s")
    if "driving" in scores:
        words.append(f"fails {scores['driving']['failures']} of {scores['driving']['cases']} cases")
    return "; ".join(words)
