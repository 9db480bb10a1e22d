"""What ``simdrive latency`` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simdrive.cli.console import stdout


def show_prediction(result: Mapping[str, Any]) -> None:
    """Print the stage times of one request."""
    from rich.table import Table

    names = " ".join(str(result[key]) for key in ("chip", "runtime", "architecture", "precision"))
    shown = Table(title=names, title_justify="left")
    for name in ("stage", "ms", "80 % low", "80 % high"):
        shown.add_column(name, justify="left" if name == "stage" else "right")
    for stage, value in [*result["stages"].items(), ("total", result["total"])]:
        shown.add_row(stage, *(f"{value[key]:.1f}" for key in ("ms", "low_ms", "high_ms")))
    console = stdout()
    console.print(shown)
    console.print(
        f"decode {result['decode_tok_s']:.1f} tok/s, peak memory {result['peak_memory_gib']:.1f} GiB", markup=False
    )
    if result["changed"]:
        console.print(f"changed by compression: {result['changed']}", markup=False)
    if result["energy_j"] is not None:
        console.print(f"energy at most {result['energy_j']:.1f} J", markup=False)
    behind = ", ".join(f"{name} {count}" for name, count in result["measurements"].items())
    seen = "among them this chip" if result["chip_measured"] else "none of this chip"
    console.print(f"measurements behind the runtime: {behind}; {seen}", markup=False)


def show_table(rows: list[dict[str, Any]]) -> None:
    """Print a table of requests."""
    from rich.table import Table

    shown = Table()
    for name in (
        "chip",
        "architecture",
        "precision",
        "total ms",
        "80 %",
        "vision",
        "prefill",
        "decode",
        "tok/s",
        "GiB",
    ):
        shown.add_column(name)
    for row in rows:
        names = [row[key] for key in ("chip", "architecture", "precision")]
        if "refused" in row:
            shown.add_row(*names, "refused", row["refused"].split(":")[0])
            continue
        total = row["total"]
        stages = [f"{row['stages'][name]['ms']:.1f}" for name in ("vision", "prefill", "decode")]
        figures = [f"{total['ms']:.0f}", f"{total['low_ms']:.0f}-{total['high_ms']:.0f}", *stages]
        shown.add_row(*names, *figures, f"{row['decode_tok_s']:.1f}", f"{row['peak_memory_gib']:.1f}")
    stdout().print(shown)


def show_parameters(runtime: str, stage: str, fitted: Mapping[str, Any]) -> None:
    """Print the fitted parameters of one stage with their intervals."""
    if not fitted["rows"]:
        stdout().print(f"{runtime} {stage}: no measurements, general knowledge with a wide interval", markup=False)
        return

    def value_of(name: str) -> float:
        field, _, key = name.partition(".")
        return float(fitted[field][key] if key else fitted[field])

    text = ", ".join(
        f"{name} {value_of(name):.3g} [{low:.3g}, {high:.3g}]" for name, (low, high) in fitted["intervals"].items()
    )
    few = " (few: mostly general knowledge)" if fitted["rows"] < 5 else ""
    stdout().print(f"{runtime} {stage}, {fitted['rows']} rows{few}: {text}", markup=False)


def show_errors(title: str, errors: Mapping[str, Any]) -> None:
    """Print errors by runtime and chip."""
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for name in ("group", "stage", "clusters", "rows", "median", "p90", "in 80 % interval"):
        shown.add_column(name, justify="left" if name in ("group", "stage") else "right")
    groups = [("all", errors), *errors["by_runtime"].items(), *errors["by_chip"].items()]
    for group, stages in groups:
        for stage in ("decode", "prefill", "vision"):
            value = stages[stage]
            if value["n"]:
                shares = (f"{100 * value[key]:.1f} %" for key in ("median_error", "p90_error", "coverage_80"))
                shown.add_row(group, stage, str(value["n"]), str(value["rows"]), *shares)
    stdout().print(shown)


def show_baselines(baselines: Mapping[str, Any]) -> None:
    """Print the errors of the simpler formulas beside the model's."""
    from rich.table import Table

    shown = Table(title="decode against simpler formulas, leave one chip out: median / p90", title_justify="left")
    names = list(baselines["all"])
    for name in ("group", "clusters", *names):
        shown.add_column(name, justify="left" if name == "group" else "right")
    for group, errors in (("all", baselines["all"]), *baselines["by_runtime"].items()):
        if errors["model"]["n"]:
            shares = (f"{100 * errors[n]['median_error']:.1f} / {100 * errors[n]['p90_error']:.1f} %" for n in names)
            shown.add_row(group, str(errors["model"]["n"]), *shares)
    stdout().print(shown)
