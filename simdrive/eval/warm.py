"""Compile every kernel that a run needs, once, in the parent: workers then load machine code from the cache."""

from __future__ import annotations

from simdrive.build import build, config_names
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.reference import references
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.scenarios.sampling import build_case, sample_cases


def warm() -> None:
    """Drive and score one short case with every rule driver."""
    cases = sample_cases("cut_in", 1, seed=0)
    references(cases)
    latency = LatencySetting(Constant(0.0), Mode("zero"), aeb_monitor=True)
    for name in config_names("agent"):
        agent = build("agent", name)
        if agent.card.kind != "model":
            log = rollout([EpisodeInput(case, build_case(case)) for case in cases], agent, latency)[0]
    evaluate(log, load_metrics())
