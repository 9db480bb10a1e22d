"""``simdrive latency``: what a model costs on a chip, and how far that is from published measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.cli.latency_measure import measure
from simdrive.cli.latency_schedule import schedule
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError

app = typer.Typer(
    help="What a model costs on a chip: predict, tabulate, calibrate, validate; measure on this host, share a chip.",
    no_args_is_help=True,
)
app.command("measure")(measure)
app.command("schedule")(schedule)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
WORDS = typer.Argument(None, help="key=value options; names are those of configs/ or published aliases")
ROWS = typer.Argument(..., help="measurements in the columns of simdrive/latency/data/edge_calibration.csv")

TOKENS = {"tokens.prompt": 256, "tokens.image": 0, "tokens.output": 32}
HOST = ("sensor_ms", "preprocess_ms", "preprocess_ns_per_pixel", "action_ms")


@app.command("predict")
@guarded
def predict(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Stage times of one request with 80 % intervals, peak memory, and energy where the mode's power is known.

    Options: chip= architecture= precision= runtime=trt_edge_llm power_mode= tokens.prompt=256 (text) tokens.image=0
    tokens.output=32 images=1 pixels=0 sensor_ms= preprocess_ms= preprocess_ns_per_pixel= action_ms=
    """
    single = ("chip", "architecture", "precision", "runtime", "power_mode")
    given = parse_words(words, (*single, *TOKENS, "images", "pixels", *HOST))
    for name in ("chip", "architecture", "precision"):
        if name not in given:
            raise ParameterError(
                f"{name}=... is needed, e.g. chip=agx_orin_64gb architecture=internvl3_1b precision=w4a16"
            )
    result = _prediction(given, strict=True)
    if json:
        print_json(result)
        return
    _show_prediction(result)


@app.command("table")
@guarded
def table(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Request times of chips x architectures x precisions; what cannot be priced or does not fit says why.

    Options: chips=[...] architectures=[...] precisions=[...] runtime=trt_edge_llm tokens.prompt=256 tokens.image=0
    tokens.output=32 images=1
    """
    axes = {
        "chips": ["agx_orin_64gb", "jetson_thor_t5000"],
        "architectures": ["internvl3_1b", "internvl3_2b", "internvl3_8b"],
        "precisions": ["w16a16", "w4a16"],
    }
    given = parse_words(words, (*axes, "runtime", *TOKENS, "images", "pixels", *HOST))
    lists = {key: _names(given.pop(key, default)) for key, default in axes.items()}
    rows = []
    for chip in lists["chips"]:
        for architecture in lists["architectures"]:
            for precision in lists["precisions"]:
                each = {"chip": chip, "architecture": architecture, "precision": precision}
                rows.append(_prediction({**given, **each}, strict=False))
    if json:
        print_json({"rows": rows})
        return
    _show_table(rows)


@app.command("calibrate")
@guarded
def calibrate(rows: Path = ROWS, words: list[str] = WORDS, json: bool = JSON) -> None:
    """Fit every runtime on measurements; prints parameters with 80 % intervals and leave-one-chip-out errors.

    Options: out=fitted.json (not written without it)
    """
    options = parse_words(words, ("out",))
    from simdrive.latency.calibration import fit_runtimes
    from simdrive.latency.comparison import targets_of
    from simdrive.latency.measurements import read_measurements
    from simdrive.latency.parameters import to_plain, write_parameters
    from simdrive.latency.validation import left_out, report, skipped_rows

    targets, skipped = targets_of(read_measurements(rows))
    fitted = fit_runtimes(targets)
    if not fitted:
        raise ParameterError(f"{rows}: no row can be compared; the first reason: {skipped[0].reason}")
    errors = {by: report(left_out(targets, by)) for by in ("chip", "model")}
    if "out" in options:
        write_parameters(Path(str(options["out"])), fitted, source=rows.name)
    if json:
        plain = to_plain(fitted, rows.name)
        left = {f"leave_one_{by}_out": value for by, value in errors.items()}
        print_json({**plain, **left, "skipped": skipped_rows(skipped)})
        return
    for runtime in fitted.values():
        for stage in ("vision", "prefill", "decode"):
            _show_parameters(runtime.runtime, stage, asdict(runtime.stage(stage)))
    for by, value in errors.items():
        _show_errors(f"leave one {by} out", value)
    stdout().print(f"not compared: {len(skipped)} stages of rows (--json names them)", markup=False)


@app.command("validate")
@guarded
def validate(rows: Path = ROWS, words: list[str] = WORDS, json: bool = JSON) -> None:
    """Errors of the predictions on measurements, clustered by (chip, model, format); per stage, runtime, chip.

    With the shipped rows the plain errors are those of the fit; errors on left-out chips and models, from fits on
    the remaining rows of the given file, stand beside them. Options: parameters=fitted.json (default: the shipped ones)
    """
    options = parse_words(words, ("parameters",))
    from simdrive.latency.comparison import targets_of
    from simdrive.latency.measurements import read_measurements
    from simdrive.latency.parameters import read_parameters
    from simdrive.latency.validation import compare, left_out, report, skipped_rows, worst_rows

    calibration = read_parameters(Path(str(options["parameters"]))) if "parameters" in options else None
    targets, skipped = targets_of(read_measurements(rows))
    items = compare(targets, calibration)
    errors = {f"leave_one_{by}_out": report(left_out(targets, by)) for by in ("chip", "model")}
    plain = {**report(items), **errors, "worst": worst_rows(items), "skipped": skipped_rows(skipped)}
    if json:
        print_json(plain)
        return
    _show_errors("predictions", plain)
    for name, value in errors.items():
        _show_errors(name.replace("_", " "), value)
    stdout().print(f"not compared: {len(skipped)} stages of rows (--json names them)", markup=False)


def _names(value: Any) -> list[str]:
    names = [str(item) for item in (value if isinstance(value, list) else [value])]
    if not names:
        raise ParameterError("a list of names is empty")
    return names


def _count(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ParameterError(f"{name} must be a whole number of at least 0, got {value!r}")
    return value


def _prediction(given: Mapping[str, Any], strict: bool) -> dict[str, Any]:
    """Return one prediction as plain data; unless ``strict``, what cannot be priced is a row with the reason."""
    names = {key: str(given.get(key, "trt_edge_llm")) for key in ("chip", "runtime", "architecture", "precision")}
    mode = given.get("power_mode")
    try:
        return {**names, "power_mode": mode, **_priced(names, None if mode is None else str(mode), given)}
    except UnknownNameError:
        raise  # a typing error, in a table too
    except SimdriveError as error:
        if strict:
            raise
        return {**names, "power_mode": mode, "refused": str(error)}


def _priced(names: Mapping[str, str], mode: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    from simdrive.latency.pricing import HostTimes, pricer
    from simdrive.types import STAGES

    model = pricer(names["chip"], names["runtime"], names["architecture"], names["precision"], mode)
    counts = {name: _count(given, name, default) for name, default in TOKENS.items()}
    images, pixels = _count(given, "images", 1 if counts["tokens.image"] else 0), _count(given, "pixels", 0)
    text, image, output, images_, pixels_ = (
        np.array([value], dtype=np.int64) for value in (*counts.values(), images, pixels)
    )
    priced = model.price(text, image, output, images_, pixels_, HostTimes(**{k: given[k] for k in HOST if k in given}))
    prompt = counts["tokens.prompt"] + counts["tokens.image"]
    model.check_fit(prompt, counts["tokens.output"])
    total, low, high = (float(value[0]) * 1e3 for value in priced.total_s())
    energy = priced.energy_j()
    stages = {
        name: {"ms": float(m) * 1e3, "low_ms": float(a) * 1e3, "high_ms": float(b) * 1e3}
        for name, m, a, b in zip(STAGES, priced.stages_s[0], priced.low_s[0], priced.high_s[0], strict=True)
    }
    return {
        "tokens": {key.partition(".")[2]: value for key, value in counts.items()},
        "stages": stages,
        "total": {"ms": total, "low_ms": low, "high_ms": high},
        "decode_tok_s": 1.0 / float(model.step_seconds(prompt)),
        "peak_memory_gib": model.peak_memory(prompt, counts["tokens.output"]).total / 2.0**30,
        "energy_j": None if energy is None else float(energy[0]),
        "measurements": {name: model.parameters.stage(name).rows for name in ("vision", "prefill", "decode")},
        "chip_measured": model.chip.name in model.parameters.decode.chips,
    }


def _show_prediction(result: Mapping[str, Any]) -> None:
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
    if result["energy_j"] is not None:
        console.print(f"energy at most {result['energy_j']:.1f} J", markup=False)
    behind = ", ".join(f"{name} {count}" for name, count in result["measurements"].items())
    seen = "among them this chip" if result["chip_measured"] else "none of this chip"
    console.print(f"measurements behind the runtime: {behind}; {seen}", markup=False)


def _show_table(rows: list[dict[str, Any]]) -> None:
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


def _show_parameters(runtime: str, stage: str, fitted: Mapping[str, Any]) -> None:
    if not fitted["rows"]:
        stdout().print(f"{runtime} {stage}: no measurements, general knowledge with a wide interval", markup=False)
        return
    figures = {key: fitted[key] for key in ("bandwidth_share", "layer_us", "call_us")}
    figures |= {
        f"{kind}.{name}": fitted[kind][name] for name in fitted["kernels"] for kind in ("compute_share", "overlap")
    }
    text = ", ".join(
        f"{name} {value:.3g} [{fitted['intervals'][name][0]:.3g}, {fitted['intervals'][name][1]:.3g}]"
        for name, value in figures.items()
        if name in fitted["intervals"]
    )
    few = " (few: mostly general knowledge)" if fitted["rows"] < 5 else ""
    stdout().print(f"{runtime} {stage}, {fitted['rows']} rows{few}: {text}", markup=False)


def _show_errors(title: str, errors: Mapping[str, Any]) -> None:
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
