"""The ``simdrive`` command: one module per sub-command, heavy imports only inside the command that needs them."""

from __future__ import annotations

import typer

import simdrive
from simdrive.cli import (
    bench,
    compare,
    compress,
    corrupt,
    data,
    demo,
    doctor,
    evaluate,
    export,
    flywheel,
    importing,
    latency,
    listing,
    merge,
    onnx,
    record,
    report,
    search,
    serve,
    shadow,
    show,
    stats,
    study,
    train,
    triad,
    verify,
    zoo,
)

TAIL = {"allow_extra_args": False, "ignore_unknown_options": False}

app = typer.Typer(
    name="simdrive",
    help="Does a compressed driving model still drive safely at the speed it really reaches on the chip?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"simdrive {simdrive.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="print the version"),
) -> None:
    """Root of all commands."""


app.command("demo")(demo.demo)
app.command("eval")(evaluate.evaluate)
app.command("record")(record.record)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("data")(data.data)
app.command("train")(train.train)
app.command("compress")(compress.compress)
app.command("corrupt")(corrupt.corrupt)
app.command("onnx")(onnx.onnx)
app.command("ls")(listing.ls)
app.command("shadow")(shadow.shadow)
app.command("flywheel")(flywheel.flywheel)
app.command("show")(show.show)
app.command("search")(search.search)
app.command("merge")(merge.merge)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.command("triad")(triad.triad)
app.command("zoo")(zoo.zoo)
app.add_typer(bench.app, name="bench")
app.add_typer(importing.app, name="import")
app.add_typer(latency.app, name="latency")
app.add_typer(stats.app, name="stats")
app.add_typer(study.app, name="study")
app.add_typer(verify.app, name="verify")


def main() -> None:
    """Entry point of the console script."""
    app()
