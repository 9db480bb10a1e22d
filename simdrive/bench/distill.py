"""What distillation costs: a step with captured attention beside a teacher's pass and a student's step without it.

Time is that of one process on interleaved rounds; memory is the peak of a process that runs one arm alone.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simdrive.agents.language.questions import every_word
from simdrive.compress.batches import Batch
from simdrive.compress.distill.objective import Distillation
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.distill.terms import Tokens, attention_loss
from simdrive.compress.learner import Learner
from simdrive.compress.lessons import Lesson
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Supervision
from simdrive.errors import ParameterError, SimdriveError
from simdrive.models.build import build_model
from simdrive.models.chat import Chat, training_batch
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.types import CameraSpec

TEACHER = VlmShape()
STUDENT = replace(
    TEACHER, text_width=160, text_layers=4, text_heads=4, text_kv_heads=2, text_ffn=448, vision_width=64,
    vision_layers=3, vision_ffn=192,
)  # fmt: skip
CAMERAS = (CameraSpec("narrow", 256, 64, 50.0), CameraSpec("wide", 256, 64, 120.0))
BASE, SUM, FULL, EAGER = "teacher pass + student step", "attention, summed", "attention, projected", "eager, all maps"
ARMS = (BASE, SUM, FULL, EAGER)
Step = Callable[[], None]


@dataclass(frozen=True)
class _Bench:
    """What all arms share."""

    supervision: Supervision
    learner: Learner
    teacher: Any
    batch: Batch


def bench_distill(batch: int = 16, rounds: int = 5, threads: int = 1) -> dict[str, Any]:
    """Time steps of distillation and return the bench object.

    Args:
        batch: samples of a step.
        rounds: the median of so many interleaved ones counts.
        threads: of torch; with one, processor time is taken, which a busy host does not stretch.

    The ratio of a row is how many times as long as the baseline it takes (less is better); ``memory_ratio`` says the same of
    peak memory above what the bare process needs.

    Raises:
        ParameterError: if a value is out of range.
    """
    if min(batch, rounds, threads) < 1:
        raise ParameterError(f"batch, rounds and threads must be at least 1, got {(batch, rounds, threads)}")
    torch.set_num_threads(threads)
    made = _made(batch)
    seconds = _timed({name: _step(made, name) for name in ARMS}, rounds)
    memory = {name: _peak_bytes(name, batch, threads) for name in ARMS}
    rows = [
        {"case": name, "value": seconds[name] * 1e3, "unit": "ms", "baseline": seconds[BASE] * 1e3,
         "ratio": seconds[name] / seconds[BASE], "memory_mb": memory[name] / 1e6,
         "memory_ratio": memory[name] / memory[BASE]}
        for name in ARMS
    ]  # fmt: skip
    told = {"summed": rows[ARMS.index(SUM)], "projected": rows[ARMS.index(FULL)], "eager": rows[ARMS.index(EAGER)]}
    summary = {f"{name}_{what}": row[key] for name, row in told.items()
               for what, key in (("time", "ratio"), ("memory", "memory_ratio"))}  # fmt: skip
    return {"bench": "distill", "rows": rows, "summary": summary, "batch": batch, "threads": threads,
            "weights": {"teacher": _weights(made.teacher), "student": _weights(made.learner.model)}}  # fmt: skip


def _made(count: int) -> _Bench:
    """Build drawn models of the default sizes and a batch of random pictures."""
    tokenizer = train_tokenizer(every_word() * 3)
    student = build_model(STUDENT, tokenizer, 2)
    teacher: Any = build_model(TEACHER, tokenizer, 1)
    teacher.eval()
    processor = Processor.of(STUDENT, CAMERAS, (0, -300_000), 3.0)
    chat = Chat(tokenizer, processor.slots)
    frames = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 64, 256, 3), dtype=np.uint8)
    turn = ("at 20 of 25 side 0m follow ; drive ?", "speed -0.5 -1 -2 side 0m 0.25m")
    turns = [[turn]] * count
    text, seen = training_batch(chat, turns), processor.pictures(frames)
    batch = Batch(Lesson("plan"), np.arange(count), text, seen, turns, frames)
    samples: Any = None  # only the dense task would ask for them
    supervision = Supervision(chat, student, samples, TrainSettings(batch=count), torch.device("cpu"))
    return _Bench(supervision, Learner(student), teacher, batch)


def _step(made: _Bench, arm: str) -> Step:
    """Return one step of an arm, gradients cleared before it."""
    if arm == BASE:
        run = _baseline(made)
    elif arm == EAGER:
        run = _eager(made)
    else:
        settings = DistillSettings(method="agp") if arm == FULL else DistillSettings(method="plain_sum", reweight=False)
        objective = Distillation(made.supervision, made.learner, {"": made.teacher}, settings)

        def run() -> None:
            objective(made.learner, made.batch, 0, 1.0)

    def step() -> None:
        made.learner.zero_grad(set_to_none=True)
        run()

    return step


def _baseline(made: _Bench) -> Step:
    teacher, batch = Learner(made.teacher), made.batch

    def run() -> None:
        with torch.no_grad():
            teacher(batch.text.ids, batch.text.labels, batch.seen.values, batch.seen.grid)
        made.supervision(made.learner, batch, 0, 1.0)

    return run


def _eager(made: _Bench) -> Step:
    """The same summed losses from ``output_attentions``, which needs eager attention and gives every map."""
    batch, student = made.batch, made.learner.model
    tokens = Tokens(batch.text.ids == student.config.image_token_id, batch.text.mask.bool())

    def asked(model: Any) -> Any:
        before = model.config._attn_implementation
        model.set_attn_implementation("eager")
        try:
            return model(input_ids=batch.text.ids, labels=batch.text.labels, pixel_values=batch.seen.values,
                         use_cache=False, output_attentions=True)  # fmt: skip
        finally:
            model.set_attn_implementation(before)

    def run() -> None:
        with torch.no_grad():
            theirs = dict(enumerate(asked(made.teacher).attentions))
        found = asked(student)
        own = dict(enumerate(found.attentions))
        loss = found.loss
        for term in DistillSettings().terms:
            loss = loss + attention_loss(term, "attention", own, theirs, tokens, (len(own), len(theirs)))
        loss.backward()

    return run


def _timed(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            started = clock()
            step()
            taken[name].append(clock() - started)
    return {name: statistics.median(row) for name, row in taken.items()}


def _peak_bytes(arm: str, batch: int, threads: int) -> int:
    """Return the peak memory of an arm in a process of its own, above what that process needs without models."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (arm, batch, threads))


def _measured(arm: str, batch: int, threads: int) -> int:
    torch.set_num_threads(threads)
    bare = _status_bytes("VmRSS")
    step = _step(_made(batch), arm)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here: making the models took more for a moment
    for _ in range(2):
        step()
    return _status_bytes("VmHWM") - bare


def _status_bytes(name: str) -> int:
    """Return a figure of this process (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise SimdriveError(f"this system does not tell {name}; the bench needs Linux")


def _weights(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())
