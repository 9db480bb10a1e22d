"""``simdrive record``: an episode as a video, driven now or taken from a run folder; or several of one case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.compose import chosen, compose_config
from simdrive.cli.console import guarded, print_json, stdout
from simdrive.cli.corrupted import take_corruption
from simdrive.cli.record_panes import record_side_by_side
from simdrive.errors import ParameterError

STORED = ("run", "key", "window", "fps", "out")  # options beside a stored episode
GIF_BEFORE_US, GIF_AFTER_US = 1_200_000, 3_800_000  # around the moment when the hazard comes into sight


@guarded
def record(
    words: list[str] = typer.Argument(
        None, help="key=value options, e.g. scenario=cut_in agent=idm latency.delay_ms=300"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Drive one case and write its video, or re-render a stored episode (run=FOLDER key=KEY), or up to four of one case
    side by side (run=FOLDER side_by_side=[a,b]).

    Options (key=value, defaults in configs/record.yaml): scenario, seed, hazard, params.NAME=VALUE, agent, latency
    (constant, lognormal, trace, chip) with its fields, mode, waiting, deadline, aeb_monitor, corruption (a name) with its
    fields, window=[from,to], fps, out.
    side_by_side takes agents, or AGENT@SETTING for one of several settings; without key=KEY it shows the nth=1 case, those
    that one survives and another does not first.
    An out that ends in .gif gives a small picture of the seconds around the hazard.
    """
    given = [f"++{word}" if word.startswith("params.") else word for word in words or []]
    words, *corruption = take_corruption(given)
    config = compose_config("record", words)
    target = _target(config)
    if config["side_by_side"] is not None:
        _check_stored(given, (*STORED, "side_by_side", "nth"))
        around = GIF_BEFORE_US, GIF_AFTER_US
        record_side_by_side(config, target, _window(config), around, json)
        return
    if config["run"] is not None or config["key"] is not None:
        _check_stored(given, STORED)
        log, caption, damage = _stored(config)
    else:
        log, caption, damage = _driven(config, chosen("latency", words, "constant"), *corruption)
    out = target or Path("runs/videos") / f"{log.case.scenario}-{_file_name(caption.agent)}-{_seed(config, log)}.mp4"
    _write(log, caption, out, config, damage)
    _report(log, caption, out, json)


def _target(config: dict[str, Any]) -> Path | None:
    """Check what the video is to be before anything is driven."""
    from simdrive.report.encode import check_name

    fps = config["fps"]
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, int | float) or not 1 <= fps <= 100):
        raise ParameterError(f"fps must be a number from 1 to 100, got {fps!r}")
    _window(config)
    if config["out"] is None:
        return None
    out = Path(str(config["out"]))
    check_name(out)
    return out


def _window(config: dict[str, Any]) -> tuple[int, int] | None:
    window = config["window"]
    if window is None:
        return None
    numbers = isinstance(window, list) and len(window) == 2 and all(isinstance(v, int | float) for v in window)
    if not numbers or not 0 <= window[0] < window[1]:
        raise ParameterError(f"window must be [from, to] in seconds with 0 <= from < to, got {window!r}")
    return round(window[0] * 1e6), round(window[1] * 1e6)


def _check_stored(words: list[str], allowed: tuple[str, ...]) -> None:
    """Refuse options that a stored episode has settled already."""
    for word in words:
        name = word.lstrip("+").partition("=")[0]
        if name in ("nth", "side_by_side") and name not in allowed:
            raise ParameterError(f"{name} goes with side_by_side=[a,b], not with one episode")
        if name not in allowed:
            raise ParameterError(f"{name} is settled by the stored episode; with run= give only {', '.join(allowed)}")


def _stored(config: dict[str, Any]) -> tuple[Any, Any, Any]:
    from simdrive.eval.corruptions import corruption_of
    from simdrive.eval.store import RunStore
    from simdrive.report.hud import Caption

    if config["run"] is None or config["key"] is None:
        raise ParameterError(
            "a stored episode needs both run=FOLDER and key=KEY; for a comparison give side_by_side=[a,b]"
        )
    if isinstance(config["run"], list):
        raise ParameterError("several run folders go with side_by_side=[a,b]; for one episode give run=FOLDER key=KEY")
    store = RunStore.open(Path(str(config["run"])))
    log = store.load_log(str(config["key"]))
    entry = store.plan[store.plan["key"] == str(config["key"])].iloc[0]
    shown = str(entry["corruption"])
    caption = Caption(str(entry["agent"]), ", ".join(filter(None, [str(entry["latency"]), shown])))
    return log, caption, corruption_of(store.config, shown)


def _driven(config: dict[str, Any], latency_name: str, names: Any, fields: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Drive the case of the configuration; every name is checked before."""
    from simdrive.cli.first_use import first_use
    from simdrive.eval.blocks import build_latency
    from simdrive.eval.corruptions import build_corruption, corruption_grid
    from simdrive.eval.grid import AgentConfig, latency_grid
    from simdrive.eval.reference import episode_input, references
    from simdrive.eval.rollout import rollout
    from simdrive.eval.work import build_agent
    from simdrive.report.hud import Caption

    case = _case(config)
    agent = AgentConfig.named(str(config["agent"]))
    settings = latency_grid(latency_name, config)
    if len(settings) != 1:
        raise ParameterError(
            f"record drives one latency setting, got {len(settings)}; give single values, or use `simdrive eval`"
        )
    corruptions = corruption_grid(names, fields)
    if len(corruptions) != 1:
        raise ParameterError(f"record drives under one corruption, got {len(corruptions)}; or use `simdrive eval`")
    driver, latency, damage = build_agent(agent), build_latency(settings[0]), build_corruption(corruptions[0])
    if damage is not None and not driver.wants.cameras:
        raise ParameterError(f"agent {agent.name!r} is shown no pictures: corruption={names} changes nothing for it")
    first_use()
    log = rollout([episode_input(references([case])[0])], driver, latency, corruption=damage)[0]
    return log, Caption(agent.name, ", ".join(filter(None, [settings[0].label, corruptions[0].label]))), damage


def _case(config: dict[str, Any]) -> Any:
    from simdrive.scenarios.sampling import sample_cases

    seed, hazard = config["seed"], config["hazard"]
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError(f"seed must be a whole number of at least 0, got {seed!r}")
    if not isinstance(hazard, bool):
        raise ParameterError(f"hazard must be true or false, got {hazard!r}")
    if not isinstance(config["params"], dict):
        raise ParameterError(f"params must be a mapping such as params.NAME=VALUE, got {config['params']!r}")
    return sample_cases(str(config["scenario"]), 1, seed, config["params"], hazard)[0]


def _seed(config: dict[str, Any], log: Any) -> int:
    return int(log.case.seed if config["run"] is not None else config["seed"])


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", Path(name).stem)


def _write(log: Any, caption: Any, out: Path, config: dict[str, Any], damage: Any) -> None:
    from simdrive.report.video import record_episode
    from simdrive.scenarios.sampling import build_case

    gif = out.suffix == ".gif"
    window = _window(config)
    if gif and window is None and log.hazard_us >= 0:
        window = log.hazard_us - GIF_BEFORE_US, log.hazard_us + GIF_AFTER_US
    fps = config["fps"] or (10 if gif else 20)
    record_episode(log, build_case(log.case), out, caption=caption, fps=fps, window_us=window, corruption=damage)


def _report(log: Any, caption: Any, out: Path, json: bool) -> None:
    from simdrive.metrics.evaluate import evaluate, load_metrics
    from simdrive.report.hud import outcome

    names = ("failure", "min_ttc_s")
    values = evaluate(log, load_metrics(names)).values
    facts = {
        "video": out.as_posix(),
        "scenario": log.case.scenario,
        "seed": log.case.seed,
        "agent": caption.agent,
        "latency": caption.latency,
        "outcome": outcome(log),
        "avoidable": log.avoidable,
        **{name: values[name].value for name in names},
    }
    if json:
        print_json(facts)
        return
    stdout().print(out.as_posix(), markup=False)
    stdout().print(
        f"{log.case.scenario}, {caption.agent}, {caption.latency}: {facts['outcome']} "
        f"(smallest time to collision {values['min_ttc_s'].value:.2f} s)",
        markup=False,
    )
