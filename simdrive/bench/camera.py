"""How fast the camera is beside OpenCV and pygame on the same polygons: ``simdrive bench camera``.

One core, 128 x 224. On our side a frame is everything from the state arrays on: culling, projection, shading, colour
and masks. Theirs is given the finished polygons, as integers and in drawing order, and draws colour alone: a lower bound
of what a renderer built on them needs. All are timed in many short turns. Rates are those of the fastest turn, since
whatever else a machine does only ever slows; ratios are taken per turn, so that a busy machine slows both sides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrive.bench.host import host
from simdrive.bench.stock import make_stock
from simdrive.errors import ParameterError
from simdrive.sim.camera import LOOKS, Frames, SceneState, render
from simdrive.sim.camera_frame import BLINK_PERIOD_US, Scratch, StateArrays, build_draw_list, make_scratch
from simdrive.sim.camera_light import ASPHALT, GRASS, GROUND_COLOURS
from simdrive.sim.camera_view import camera_rows
from simdrive.sim.lanes import lane_heading, lane_position
from simdrive.sim.lighting import light_rows
from simdrive.sim.raster import CODE, OBJECT_ID, ROW_BITS, SIZE
from simdrive.sim.roads import compile_network
from simdrive.sim.scene import Scene, SceneTables, build_scene, join_scenes
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Shape
from simdrive.streams import stream
from simdrive.types import CameraSpec

CAMERA = CameraSpec()
FRAMES = 64  # of one call, one world each
TURN_S = 0.05  # least time of one turn of one side, s
_SIZES = {
    Shape.CAR: (4.6, 1.85, 1.5),
    Shape.TRUCK: (11.0, 2.5, 3.4),
    Shape.PEDESTRIAN: (0.5, 0.5, 1.75),
    Shape.CYCLIST: (1.8, 0.6, 1.75),
}
Draw = Callable[[int], object]
Drawing = tuple[list[npt.NDArray[np.int32]], list[tuple[int, int, int]]]  # polygons and their colours


@dataclass(frozen=True)
class BenchScene:
    """Frames to draw: one map, one world per frame."""

    name: str
    scene: Scene
    tables: SceneTables
    state: SceneState


def bench_camera(repetitions: int = 40) -> dict[str, Any]:
    """Return the bench object: one row per scene and rival.

    Args:
        repetitions: turns per row; the fastest gives the rates, the median the ratio.

    Raises:
        ParameterError: for fewer than one repetition.
    """
    if repetitions < 1:
        raise ParameterError(f"repetitions must be at least 1, got {repetitions}")
    rows: list[dict[str, Any]] = []
    for case in _scenes():
        rows += _rows(case, repetitions)
    values = {row["scene"]: row["value"] for row in rows}
    summary = {
        "frames_per_s": math.exp(sum(map(math.log, values.values())) / len(values)),
        "geomean_ratio": math.exp(sum(math.log(row["ratio"]) for row in rows) / len(rows)),
        "slowest_frames_per_s": min(values.values()),
        "picture": f"{CAMERA.height}x{CAMERA.width} RGB + instance, drivable and lane masks",
        "baseline": "the same polygons, projected beforehand, drawn in colour without masks",
    }
    return {
        "bench": "camera",
        "rows": rows,
        "summary": summary,
        "host": host("numpy", "numba", "pygame-ce", "opencv-python-headless", threads=1),
    }


def _rows(case: BenchScene, repetitions: int) -> list[dict[str, Any]]:
    ours = _ours(case)
    drawings = [_polygons(case, row) for row in range(FRAMES)]
    rivals = {name: make(drawings) for name, make in _RIVALS.items() if _installed(name)}
    polygons = sum(len(polygons) for polygons, _ in drawings) / FRAMES
    for draw in (ours, *rivals.values()):
        draw(0)
    turns = [(_rate(ours), {name: _rate(draw) for name, draw in rivals.items()}) for _ in range(repetitions)]
    value = max(rate for rate, _ in turns)
    return [
        {
            "case": f"{case.name} / {name}",
            "value": value,
            "unit": "frames/s",
            "baseline": max(rates[name] for _, rates in turns),
            "ratio": median(rate / rates[name] for rate, rates in turns),
            "scene": case.name,
            "polygons": polygons,
        }
        for name in rivals
    ]


def _rate(draw: Draw) -> float:
    """Return frames per second of a function that draws frame number ``n`` (or a whole call of ``FRAMES``)."""
    frames, turn = 0, 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < TURN_S:
        frames += int(draw(turn % FRAMES) is _WHOLE_CALL) * (FRAMES - 1) + 1
        turn += 1
    return frames / spent


_WHOLE_CALL = object()


def _ours(case: BenchScene) -> Draw:
    out: Frames = render(case.tables, case.state, [CAMERA])

    def draw(number: int) -> object:
        render(case.tables, case.state, [CAMERA], out=out)
        return _WHOLE_CALL

    return draw


def _polygons(case: BenchScene, row: int) -> Drawing:
    """Project one frame; returns the polygons in drawing order and their colours."""
    work, state, cameras = _memory(case)
    build_draw_list(case.tables, state, row, cameras[0], LOOKS, GROUND_COLOURS, work)
    count = int(work.cursor[0])
    horizon = CAMERA.height // 2
    polygons, colours = [], []
    for place in range(count):
        size, code = int(work.draw[place, SIZE]), int(work.draw[place, CODE])
        corners = work.draw[place, : 2 * size].reshape(-1, 2)
        polygons.append(np.clip(corners, -30_000.0, 30_000.0).astype(np.int32))
        middle = min(max(int(corners[:, 1].mean()), horizon), CAMERA.height - 1)
        colours.append(_colour(work, code, middle))
    return polygons, colours


def _colour(work: Scratch, code: int, row: int) -> tuple[int, int, int]:
    """Return the colour of a polygon; ground takes that of its middle row, shadows one dark grey."""
    number = code if code >= OBJECT_ID else ((int(ASPHALT) if code < 0 else code) << ROW_BITS) | row
    word = int(work.table[number]) & 0xFFFFFF
    shade = 1 if code >= 0 else 2
    return (word & 255) // shade, (word >> 8 & 255) // shade, (word >> 16) // shade


_kept: dict[str, tuple[Scratch, StateArrays, npt.NDArray[np.float64]]] = {}


def _memory(case: BenchScene) -> tuple[Scratch, StateArrays, npt.NDArray[np.float64]]:
    if case.name not in _kept:
        state = StateArrays(**{field.name: getattr(case.state, field.name) for field in fields(SceneState)})
        work = make_scratch(CAMERA.height, CAMERA.width, case.state.present.shape[1], 4096)
        _kept[case.name] = (work, state, camera_rows([CAMERA]))
    return _kept[case.name]


def _opencv(drawings: Sequence[Drawing]) -> Draw:
    import cv2

    cv2.setNumThreads(1)
    horizon = CAMERA.height // 2

    def draw(number: int) -> object:
        polygons, colours = drawings[number]
        picture = np.empty((CAMERA.height, CAMERA.width, 3), np.uint8)
        picture[:horizon], picture[horizon:] = (170, 195, 220), GROUND_COLOURS[GRASS]
        for polygon, colour in zip(polygons, colours, strict=True):
            cv2.fillConvexPoly(picture, polygon, colour)
        return picture

    return draw


def _pygame(drawings: Sequence[Drawing]) -> Draw:
    import pygame

    surface = pygame.Surface((CAMERA.width, CAMERA.height))
    horizon = CAMERA.height // 2
    frames = [([polygon.tolist() for polygon in polygons], colours) for polygons, colours in drawings]
    ground = tuple(int(part) for part in GROUND_COLOURS[GRASS])

    def draw(number: int) -> object:
        polygons, colours = frames[number]
        surface.fill((170, 195, 220), (0, 0, CAMERA.width, horizon))
        surface.fill(ground, (0, horizon, CAMERA.width, CAMERA.height - horizon))
        for polygon, colour in zip(polygons, colours, strict=True):
            pygame.draw.polygon(surface, colour, polygon)
        return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))

    return draw


_RIVALS: dict[str, Callable[[Sequence[Drawing]], Draw]] = {"opencv": _opencv, "pygame": _pygame}


def _installed(name: str) -> bool:
    try:
        __import__({"opencv": "cv2"}.get(name, name))
    except ImportError:
        return False
    return True


def _scenes() -> list[BenchScene]:
    """Return a busy motorway, an intersection with pedestrians and a roundabout with cyclists."""
    return [
        _scene("highway", "highway-v0", ("0", "1", 1), 300.0, {Shape.CAR: 18, Shape.TRUCK: 2}, 180.0),
        _scene("intersection", "intersection-v2", ("o0", "ir0", 0), 75.0, {Shape.CAR: 8, Shape.PEDESTRIAN: 4}, 60.0),
        _scene("roundabout", "roundabout-v1", ("ser", "ses", 0), 10.0, {Shape.CAR: 7, Shape.CYCLIST: 3}, 70.0),
    ]


def _scene(
    name: str, env_id: str, ego_lane: tuple[str, str, int], ego_s_m: float, crowd: dict[Shape, int], reach_m: float
) -> BenchScene:
    """Put the ego on a lane and a crowd on lanes within ``reach_m``, anew for every frame."""
    road_map = compile_network(make_stock(env_id).unwrapped.road.network)
    roads, own = road_map.tables, road_map.row(ego_lane)
    random = stream("bench", f"camera.{name}")
    shapes = [Shape.CAR, *[shape for shape, count in crowd.items() for _ in range(count)]]
    count = len(shapes)
    x, y, heading = (np.zeros((FRAMES, count)) for _ in range(3))
    for frame in range(FRAMES):
        s = ego_s_m + frame % 16
        x[frame, 0], y[frame, 0] = lane_position(roads, own, s, 0.0)
        heading[frame, 0] = lane_heading(roads, own, s)
        for actor in range(1, count):
            while True:
                lane = int(random.integers(len(roads.lane_kind)))
                near = ego_s_m + random.uniform(-30.0, reach_m) if env_id == "highway-v0" else math.nan
                s = near if math.isfinite(near) else random.uniform(0.0, float(roads.lane_length[lane]))
                place = lane_position(roads, lane, s, 0.0)
                if 7.0 < math.dist(place, (x[frame, 0], y[frame, 0])) < reach_m:
                    break
            x[frame, actor], y[frame, actor] = place
            heading[frame, actor] = lane_heading(roads, lane, s)
    scene = build_scene(road_map)
    sizes = np.array([_SIZES[shape] for shape in shapes])
    state = SceneState(
        scene=np.zeros(FRAMES, np.int32),
        t_us=np.arange(FRAMES, dtype=np.int64) * BLINK_PERIOD_US // 5,
        light=light_rows([Lighting()] * FRAMES),
        ego_lane=np.full(FRAMES, own, np.int32),
        present=np.ones((FRAMES, count), np.bool_),
        shape=np.tile(np.array(shapes, np.int8), (FRAMES, 1)),
        x=x,
        y=y,
        heading=heading,
        length=np.tile(sizes[:, 0], (FRAMES, 1)),
        width=np.tile(sizes[:, 1], (FRAMES, 1)),
        height=np.tile(sizes[:, 2], (FRAMES, 1)),
        colour=random.integers(30, 235, (FRAMES, count, 3), dtype=np.uint8),
        brake_light=random.random((FRAMES, count)) < 0.3,
        indicator=random.integers(-1, 2, (FRAMES, count), dtype=np.int8),
    )
    return BenchScene(name, scene, join_scenes([scene]), state)
