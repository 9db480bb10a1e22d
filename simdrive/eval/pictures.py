"""Pictures for agents, drawn from recorded frames and only when a request consumes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdrive.corrupt.corruption import Corruption
from simdrive.errors import ParameterError
from simdrive.eval.recorder import Rows
from simdrive.sim.camera import SceneState, render
from simdrive.sim.scene import join_scenes
from simdrive.sim.scene_cache import scene_of
from simdrive.sim.state import Float
from simdrive.sim.worlds import Worlds
from simdrive.types import FRAME_PERIOD_US, Bytes, Long, Wants


class Pictures:
    """Draws the cameras that an agent wants, for any worlds and frames of a batch."""

    def __init__(
        self,
        worlds: Worlds,
        wants: Wants,
        light: Float,
        corruption: Corruption | None = None,
        case_keys: Sequence[str] = (),
    ) -> None:
        """Compile the scenes of ``worlds``.

        Args:
            worlds: the batch.
            wants: cameras and frame offsets.
            light: ``[B, LIGHT_COLUMNS]``.
            corruption: what is wrong with the pictures.
            case_keys: the B episodes, for its draws.

        Raises:
            ParameterError: if frame offsets are not whole frames of the past, or cameras differ in size.
            UnknownNameError: if the corruption is on a camera that the agent lacks.
        """
        if corruption is not None:
            corruption.places(wants.cameras)
        self._corruption, self._case_keys = corruption, case_keys
        for offset in wants.frame_offsets_us:
            if offset > 0 or offset % FRAME_PERIOD_US:
                raise ParameterError(
                    f"frame_offsets_us must be 0 or negative multiples of {FRAME_PERIOD_US}, got {offset}"
                )
        self._worlds, self._cameras, self._light = worlds, wants.cameras, light
        self._back = np.array([-offset // FRAME_PERIOD_US for offset in wants.frame_offsets_us], np.int64)
        scenes = [scene_of(spec) for spec in worlds.specs]
        keys = {scene.key: scene for scene in scenes}
        place = {key: number for number, key in enumerate(keys)}
        self._tables = join_scenes(list(keys.values()))
        self._scene = np.array([place[scene.key] for scene in scenes], np.int32)

    def draw(self, rows: Rows, slots: Long, frames: Long) -> Bytes:
        """Return ``[N, camera, time, H, W, 3]`` of recorded frames; before the first one it is shown
        again."""
        times, count = len(self._back), len(slots)
        world = np.repeat(slots, times)
        frame = np.maximum(np.repeat(frames, times) - np.tile(self._back, count), 0)
        pictures = render(self._tables, self._state(rows, world, frame), self._cameras, labels=False).rgb
        if self._corruption is not None:
            keys = [self._case_keys[slot] for slot in world.tolist()]
            pictures = self._corruption.applied(pictures, keys, frame, rows.t_us[world, frame], self._cameras)
        grouped = pictures.reshape(count, times, *pictures.shape[1:])
        return np.ascontiguousarray(np.swapaxes(grouped, 1, 2))

    def _state(self, rows: Rows, world: Long, frame: Long) -> SceneState:
        traits, at = self._worlds.traits, (world, frame)
        lane = rows.lane[world, frame, 0]
        return SceneState(
            scene=self._scene[world],
            t_us=rows.t_us[at],
            light=self._light[world],
            ego_lane=np.where(lane < 0, -1, lane - self._worlds.first_lane[world]).astype(np.int32),
            present=rows.present[at],
            shape=traits.shape[world],
            x=rows.x[at],
            y=rows.y[at],
            heading=rows.heading[at],
            length=traits.length[world],
            width=traits.width[world],
            height=traits.height[world],
            colour=traits.colour[world],
            brake_light=rows.brake_light[at],
            indicator=rows.indicator[at],
        )
