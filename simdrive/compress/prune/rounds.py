"""One round of pruning: cut, then learn again for a while; a round that is done, or half done, is not begun anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from simdrive.compress.distill.sight import sight_of
from simdrive.compress.learner import Learner
from simdrive.compress.prune.cutting import check_names, cut_to
from simdrive.compress.prune.recovery import Elder, Recovery, RecoverySettings
from simdrive.compress.prune.settings import PruneSettings, Sizes, after_round, sparsity_after
from simdrive.compress.prune.sparse import sparsify, zeros
from simdrive.compress.prune.tasks import scores_of
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Supervision
from simdrive.compress.trainer import Trainer
from simdrive.models.anatomy import PARTS, layers_of
from simdrive.models.folder import LoadedModel, load_model, save_model
from simdrive.models.merge import merge_tokens
from simdrive.models.processor import Processor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What all rounds share."""

    settings: PruneSettings
    whole: LoadedModel
    before: Sizes
    end: Sizes
    samples: Samples | None
    recover: TrainSettings | None  # None = nothing is learned again
    recovery: RecoverySettings
    device: torch.device


@dataclass(frozen=True)
class State:
    """A model on its way: what it is, and which layers of the whole model it still has."""

    model: Any
    processor: Processor
    left: Mapping[str, Sequence[int]]


def beginning(plan: Plan) -> State:
    """Return the state before the first round; the model is loaded apart from the whole one, which stays as it is.

    Raises:
        UnknownNameError: if a layer to drop or protect does not exist.
    """
    check_names(plan.whole.model, (*plan.settings.drop, *plan.settings.protect))
    model = load_model(plan.whole.folder, device=plan.device).model
    left = {part: range(len(layers_of(model, part))) for part in PARTS}
    return State(model, plan.whole.processor, left)


def run_round(plan: Plan, state: State, number: int, out: Path, say: Say) -> State:
    """Return the state after round ``number`` (from 1); what lies in ``out`` already is taken from there."""
    folder = out / f"round_{number}"
    done = _read(folder / "model", plan)
    if done is not None:
        return done
    cut = _read(folder / "cut", plan)
    if cut is None:
        cut = _cut(plan, state, number)
        _write(folder / "cut", plan, cut)
    say(f"round {number} of {plan.settings.rounds}: {sum(p.numel() for p in cut.model.parameters()):,} weights")
    if plan.recover is not None:
        _recover(plan, cut, number, folder / "recovery")
    _write(folder / "model", plan, cut)
    return cut


def _cut(plan: Plan, state: State, number: int) -> State:
    settings, model, processor = plan.settings, state.model, state.processor
    if number == 1:
        processor = merge_tokens(model, processor, settings.merge)
    sizes = after_round(plan.before, plan.end, number, settings.rounds)
    measured = replace(settings, seed=settings.seed + number)
    scores = scores_of(model, plan.whole.tokenizer, processor, plan.samples, measured, plan.device)
    drop, protect = (_renamed(names, state.left) for names in (settings.drop, settings.protect))
    kept = cut_to(model, scores, sizes, drop, protect)
    if settings.sparsity:
        sparsify(model, sparsity_after(settings, number), settings.scope)
    left = {part: [state.left[part][place] for place in kept[part]] for part in PARTS}
    return State(model, processor, left)


def _renamed(names: Sequence[str], left: Mapping[str, Sequence[int]]) -> list[str]:
    """Return what layers of the whole model are called now; those that are gone have no name."""
    now = {f"{part}.{old}": f"{part}.{new}" for part in PARTS for new, old in enumerate(left[part])}
    return [now[name] for name in names if name in now]


def _recover(plan: Plan, state: State, number: int, out: Path) -> None:
    assert plan.samples is not None
    assert plan.recover is not None
    train = replace(plan.recover, seed=plan.recover.seed + number)
    elder = Elder(plan.whole.model, state.left, sight_of(state.processor, plan.whole))
    masks = zeros(state.model) if plan.settings.sparsity else None

    def objective(supervision: Supervision, learner: Learner) -> Recovery:
        return Recovery(supervision, learner.model, elder, plan.recovery, masks, train.precision)

    trainer = Trainer(
        state.model, plan.whole.tokenizer, state.processor, plan.samples, train, out, plan.device, objective=objective
    )
    trainer.resume()
    trainer.run()
    state.model.eval()


def _write(folder: Path, plan: Plan, state: State) -> None:
    """Write a state whole or not at all, in full precision."""
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    data = {"left": {part: list(numbers) for part, numbers in state.left.items()}}
    tokenizer: Any = plan.whole.tokenizer
    save_model(new, state.model, tokenizer, state.processor, folder.name, dtype=torch.float32, data=data)
    new.rename(folder)


def _read(folder: Path, plan: Plan) -> State | None:
    if not folder.is_dir():
        return None
    found = load_model(folder, device=plan.device)
    return State(found.model, found.processor, found.card.data["left"])
