"""The present state of running worlds as cameras see it."""

from __future__ import annotations

import numpy as np

from simdrive.sim.camera import SceneState
from simdrive.sim.state import Float, Int
from simdrive.sim.worlds import Worlds


def state_of_worlds(worlds: Worlds, rows: Int, scene: Int, light: Float) -> SceneState:
    """Return what cameras see of N worlds of a batch now.

    Args:
        worlds: the batch.
        rows: ``[N]`` worlds.
        scene: ``[N]`` places of their scenes in the list that is handed to the renderer.
        light: ``[N, LIGHT_COLUMNS]`` light rows.
    """
    state, traits = worlds.actors, worlds.traits
    lane = state.lane[rows, 0]
    return SceneState(
        scene=np.asarray(scene, np.int32),
        t_us=worlds.t_us[rows],
        light=light,
        ego_lane=np.where(lane < 0, -1, lane - worlds.first_lane[rows]).astype(np.int32),
        present=state.present[rows],
        shape=traits.shape[rows],
        x=state.x[rows],
        y=state.y[rows],
        heading=state.heading[rows],
        length=traits.length[rows],
        width=traits.width[rows],
        height=traits.height[rows],
        colour=traits.colour[rows],
        brake_light=state.brake_light[rows],
        indicator=state.indicator[rows],
    )
