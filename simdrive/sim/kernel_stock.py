"""The loop over a batch of stock worlds, whose frames are kept between calls."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from simdrive.jit import jit
from simdrive.sim.kernel_act import act, after_end, control_to_target, switch_road
from simdrive.sim.kernel_collisions import collide
from simdrive.sim.kernel_command import FASTER, LANE_LEFT, LANE_RIGHT, SPEED_STEP_MPS, lane_beside, next_notch
from simdrive.sim.kernel_frame import NOTCHES, SPEED, SPEED_INDEX, TARGET_LANE, TARGET_SPEED, X, Y
from simdrive.sim.kernel_idm import prepare
from simdrive.sim.kernel_integrate import integrate
from simdrive.sim.kernel_locate import locate
from simdrive.sim.kernel_regulation import enforce_rules, rules_due
from simdrive.sim.state import Bool, Float, Int, Whole, Words


@jit
def step_frames(
    dt: float,
    sub_steps: int,
    numbers: Float,
    whole: Whole,
    s: Float,
    r: Float,
    members: Words,
    route_roads: Int,
    route_lanes: Int,
    map_id: Int,
    connected: Bool,
    regulated: Bool,
    rule_steps: Int,
    lane_geometry: Float,
    points: Float,
    links: Int,
    road_codes: Int,
    road_next: Int,
    map_lane_start: Int,
    map_road_start: Int,
    fused: bool,
    circles: Float,
) -> None:
    """Advance every world by ``sub_steps`` steps of ``dt`` seconds: ``Road.act`` then ``Road.step``.

    Args:
        dt: length of a step, s.
        sub_steps: number of steps.
        numbers: ``[worlds, actors, NUMBERS]`` frames.
        whole: ``[worlds, actors, WHOLE_NUMBERS]`` frames.
        s: ``[worlds, actors, lanes]``, see ``Scratch``.
        r: ``[worlds, actors, lanes]``.
        members: ``[worlds, lanes, words]``.
        route_roads: see ``Routes``.
        route_lanes: see ``Routes``.
        map_id: see ``WorldInfo``.
        connected: see ``WorldInfo``.
        regulated: see ``WorldInfo``.
        rule_steps: see ``WorldInfo``.
        lane_geometry: see ``RoadTables``, like those that follow.
        points: see ``RoadTables``.
        links: ``RoadTables.lane_link``.
        road_codes: see ``RoadTables``.
        road_next: see ``RoadTables``.
        map_lane_start: see ``RoadTables``.
        map_road_start: see ``RoadTables``.
        fused: rounding of dot products.
        circles: ``[3, actors]`` working memory.
    """
    for b in range(numbers.shape[0]):
        place = map_id[b]
        lanes = lane_geometry[map_lane_start[place] : map_lane_start[place + 1]]
        first_road, linked, ruled, steps = map_road_start[place], connected[b], regulated[b], rule_steps[b]
        frame, codes, roads, lane_ids = numbers[b], whole[b], route_roads[b], route_lanes[b]
        along, across, here = s[b], r[b], members[b]
        for _ in range(sub_steps):
            prepare(frame, codes, lanes)
            act(
                lanes, points, fused, links, road_codes, road_next, first_road, linked, roads, lane_ids, frame, codes,
                along, across, here,
            )  # fmt: skip
            if ruled:
                steps += 1
                if rules_due(steps, dt):
                    enforce_rules(lanes, points, fused, road_codes, roads, lane_ids, frame, codes)
            integrate(dt, frame, codes)
            locate(True, lanes, points, fused, frame, codes, along, across, here)
            collide(dt, fused, frame, codes, circles)
        rule_steps[b] = steps


@jit
def locate_frames(
    numbers: Float,
    whole: Whole,
    s: Float,
    r: Float,
    members: Words,
    map_id: Int,
    lane_geometry: Float,
    points: Float,
    map_lane_start: Int,
    fused: bool,
) -> None:
    """Refresh coordinates and members of every world without touching lanes; arguments as in ``step_frames``."""
    for b in range(numbers.shape[0]):
        place = map_id[b]
        lanes = lane_geometry[map_lane_start[place] : map_lane_start[place + 1]]
        locate(False, lanes, points, fused, numbers[b], whole[b], s[b], r[b], members[b])


@jit
def command_frames(
    actor: int,
    meta_actions: Int,
    target_speeds: Float,
    numbers: Float,
    whole: Whole,
    s: Float,
    r: Float,
    route_roads: Int,
    route_lanes: Int,
    map_id: Int,
    lane_geometry: Float,
    points: Float,
    road_codes: Int,
    road_next: Int,
    map_lane_start: Int,
    map_road_start: Int,
    fused: bool,
) -> None:
    """Apply one meta action per world (``[worlds]``, -1 = none) to the controlled vehicle ``actor``.

    It is meant for the first frame of a policy step; the same frame's ``act`` comes on top, as in highway-env. Other
    arguments as in ``step_frames`` and ``Extras``.
    """
    for b in range(numbers.shape[0]):
        action, place = meta_actions[b], map_id[b]
        if action < 0:
            continue
        lanes = lane_geometry[map_lane_start[place] : map_lane_start[place + 1]]
        frame, codes = numbers[b], whole[b]
        if action >= FASTER:
            step, notches = 1 if action == FASTER else -1, codes[actor, NOTCHES]
            if notches > 0:
                index = next_notch(frame[actor, SPEED], step, target_speeds[b, actor], notches)
                codes[actor, SPEED_INDEX] = index
                frame[actor, TARGET_SPEED] = target_speeds[b, actor, index]
            else:
                frame[actor, TARGET_SPEED] += step * SPEED_STEP_MPS
        if after_end(lanes, points, fused, frame, codes, s[b], actor):
            codes[actor, TARGET_LANE] = switch_road(
                lanes, points, fused, road_codes, road_next, frame, codes, route_roads[b], route_lanes[b], actor,
                map_road_start[place],
            )  # fmt: skip
        if action in (LANE_LEFT, LANE_RIGHT):
            target, step = codes[actor, TARGET_LANE], -1 if action == LANE_LEFT else 1
            x, y = frame[actor, X], frame[actor, Y]
            codes[actor, TARGET_LANE] = lane_beside(lanes, points, fused, target, step, x, y)
        control_to_target(lanes, points, fused, frame, codes, s[b], r[b], actor)
