"""The waiting policy ``extrapolate``: shows an agent its ego where it will be when the answer is expected.

Only the ego is moved, along the plan that drives it; all others stay as they were seen. The answer then counts from that
later moment.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from simdrive.eval.adopting import plan_at
from simdrive.eval.asking import Answer
from simdrive.sim.route import project
from simdrive.types import Float, Long, ObservationBatch, WorldView


def foreseen(batch: ObservationBatch, plans: Float, plan_t_us: Long, target_us: Long) -> ObservationBatch:
    """Return observations with the ego moved along its plan to ``target_us``.

    Args:
        batch: N observations.
        plans: ``[N, P, 5]`` what drives the egos, world frame.
        plan_t_us: ``[N]`` time zero of these plans.
        target_us: ``[N]`` when the answers are expected; rows whose target is their observation stay as they are.
    """
    ego, route_s, route_r = batch.ego.copy(), batch.route_s.copy(), batch.route_r.copy()
    for row in np.flatnonzero(target_us > batch.t_obs_us).tolist():
        times_s = (np.array([batch.t_obs_us[row], target_us[row]]) - plan_t_us[row]) * 1e-6
        now, then = plan_at(plans[row], times_s)[:, 1:]
        # The plan's own motion, from where the ego is: what the car is beside its plan now, it is taken to stay.
        turn = ego[row, 2] - now[2]
        cos, sin = np.cos(turn), np.sin(turn)
        dx, dy = then[0] - now[0], then[1] - now[1]
        ego[row, 0] += cos * dx - sin * dy
        ego[row, 1] += sin * dx + cos * dy
        ego[row, 2] += then[2] - now[2]
        ego[row, 3] = max(ego[row, 3] + then[3] - now[3], 0.0)
        route = batch.route[row]
        count = 1 + int(np.count_nonzero(np.diff(route[:, 3]) > 1e-9))  # the rest is padding
        route_s[row], route_r[row], _ = project(route, count, ego[row, 0], ego[row, 1], -1)
    return dataclasses.replace(batch, ego=ego, route_s=route_s, route_r=route_r, world=_view(batch.world, ego))


def _view(view: WorldView | None, ego: Float) -> WorldView | None:
    """Return the view with the egos of column 0 moved."""
    if view is None:
        return None
    names = {"x": 0, "y": 1, "heading": 2, "speed": 3}
    columns = {name: getattr(view, name).copy() for name in names}
    for name, column in names.items():
        columns[name][:, 0] = ego[:, column]
    return dataclasses.replace(view, **columns)


def counted_later(answer: Answer, later_us: int) -> Answer:
    """Return an answer whose plan counts from ``later_us`` after its observation."""
    if answer.plan is None or later_us <= 0:
        return answer
    plan = answer.plan.copy()
    plan[:, 0] += later_us * 1e-6
    return dataclasses.replace(answer, plan=plan)
