"""Configs become objects; what does not exist is answered with what does."""

from pathlib import Path

import pytest

from simdrive.build import build, config_groups, config_names, instantiate, load_config, locate
from simdrive.errors import ParameterError, UnknownNameError


def test_groups_and_names_come_from_the_folder() -> None:
    assert {"agent", "latency", "metric", "scenario", "suite"} <= set(config_groups())
    assert "idm" in config_names("agent")


def test_unknown_name_lists_the_group_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'constant'.*lognormal") as caught:
        load_config("latency", "constan")
    assert caught.value.nearest == "constant"


def test_unknown_field_names_the_fields() -> None:
    with pytest.raises(UnknownNameError, match="delay_ms"):
        build("latency", "constant", delay=3)


def test_override_reaches_the_object() -> None:
    assert build("latency", "constant", delay_ms=120.0).delay_ms == 120.0


def test_yaml_file_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("_target_: simdrive.latency.source.Constant\ndelay_ms: 7\n")
    assert build("latency", str(file)).delay_ms == 7
    file.write_text("- 1\n")
    with pytest.raises(ParameterError, match="mapping"):
        load_config("latency", str(file))
    with pytest.raises(ParameterError, match="does not exist"):
        load_config("latency", str(tmp_path / "none.yaml"))


def test_nested_targets_are_built_first() -> None:
    inner = {"_target_": "simdrive.latency.source.Constant", "delay_ms": 5.0}
    setting = instantiate({"_target_": "simdrive.latency.modes.LatencySetting", "source": inner})
    assert setting.source.delay_ms == 5.0


@pytest.mark.parametrize("target", ["simdrive.nowhere.X", "simdrive.types.Nothing", "plain"])
def test_target_that_cannot_be_imported(target: str) -> None:
    with pytest.raises(ParameterError, match="cannot be imported"):
        locate(target)


def test_missing_target() -> None:
    with pytest.raises(ParameterError, match="without _target_"):
        instantiate({"delay_ms": 1})
