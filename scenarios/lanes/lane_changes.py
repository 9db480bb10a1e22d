"""The ego's route changes lanes on a motorway, and somebody is where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.lanes.layouts import EXIT_FROM_M, EXIT_LANE_M, SECTION_M, exit_road, sections
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.scenery import draw_light, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.types import Command

_CHANGE_M = 45.0  # over which the route changes to the next lane
_JERK_MPS3 = 60.0


class SequentialChange:
    """The ego changes from the left lane to the right one; somebody from there wants the middle one too."""

    name = "sequential_change"
    description = (
        "The ego changes over two lanes one after the other; as it comes to the middle one, a slower vehicle from the "
        "far side changes into it as well."
    )
    tags = ("bench2drive:SequentialLaneChange", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(17.0, 30.0, "m/s"),
        "slower_mps": Range(1.0, 9.0, "m/s"),  # the other one than the ego
        "lateral_speed_mps": Range(1.6, 3.5, "m/s"),
        "ttc_s": Range(-0.5, 1.4, "s"),  # left when both are in the middle lane
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, rate = params["ego_speed_mps"], params["slower_mps"], params["lateral_speed_mps"]
        road, pace = sections(3), speed - slower
        width = road.lane_width_m
        route: tuple[LaneIndex, ...] = (("n0", "n1", 0), ("n1", "n2", 1), ("n2", "n3", 2), ("n3", "n4", 2))
        wait = 3.3 + float(rng.uniform(0.0, 1.0))
        other = on_lane(rng, "other", draw_traffic_shape(rng), ("n0", "n1", 2), 0.0, pace,
                        route=(("n1", "n2", 2), ("n2", "n3", 2), ("n3", "n4", 2)))  # fmt: skip
        # Its change has come half-way when the ego is in the middle lane, at the end of its own change.
        over_s = shift_time_s(0.6 * width, width, rate)
        begin_m = SECTION_M + 0.7 * _CHANGE_M - speed * over_s  # the ego's front when it begins
        start_m = begin_m - 2.3 - speed * wait
        stage = Stage(road, ego_on(route[0], start_m, speed), route)
        stage.ego = replace(stage.ego, indicator=1)
        gap = slower * (over_s + wait + params["ttc_s"])
        level = start_m + gap + 0.5 * (other.length_m + stage.ego.length_m)
        who, row = stage.add(replace(other, s_m=level)), -1
        if hazard:
            x, y, _ = road.pose(("n1", "n2", 1), 0.7 * _CHANGE_M)
            mark = stage.mark("meet", x, y)
            row = stage.event(
                who, Action.LANE_CHANGE, -1.0, rate=rate, trigger=Trigger.EGO_TTA, threshold=over_s, subject=mark,
                after=stage.lead_in(who),
            )  # fmt: skip
            stage.event(who, Action.SPEED, speed, rate=1.8, after=row, delay_s=5.0)
        onward: tuple[LaneIndex, ...] = tuple((f"n{k}", f"n{k + 1}", 0) for k in range(1, 4))
        before = len(stage.actors)
        flow(
            stage, rng, ("n0", "n1", 0), (start_m + 4.0 * speed, start_m + 4.0 * speed + 60.0), 1.05 * speed, share=0.5
        )
        stage.actors[before:] = [replace(actor, route=onward) for actor in stage.actors[before:]]
        before = len(stage.actors)
        flow(stage, rng, ("n0", "n1", 2), (max(start_m - 100.0, 5.0), level - 45.0), 0.95 * pace, share=0.7)
        stage.actors[before:] = [
            replace(actor, route=tuple((a, b, 2) for a, b, _ in onward)) for actor in stage.actors[before:]
        ]
        for lane in (("n0", "n1", 2), ("n1", "n2", 2), ("n2", "n3", 2)):
            shoulder(stage, lane, (0.0, SECTION_M), 1.0)
        return stage.world(
            goal_m=2.0 * SECTION_M + 70.0 - start_m, time_limit_s=50.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.FOLLOW),
        )  # fmt: skip


class HighwayExit:
    """The ego moves onto the outer lane to leave, behind somebody who brakes down to the slow traffic on the ramp."""

    name = "highway_exit"
    description = (
        "The ego changes to the lane that leaves a motorway behind a vehicle that brakes down to the queue on the ramp "
        "as the ego comes over; the queue moves on later."
    )
    tags = ("bench2drive:HighwayExit", "nhtsa:25", "nhtsa:22", "r157:deceleration")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(17.0, 29.0, "m/s"),
        "slow_speed_mps": Range(0.0, 5.0, "m/s"),
        "braking_mps2": Range(6.5, 9.5, "m/s2"),
        "time_gap_s": Range(0.15, 0.9, "s"),  # to the vehicle ahead on the exit lane
        "before_s": Range(0.0, 1.5, "s"),  # from the braking to when the ego is half over
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, before = params["ego_speed_mps"], params["before_s"]
        lanes = 2 + int(rng.integers(2))
        road = exit_road(lanes)
        own: LaneIndex = ("a", "b", lanes - 1)
        exit_lane: LaneIndex = ("b", "c", lanes)
        ramp: tuple[LaneIndex, ...] = (("c", "x", 0), ("x", "y", 0))
        wait, rest_s = 3.3 + float(rng.uniform(0.0, 1.0)), float(rng.uniform(2.0, 3.5))
        half_m = EXIT_FROM_M + 0.5 * _CHANGE_M
        start_m = half_m - 2.3 - speed * (wait + before)
        stage = Stage(road, ego_on(own, start_m, speed), (own, exit_lane, *ramp))
        stage.ego = replace(stage.ego, indicator=1)
        side: LaneIndex = ("a", "b", lanes)
        onward = (exit_lane, *ramp)
        lead = on_lane(rng, "lead", draw_traffic_shape(rng), side, 0.0, speed, route=onward)
        lead_m = start_m + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        who, row = stage.add(replace(lead, s_m=lead_m)), -1
        behind_m = start_m - float(rng.uniform(2.4, 3.2)) * speed - 12.0
        follower = on_lane(
            rng, "behind", draw_traffic_shape(rng), side, max(behind_m, 8.0), speed, route=onward, reactive=True
        )
        if rng.random() < 0.7:
            stage.add(follower)
        if hazard:
            x, y, _ = road.pose(("b", "c", lanes - 1), 0.5 * _CHANGE_M)
            mark = stage.mark("meet", x, y)
            row = stage.event(
                who, Action.ACCELERATE, -params["braking_mps2"], rate=_JERK_MPS3, until=params["slow_speed_mps"],
                trigger=Trigger.EGO_TTA, threshold=before + 0.1, subject=mark, after=stage.lead_in(who),
            )  # fmt: skip
            again = (speed - params["slow_speed_mps"]) / params["braking_mps2"] + rest_s
            stage.event(who, Action.SPEED, speed, rate=2.4, after=row, delay_s=again)
        for number in range(lanes - 1):
            near = ("a", "b", number)
            first = len(stage.actors)
            pace = speed * float(rng.uniform(1.0, 1.1))
            flow(stage, rng, near, (max(start_m - 60.0, 5.0), start_m + 120.0), pace, share=0.6, level_m=start_m)
            ahead = (("b", "c", number), ("c", "d", number))
            stage.actors[first:] = [replace(actor, route=ahead) for actor in stage.actors[first:]]
        shoulder(stage, exit_lane, (0.0, EXIT_LANE_M), 1.5)
        return stage.world(
            goal_m=EXIT_FROM_M + EXIT_LANE_M + 60.0 - start_m, time_limit_s=36.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.FOLLOW),
        )  # fmt: skip
