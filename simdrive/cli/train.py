"""``simdrive train``: supervised training of a driving model."""

from __future__ import annotations

import time

import typer

from simdrive.cli.compose import compose_config
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use


@guarded
def train(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. name=student data=[data/samples]"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Train a model on driving samples; validation scores its answers and drives it in closed loop.

    Options (key=value, defaults in configs/train.yaml): name, data, out, init, deepen, vision, motion_gain, device, threads,
    processes, tensorboard, shape.*, train.*, validate.*. The same command continues where it stopped; instead of
    processes=N torchrun may start them.
    """
    config = compose_config("train", words or [])
    from simdrive.compress.requests import train_request

    request = train_request(config)
    first_use()
    from simdrive.compress.training import train as run

    started = time.monotonic()
    best = run(request, lambda line: stderr().print(line, markup=False))
    seconds = time.monotonic() - started
    if json:
        print_json({"model": best.as_posix(), "seconds": round(seconds, 1)})
        return
    stdout().print(f"best model: {best.as_posix()} ({seconds / 60:.1f} minutes)", markup=False)
