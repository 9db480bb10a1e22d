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
from simdrive.cli.latency_tables import show_baselines, show_errors, show_parameters, show_prediction, show_table
from simdrive.cli.words import number, parse_words
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.types import Charge

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
KEEP = ("layers", "heads", "feedforward", "width", "vision_layers", "vision_heads", "vision_feedforward",
        "image_tokens")  # fmt: skip
GROUPS = ("attention", "feedforward", "head", "embedding", "vision", "projector", "kv", "state", "activation")
CHANGES = (*(f"keep.{name}" for name in KEEP), "prune_after", *(f"bits.{name}" for name in GROUPS),
           "speculation.accept_length", "speculation.kappa")  # fmt: skip
HOST = ("sensor_ms", "preprocess_ms", "preprocess_ns_per_pixel", "action_ms")


@app.command("predict")
@guarded
def predict(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Stage times of one request with 80 % intervals, peak memory, and energy where the mode's power is known.

    Options: chip= architecture= precision= runtime=trt_edge_llm power_mode= tokens.prompt=256 (text) tokens.image=0
    tokens.output=32 images=1 pixels=0 sensor_ms= preprocess_ms= preprocess_ns_per_pixel= action_ms=

    What compression changes: keep.layers= keep.heads= keep.feedforward= keep.width= keep.vision_layers=
    keep.vision_heads= keep.vision_feedforward= keep.image_tokens= (shares that are left), prune_after= (share of layers
    that still see all image tokens), bits.attention= bits.feedforward= bits.head= bits.vision= bits.kv= ... (effective
    bits), speculation.accept_length= with speculation.kappa= (default: what was measured under the runtime in that
    format).
    """
    single = ("chip", "architecture", "precision", "runtime", "power_mode")
    given = parse_words(words, (*single, *TOKENS, *CHANGES, "images", "pixels", *HOST))
    for name in ("chip", "architecture", "precision"):
        if name not in given:
            raise ParameterError(
                f"{name}=... is needed, e.g. chip=agx_orin_64gb architecture=internvl3_1b precision=w4a16"
            )
    result = _prediction(given, strict=True)
    if json:
        print_json(result)
        return
    show_prediction(result)


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
    show_table(rows)


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
            show_parameters(runtime.runtime, stage, asdict(runtime.stage(stage)))
    for by, value in errors.items():
        show_errors(f"leave one {by} out", value)
    stdout().print(f"not compared: {len(skipped)} stages of rows (--json names them)", markup=False)


@app.command("validate")
@guarded
def validate(rows: Path = ROWS, words: list[str] = WORDS, json: bool = JSON) -> None:
    """Errors of the predictions on measurements, clustered by (chip, model, format); per stage, runtime, chip.

    Three simpler formulas for decode (S0 parameters x bits, S1 bytes moved, S2 with overhead per layer) stand beside.
    With the shipped rows the plain errors are those of the fit; errors on left-out chips and models, from fits on
    the remaining rows of the given file, stand beside them. Options: parameters=fitted.json (default: the shipped ones)
    """
    options = parse_words(words, ("parameters",))
    from simdrive.latency.baselines import decode_baselines
    from simdrive.latency.comparison import targets_of
    from simdrive.latency.measurements import read_measurements
    from simdrive.latency.parameters import read_parameters
    from simdrive.latency.validation import compare, left_out, report, skipped_rows, worst_rows

    calibration = read_parameters(Path(str(options["parameters"]))) if "parameters" in options else None
    targets, skipped = targets_of(read_measurements(rows))
    items = compare(targets, calibration)
    left = {by: left_out(targets, by) for by in ("chip", "model")}
    errors = {f"leave_one_{by}_out": report(value) for by, value in left.items()}
    baselines = decode_baselines(targets, left["chip"])
    plain = {
        **report(items),
        **errors,
        "baselines": baselines,
        "worst": worst_rows(items),
        "skipped": skipped_rows(skipped),
    }
    if json:
        print_json(plain)
        return
    show_errors("predictions", plain)
    for name, value in errors.items():
        show_errors(name.replace("_", " "), value)
    show_baselines(baselines)
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
    from dataclasses import replace

    import numpy as np

    from simdrive.latency.charging import changes, charged_pricer, describe
    from simdrive.latency.pricing import HostTimes
    from simdrive.types import STAGES

    charge = _charge(names, given)
    model = _speculating(charged_pricer(names["chip"], names["runtime"], charge, mode), given)
    counts = {name: _count(given, name, default) for name, default in TOKENS.items()}
    images, pixels = _count(given, "images", 1 if counts["tokens.image"] else 0), _count(given, "pixels", 0)
    text, image, output, images_, pixels_ = (
        np.array([value], dtype=np.int64) for value in (*counts.values(), images, pixels)
    )
    priced = model.price(text, image, output, images_, pixels_, HostTimes(**{k: given[k] for k in HOST if k in given}))
    prompt = counts["tokens.prompt"] + counts["tokens.image"]
    sizes = prompt, counts["tokens.output"], counts["tokens.image"], images
    model.check_fit(*sizes)
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
        "charge": changes(charge),
        "changed": describe(replace(charge, architecture="", precision="")) if len(changes(charge)) > 2 else "",
        "decode_tok_s": model.speculation.speedup / float(model.step_seconds(model.cached_context(prompt, sizes[2]))),
        "peak_memory_gib": model.peak_memory(*sizes).total / 2.0**30,
        "energy_j": None if energy is None else float(energy[0]),
        "measurements": {name: model.parameters.stage(name).rows for name in ("vision", "prefill", "decode")},
        "chip_measured": model.chip.name in model.parameters.decode.chips,
    }


def _charge(names: Mapping[str, str], given: Mapping[str, Any]) -> Charge:
    """Return what is priced, with what the user says that compression changed."""
    shares = {f"keep_{name}": number(f"keep.{name}", given[f"keep.{name}"]) for name in KEEP if f"keep.{name}" in given}
    if "prune_after" in given:
        shares["prune_after"] = number("prune_after", given["prune_after"])
    bits = tuple((name, number(f"bits.{name}", given[f"bits.{name}"])) for name in GROUPS if f"bits.{name}" in given)
    return Charge(names["architecture"], names["precision"], **shares, bits=bits)


def _speculating(model: Any, given: Mapping[str, Any]) -> Any:
    """Return the pricer with speculative decoding where the user gives an accept length."""
    from dataclasses import replace

    from simdrive.latency.speculation import Speculation

    if "speculation.accept_length" not in given:
        if "speculation.kappa" in given:
            raise ParameterError("speculation.kappa needs speculation.accept_length=..., the mean tokens per pass")
        return model
    measured = model.parameters.kappa.get(model.precision)
    if "speculation.kappa" not in given and measured is None:
        known = ", ".join(model.parameters.kappa) or "none"
        raise ParameterError(
            f"speculative decoding under {model.runtime.name} in {model.precision} was never measured (formats with "
            f"measurements: {known}); give speculation.kappa=... yourself"
        )
    kappa = number("speculation.kappa", given["speculation.kappa"]) if "speculation.kappa" in given else measured
    return replace(
        model, speculation=Speculation(number("speculation.accept_length", given["speculation.accept_length"]), kappa)
    )
