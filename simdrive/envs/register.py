"""Registers every scenario with Gymnasium, by name only: nothing is imported before an environment is
made."""

from __future__ import annotations

import gymnasium

from simdrive.build import config_names

NAMESPACE = "simdrive"


def environment_id(scenario: str) -> str:
    """Return the id of a scenario, e.g. ``simdrive/CutIn-v0`` for ``cut_in``."""
    return f"{NAMESPACE}/{''.join(part.capitalize() for part in scenario.split('_'))}-v0"


def register_scenarios() -> None:
    """Register one id for every file of ``configs/scenario``; ids that exist are left alone."""
    for scenario in config_names("scenario"):
        name = environment_id(scenario)
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="simdrive.envs.scenario_env:ScenarioEnv",
                vector_entry_point="simdrive.envs.vector_env:ScenarioVectorEnv",
                kwargs={"scenario": scenario},
            )
