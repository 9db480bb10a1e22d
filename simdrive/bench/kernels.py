"""How fast a language model's linear maps run with integer weights, beside fp32 and bf16, in one run.

Per width and stage (prefill, decode) one row per kernel: the four maps of a decoder block (queries, keys and values joined;
output; gate and up joined; down), repeated over as many blocks as a small model has, so that weights come from memory and not
from a cache. Which kernel is quick depends on the processor, so the host is part of the result.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from simdrive.bench.host import host
from simdrive.errors import ParameterError
from simdrive.models.int_codes import symmetric_scale, zero_scale
from simdrive.models.int_kernels import has_bf16, has_vnni
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import quantized

Pass = Callable[[torch.Tensor], torch.Tensor]
SPECS = {
    "int8 (w8a8, 8-bit codes)": QuantSpec(8, activation="dynamic"),
    "int8 (w8a8, 7-bit activations)": QuantSpec(8, activation="dynamic", activation_bits=7),
    "int8 weights (w8a16)": QuantSpec(8),
    "int4 weights (w4a16, group 64)": QuantSpec(4, 64, zero=True),
}


@dataclass(frozen=True)
class _Maps:
    """The linear maps of some blocks: (in, out) of each."""

    width: int
    sizes: tuple[tuple[int, int], ...]
    blocks: int


def bench_kernels(
    widths: Sequence[int] = (256, 1024), prompt: int = 1024, rounds: int = 3, blocks: int = 0, threads: int = 1
) -> dict[str, Any]:
    """Time the maps of decoder blocks and return the bench object.

    Args:
        widths: hidden sizes, multiples of 64.
        prompt: tokens of a prefill; a decode step has one.
        rounds: the median of so many interleaved ones counts.
        blocks: of each model; 0 = four up to 512 wide, two above.
        threads: of torch and onnxruntime; with one, processor time is taken, which a busy host does not stretch.

    The ratio of a row is how many times as fast as bf16 it is; ``over_fp32`` says the same of fp32, which is the faster of
    the two on processors without bf16 instructions. ``int8_prefill_over_bf16`` and ``int4_decode_over_bf16`` are those of the
    largest width.

    Raises:
        ParameterError: if a size is out of range.
    """
    if not widths or min(widths) < 64 or any(width % 64 for width in widths) or prompt < 2 or rounds < 1 or blocks < 0:
        raise ParameterError(
            f"widths must be multiples of 64, prompt at least 2, rounds at least 1; got {list(widths)}, {prompt}, {rounds}"
        )
    if threads < 1:
        raise ParameterError(f"threads must be at least 1, got {threads}")
    torch.set_num_threads(threads)
    rows: list[dict[str, Any]] = []
    for width in widths:
        rows += _rows(_maps(int(width), blocks), prompt, rounds)
    return {"bench": "kernels", "rows": rows, "summary": _summary(rows, max(widths)), "host": _host()}


def _maps(width: int, blocks: int) -> _Maps:
    inner = -(-width * 11 // 4 // 64) * 64  # as in InternVL3 and Qwen2.5-VL, a little under three times the width
    sizes = ((width, width + width // 2), (width, width), (width, 2 * inner), (inner, width))
    return _Maps(width, sizes, blocks or (4 if width <= 512 else 2))


def _rows(maps: _Maps, prompt: int, rounds: int) -> list[dict[str, Any]]:
    rng = torch.Generator().manual_seed(0)
    layers = [_linear(size, rng) for _ in range(maps.blocks) for size in maps.sizes]
    passes: dict[str, tuple[Pass, torch.dtype]] = {"fp32": (_chain(layers), torch.float32)}
    halves = [_half(layer) for layer in layers]
    passes["bf16"] = (_chain(halves), torch.bfloat16)
    for name, spec in SPECS.items():
        passes[name] = (_chain([_quantized(layer, spec) for layer in layers]), torch.float32)
    passes |= _onnx(layers)
    found: list[dict[str, Any]] = []
    for stage, tokens in (("prefill", prompt), ("decode", 1)):
        inputs = [torch.randn(tokens, layer.in_features, generator=rng) for layer in layers[: len(maps.sizes)]]
        times = _timed({name: (run, [x.to(kind) for x in inputs]) for name, (run, kind) in passes.items()}, rounds)
        found += [
            {"case": f"hidden {maps.width}, {stage} of {tokens}: {name}", "value": times[name] * 1e3, "unit": "ms",
             "baseline": times["bf16"] * 1e3, "ratio": times["bf16"] / times[name],
             "over_fp32": times["fp32"] / times[name], "hidden": maps.width, "stage": stage, "kernel": name,
             "blocks": maps.blocks}
            for name in passes
        ]  # fmt: skip
    return found


def _linear(size: tuple[int, int], rng: torch.Generator) -> nn.Linear:
    made = nn.Linear(*size, bias=False).requires_grad_(False)
    made.weight.copy_(torch.randn(size[1], size[0], generator=rng) * size[0] ** -0.5)
    return made


def _half(layer: nn.Linear) -> nn.Linear:
    made = nn.Linear(layer.in_features, layer.out_features, bias=False).requires_grad_(False)
    made.weight.copy_(layer.weight)
    return made.bfloat16()


def _quantized(layer: nn.Linear, spec: QuantSpec) -> nn.Module:
    if spec.zero:
        scale, zero = zero_scale(layer.weight, spec.group)
        return quantized(layer, spec, scale, zero)
    return quantized(layer, spec, symmetric_scale(layer.weight, spec.bits, spec.group))


def _chain(layers: Sequence[nn.Module]) -> Any:
    """Return what feeds every map of every block with an input of its size."""

    def run(inputs: Sequence[torch.Tensor]) -> None:
        for number, layer in enumerate(layers):
            layer(inputs[number % len(inputs)])

    return run


def _onnx(layers: Sequence[nn.Linear]) -> dict[str, tuple[Any, torch.dtype]]:
    """Return the same maps as onnxruntime runs them, fp32 and dynamic int8; nothing where it is not installed."""
    try:
        from simdrive.bench.kernels_onnx import sessions
    except ImportError:
        return {}
    return {name: (run, torch.float32) for name, run in sessions(layers).items()}


@torch.inference_mode()
def _timed(passes: dict[str, tuple[Any, list[torch.Tensor]]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each pass; rounds are interleaved, so that a busy host slows all of them."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in passes}
    for run, inputs in passes.values():
        run(inputs)  # layouts are made on first use
    for _ in range(rounds):
        for name, (run, inputs) in passes.items():
            often = 1 if inputs[0].shape[0] > 1 else 20
            started = clock()
            for _ in range(often):
                run(inputs)
            taken[name].append((clock() - started) / often)
    return {name: statistics.median(row) for name, row in taken.items()}


def _summary(rows: Sequence[dict[str, Any]], width: int) -> dict[str, Any]:
    def best(stage: str, start: str, key: str) -> float:
        return max(
            float(row[key])
            for row in rows
            if row["hidden"] == width and row["stage"] == stage and row["kernel"].startswith(start)
        )

    return {
        "hidden": width,
        "int8_prefill_over_bf16": best("prefill", "int8 (", "ratio"),
        "int8_prefill_over_fp32": best("prefill", "int8 (", "over_fp32"),
        "int4_decode_over_bf16": best("decode", "int4", "ratio"),
        "int4_decode_over_fp32": best("decode", "int4", "over_fp32"),
        "int8_decode_over_fp32": best("decode", "int8 (", "over_fp32"),
        "onnxruntime": any(row["kernel"].startswith("onnxruntime") for row in rows),
    }


def _host() -> dict[str, Any]:
    threads = torch.get_num_threads()
    return host(
        "torch", threads=threads, clock="processor time" if threads == 1 else "wall", vnni=has_vnni(), bf16=has_bf16(),
        simd=torch.backends.cpu.get_cpu_capability(),
    )  # fmt: skip
