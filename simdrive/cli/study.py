"""``simdrive study``: questions that several runs answer together. One sub-command per question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress
from simdrive.cli.provenance import provenance
from simdrive.cli.study_arms import arms
from simdrive.cli.study_chain import chain
from simdrive.cli.study_headline import headline
from simdrive.cli.study_layers import layers
from simdrive.cli.words import listed, number, parse_words
from simdrive.errors import ParameterError

app = typer.Typer(
    help="Questions about many cases at once: latency budget, deployment, attribution, layers, a chain, an ablation, a family.",
    no_args_is_help=True,
)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
WORDS = typer.Argument(None, help="key=value options, e.g. suite=long_tail_v1 'agents=[expert,idm]'")

# What every study takes: the cases, the agents, how requests meet the clock, what counts as worse, where and how it runs.
BASE: dict[str, Any] = {
    "suite": "smoke", "scenarios": None, "cases": None, "seed": None, "agents": ["expert"],
    "mode": "streaming", "waiting": "follow_plan", "aeb_monitor": False,
    "margin": 2.0, "confidence": 0.95, "power": 0.8, "out": None, "workers": 1, "batch": 128,
}  # fmt: skip
GRID: dict[str, Any] = {"delays": [0, 100, 200, 400, 800], "resolution_ms": 25.0, "most_ms": 1600.0}
FAMILY: dict[str, Any] = {
    "chip": None, "runtime": "trt_edge_llm", "power_mode": None, "architectures": None, "precisions": None,
    "prompt_tokens": 300, "image_tokens": 1792, "output_tokens": [30],
}  # fmt: skip
PAIR = ("student", "teacher", "student_ms", "teacher_ms", "student_charge", "teacher_charge")


@app.command("budget")
@guarded
def budget(words: list[str] = WORDS, json: bool = JSON) -> None:
    """The largest latency at which agents fail no more often than at zero latency, by more than a margin.

    Cases: suite=smoke scenarios= cases= seed=. Agents: agents=[expert]. Clock: mode=streaming waiting=follow_plan
    aeb_monitor=false. Verdict: margin=2 (points) confidence=0.95 power=0.8. Delays in ms: delays=[0,100,200,400,800],
    then halved down to resolution_ms=25, doubled up to most_ms=1600. Where a model family falls on the curve:
    chip=[...] architectures=[...] precisions=[...] output_tokens=[30] prompt_tokens=300 image_tokens=1792
    runtime=trt_edge_llm power_mode=. Run: out= workers=1 batch=128. The same command continues an interrupted study.
    """
    options = _options(words, {**BASE, **GRID, **FAMILY})
    from simdrive.eval.studies.budget import study_budget
    from simdrive.eval.studies.curve import Grid
    from simdrive.report.study import budget_text, curve_records, family_records, margin_records, scenario_records
    from simdrive.report.study_picture import budget_picture

    grid = Grid(
        tuple(number("delays", value) for value in listed(options["delays"])),
        number("resolution_ms", options["resolution_ms"]),
        number("most_ms", options["most_ms"]),
    )
    family, criterion, agents = _family(options), _criterion(options), _agents(options)
    with progress() as shown:
        runs = _runs(options, shown)
        study = study_budget(runs, agents, grid, criterion, family)
    tables = {
        "curve": curve_records(study),
        "scenarios": scenario_records(study),
        "margins": margin_records(study),
        "family": family_records(study),
    }
    budget_picture(study, runs.out / "budget.png")
    _finish(runs.out, "budget", study, budget_text(study), tables, json)


@app.command("deploy")
@guarded
def deploy(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Per variant on a chip: safe, unsafe or undecided against the same agent at zero latency, and cases still needed.

    Variants: chip= (needed) architectures=[...] precisions=[...] output_tokens=[30] prompt_tokens=300
    image_tokens=1792 runtime=trt_edge_llm power_mode=; all combinations, or charges=[internvl3_8b/w16a16,...] instead
    of architectures and precisions. Without either, agents are priced as their own charge by their own tokens. Cases,
    agents, clock, verdict and run: as for budget.
    """
    options = _options(words, {**BASE, **FAMILY, "charges": None})
    if options["chip"] is None or isinstance(options["chip"], list):
        raise ParameterError("chip=... is needed, one name, e.g. chip=agx_orin_64gb")
    from simdrive.eval.studies.deploy import OwnCharge, study_deploy
    from simdrive.report.study import deploy_records, deploy_text
    from simdrive.report.study_picture import deploy_picture

    mode = None if options["power_mode"] is None else str(options["power_mode"])
    charges = _family(options) or OwnCharge(str(options["chip"]), str(options["runtime"]), mode)
    criterion, agents = _criterion(options), _agents(options)
    with progress() as shown:
        runs = _runs(options, shown)
        study = study_deploy(runs, agents, charges, criterion)
    deploy_picture(study, runs.out / "deploy.png")
    _finish(runs.out, "deploy", study, deploy_text(study), {"deploy": deploy_records(study)}, json)


@app.command("decompose")
@guarded
def decompose(words: list[str] = WORDS, json: bool = JSON) -> None:
    """The difference between a student and a teacher, each at its own latency: capability + relief + interaction.

    Pair: student= teacher= (needed). Their latencies: student_ms= teacher_ms=, or priced on chip=: as
    student_charge=internvl3_1b/w4a16 teacher_charge=internvl3_8b/w16a16 with prompt_tokens=300 image_tokens=1792
    output_tokens=30 runtime=trt_edge_llm power_mode=, or without charges as each agent's own charge and tokens. Every
    failure is labelled by what the same case did in the other arms. The latency at which the slow one loses:
    resolution_ms=25 most_ms=1600. Cases, clock, confidence and run: as for budget.
    """
    base = {name: value for name, value in BASE.items() if name not in ("agents", "margin", "power")}
    tokens = {name: value for name, value in FAMILY.items() if name not in ("architectures", "precisions")}
    reach = {name: value for name, value in GRID.items() if name != "delays"}
    options = _options(words, {**base, **reach, **tokens, "output_tokens": 30, **dict.fromkeys(PAIR)})
    from simdrive.eval.grid import AgentConfig
    from simdrive.eval.studies.breakeven import Steps
    from simdrive.eval.studies.decompose import study_decompose
    from simdrive.report.decompose import arm_records, decompose_text, failure_records, term_records
    from simdrive.report.decompose_picture import decompose_picture

    for role in ("student", "teacher"):
        if not isinstance(options[role], str | Mapping):
            raise ParameterError(f"{role}=... is needed, one agent, e.g. student=idm teacher=expert")
    confidence = number("confidence", options["confidence"])
    if not 0.5 < confidence < 1.0:
        raise ParameterError(f"confidence must lie between 0.5 and 1, got {confidence:g}")
    student, teacher = (AgentConfig.of(options[role]) for role in ("student", "teacher"))
    orders = (_latency_order(options, "student"), _latency_order(options, "teacher"))
    steps = Steps(number("resolution_ms", options["resolution_ms"]), number("most_ms", options["most_ms"]))
    with progress() as shown:
        runs = _runs(options, shown)
        study = study_decompose(runs, student, teacher, orders, steps, confidence)
    decompose_picture(study, runs.out / "decompose.png")
    tables = {"terms": term_records(study), "arms": arm_records(study), "failures": failure_records(study)}
    _finish(runs.out, "decompose", study, decompose_text(study), tables, json)


def _latency_order(options: Mapping[str, Any], role: str) -> Any:
    """Return the latency of one agent of a pair: in ms, as a priced variant, or by its own charge."""
    from simdrive.eval.studies.deploy import OwnCharge
    from simdrive.eval.studies.family import Tokens, Variant

    given, charge, chip = options[f"{role}_ms"], options[f"{role}_charge"], options["chip"]
    if given is not None:
        if charge is not None:
            raise ParameterError(f"give {role}_ms or {role}_charge, not both")
        if number(f"{role}_ms", given) < 0.0:
            raise ParameterError(f"{role}_ms must be finite and at least 0 ms, got {given}")
        return float(given)
    if not isinstance(chip, str):
        raise ParameterError(
            f"the {role} needs a latency: {role}_ms=..., or chip=... with {role}_charge=architecture/precision"
        )
    mode = None if options["power_mode"] is None else str(options["power_mode"])
    if charge is None:
        return OwnCharge(chip, str(options["runtime"]), mode)
    architecture, sign, precision = str(charge).rpartition("/")
    if not (architecture and sign and precision):
        raise ParameterError(f"a charge is architecture/precision, e.g. {role}_charge=internvl3_8b/w16a16")
    tokens = Tokens(options["prompt_tokens"], options["image_tokens"], options["output_tokens"])
    return Variant(chip, architecture, precision, tokens, str(options["runtime"]), mode)


app.command("layers")(layers)
app.command("headline")(headline)
app.command("chain")(chain)
app.command("arms")(arms)


def _options(words: Sequence[str] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {**defaults, **parse_words(words, defaults)}


def _agents(options: Mapping[str, Any]) -> Any:
    from simdrive.eval.grid import agent_configs

    return agent_configs(listed(options["agents"]))


def _criterion(options: Mapping[str, Any]) -> Any:
    from simdrive.eval.studies.paired import Criterion

    margin = number("margin", options["margin"])
    if not 0.0 < margin < 100.0:
        raise ParameterError(f"margin is in points of the failure rate, between 0 and 100, got {margin:g}")
    return Criterion(margin / 100.0, number("confidence", options["confidence"]), number("power", options["power"]))


def _family(options: Mapping[str, Any]) -> Any:
    """Return the variants that the options name, none without architectures or charges."""
    from simdrive.eval.studies.family import Tokens, variants

    pairs = _charges(options)
    if not pairs:
        return ()
    if options["chip"] is None:
        raise ParameterError("chip=... is needed to price a model family, e.g. chip=agx_orin_64gb")
    tokens = Tokens(options["prompt_tokens"], options["image_tokens"])
    outputs = [Tokens(1, 0, count).output for count in listed(options["output_tokens"])]
    mode = None if options["power_mode"] is None else str(options["power_mode"])
    chips = [str(name) for name in listed(options["chip"])]
    return tuple(
        variant
        for architecture, precision in pairs
        for variant in variants(chips, [architecture], [precision], outputs, tokens, str(options["runtime"]), mode)
    )


def _charges(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (architecture, precision) of charges=[...], or of architectures x precisions."""
    if options.get("charges") is not None:
        if options["architectures"] is not None or options["precisions"] is not None:
            raise ParameterError("give charges=[architecture/precision,...] or architectures and precisions, not both")
        pairs = [str(charge).rpartition("/") for charge in listed(options["charges"])]
        for architecture, sign, precision in pairs:
            if not (architecture and sign and precision):
                raise ParameterError("a charge is architecture/precision, e.g. charges=[internvl3_8b/w16a16]")
        return [(architecture, precision) for architecture, _, precision in pairs]
    if (options["architectures"] is None) != (options["precisions"] is None):
        raise ParameterError("give architectures=[...] and precisions=[...] together, e.g. [internvl3_1b] and [w4a16]")
    if options["architectures"] is None:
        return []
    return [
        (str(architecture), str(precision))
        for architecture in listed(options["architectures"])
        for precision in listed(options["precisions"])
    ]


def _runs(options: Mapping[str, Any], shown: Any) -> Any:
    """Return the runs of a study in its folder."""
    from simdrive.cli.evaluate import narrowed
    from simdrive.eval.studies.runs import StudyBase, StudyRuns
    from simdrive.scenarios.sampling import load_suite, suite_cases
    from simdrive.streams import digest

    for field in ("workers", "batch"):
        if isinstance(options[field], bool) or not isinstance(options[field], int) or options[field] < 1:
            raise ParameterError(f"{field} must be a whole number of at least 1, got {options[field]!r}")
    suite = narrowed(load_suite(str(options["suite"])), options["scenarios"], options["cases"], options["seed"])
    base = StudyBase(suite.name, suite.version, suite_cases(suite), options["mode"], str(options["waiting"]),
                     bool(options["aeb_monitor"]))  # fmt: skip
    out = (
        Path(str(options["out"]))
        if options["out"]
        else Path("runs") / f"study__{suite.name}__{digest(base.config(), 8)}"
    )
    first_use()
    return StudyRuns(base, out, shown, options["workers"], options["batch"], provenance())


def _finish(
    out: Path, name: str, study: Any, text: str, tables: Mapping[str, list[dict[str, Any]]], json: bool
) -> None:
    """Write text, JSON and CSV beside the runs, and print the text or the JSON."""
    import dataclasses

    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values

    result = {"study": name, **plain_values(dataclasses.asdict(study)), "tables": plain_values(dict(tables))}
    write_json(out / f"{name}.json", result)
    write_text(out / f"{name}.txt", text + "\n")
    for table, records in tables.items():
        if records:
            write_text(
                out / f"{name if table == name else f'{name}_{table}'}.csv", pd.DataFrame(records).to_csv(index=False)
            )
    if json:
        print_json({"out": out.as_posix(), **result})
        return
    stdout().print(text, markup=False)
    stderr().print(f"study folder: {out.as_posix()}", markup=False)
