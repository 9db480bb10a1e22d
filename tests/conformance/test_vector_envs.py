"""Every scenario as a vector environment: autoreset modes, seeding, spaces, copies."""

from __future__ import annotations

import pytest

from simdrive.build import config_names
from simdrive.envs.check import check_vector_env
from simdrive.envs.vector_env import ScenarioVectorEnv


@pytest.mark.parametrize("name", config_names("scenario"))
def test_contract(name: str) -> None:
    check_vector_env(lambda count, mode: ScenarioVectorEnv(count, scenario=name, autoreset_mode=mode))
