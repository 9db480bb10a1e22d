"""A configuration expands into the settings of the grid in a fixed order."""

import json
from typing import Any

import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.blocks import build_latency
from simdrive.eval.grid import AgentConfig, agent_configs, latency_configs

CONSTANT = {"_target_": "simdrive.latency.source.Constant", "delay_ms": 200.0, "split": None}


def test_lists_are_axes_and_the_last_varies_fastest() -> None:
    settings = latency_configs(
        "constant", CONSTANT | {"delay_ms": [0, 300]}, "streaming", ["follow_plan", "hold_control"], False
    )
    assert [setting.label for setting in settings] == [
        "constant delay_ms=0, streaming, follow_plan",
        "constant delay_ms=0, streaming, hold_control",
        "constant delay_ms=300, streaming, follow_plan",
        "constant delay_ms=300, streaming, hold_control",
    ]
    assert json.loads(settings[3].source)["delay_ms"] == 300


def test_whole_numbers_are_the_same_setting_however_written() -> None:
    one, other = (
        latency_configs(
            "constant", CONSTANT | {"delay_ms": delay}, {"name": "periodic", "period_ms": period}, "x", False
        )
        for delay, period in ((300, 400.0), (300.0, 400))
    )
    assert one == other
    assert one[0].label == "constant delay_ms=300, periodic period_ms=400, x"
    assert latency_configs("constant", CONSTANT | {"delay_ms": 300.5}, "streaming", "x", False)[0].label.startswith(
        "constant delay_ms=300.5"
    )


def test_mode_may_be_a_mapping() -> None:
    setting = latency_configs("constant", CONSTANT, {"name": "queue", "depth": 5}, "follow_plan", True)[0]
    assert json.loads(setting.mode) == {"name": "queue", "depth": 5}
    assert setting.label.endswith("aeb")


@pytest.mark.parametrize("mode", [None, 5, True, ["streaming", None]])
def test_a_mode_is_a_name_or_a_mapping(mode: Any) -> None:
    with pytest.raises(ParameterError, match="mode must be a name"):
        latency_configs("constant", {"delay_ms": 0.0}, mode, "follow_plan", False)


def test_empty_axis_is_refused() -> None:
    with pytest.raises(ParameterError, match="empty list"):
        latency_configs("constant", CONSTANT, [], "follow_plan", False)


def test_agents_are_checked() -> None:
    assert [agent.name for agent in agent_configs(["idm", "expert"])] == ["idm", "expert"]
    with pytest.raises(UnknownNameError, match="Did you mean 'expert'"):
        agent_configs(["exprt"])
    with pytest.raises(ParameterError, match="more than once"):
        agent_configs(["idm", "idm"])
    with pytest.raises(ParameterError, match="names no agent"):
        agent_configs([])


def test_an_agent_with_other_fields_is_another_agent_of_its_name() -> None:
    plain, far = agent_configs(["idm", {"agent": "idm", "name": "far", "time_gap_s": 3.0}])
    assert (plain.name, far.name) == ("idm", "far")
    assert json.loads(far.config) == {**json.loads(plain.config), "time_gap_s": 3.0}
    assert AgentConfig.of({"agent": "idm"}) == plain
    with pytest.raises(ParameterError, match="a name or a mapping"):
        AgentConfig.of({"time_gap_s": 3.0})
    with pytest.raises(UnknownNameError, match="idm"):
        AgentConfig.of({"agent": "imd"})


def test_a_field_that_names_another_model_names_its_weights() -> None:
    teacher, student = AgentConfig.of("teacher"), AgentConfig.of({"agent": "teacher", "model": "student_sft"})
    hashes = [json.loads(each.config)["weight_hash"] for each in (teacher, student)]
    assert hashes[1] == json.loads(AgentConfig.named("student_sft").config)["weight_hash"] != hashes[0]


OFF: dict[str, Any] = {
    "jitter": {"sigma": None, "burst_factor": None, "burst_enter": 0.02},
    "states": None,
    "corunners": [],
    "device": None,
}


def test_layers_that_are_off_leave_no_trace() -> None:
    plain = latency_configs("constant", CONSTANT, "streaming", "follow_plan", False)
    assert latency_configs("constant", CONSTANT | OFF, "streaming", "follow_plan", False, None) == plain


def test_labels_show_the_layers_that_are_on() -> None:
    layers = OFF | {
        "jitter": OFF["jitter"] | {"burst_factor": [2, 3]},  # type: ignore[dict-item, operator]
        "states": "thermal",
        "corunners": [{"name": "lidar", "bandwidth": 0.2}, {"name": "log", "period_ms": 50, "cost_ms": 5}],
        "device": ["preemptive", "nonpreemptive"],
    }
    settings = latency_configs("constant", CONSTANT | layers, "streaming", "follow_plan", False, [None, {"ms": 300}])
    assert len(settings) == 8
    assert settings[0].label == (
        "constant delay_ms=200, jitter burst_factor=2, states thermal, device preemptive, beside lidar+log, streaming, "
        "follow_plan"
    )
    assert settings[1].label.endswith("follow_plan, deadline 300 ms")
    assert len({setting.label for setting in settings}) == 8
    assert json.loads(settings[-1].source)["jitter"] == {"burst_factor": 3}
    built = {build_latency(setting).identity()["device"]["policy"] for setting in settings}
    assert built == {"preemptive", "nonpreemptive"}


def test_labels_of_modes_and_deadlines_tell_settings_apart() -> None:
    modes = ["zero", {"name": "chunk_async", "threshold": 0.3}, {"name": "chunk_async", "threshold": 0.6}]
    deadline = {"ms": 300, "miss": "skip_next"}
    labels = [s.label for s in latency_configs("constant", CONSTANT, modes, "follow_plan", False, deadline)]
    assert labels == [
        "zero, follow_plan",
        "constant delay_ms=200, chunk_async threshold=0.3, follow_plan, deadline 300 ms miss=skip_next",
        "constant delay_ms=200, chunk_async threshold=0.6, follow_plan, deadline 300 ms miss=skip_next",
    ]


@pytest.mark.parametrize(
    ("source", "deadline", "said"),
    [
        ({"delay_ms": float("nan")}, None, "finite"),
        ({"delay_ms": 0.0}, float("inf"), "finite"),
        ({"delay_ms": 0.0, "states": 1}, None, "latency.states must be a name or a mapping"),
        ({"delay_ms": 0.0, "device": True}, None, "latency.device must be a name or a mapping"),
        ({"delay_ms": 0.0, "corunners": 2.5}, None, "latency.corunners must be a list"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(source: dict[str, Any], deadline: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        latency_configs("constant", source, "streaming", "follow_plan", False, deadline)
