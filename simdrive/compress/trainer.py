"""The training loop: supervised answers on pictures, any device, resumable step by step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from simdrive.compress.checkpoint import load_checkpoint, save_checkpoint
from simdrive.compress.dense import dense_loss
from simdrive.compress.draws import Draws, augmented
from simdrive.compress.learner import Learner
from simdrive.compress.lessons import turns_of
from simdrive.compress.samples import Samples
from simdrive.compress.soft_labels import SoftLabels
from simdrive.errors import ParameterError
from simdrive.models.chat import Chat, training_batch
from simdrive.models.processor import Processor, grey


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained."""

    steps: int = 4000
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: int = 800  # steps at the end over which the learning rate falls to nothing; constant before
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0
    lessons: dict[str, float] = field(
        default_factory=lambda: {
            "plan": 0.5, "plan+perception": 0.12, "plan+reasoning": 0.12, "plan+planning": 0.08, "reason_plan": 0.06,
            "full": 0.04, "perception": 0.03, "reasoning": 0.03, "planning": 0.02,
        }
    )  # fmt: skip
    soft_labels: bool = True
    augment: bool = True
    blind: bool = False  # grey pictures: a control that never saw a frame
    dense: float = 0.0  # weight of the second task of the vision tower (simdrive.compress.dense); 0 = none
    see_first: int = 0  # steps at the beginning in which it is the only task
    precision: str = "fp32"  # fp32, or bf16 = autocast
    log_every: int = 20
    save_every: int = 200

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.log_every, self.save_every) < 1:
            raise ParameterError("steps, batch, accumulate, log_every and save_every must be at least 1")
        if self.see_first and self.dense <= 0.0:
            raise ParameterError("see_first trains the dense task alone: give it a weight, e.g. train.dense=0.5")
        if self.precision not in ("fp32", "bf16"):
            raise ParameterError(f"precision must be fp32 or bf16, got {self.precision!r}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: up, constant, down, so that a run can be prolonged before its end."""
        up = min((step + 1) / max(self.warmup, 1), 1.0)
        down = min(max(self.steps - step, 1) / max(self.decay, 1), 1.0)
        return self.learning_rate * min(up, down)


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together."""

    rank: int = 0
    count: int = 1


Hook = Callable[[int, torch.nn.Module], None]  # step, model: validation, collection


class Trainer:
    """Trains one model on samples; ``run`` continues from the checkpoint in ``out`` if there is one."""

    def __init__(
        self, model: Any, tokenizer: Any, processor: Processor, samples: Samples, settings: TrainSettings, out: Path,
        device: torch.device | str = "cpu", processes: Processes = Processes(),
    ) -> None:  # fmt: skip
        self.model, self.processor, self.settings, self.out = model.to(device), processor, settings, out
        self.device, self.processes = torch.device(device), processes
        self.chat = Chat(tokenizer, processor.slots)
        vocabulary = model.config.text_config.vocab_size
        spread = (0.14, 0.04) if settings.soft_labels else ()
        self._soft = SoftLabels(self.chat.encoded, vocabulary, spread).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.learner = Learner(self.model, processor if settings.dense else None).to(self.device)
        self.use(samples)
        decay = [p for p in self.learner.parameters() if p.ndim > 1]
        rest = [p for p in self.learner.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
        self.step = 0
        self._log = out / "log.jsonl"
        self.last: dict[str, Any] = {}  # newest line of the log

    def use(self, samples: Samples) -> None:
        """Go on with other samples, e.g. more of them."""
        self.samples = samples
        self._draws = Draws(samples, self.settings.lessons, self.settings.seed)

    @property
    def batch(self) -> int:
        """Samples of a step, all processes together."""
        return self.settings.batch * self.settings.accumulate * self.processes.count

    def run(self, until: int | None = None, hooks: tuple[tuple[int, Hook], ...] = ()) -> None:
        """Train up to step ``until`` (default: all); a hook is called after every so many steps."""
        last = min(until or self.settings.steps, self.settings.steps)
        forward = self._wrapped()
        total, since, started = 0.0, 0, time.monotonic()
        self.model.train()
        while self.step < last:
            total, since = total + self._one_step(forward), since + 1
            self.step += 1
            if self.step % self.settings.log_every == 0:
                passed = time.monotonic() - started
                self._note({"step": self.step, "loss": total / since, "rate": self.settings.rate(self.step),
                            "samples_per_s": since * self.batch / passed})  # fmt: skip
                total, since, started = 0.0, 0, time.monotonic()
            if self.step % self.settings.save_every == 0 or self.step == last:
                self.save()
            for every, hook in hooks:
                if self.step % every == 0 or self.step == self.settings.steps:
                    self.model.eval()
                    hook(self.step, self.model)
                    self.model.train()
                    started = time.monotonic()

    def _one_step(self, forward: Any) -> float:
        settings, total = self.settings, 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(self.step)
        for part in range(settings.accumulate):
            loss = self._loss(forward, self.step * settings.accumulate + part) / settings.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def _loss(self, forward: Any, draw: int) -> torch.Tensor:
        settings = self.settings
        lesson, rows, phrasings, rng = self._draws.draw(draw, settings.batch, self.processes.rank)
        frames = self.samples.frames(rows.tolist())
        if settings.blind:
            frames = grey(frames)
        elif settings.augment:
            frames = augmented(frames, rng)
        seen = self.processor.pictures(frames, self.device)
        asked = zip(rows.tolist(), phrasings.tolist(), strict=True)
        turns = [turns_of(self.samples, row, lesson, phrase) for row, phrase in asked]
        text = training_batch(self.chat, turns).to(self.device)  # padded on the right: causal attention needs no mask
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            logits, told, dense = forward(
                text.ids, text.labels, seen.values, seen.grid, self.step >= settings.see_first
            )
        loss = torch.zeros((), device=self.device) if logits is None else self._soft.loss(logits, told).mean()
        if dense is not None:
            loss = loss + settings.dense * dense_loss(dense.float(), self.samples.columns(rows.tolist()))
        return loss

    def _wrapped(self) -> Any:
        """Return what computes a batch, under DDP if there are several processes."""
        if self.processes.count == 1:
            return self.learner
        return torch.nn.parallel.DistributedDataParallel(self.learner, find_unused_parameters=True)

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        if self.processes.rank == 0:
            save_checkpoint(
                self.out, self.learner, self.optimizer, {"step": self.step, "settings": asdict(self.settings)}
            )

    def resume(self) -> bool:
        """Go back to the checkpoint in ``out``; False if there is none."""
        state = load_checkpoint(self.out, self.learner, self.optimizer)
        if state is not None:
            self.step = int(state["step"])
        return state is not None

    def _note(self, row: dict[str, Any]) -> None:
        self.last = row
        if self.processes.rank:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(json.dumps(row) + "\n")
