"""Every entry of ``configs/`` builds and keeps the contract of its group, with no list of them anywhere."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from simdrive.build import CONFIG_ROOT, build, config_groups, config_names, load_config, locate
from simdrive.errors import ParameterError
from simdrive.latency.deadline import Deadline, Miss
from simdrive.latency.disturbed import LAYERS
from simdrive.latency.jitter import Jitter
from simdrive.latency.modes import LatencySetting, Mode, ModeName, Waiting
from simdrive.latency.names import find_entry, known_names
from simdrive.latency.source import RequestBatch
from simdrive.scenarios.parameters import Choice, Range
from simdrive.scenarios.sampling import build_case, load_suite, sample_cases, suite_cases
from simdrive.scenarios.taxonomy import describe_tag
from simdrive.sim.spec import WorldSpec
from simdrive.types import STAGES, Charge, TokenUsage

ENTRIES = [(group, name) for group in config_groups() for name in config_names(group)]
MODES_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "latency_modes.md").read_text(encoding="utf-8")
REQUIRED = "???"  # a field that only the user can fill in


def entries(group: str) -> list[str]:
    return [name for entry_group, name in ENTRIES if entry_group == group]


def needs_user(group: str, name: str) -> bool:
    return REQUIRED in map(str, load_config(group, name).values())


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_every_entry_is_a_mapping_whose_target_takes_its_fields(group: str, name: str) -> None:
    config = load_config(group, name)
    if "_target_" not in config:
        return
    allowed = inspect.signature(locate(str(config["_target_"]))).parameters
    free = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in allowed.values())
    unknown = [field for field in config if not field.startswith("_") and field not in allowed]
    assert free or not unknown


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_every_entry_builds(group: str, name: str) -> None:
    if "_target_" not in load_config(group, name) or needs_user(group, name):
        return
    assert build(group, name) is not None


def test_yaml_at_the_top_level_is_readable() -> None:
    for path in CONFIG_ROOT.glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path.name


@pytest.mark.parametrize("name", entries("scenario"))
def test_scenario(name: str) -> None:
    scenario = build("scenario", name)
    assert scenario.name == name
    assert scenario.description.strip().endswith(".")
    assert all(describe_tag(tag) for tag in scenario.tags)
    assert scenario.tags or not scenario.has_hazard
    assert all(isinstance(parameter, Range | Choice) for parameter in scenario.parameters.values())
    (case,) = sample_cases(name, 1, seed=0)
    assert isinstance(build_case(case), WorldSpec)


@pytest.mark.parametrize("name", entries("suite"))
def test_suite(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.version >= 1
    assert suite.description
    cases = suite_cases(suite)
    assert len(cases) == sum(entry.cases for entry in suite.entries)


@pytest.mark.parametrize("name", entries("agent"))
def test_agent(name: str) -> None:
    if needs_user("agent", name):
        return
    agent = build("agent", name)
    assert agent.card.name == name
    assert agent.card.description
    assert agent.card.kind in ("rule", "reference", "model", "control")
    assert agent.wants.world in ("none", "visible", "clairvoyant")
    assert hasattr(agent.charge, "architecture")
    agent.reset(np.array([0], dtype=np.int64))
    assert callable(agent.plan)


@pytest.mark.parametrize("name", entries("metric"))
def test_metric(name: str) -> None:
    metric = build("metric", name)
    assert metric.name == name
    assert isinstance(metric.unit, str)
    assert metric.better in ("lower", "higher", "none")
    assert callable(metric)


@pytest.mark.parametrize("name", entries("latency"))
def test_latency_source(name: str) -> None:
    if needs_user("latency", name):
        return
    source: Any = build("latency", name)
    count = 3
    requests = RequestBatch(
        case_key=("a", "a", "b"),
        index=np.arange(count),
        usage=TokenUsage.zeros(count),
        images=np.ones(count, dtype=np.int64),
        pixels=np.full(count, 128 * 224, dtype=np.int64),
        charge=Charge(),
    )
    stages_us = source.price(requests)
    assert stages_us.shape == (count, len(STAGES))
    assert (stages_us >= 0).all()
    np.testing.assert_array_equal(stages_us, source.price(requests))
    assert source.identity()


@pytest.mark.parametrize("name", entries("states"))
def test_states(name: str) -> None:
    states = build("states", name)
    assert states.name == name
    assert states.description.strip().endswith(".")
    assert states.at("any", 0).name == states.start
    assert {states.at("any", second * 1_000_000).name for second in range(300)} == {one.name for one in states.states}


@pytest.mark.parametrize("mode", get_args(ModeName))
@pytest.mark.parametrize("waiting", get_args(Waiting))
def test_every_mode_with_every_waiting_policy_builds_or_says_why(mode: Any, waiting: Any) -> None:
    source = build("latency", "constant")
    if mode == "dual_rate" and waiting not in ("follow_plan", "extrapolate"):
        with pytest.raises(ParameterError, match=f"{mode} cannot wait by {waiting}"):
            LatencySetting(source, Mode(mode), waiting)
        return
    assert LatencySetting(source, Mode(mode), waiting).identity()["mode"]["name"] == mode
    assert f"`{mode}`" in MODES_PAGE
    assert f"`{waiting}`" in MODES_PAGE


@pytest.mark.parametrize("miss", get_args(Miss))
def test_every_deadline_policy_is_documented(miss: Any) -> None:
    assert Deadline(300, miss).identity()["miss"] == miss
    assert f"`{miss}`" in MODES_PAGE


def test_every_layer_field_of_the_commands_is_known_and_off() -> None:
    for name in ("eval", "record"):
        layers = yaml.safe_load((CONFIG_ROOT / f"{name}.yaml").read_text(encoding="utf-8"))["latency"]
        assert set(layers) == set(LAYERS)
        assert layers["jitter"] == vars(Jitter())
        assert not any(layers[layer] for layer in ("states", "corunners", "device"))


@pytest.mark.parametrize("name", entries("chip"))
def test_chip(name: str) -> None:
    chip = build("chip", name)
    assert chip.name == name
    assert chip.description.strip().endswith(".")
    assert all(find_entry("chip", alias) == name for alias in chip.aliases)
    figures = {precision: figure.value for precision, figure in chip.peak_tera.items()}
    assert set(figures) == {"fp32", "fp16", "int8", "fp8", "int4", "fp4"}, "unknown peaks are written down as null"
    assert all(chip.peak_flops(precision) == figures[precision] * 1e12 for precision in chip.precisions())


@pytest.mark.parametrize("name", entries("runtime"))
def test_runtime(name: str) -> None:
    runtime = build("runtime", name)
    assert runtime.name == name
    assert runtime.description.strip().endswith(".")
    assert all(find_entry("runtime", alias) == name for alias in runtime.aliases)
    assert all(runtime.format(precision).bits.attention <= 16 for precision in runtime.formats)


@pytest.mark.parametrize("name", entries("architecture"))
def test_architecture(name: str) -> None:
    card = build("architecture", name)
    assert card.name == name
    assert card.description.strip().endswith(".")
    assert card.provenance
    assert all(find_entry("architecture", alias) == name for alias in card.aliases)
    assert card.parameters() > 0
    if card.tiling is not None:
        assert card.pictures(1, 448, 448).tokens > 0


@pytest.mark.parametrize("group", ["chip", "runtime", "architecture"])
def test_names_are_claimed_once(group: str) -> None:
    assert known_names(group)
