"""Criticality measures beside those of CommonRoad-CriMe, an implementation of other people, where it is installed.

Where the definitions differ, the case or the call is chosen so that they agree, and the comment says how. CriMe rounds to
0.01, headways up to a step of 0.1 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from logs import make_log

from simdrive.metrics import criticality, threat
from simdrive.types import EpisodeLog, Float

pytest.importorskip(
    "commonroad_crime", reason="pip install commonroad-crime (its pins want an environment of their own)"
)

STEP_S, ROWS = 0.1, 21
LENGTH_M, WIDTH_M = 4.6, 1.9
# On a road along x CriMe takes the deceleration needed for 0, as if there were no lane; hence a bend of nothing.
HEADING = 1e-4


def lane() -> Any:
    from commonroad.scenario.lanelet import Lanelet, LaneletNetwork

    along = np.linspace(-100.0, 500.0, 121)
    centre = np.stack([along, HEADING * along], axis=1)
    aside = np.array([0.0, 4.0])
    found = LaneletNetwork()
    found.add_lanelet(Lanelet(centre + aside, centre, centre - aside, 1))
    return found


def car(number: int, x: Float, speed: Float) -> Any:
    from commonroad.geometry.shape import Rectangle
    from commonroad.prediction.prediction import TrajectoryPrediction
    from commonroad.scenario.obstacle import DynamicObstacle, ObstacleType
    from commonroad.scenario.state import InitialState, KSState
    from commonroad.scenario.trajectory import Trajectory

    shape = Rectangle(LENGTH_M, WIDTH_M)
    place = [np.array([at, HEADING * at]) for at in x]
    states = [
        KSState(time_step=k, position=place[k], orientation=HEADING, velocity=float(speed[k]), steering_angle=0.0)
        for k in range(1, len(x))
    ]
    start = InitialState(
        time_step=0, position=place[0], orientation=HEADING, velocity=float(speed[0]), acceleration=0.0, yaw_rate=0.0,
        slip_angle=0.0,
    )  # fmt: skip
    lanes = {k: {1} for k in range(len(x))}
    path = TrajectoryPrediction(Trajectory(1, states), shape, lanes, lanes)
    return DynamicObstacle(number, ObstacleType.CAR, shape, start, path, {1}, {1})


def pair(rng: np.random.Generator, accelerated: bool) -> tuple[EpisodeLog, Any]:
    """Return one follower and its leader on a lane, as our log and as CriMe's configuration."""
    from commonroad.scenario.scenario import Scenario
    from commonroad_crime.data_structure.configuration import CriMeConfiguration

    t = STEP_S * np.arange(ROWS)
    v0 = rng.uniform(12.0, 20.0, 2)
    # CriMe 0.4.5 loses the sign of a leader's acceleration, so that one that brakes speeds up: none brakes here.
    a = rng.uniform([-1.0, 0.0], [2.0, 1.0]) if accelerated else np.zeros(2)
    x0 = np.array([0.0, LENGTH_M + rng.uniform(25.0, 40.0)])
    x = x0[:, None] + v0[:, None] * t + 0.5 * a[:, None] * t**2
    speed = v0[:, None] + a[:, None] * t
    scenario = Scenario(dt=STEP_S)
    scenario.add_objects(lane())
    scenario.add_objects([car(number, x[k], speed[k]) for k, number in enumerate((10, 11))])
    config = CriMeConfiguration()
    config.update(ego_id=10, sce=scenario)
    other = {"x": x[1], "speed": speed[1], "length": LENGTH_M, "width": WIDTH_M}
    log = make_log(ROWS, speed=speed[0], size=(LENGTH_M, WIDTH_M), others=[other])
    log.x[:, 0] = x[0]
    log.acceleration[:] = a
    return log, config


def over_time(measure: Any) -> Float:
    """Return CriMe's value of every step."""
    return np.array([measure.compute(11, k, verbose=False) for k in range(ROWS)], dtype=np.float64)


@pytest.mark.parametrize("seed", range(6))
def test_constant_speeds(seed: int) -> None:
    from commonroad_crime.measure import TET, THW, TIT, TTC, WTTC

    log, config = pair(np.random.default_rng(seed), accelerated=False)
    times = over_time(TTC(config))
    closing = bool(log.speed[0, 0] > log.speed[0, 1])
    assert bool(times.min() < 1e6) == closing  # theirs divides by differences of 1e-14
    assert criticality.min_ttc(horizon_s=60.0)(log).value == pytest.approx(min(times.min(), 60.0), abs=0.006)
    # Their headway is driven, not divided, and only known once the follower has come there.
    headways = over_time(THW(config))
    headways = headways[np.isfinite(headways)]
    if len(headways):
        at_first = threat.leader(log)
        assert headways[0] == pytest.approx(at_first.gap_m[0] / at_first.ego_mps[0], abs=STEP_S + 0.006)
    # Sums over time: theirs leave the last step out as well as ours, which has no duration.
    bound = config.time.tau
    exposed = TET(config).compute(11, 0, verbose=False)
    assert criticality.ttc_exposure(below_s=bound)(log).value == pytest.approx(exposed, abs=STEP_S + 1e-6)
    lack = TIT(config).compute(11, 0, verbose=False)
    assert threat.ttc_integrated(below_s=bound)(log).value == pytest.approx(lack, abs=ROWS * STEP_S * 0.006)
    # Their circles are those of three discs along a body: of a third of its length.
    short = log.actors.length / 3.0
    log.actors.length[:] = short
    most = config.vehicle.params.longitudinal.a_max
    worst = threat.min_wttc(most_mps2=most, horizon_s=20.0)(log).value
    assert worst == pytest.approx(over_time(WTTC(config)).min(), abs=0.06)


@pytest.mark.parametrize("seed", range(6))
def test_constant_accelerations(seed: int) -> None:
    from commonroad_crime.measure import TTC, ALongReq

    log, config = pair(np.random.default_rng(100 + seed), accelerated=True)
    # What they call time to collision keeps accelerations: our modified one.
    times = over_time(TTC(config))
    ours = threat.min_mttc(horizon_s=60.0)(log).value
    assert ours == pytest.approx(min(np.nanmin(times), 60.0), abs=0.006 + 1e-3 * ours)
    need = over_time(ALongReq(config))
    led = threat.leader(log)
    # They ask for the leader's deceleration even of a follower that falls behind.
    closing = led.closing_mps > 0.0
    if closing.any():
        most = config.vehicle.params.longitudinal.a_max
        ours = threat.max_btn(most_mps2=most)(log).value * most
        assert ours == pytest.approx(-need[closing].min(), abs=0.02)
