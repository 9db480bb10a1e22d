"""``simdrive bench``: speed as a ratio against a named baseline, measured in one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

app = typer.Typer(help="Speed, always as a ratio against a named baseline in the same run.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
WORDS = typer.Argument(None, help="key=value options, e.g. 'envs=[highway-v0,merge-v1]'")


@app.command("sim")
@guarded
def sim(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Worlds against highway-env on the same roads: speed ratio and largest position difference.

    Options: envs=[...] batches=[1,64,1024] seeds=20 sub_steps=300
    """
    options = _options(words, {"envs": list, "batches": list, "seeds": int, "sub_steps": int, "repetitions": int})
    from simdrive.bench.sim import bench_sim

    first_use()
    _show(bench_sim(**options), json)


@app.command("camera")
@guarded
def camera(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Frames per second on one core at 128x224 with masks, beside OpenCV and pygame on the same scene."""
    options = _options(words, {"repetitions": int})
    from simdrive.bench.camera import bench_camera

    first_use()
    _show(bench_camera(**options), json)


@app.command("eval")
@guarded
def evaluation(words: list[str] = WORDS, json: bool = JSON) -> None:
    """A whole suite run: episodes per second, and simulated against wall time, with one and two workers."""
    options = _options(words, {"suite": str, "agents": list, "delays_ms": list, "workers": list})
    from simdrive.bench.evaluation import bench_eval

    first_use()
    _show(bench_eval(**options), json)


@app.command("price")
@guarded
def price(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Microseconds to price a request from cards, in batches, beside building its operators one by one.

    Options: batches=[1,64,1024] repetitions=20
    """
    options = _options(words, {"batches": list, "repetitions": int})
    from simdrive.bench.price import bench_price

    _show(bench_price(**options), json)


@app.command("infer")
@guarded
def infer(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Closed-loop episodes per minute of a model: the lean loop over many worlds, beside a plain one world at a time.

    Options: model=FOLDER suite=long_tail_v1 episodes=128 plain_episodes=14 batch=128 seconds=6 processes=2
    """
    kinds = {"model": str, "suite": str, "episodes": int, "plain_episodes": int, "batch": int, "seconds": float,
             "processes": int}  # fmt: skip
    options = _options(words, kinds)
    from simdrive.bench.infer import bench_infer

    first_use()
    _show(bench_infer(**options), json)


@app.command("distill")
@guarded
def distill(words: list[str] = WORDS, json: bool = JSON) -> None:
    """A step of distillation with captured attention, beside a teacher's pass and a student's step without it.

    Options: batch=16 rounds=5 threads=1
    """
    options = _options(words, {"batch": int, "rounds": int, "threads": int})
    from simdrive.bench.distill import bench_distill

    _show(bench_distill(**options), json)


@app.command("kernels")
@guarded
def kernels(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Linear maps with int8 and int4 weights: prefill and decode beside bf16, fp32 and, where installed, onnxruntime.

    Options: widths=[256,1024] prompt=1024 rounds=3 blocks=0 threads=1
    """
    options = _options(words, {"widths": list, "prompt": int, "rounds": int, "blocks": int, "threads": int})
    from simdrive.bench.kernels import bench_kernels

    _show(bench_kernels(**options), json)


def _options(words: list[str] | None, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Parse ``key=value`` words as YAML, checked against the options of one bench."""
    options = parse_words(words, kinds, "bench option")
    for key, value in options.items():
        if kinds[key] is list and not isinstance(value, list):
            options[key] = value = [value]
        if kinds[key] is float and isinstance(value, int):
            options[key] = value = float(value)
        if not isinstance(value, kinds[key]):
            raise ParameterError(f"{key} must be {kinds[key].__name__}, got {value!r}")
    return options


def _show(result: Mapping[str, Any], json: bool) -> None:
    if json:
        print_json(result)
        return
    from rich.table import Table

    table = Table(title=f"bench {result['bench']}", title_justify="left")
    for name in ("case", "value", "unit", "baseline", "ratio"):
        table.add_column(name, justify="left" if name in ("case", "unit", "baseline") else "right")
    for row in result["rows"]:
        table.add_row(
            str(row["case"]),
            _number(row["value"]),
            row["unit"],
            _text(row["baseline"]),
            _number(row["ratio"]),
        )
    console = stdout()
    console.print(table)
    for key, value in result["summary"].items():
        console.print(f"{key}: {_number(value)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, int | float) else str(value)
