"""Compile every kernel that a run needs, once, in the parent: workers then load machine code from the cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simdrive.build import build, config_names, load_config
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import rollout
from simdrive.jit import warm_mark
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.scenarios.sampling import build_case, sample_cases
from simdrive.sim.search import search
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds
from simdrive.types import RequestStatus

_SHORT_S = 4.0


def warm() -> None:
    """Search one case, then drive and score its first seconds with every driver that runs code of its own.

    Raises:
        RuntimeError: if a driver fails; in a run that would count as its answer.
    """
    cases = sample_cases("cut_in", 1, seed=0)
    specs = [build_case(case) for case in cases]
    search(Worlds(specs), TrackerLimits())
    latency = LatencySetting(Constant(0.0), Mode("zero"), aeb_monitor=True)
    episodes = [
        EpisodeInput(case, replace(spec, time_limit_s=_SHORT_S)) for case, spec in zip(cases, specs, strict=True)
    ]
    for name in config_names("agent"):
        if "model" in load_config("agent", name):  # no kernels of its own, and maybe a folder that only the user has
            continue
        agent = build("agent", name)
        if agent.wants.world == "clairvoyant":  # the latter drives the search's kernels
            continue
        log = rollout(episodes, agent, latency)[0]
        failed = np.flatnonzero(log.requests.status == RequestStatus.EXCEPTION)
        if len(failed):  # the text of the exception stands where others have their answer
            raise RuntimeError(f"agent {name} fails: {log.requests.text[failed[0]]}")
    evaluate(log, load_metrics())


def ensure_warm() -> None:
    """Compile every kernel unless that was done for the present sources."""
    mark = warm_mark()
    if mark is not None and mark.is_file():
        return
    warm()
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
