"""The training loop: supervised answers on pictures, any device, resumable step by step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from simdrive.compress.batches import Batches
from simdrive.compress.checkpoint import load_checkpoint, save_checkpoint
from simdrive.compress.learner import Learner
from simdrive.compress.optimizers import optimizers
from simdrive.compress.parts import freeze
from simdrive.compress.processes import Processes
from simdrive.compress.remembered import Remembered, recall
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Objective, Supervision
from simdrive.errors import SimdriveError
from simdrive.models.chat import Chat
from simdrive.models.processor import Processor

Hook = Callable[[int, torch.nn.Module], None]  # step, model: validation, collection


class Trainer:
    """Trains one model on samples; ``run`` continues from the checkpoint in ``out`` if there is one."""

    def __init__(
        self, model: Any, tokenizer: Any, processor: Processor, samples: Samples, settings: TrainSettings, out: Path,
        device: torch.device | str = "cpu", processes: Processes | None = None,
        objective: Callable[[Supervision, Learner], Objective] | None = None, memory: Remembered | None = None,
    ) -> None:  # fmt: skip
        """Prepare; the objective is supervision unless something is built around it.

        With a ``memory`` the model's tower is not asked any more: it takes what is remembered for pixels.

        Raises:
            UnknownNameError: if a part named in the settings does not exist.
        """
        self.model, self.processor, self.settings, self.out = model.to(device), processor, settings, out
        self.device, self.processes = torch.device(device), processes or Processes()
        self.chat = Chat(tokenizer, processor.slots)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.learner = Learner(self.model, processor if settings.dense else None).to(self.device)
        self.samples = samples
        self._batches = Batches(samples, self.chat, processor, settings, self.device, self.processes.rank, memory)
        if memory is not None:
            recall(self.model)
        freeze(self.model, settings.freeze)
        supervision = Supervision(self.chat, self.model, samples, settings, self.device)
        self.objective: Objective = objective(supervision, self.learner) if objective else supervision
        self.optimizers = optimizers(self.learner, self.model, settings)
        self.step = 0
        self._log = out / "log.jsonl"
        self.last: dict[str, Any] = {}  # newest line of the log

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
            with _quick(self.device):
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
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = settings.rate(self.step) * group["gain"]
        for part in range(settings.accumulate):
            batch = self._batches(self.step * settings.accumulate + part)
            total += self.objective(forward, batch, self.step, 1.0 / settings.accumulate)
        length = float(torch.nn.utils.clip_grad_norm_(self.learner.parameters(), settings.clip))
        if not (math.isfinite(total) and math.isfinite(length)):
            raise SimdriveError(
                f"training became unstable at step {self.step}: loss {total:g}, gradient {length:g}; the last good "
                f"checkpoint is kept under {self.out}. Try a lower train.learning_rate or precision fp32"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return total

    def _wrapped(self) -> Any:
        """Return what computes a batch, under DDP if there are several processes."""
        if self.processes.count == 1:
            return self.learner
        # Looking for what a batch left out costs a walk through its graph; only these leave something out.
        partial = self.settings.see_first > 0 or self.learner.aside is not None
        return torch.nn.parallel.DistributedDataParallel(self.learner, find_unused_parameters=partial)

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        if self.processes.rank == 0:
            save_checkpoint(
                self.out, self.learner, self.optimizers,
                {"step": self.step, "settings": asdict(self.settings), "objective": self.objective.state()},
            )  # fmt: skip

    def resume(self) -> bool:
        """Go back to the checkpoint in ``out``; False if there is none."""
        state = load_checkpoint(self.out, self.learner, self.optimizers)
        if state is not None:
            self.step = int(state["step"])
            self.objective.load(state.get("objective", {}))
        return state is not None

    def _note(self, row: dict[str, Any]) -> None:
        self.last = row
        if self.processes.rank:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(json.dumps(row) + "\n")


@contextmanager
def _quick(device: torch.device) -> Iterator[None]:
    """Do what a step on a CPU gains from, only here: a batch of short sequences with vanishing numbers in it.

    Such numbers are taken for zero (on many CPUs they cost a third of a step), and attention is plain matrix products,
    in the precision of training: of the fused kernel the backward pass alone took 38 % of a step in bfloat16.
    """
    reduced = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # type: ignore[no-untyped-call]  # of CPUs too
    torch.set_flush_denormal(True)
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(reduced)
        torch.set_flush_denormal(False)
