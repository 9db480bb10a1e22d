"""Does the reference driver come through? Contact of the two rectangles and the smallest time to collision.

Per sample: judge the situation, test for contact, choose the next speed; the position follows with the new speed.
Samples judged safe keep the speed, before danger and after it. Samples judged unsafe count towards the reaction time,
which never starts again, and brake once it is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrive.jit import jit
from simdrive.r157 import cc_human, fsm, kinematics, reg157, rss
from simdrive.r157.kinematics import FIELDS, LONG, SEEN, VX, VY, X, Y
from simdrive.r157.parameters import (
    CC_HUMAN,
    CUT_IN,
    CUT_OUT,
    FREQUENCY_HZ,
    FSM,
    HORIZON_S,
    LENGTH_M,
    OVER,
    REG157,
    RSS,
    SAFE,
    UNSAFE,
    WIDTH_M,
)
from simdrive.types import Float, Long

_EPS = 1e-9
_PFS, _CFS = 0, 1


@dataclass(frozen=True)
class Cases:
    """Concrete scenarios, one row each; lengths and units as named, rows that do not apply hold 0.

    Attributes:
        scenario: index into ``parameters.SCENARIOS``.
        model: index into ``parameters.MODELS``.
        other_mps: speed of the vehicle that cuts in, cuts out or brakes.
        gap_m: cut-in: bumper to bumper when it begins; cut-out: leader to stopped car; deceleration: unused.
        lead_gap_m: cut-out and deceleration: ego to leader; NaN = the distance at which the model follows.
    """

    scenario: Long
    model: Long
    ego_mps: Float
    other_mps: Float
    gap_m: Float
    lateral_mps: Float
    decel_mps2: Float
    lead_gap_m: Float


@dataclass(frozen=True)
class Verdicts:
    """Per case: contact, smallest time to collision (s; NaN: never closing in on something in the path), initial gap.

    Attributes:
        lead_gap_m: gap from ego to leader that was simulated; NaN in cut-in.
    """

    collision: Long
    min_ttc_s: Float
    lead_gap_m: Float


@jit
def following_gap(model, speed_mps):  # type: ignore[no-untyped-def]
    """Return the gap (m) at which a model's driver follows before anything happens."""
    if model == RSS:
        return rss.following_gap(speed_mps)
    if model == FSM:
        return fsm.following_gap(speed_mps)
    if model == REG157:
        return reg157.following_gap(speed_mps)
    return cc_human.following_gap(speed_mps)


@jit
def _judge(  # type: ignore[no-untyped-def]
    model, scenario, clearance, gap, speed, before, other, lateral, lengths, frequency_hz, fuzzy
):
    closing = speed - other
    if model == CC_HUMAN:  # outside cut-in this driver and the next know what comes: the manoeuvre itself is the danger
        return cc_human.judge_cut_in(clearance, gap, closing) if scenario == CUT_IN else UNSAFE
    if model == REG157:
        return reg157.judge_cut_in(clearance, gap, closing) if scenario == CUT_IN else UNSAFE
    if model == RSS:
        return rss.judge(clearance, gap, speed, other, lateral)
    if fsm.passes_before(clearance, gap, lengths, closing, -lateral):
        return SAFE
    fuzzy[_CFS] = fsm.critical(gap, speed, other, (speed - before) * frequency_hz)
    fuzzy[_PFS] = fsm.proactive(gap, speed, other)
    return fsm.judge(fuzzy[_PFS], fuzzy[_CFS])


@jit
def _reaction_samples(model, frequency_hz):  # type: ignore[no-untyped-def]
    """Return the unsafe samples without brake: the time counts down in whole steps while any of it is left."""
    wait = cc_human.REACTION_S
    if model == REG157:
        wait = reg157.REACTION_S
    elif model == RSS:
        wait = rss.REACTION_S
    elif model == FSM:
        wait = fsm.REACTION_S
    return math.ceil(wait * frequency_hz - _EPS)


@jit
def _brake(model, applied, frequency_hz, fuzzy):  # type: ignore[no-untyped-def]
    if model == REG157:
        return reg157.BRAKE_MPS2
    if model == RSS:
        return rss.brake(applied, frequency_hz)
    if model == FSM:
        return fsm.brake(applied, frequency_hz, fuzzy[_PFS], fuzzy[_CFS])
    return cc_human.brake(applied, frequency_hz)


@jit
def _drive(model, scenario, speed, start, samples, frequency_hz, path, fuzzy):  # type: ignore[no-untyped-def]
    """Return (contact, smallest TTC) of one driver against one path."""
    x, total, before, smallest = start, speed, speed, math.inf
    waiting = _reaction_samples(model, frequency_hz)
    release = cc_human.RELEASE_MPS2 if model == CC_HUMAN else 0.0
    applied = release
    for k in range(samples):
        if path[SEEN, k] == 0.0:
            total += speed
            x = total / frequency_hz
            continue
        distance = abs(x - path[X, k])
        clearance = abs(path[Y, k]) - WIDTH_M / 2.0 - WIDTH_M / 2.0
        gap = distance - LENGTH_M / 2.0 - path[LONG, k] / 2.0
        contact = clearance < 0.0 and gap < 0.0
        said = SAFE
        if x <= path[X, k]:
            if clearance <= 0.0 and speed > path[VX, k]:
                smallest = min(smallest, max(gap, 0.0) / (speed - path[VX, k]))
            said = _judge(
                model, scenario, clearance, gap, speed, before, path[VX, k], path[VY, k],
                LENGTH_M + path[LONG, k], frequency_hz, fuzzy,
            )  # fmt: skip
        if contact:
            return True, 0.0
        if said == OVER:
            break
        after = speed
        if said == UNSAFE:
            if waiting > 0:
                waiting -= 1
                after = speed - release / frequency_hz
            else:
                applied = _brake(model, applied, frequency_hz, fuzzy)
                after = speed - applied / frequency_hz
            after = max(after, 0.0)
        before, speed = speed, after
        x += speed / frequency_hz
    return False, smallest


@jit
def _judge_rows(  # type: ignore[no-untyped-def]
    scenario, model, ego, other, gap, lateral, decel, lead_gap, frequency_hz, path, fuzzy, collision, ttc
):
    for n in range(scenario.shape[0]):
        if scenario[n] == CUT_IN:
            start, samples = kinematics.write_cut_in(ego[n], other[n], gap[n], lateral[n], frequency_hz, path)
        else:
            if math.isnan(lead_gap[n]):
                lead_gap[n] = following_gap(model[n], ego[n])
            if scenario[n] == CUT_OUT:
                start, samples = kinematics.write_cut_out(
                    ego[n], other[n], lead_gap[n], gap[n], lateral[n], frequency_hz, path
                )
            else:
                start, samples = kinematics.write_deceleration(
                    ego[n], other[n], lead_gap[n], decel[n], frequency_hz, path
                )
        hit, least = _drive(model[n], scenario[n], ego[n], start, samples, frequency_hz, path, fuzzy)
        collision[n] = 1 if hit else 0
        ttc[n] = least if least < math.inf else math.nan


def judge(cases: Cases, frequency_hz: float = FREQUENCY_HZ) -> Verdicts:
    """Return the verdict on every case, simulated at ``frequency_hz`` (published verdicts: 10 Hz)."""
    count = len(cases.scenario)
    most = 0.0 if count == 0 else float(np.max(cases.lateral_mps))
    samples = int(kinematics.approach_samples(most, frequency_hz)) + 2 + round(HORIZON_S * frequency_hz)
    collision, ttc, lead_gap = np.zeros(count, dtype=np.int64), np.empty(count), cases.lead_gap_m.copy()
    _judge_rows(
        cases.scenario, cases.model, cases.ego_mps, cases.other_mps, cases.gap_m, cases.lateral_mps,
        cases.decel_mps2, lead_gap, float(frequency_hz), np.empty((FIELDS, samples)), np.zeros(2), collision, ttc,
    )  # fmt: skip
    return Verdicts(collision, ttc, lead_gap)
