"""Ego cameras: RGB and labels straight from state arrays. Same state, same bytes, whatever the batch.

A picture comes with one 16-bit label per pixel: which actor is seen (index + 1), and whether the pixel is drivable
ground, a lane mark, the ego's own lane. An actor that light or weather hides (``simdrive.sim.lighting``) is drawn as
far as it shows but carries no label, so that labels and line of sight mean the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.sim.camera_frame import Scratch, StateArrays, make_scratch, render_rows
from simdrive.sim.camera_light import DRIVABLE_BIT, EGO_LANE_BIT, GROUND_COLOURS, INSTANCE_MASK, MARK_BIT
from simdrive.sim.camera_view import camera_rows
from simdrive.sim.lighting import LIGHT_COLUMNS, light_row
from simdrive.sim.scene import Scene, SceneTables, join_scenes, tunnel_walls
from simdrive.sim.shapes import compile_looks
from simdrive.sim.state import Bool, Float, Int, Shape, Small
from simdrive.types import CameraSpec, EpisodeLog

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint16]

LOOKS = compile_looks()
_POLYGONS = 4096
_memory = threading.local()


@dataclass(frozen=True)
class SceneState:
    """State of N worlds as cameras see it; arrays ``[N, V]`` unless stated, ego in column 0, world frame, m, rad."""

    scene: Int  # [N] row of the scenes given to the renderer
    t_us: npt.NDArray[np.int64]  # [N]
    light: Float  # [N, LIGHT_COLUMNS], see simdrive.sim.lighting
    ego_lane: Int  # [N] lane row of the scene's own map, -1 = none
    present: Bool
    shape: Small
    x: Float
    y: Float
    heading: Float
    length: Float
    width: Float
    height: Float
    colour: Pixels  # [N, V, 3]
    brake_light: Bool
    indicator: Small  # -1 left, 1 right, 2 both, 0 off

    def __len__(self) -> int:
        return len(self.scene)


@dataclass(frozen=True)
class Frames:
    """Pictures of N worlds through C cameras, and what each pixel shows."""

    rgb: Pixels  # [N, C, H, W, 3]
    labels: Labels | None  # [N, C, H, W]

    @property
    def instance(self) -> npt.NDArray[np.int16]:
        """Actor index + 1 per pixel, 0 = background, ``[N, C, H, W]``."""
        return (self._labels() & INSTANCE_MASK).astype(np.int16)

    @property
    def drivable(self) -> Bool:
        """Visible drivable ground, ``[N, C, H, W]``."""
        return (self._labels() & DRIVABLE_BIT) > 0

    @property
    def lane_marks(self) -> Bool:
        """Visible lane marks, ``[N, C, H, W]``."""
        return (self._labels() & MARK_BIT) > 0

    @property
    def ego_lane(self) -> Bool:
        """Visible ground of the ego's lane, marks left out, ``[N, C, H, W]``."""
        return (self._labels() & EGO_LANE_BIT) > 0

    def _labels(self) -> Labels:
        if self.labels is None:
            raise ParameterError("these frames were rendered with labels=False; render them with labels=True")
        return self.labels


def render(
    scenes: Sequence[Scene] | SceneTables,
    state: SceneState,
    cameras: Sequence[CameraSpec],
    labels: bool = True,
    out: Frames | None = None,
) -> Frames:
    """Render N worlds through cameras of one picture size.

    The ego's own box is never drawn.

    Args:
        scenes: the maps that ``state.scene`` counts through (``join_scenes`` once, for a loop).
        state: the worlds.
        cameras: any number, equal width and height.
        labels: also return labels.
        out: frames of a former call with equal sizes, overwritten and returned.

    Raises:
        ParameterError: if sizes differ (use ``render_list``), a camera cannot be drawn, or arrays do not fit.
    """
    if len({(camera.height, camera.width) for camera in cameras}) != 1:
        sizes = [(camera.width, camera.height) for camera in cameras]
        raise ParameterError(f"cameras of one call need one size, got {sizes}; use render_list for several sizes")
    tables = scenes if isinstance(scenes, SceneTables) else join_scenes(scenes)
    arrays = _checked(state, len(tables.lane_rows) - 1)
    rows = camera_rows(cameras)
    frames = _frames(len(state), cameras, labels) if out is None else out
    blank = np.zeros((0, 0, 0, 0), np.uint16)
    for factor in sorted({camera.supersample for camera in cameras}):
        chosen = [place for place, camera in enumerate(cameras) if camera.supersample == factor]
        every = len(chosen) == len(cameras)
        part = frames if every else _frames(len(state), [cameras[place] for place in chosen], frames.labels is not None)
        tags = blank if part.labels is None else part.labels
        _render(tables, arrays, rows[chosen], np.array(chosen, np.int32), factor, part.rgb, tags)
        if not every:
            frames.rgb[:, chosen] = part.rgb
            if frames.labels is not None:
                frames.labels[:, chosen] = tags
    return frames


def render_list(
    scenes: Sequence[Scene] | SceneTables, state: SceneState, cameras: Sequence[CameraSpec], labels: bool = True
) -> list[Frames]:
    """Render N worlds through cameras of any sizes: one ``Frames`` with C = 1 per camera."""
    tables = scenes if isinstance(scenes, SceneTables) else join_scenes(scenes)
    return [render(tables, state, [camera], labels) for camera in cameras]


def _frames(count: int, cameras: Sequence[CameraSpec], labels: bool) -> Frames:
    shape = (count, len(cameras), cameras[0].height, cameras[0].width)
    return Frames(np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint16) if labels else None)


def _render(
    tables: SceneTables, arrays: StateArrays, rows: Float, places: Int, factor: int, rgb: Pixels, labels: Labels
) -> None:
    height, width = rgb.shape[2] * factor, rgb.shape[3] * factor
    polygons = _POLYGONS
    while True:
        work = _scratch(height, width, arrays.present.shape[1], polygons)
        most = render_rows(tables, arrays, rows, places, LOOKS, GROUND_COLOURS, work, rgb, labels)
        if most <= len(work.draw):
            return
        polygons = 2 * most


def _scratch(height: int, width: int, actors: int, polygons: int) -> Scratch:
    """Return this thread's work memory for a picture size, kept because fresh memory costs more than a frame."""
    kept: dict[tuple[int, int], Scratch] = _memory.__dict__.setdefault("kept", {})
    work = kept.get((height, width))
    if work is None or len(work.actor) < actors or len(work.draw) < polygons:
        if len(kept) > 8:
            kept.clear()
        work = make_scratch(height, width, max(actors, 16), polygons)
        kept[height, width] = work
    return work


def _checked(state: SceneState, scenes: int) -> StateArrays:
    worlds, actors = state.present.shape
    if actors > INSTANCE_MASK - 1:
        raise ParameterError(f"a picture can tell {INSTANCE_MASK - 1} actors apart, got {actors}")
    if worlds and not (int(state.scene.min()) >= 0 and int(state.scene.max()) < scenes):
        raise ParameterError(f"state.scene must name one of {scenes} scenes, got {state.scene.tolist()}")
    if worlds and not (int(state.shape.min()) >= 0 and int(state.shape.max()) < len(Shape)):
        raise ParameterError(f"state.shape must be one of 0..{len(Shape) - 1}, got {np.unique(state.shape).tolist()}")
    sizes: dict[str, tuple[int, ...]] = {"scene": (worlds,), "t_us": (worlds,), "ego_lane": (worlds,)}
    sizes |= {"light": (worlds, LIGHT_COLUMNS), "colour": (worlds, actors, 3)}
    columns: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        column: npt.NDArray[Any] = np.ascontiguousarray(getattr(state, name), dtype=kind)
        if column.shape != sizes.get(name, (worlds, actors)):
            raise ParameterError(
                f"state.{name} must have shape {sizes.get(name, (worlds, actors))}, got {column.shape}"
            )
        columns[name] = column
    return StateArrays(**columns)


_KINDS: dict[str, type] = {
    "scene": np.int32,
    "t_us": np.int64,
    "light": np.float64,
    "ego_lane": np.int32,
    "present": np.bool_,
    "shape": np.int8,
    "x": np.float64,
    "y": np.float64,
    "heading": np.float64,
    "length": np.float64,
    "width": np.float64,
    "height": np.float64,
    "colour": np.uint8,
    "brake_light": np.bool_,
    "indicator": np.int8,
}


def visible_pixels(instance: npt.NDArray[np.int16], actors: int) -> npt.NDArray[np.int64]:
    """Return how many pixels each actor covers, ``[N, C, actors]``, from instance masks ``[N, C, H, W]``."""
    worlds, cameras = instance.shape[:2]
    flat = instance.reshape(worlds * cameras, -1).astype(np.int64)
    offset = np.arange(len(flat), dtype=np.int64)[:, None] * (actors + 1)
    counts = np.bincount((flat + offset).reshape(-1), minlength=len(flat) * (actors + 1))
    return counts.reshape(worlds, cameras, actors + 1)[:, :, 1:].astype(np.int64)


def state_from_log(log: EpisodeLog, scene: Scene, rows: Sequence[int] | None = None) -> SceneState:
    """Return the state of rows of a stored episode, for ``render([scene], ...)``.

    Args:
        log: the episode.
        scene: the scene of its map.
        rows: rows of the log; None = all.
    """
    chosen = np.arange(len(log.t_us)) if rows is None else np.asarray(rows, dtype=np.int64)
    count = len(chosen)
    light = light_row(log.lighting, tunnel_walls(scene, log.lighting))

    def fixed(values: npt.ArrayLike) -> npt.NDArray[np.generic]:
        array = np.asarray(values)
        return np.repeat(array[None], count, axis=0)

    return SceneState(
        scene=np.zeros(count, np.int32),
        t_us=log.t_us[chosen],
        light=np.repeat(light[None], count, axis=0),
        ego_lane=log.lane[chosen, 0].astype(np.int32),
        present=log.present[chosen],
        shape=fixed(log.actors.shape).astype(np.int8),
        x=log.x[chosen],
        y=log.y[chosen],
        heading=log.heading[chosen],
        length=fixed(log.actors.length).astype(np.float64),
        width=fixed(log.actors.width).astype(np.float64),
        height=fixed(log.actors.height).astype(np.float64),
        colour=fixed(log.actors.colour).astype(np.uint8),
        brake_light=log.brake_light[chosen],
        indicator=log.indicator[chosen].astype(np.int8),
    )
