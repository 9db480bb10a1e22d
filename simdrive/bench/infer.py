"""How fast models are evaluated in closed loop: the lean loop over many worlds, beside one world at a time.

The plain loop is what transformers offers: ``generate`` for every observation of one world, in fp32. Both ask the same
questions about the same pictures and hold their answers to the same grammar, and episodes are cut to the same length.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simdrive.agents.heard import heard
from simdrive.agents.language.grammar import answer_forms
from simdrive.agents.language.questions import driving_question, every_word
from simdrive.agents.vlm import Vlm
from simdrive.bench.host import host
from simdrive.compress.requests import data_request, settings_of
from simdrive.errors import ParameterError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.models.build import build_model
from simdrive.models.chat import prompts
from simdrive.models.constrain import Automaton
from simdrive.models.folder import save_model
from simdrive.models.local import LocalModel, open_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.scenarios.sampling import build_case, load_suite, suite_cases
from simdrive.types import Agent, AgentCard, Charge, Long, ObservationBatch, PlanBatch, TokenUsage

_ZERO = LatencySetting(Constant(0.0), Mode("zero"))


class PlainVlm:
    """The same driver by the book: one observation at a time through ``generate`` of transformers."""

    def __init__(self, folder: str) -> None:
        """Load the model in fp32."""
        self._local = LocalModel(open_model(folder, "float32"))
        self._grammar = self._local.grammar(answer_forms("plan")).to("cpu")
        self.card = AgentCard("plain", "model", "one observation at a time through generate of transformers")
        self.wants, self.charge = self._local.wants, Charge()

    def reset(self, slots: Long) -> None:
        """Nothing is remembered."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Ask about every row by itself."""
        questions = driving_question(batch, "plan", 0)
        return heard(batch, [self._say(batch, row, text) for row, text in enumerate(questions)], _no_usage(len(batch)))

    def _say(self, batch: ObservationBatch, row: int, question: str) -> str:
        local, model = self._local, self._local.loaded.model
        assert batch.frames is not None
        asked = prompts(local.chat, [question])
        pictures = local.processor.pictures(batch.frames[row : row + 1], model.device, model.dtype)
        extra: dict[str, Any] = {"pixel_values": pictures.values}
        if pictures.grid is not None:
            shown = (asked.ids == model.config.image_token_id).int()
            extra |= {"image_grid_thw": pictures.grid, "mm_token_type_ids": shown.to(model.device)}
        generate: Any = model.generate
        with torch.inference_mode():
            out = generate(
                input_ids=asked.ids.to(model.device), attention_mask=asked.mask.to(model.device), do_sample=False,
                max_new_tokens=self._grammar.longest, **extra,
                prefix_allowed_tokens_fn=allowed_by(self._grammar, asked.ids.shape[1]),
            )  # fmt: skip
        told = out[0, asked.ids.shape[1] :].tolist()
        end = told.index(local.chat.end_id) if local.chat.end_id in told else len(told)
        return str(local.chat.tokenizer.decode(told[:end]))


def allowed_by(grammar: Automaton, width: int) -> Callable[[int, torch.Tensor], list[int]]:
    """Return a grammar as transformers takes it: from the tokens so far, behind ``width`` of prompt, to the next ones."""
    moves = [
        dict(zip(tokens[valid].tolist(), after[valid].tolist(), strict=True))
        for tokens, after, valid in zip(grammar.allowed, grammar.following, grammar.valid, strict=True)
    ]

    def allowed(_: int, ids: torch.Tensor) -> list[int]:
        state = 0
        for token in ids[width:].tolist():
            state = moves[state].get(token, state)
        return list(moves[state])

    return allowed


def _no_usage(count: int) -> TokenUsage:
    return TokenUsage(*np.zeros((3, count), np.int64))


@dataclass(frozen=True)
class _Timed:
    episodes: int
    requests: int
    wall_s: float
    texts: list[tuple[str, ...]]

    @property
    def per_minute(self) -> float:
        return 60.0 * self.episodes / self.wall_s


def bench_infer(
    model: str = "",
    suite: str = "long_tail_v1",
    episodes: int = 128,
    plain_episodes: int = 14,
    batch: int = 128,
    seconds: float = 6.0,
    processes: int = 2,
) -> dict[str, Any]:
    """Drive the same cases in both ways and return the bench object.

    Args:
        model: folder or zoo name; empty = an untrained model of a student's shape.
        suite: whose cases are driven, evenly chosen.
        episodes: of the lean loop, ``batch`` at a time.
        plain_episodes: of the plain loop: some of the same cases, evenly chosen.
        seconds: length of every episode; the same for both.
        processes: that share the episodes in the last row, one thread each, as in ``simdrive eval workers=``.

    The ratio is episodes per minute of the fastest batched row over the plain loop's, ``ratio_of_one_process`` that of the
    faster one without further processes (fp32, bf16: the latter only pays where the processor has instructions for it);
    ``answers_equal`` is the share of answers of the plain loop's episodes that the lean loop in fp32 says word for word.
    """
    if not (1 <= plain_episodes <= episodes and 1 <= processes <= episodes) or batch < 1 or seconds <= 0:
        raise ParameterError(
            f"plain_episodes and processes must be 1 to episodes, batch at least 1 and seconds above 0, got {plain_episodes}, "
            f"{processes}, {episodes}, {batch}, {seconds}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = model or untrained(Path(scratch) / "student")
        inputs = _inputs(suite, episodes, seconds)
        plain = PlainVlm(folder)
        few = [inputs[(number * episodes) // plain_episodes] for number in range(plain_episodes)]
        lean = {dtype: Vlm(folder, constrained=True, batch=batch, dtype=dtype) for dtype in ("float32", "bfloat16")}
        agents: tuple[Agent, ...] = (plain, *lean.values())
        for agent in agents:
            _drive([replace(few[0], spec=replace(few[0].spec, time_limit_s=1.0))], agent, 1)
        by_book = _drive(few, plain, 1)
        alone = _drive(few, lean["float32"], 1)
        full = _drive(inputs, lean["float32"], batch)
        half = _drive(inputs, lean["bfloat16"], batch)
        both = _drive_together(inputs, folder, "bfloat16" if half.wall_s < full.wall_s else "float32", batch, processes)
    name = lean["float32"].card.name
    timed = {
        "generate, one world at a time, fp32": by_book,
        "lean, one world at a time, fp32": alone,
        f"lean, {batch} worlds at a time, fp32": full,
        f"lean, {batch} worlds at a time, bf16": half,
        f"lean, {batch} worlds at a time, the faster of the two, {processes} processes": both,
    }
    rows: list[dict[str, Any]] = [
        {
            "case": f"{name}: {case}",
            "value": run.per_minute,
            "unit": "episodes/min",
            "baseline": by_book.per_minute,
            "ratio": run.per_minute / by_book.per_minute,
            "episodes": run.episodes,
            "requests": run.requests,
            "wall_s": run.wall_s,
        }
        for case, run in timed.items()
    ]
    same = [ours == theirs for ours, theirs in zip(_told(alone), _told(by_book), strict=False)]
    best = max(rows[2:], key=lambda row: float(row["ratio"]))
    return {
        "bench": "infer",
        "rows": rows,
        "summary": {
            "ratio": best["ratio"],
            "ratio_of_one_process": max(float(row["ratio"]) for row in rows[2:-1]),
            "fastest": best["case"],
            "episodes_per_min": best["value"],
            "answers_equal": float(np.mean(same)),
            "model_parameters": lean["float32"].card.parameters["parameters"],
        },
        "host": host(
            "torch", threads=torch.get_num_threads(), device=str(open_model(folder).model.device) if model else "cpu"
        ),
    }


def _drive_together(inputs: Sequence[EpisodeInput], folder: str, dtype: str, batch: int, processes: int) -> _Timed:
    """Drive with several processes at once; their start and the loading of the model do not count, nor for the others."""
    context = multiprocessing.get_context("spawn")
    parts = [list(inputs[number::processes]) for number in range(processes)]
    opened = context.Barrier(processes + 1)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_opened, initargs=(opened,)) as pool:
        driven = [pool.submit(_drive_opened, part, folder, dtype, batch) for part in parts]
        opened.wait(600)
        start = time.perf_counter()
        runs = [one.result() for one in driven]
        wall_s = time.perf_counter() - start
    return _Timed(sum(run.episodes for run in runs), sum(run.requests for run in runs), wall_s,
                  [texts for run in runs for texts in run.texts])  # fmt: skip


_OPENED: list[Any] = []


def _opened(barrier: Any) -> None:
    torch.set_num_threads(1)
    _OPENED.append(barrier)


def _drive_opened(inputs: Sequence[EpisodeInput], folder: str, dtype: str, batch: int) -> _Timed:
    agent = Vlm(folder, constrained=True, batch=batch, dtype=dtype)
    _drive([replace(inputs[0], spec=replace(inputs[0].spec, time_limit_s=1.0))], agent, 1)
    _OPENED[0].wait(600)
    return _drive(inputs, agent, batch)


def _told(run: _Timed) -> list[str]:
    return [text for texts in run.texts for text in texts]


def untrained(folder: Path) -> str:
    """Save a model as ``simdrive train`` makes them by default, with weights as drawn: as fast as a trained one."""
    tokenizer = train_tokenizer([line for line in every_word() for _ in range(2)])
    trained = settings_of("train", {})
    shown = data_request(settings_of("data", {})).pictured
    shape = VlmShape(**trained["shape"], frames=len(shown.frame_offsets_us))
    gain = float(trained["motion_gain"])
    processor = Processor.of(shape, shown.cameras, shown.frame_offsets_us, gain)
    save_model(
        folder, build_model(shape, tokenizer, seed=0), tokenizer, processor, "untrained student", dtype=torch.float32
    )
    return str(folder)


def _inputs(suite: str, count: int, seconds: float) -> list[EpisodeInput]:
    cases = suite_cases(load_suite(suite))
    if count > len(cases):
        raise ParameterError(f"suite {suite!r} has {len(cases)} cases; episodes must not be more, got {count}")
    # Every k-th case: of every scenario some, in both loops.
    chosen = [cases[(number * len(cases)) // count] for number in range(count)]
    return [EpisodeInput(case, replace(build_case(case), time_limit_s=seconds)) for case in chosen]


def _drive(inputs: Sequence[EpisodeInput], agent: Agent, batch: int) -> _Timed:
    start = time.perf_counter()
    logs = [
        log for first in range(0, len(inputs), batch) for log in rollout(inputs[first : first + batch], agent, _ZERO)
    ]
    wall_s = time.perf_counter() - start
    bad = [
        text for log in logs for text, status in zip(log.requests.text, log.requests.status, strict=True) if status == 1
    ]
    if bad:
        raise ParameterError(f"the model cannot answer: {bad[0]}")
    texts = [log.requests.text for log in logs]
    return _Timed(len(logs), sum(map(len, texts)), wall_s, texts)
