"""What every scenario offers, so that suites, tables and tests need no list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from simdrive.scenarios.parameters import Parameter
from simdrive.sim.spec import WorldSpec


class Scenario(Protocol):
    """A parametrised generator of worlds, found through the ``_target_`` of ``configs/scenario/<name>.yaml``.

    ``build`` draws all that is incidental (road, lanes, colours, bystanders, light) from ``rng`` and nothing from
    anywhere else. With ``hazard`` False it returns the same road and the same actors, but whoever would cause the
    danger behaves; ``hazard_actors`` is then empty. Nothing drawn from ``rng`` may depend on ``hazard``.

    Where values that are fine by themselves do not go together (a target faster than who should hit it), a scenario
    has a method ``check(params)`` that raises ParameterError; cases are then drawn until they pass.
    """

    name: str  # the name of its config
    description: str  # one sentence: what happens
    tags: tuple[str, ...]  # codes in public taxonomies, see simdrive.scenarios.taxonomy
    parameters: Mapping[str, Parameter]
    has_hazard: bool  # False: a control scenario that never contains one

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case; ``params`` were checked against ``parameters``."""
