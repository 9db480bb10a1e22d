"""Whether every agent of a grid can be priced, asked before the first reference is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from simdrive.errors import ParameterError, SimdriveError
from simdrive.eval.blocks import build_latency
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.work import build_agent
from simdrive.types import Charge


@runtime_checkable
class ChecksCharges(Protocol):
    """A latency source that prices by charge and can say beforehand whether it will."""

    def check_charge(self, charge: Charge) -> None:
        """Raise a ``SimdriveError`` if requests under this charge cannot be priced."""


def check_charges(agents: Sequence[AgentConfig], latencies: Sequence[LatencyConfig]) -> None:
    """Refuse agents that a latency source cannot price.

    Raises:
        ParameterError: naming the agent, the latency setting and the reason.
    """
    for latency in latencies:
        setting = build_latency(latency)
        if setting.mode.name == "zero" or not isinstance(setting.source, ChecksCharges):
            continue
        for agent in agents:
            try:
                setting.source.check_charge(build_agent(agent).charge)
            except SimdriveError as error:
                raise ParameterError(
                    f"agent {agent.name!r} cannot be priced under latency {latency.label!r}: {error}"
                ) from error
