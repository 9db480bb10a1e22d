"""Shows agents what they want to see, made from recorded frames: nothing else is computed."""

from __future__ import annotations

import numpy as np

from simdrive.eval.pictures import Pictures
from simdrive.eval.recorder import Rows
from simdrive.sim.grip import slicks_in_view
from simdrive.sim.worlds import Worlds
from simdrive.types import Int, Long, ObservationBatch, Wants, WorldView

_STATES = ("x", "y", "heading", "speed", "lateral_speed", "acceleration", "yaw_rate")
_SIZES = ("length", "width", "height")


def observe(
    worlds: Worlds,
    rows: Rows,
    wants: Wants,
    pictures: Pictures | None,
    slots: Long,
    frames: Long,
    age_us: Long,
) -> ObservationBatch:
    """Return the observations of N requests.

    Args:
        worlds: the batch; a clairvoyant agent gets it as it stands now, everything else is as recorded.
        rows: recorded frames.
        wants: what the agent needs.
        pictures: draws what it sees; None for agents without cameras.
        slots: ``[N]`` world of each request.
        frames: ``[N]`` recorded frame that each request is made of.
        age_us: ``[N]`` age of the plan in use, -1 = none yet.
    """
    at = (slots, frames)
    ego = (rows.x, rows.y, rows.heading, rows.speed, rows.acceleration)
    traits = worlds.traits
    return ObservationBatch(
        slot=slots,
        t_obs_us=rows.t_us[at],
        ego=np.stack(
            [
                *(column[slots, frames, 0] for column in ego),
                rows.steering[at],
                rows.yaw_rate[slots, frames, 0],
            ],
            axis=1,
        ),
        route=worlds.route[slots],
        route_s=rows.route_s[at],
        route_r=rows.route_r[at],
        lane_left_m=worlds.lane_left_m[slots],
        lane_right_m=worlds.lane_right_m[slots],
        cruise_speed_mps=worlds.cruise_speed_mps[slots],
        speed_limit_mps=rows.speed_limit_mps[at],
        command=worlds.command[slots],
        ego_size=np.stack([traits.length[slots, 0], traits.width[slots, 0]], axis=1),
        frames=None if pictures is None else pictures.draw(rows, slots, frames),
        world=None if wants.world == "none" else _view(worlds, rows, wants, slots, frames),
        age_us=age_us,
    )


def _view(worlds: Worlds, rows: Rows, wants: Wants, slots: Long, frames: Long) -> WorldView:
    """Return the recorded state; actors out of sight are blanked unless the agent is clairvoyant."""
    present, visible = rows.present[slots, frames], rows.visible[slots, frames]
    shown = present if wants.world == "clairvoyant" else present & visible
    state = {name: np.where(shown, getattr(rows, name)[slots, frames], np.nan) for name in _STATES}
    state |= {name: np.where(shown, getattr(worlds.traits, name)[slots], np.nan) for name in _SIZES}
    lane: Int = np.where(shown, rows.lane[slots, frames], -1).astype(np.int32)
    return WorldView(
        present=shown,
        visible=present & visible,
        shape=np.where(shown, worlds.traits.shape[slots], -1).astype(np.int8),
        **state,
        brake_light=rows.brake_light[slots, frames] & shown,
        indicator=np.where(shown, rows.indicator[slots, frames], 0).astype(np.int8),
        lane=lane,
        world=slots.astype(np.int32),
        map_id=worlds.map_id[slots],
        roads=worlds.roads,
        simulator=worlds if wants.world == "clairvoyant" else None,
        slicks=slicks_in_view(worlds.grip, slots, rows.route_s[slots, frames]),
    )
