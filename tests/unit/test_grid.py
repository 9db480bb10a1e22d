"""A configuration expands into the settings of the grid in a fixed order."""

import json

import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.grid import agent_configs, latency_configs

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


def test_mode_may_be_a_mapping() -> None:
    setting = latency_configs("constant", CONSTANT, {"name": "queue", "depth": 5}, "follow_plan", True)[0]
    assert json.loads(setting.mode) == {"name": "queue", "depth": 5}
    assert setting.label.endswith("aeb")


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
