"""Rollout videos: front camera beside a bird's-eye view over a strip of readings, from a stored episode alone.

Same log, same frames. Nothing is driven again: the pictures are rendered anew from the log's states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from simdrive.corrupt.corruption import Corruption
from simdrive.report.encode import check_name, write_gif, write_video
from simdrive.report.hud import (
    BACKGROUND,
    INK,
    Caption,
    compact_strip,
    font,
    outcome,
    outcome_colour,
    outcome_note,
    strip,
)
from simdrive.report.looked import draw_looked
from simdrive.report.overlay import draw_on_birdseye, draw_on_camera, route_points
from simdrive.report.replay import frame_times, resample, rows_before, ttc_rows
from simdrive.sim.birdseye import BirdseyeSpec, Line, render_birdseye
from simdrive.sim.camera import SceneState, render, state_from_log
from simdrive.sim.lighting import TUNNEL_END, TUNNEL_START, WALL_LEFT, WALL_RIGHT
from simdrive.sim.scene_cache import scene_of
from simdrive.sim.spec import WorldSpec
from simdrive.sim.state import VULNERABLE
from simdrive.types import Bytes, CameraSpec, EpisodeLog, Long

CARD_S = 1.5  # how long the outcome stays
_CHUNK = 8  # frames rendered together
_AHEAD_RANGE_M = (40.0, 70.0)
_BEHIND_SHARE = 0.3  # of what lies ahead
_HORIZON_S = 2.6  # the bird's-eye view reaches as far ahead as the cruise speed does in this time
_HIDDEN = np.array((84, 86, 90))  # towards this the colours of actors out of sight fade
_PERSON_M = 1.1  # the least size of a person from above
_WALL, _WALL_M = (24, 24, 28), 0.8


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels: camera and bird's eye side by side (equal heights), the strip below."""

    camera: tuple[int, int] = (672, 384)
    bird_width: int = 288
    strip_height: int = 156
    supersample: int = 2
    compact: bool = False
    headed: bool = True  # the strip says scenario, driver and time

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame."""
        return self.camera[0] + self.bird_width, self.camera[1] + self.strip_height

    def camera_spec(self) -> CameraSpec:
        """Return the front camera of the default rig in this size."""
        return CameraSpec(width=self.camera[0], height=self.camera[1], supersample=self.supersample)

    def view(self, cruise_speed_mps: float) -> BirdseyeSpec:
        """Return the bird's-eye view: more road on faster roads, the ego in its lower quarter."""
        ahead_m = float(np.clip(_HORIZON_S * cruise_speed_mps, *_AHEAD_RANGE_M))
        shown_m = (1.0 + _BEHIND_SHARE) * ahead_m
        return BirdseyeSpec(
            self.bird_width, self.camera[1], shown_m / self.camera[1], 0.5 * (1.0 - _BEHIND_SHARE) * ahead_m
        )


FULL = Layout()
SMALL = Layout(camera=(364, 208), bird_width=156, strip_height=64, supersample=2, compact=True)


def episode_frames(
    log: EpisodeLog,
    spec: WorldSpec,
    *,
    caption: Caption,
    fps: float = 20.0,
    layout: Layout = FULL,
    window_us: tuple[int, int] | None = None,
    corruption: Corruption | None = None,
) -> Iterator[Bytes]:
    """Yield the frames ``[H, W, 3]`` of an episode, the outcome at the end if the episode's end is shown.

    Args:
        log: the episode.
        spec: its world (``simdrive.scenarios.sampling.build_case(log.case)``).
        caption: who drove and under which latency.
        fps: frames per second; rows in between are interpolated.
        layout: sizes.
        window_us: from and to when; None = the whole episode.
        corruption: on the front camera; steps are those of the agent's frames.

    Raises:
        ParameterError: if ``fps`` or the window is out of range, or the log holds no row.
    """
    times = frame_times(log, fps, *(window_us or (None, None)))
    frame = np.zeros((0, 0, 3), np.uint8)
    for frame in frames_at(log, spec, times, caption=caption, layout=layout, corruption=corruption):
        yield frame
    if int(times[-1]) == int(log.t_us[-1]):
        card = end_card(frame, log, layout)
        for _ in range(round(CARD_S * fps)):
            yield card


def frames_at(
    log: EpisodeLog,
    spec: WorldSpec,
    times_us: Long,
    *,
    caption: Caption,
    layout: Layout,
    corruption: Corruption | None = None,
) -> Iterator[Bytes]:
    """Yield one frame ``[H, W, 3]`` per time; arguments as of :func:`episode_frames`."""
    fine = resample(log, times_us)
    steps = rows_before(log, times_us)
    ttc = ttc_rows(log)[steps]
    for begin in range(0, len(times_us), _CHUNK):
        rows = list(range(begin, min(begin + _CHUNK, len(times_us))))
        for row, pictures in zip(rows, _pictures(fine, spec, rows, layout, corruption, steps), strict=True):
            yield _composed(pictures, fine, row, float(ttc[row]), caption, layout)


def _pictures(
    log: EpisodeLog, spec: WorldSpec, rows: list[int], layout: Layout, corruption: Corruption | None, steps: Long
) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield camera and bird's-eye picture of some rows, overlays included."""
    scene = scene_of(spec)
    camera, view = layout.camera_spec(), layout.view(log.cruise_speed_mps)
    state = state_from_log(log, scene, rows)
    frames = render([scene], state, [camera])
    rgb = as_seen(frames.rgb, log, rows, camera, corruption, steps)
    above, walls = _for_review(state, log, rows), _tunnel(state)
    route = route_points(spec)
    for place, row in enumerate(rows):
        warmed = draw_looked(rgb[place, 0], camera, log, row)
        front = draw_on_camera(warmed, frames.instance[place, 0], camera, log, row)
        bird = render_birdseye(scene, above, place, view, walls)
        yield front, draw_on_birdseye(bird, view, route, log, row)


def as_seen(
    rgb: Bytes, log: EpisodeLog, rows: list[int], camera: CameraSpec, corruption: Corruption | None, steps: Long
) -> Bytes:
    """Return the camera's pictures as a corruption of this camera leaves them."""
    if corruption is None or (corruption.cameras is not None and camera.name not in corruption.cameras):
        return rgb
    here = replace(corruption, cameras=(camera.name,))
    return here.applied(rgb, [log.case.key] * len(rows), steps[rows], log.t_us[rows], [camera])


def _for_review(state: SceneState, log: EpisodeLog, rows: list[int]) -> SceneState:
    """Return the state as seen from above: who is out of the ego's sight fades, and nobody is too small to see."""
    hidden = ~log.visible[rows]
    hidden[:, 0] = False
    dull = (0.3 * state.colour + 0.7 * _HIDDEN).astype(np.uint8)
    person = np.isin(state.shape, VULNERABLE)
    return replace(
        state,
        colour=np.where(hidden[..., None], dull, state.colour),
        length=np.where(person, np.maximum(state.length, _PERSON_M), state.length),
        width=np.where(person, np.maximum(state.width, _PERSON_M), state.width),
    )


def _tunnel(state: SceneState) -> list[Line]:
    """Return the walls of the world's tunnel."""
    start, end, left, right = state.light[0, [TUNNEL_START, TUNNEL_END, WALL_LEFT, WALL_RIGHT]]
    if not start < end:
        return []
    return [
        Line(np.array([[start, y], [end, y]]), _WALL, _WALL_M) for y in (left - 0.5 * _WALL_M, right + 0.5 * _WALL_M)
    ]


def _composed(
    pictures: tuple[Bytes, Bytes], log: EpisodeLog, row: int, ttc_s: float, caption: Caption, layout: Layout
) -> Bytes:
    width, height = layout.size
    split, bottom = layout.camera
    frame = np.empty((height, width, 3), np.uint8)
    frame[:bottom, :split], frame[:bottom, split:] = pictures
    frame[:bottom, split - 1 : split + 1] = BACKGROUND
    draw = compact_strip if layout.compact else strip
    frame[bottom:] = np.asarray(draw(log, row, ttc_s, caption, (width, layout.strip_height), layout.headed))
    return frame


def end_card(frame: Bytes, log: EpisodeLog, layout: Layout) -> Bytes:
    """Return the last frame with its pictures darkened and the outcome written across them."""
    split, bottom = layout.size[0], layout.camera[1]
    card = frame.copy()
    card[:bottom] = (card[:bottom].astype(np.uint16) * 2 // 5).astype(np.uint8)
    image = Image.fromarray(card)
    draw = ImageDraw.Draw(image)
    large, small = (18, 12) if layout.compact else (38, 18)
    draw.text((split / 2, bottom / 2 - large * 0.5), outcome(log), outcome_colour(log), font(large), "mm")
    draw.text((split / 2, bottom / 2 + large * 0.75), outcome_note(log), INK, font(small), "mm")
    return np.asarray(image)


def record_episode(
    log: EpisodeLog,
    spec: WorldSpec,
    out: Path | str,
    *,
    caption: Caption,
    fps: float = 20.0,
    window_us: tuple[int, int] | None = None,
    corruption: Corruption | None = None,
) -> int:
    """Write the video of an episode, ``.mp4`` or small ``.gif`` by the file's name; return how many frames it has.

    Raises:
        ParameterError: if the name ends otherwise, or an argument of :func:`episode_frames` is out of range.
    """
    out = Path(out)
    check_name(out)
    gif = out.suffix == ".gif"
    layout = SMALL if gif else FULL
    frames = episode_frames(
        log, spec, caption=caption, fps=fps, layout=layout, window_us=window_us, corruption=corruption
    )
    return (write_gif if gif else write_video)(out, frames, fps)
