"""What stands still in a picture, compiled once per map: ground polygons with what culls them quickly.

A ``Scene`` belongs to one map and its extra polygons; ``SceneTables`` concatenates the scenes of a batch, so that
worlds of one call may stand on different maps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.sim.camera_light import ASPHALT, EGO_LANE, EGO_SLICK, MARK, PAVEMENT, SHOULDER, SLICK
from simdrive.sim.drivable import pack_polygons
from simdrive.sim.roads import RoadMap
from simdrive.sim.scene_parts import SHOULDER_M, mark_quads, stack_quads, surface_quads, surfaces, triangles
from simdrive.sim.slick_ground import SlickGround
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Float, Int, RoadTables, Small

LAYERS = (PAVEMENT, SHOULDER, ASPHALT, MARK)  # drawn in this order; the ego's lane goes between the last two
MARK_LAYER = 3
_CLUSTER = 16  # quads that are culled together
_TUNNEL_MARGIN_M = 1.0


class SceneTables(NamedTuple):
    """Ground quads of S scenes, concatenated."""

    quads: Float  # [K, 4, 2] world frame, m
    circles: Float  # [K, 3] x, y, radius around each quad
    materials: Small  # [K]
    cluster_circles: Float  # [Q, 3] around consecutive quads
    cluster_quads: Int  # [Q + 1] first quad of each cluster
    layer_clusters: Int  # [S, len(LAYERS) + 1] first cluster of each layer
    lane_quads: Int  # [sum of (lanes + 1)] first ego-lane quad of each lane
    lane_rows: Int  # [S + 1] first entry of each scene in lane_quads


@dataclass(frozen=True)
class Scene:
    """The static ground of one map."""

    key: str  # content hash
    roads: RoadTables
    tables: SceneTables  # this scene alone
    drivable_points: Float  # extra drivable polygons as simdrive.sim.drivable takes them
    drivable_starts: Int
    bounds: tuple[float, float, float, float]  # x from, y from, x to, y to of the asphalt, m

    @property
    def lanes(self) -> int:
        """Number of lanes of the map."""
        return len(self.roads.lane_kind)


def build_scene(
    road_map: RoadMap,
    walkable: Sequence[npt.NDArray[np.float64]] = (),
    extra_drivable: Sequence[npt.NDArray[np.float64]] = (),
    slick: SlickGround | None = None,
) -> Scene:
    """Compile the ground of a map.

    Args:
        road_map: the lanes.
        walkable: simple polygons ``[n, 2]`` drawn as pavement, world frame, m.
        extra_drivable: simple polygons that are asphalt beside the lanes (junction areas).
        slick: slick ground on the lanes.

    Raises:
        ParameterError: if a polygon is malformed or crosses itself.
    """
    roads = road_map.tables
    pack_polygons(walkable)  # refuses malformed polygons
    points, starts = pack_polygons(extra_drivable)
    slick = slick or SlickGround(stack_quads([]), (stack_quads([]),) * len(roads.lane_kind))
    groups = list(surfaces(roads))
    asphalt = [surface_quads(roads, first, last, 0.0) for first, last in groups]
    layers = [
        stack_quads([triangles(polygon) for polygon in walkable]),
        stack_quads([surface_quads(roads, first, last, SHOULDER_M) for first, last in groups]),
        stack_quads([*asphalt, *[triangles(polygon) for polygon in extra_drivable], slick.ground]),
        stack_quads([mark_quads(roads, lane) for lane in range(len(roads.lane_kind))]),
    ]
    own_lanes = [
        stack_quads([surface_quads(roads, lane, lane, 0.0), slick.lanes[lane]]) for lane in range(len(roads.lane_kind))
    ]
    tables = _tables(layers, own_lanes, slick)
    total = hashlib.sha256(road_map.key.encode())
    for quads in layers:
        total.update(repr(quads.shape).encode() + np.ascontiguousarray(quads).tobytes())
    if len(slick.ground):
        total.update(repr([len(quads) for quads in slick]).encode())
    low, high = layers[2].min(axis=(0, 1)), layers[2].max(axis=(0, 1))
    bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Scene(total.hexdigest()[:16], roads, tables, points, starts, bounds)


def _tables(layers: Sequence[Float], own_lanes: Sequence[Float], slick: SlickGround) -> SceneTables:
    quads = np.concatenate([*layers, *own_lanes])
    counts = [len(layer) for layer in layers]
    materials = np.repeat([*LAYERS, EGO_LANE], [*counts, len(quads) - sum(counts)]).astype(np.int8)
    cluster_quads: list[int] = []
    layer_clusters = [0]
    begin = 0
    for count in counts:
        cluster_quads += range(begin, begin + count, _CLUSTER)
        layer_clusters.append(len(cluster_quads))
        begin += count
    ends = [*cluster_quads[1:], begin] if cluster_quads else []
    clusters = [_circle(quads[a:b].reshape(-1, 2)) for a, b in zip(cluster_quads, ends, strict=True)]
    lane_quads = begin + np.concatenate([[0], np.cumsum([len(lane) for lane in own_lanes])])
    # Slick ground lies over the asphalt: last of its layer, and last of every lane.
    asphalt_end = begin - counts[MARK_LAYER]
    materials[asphalt_end - len(slick.ground) : asphalt_end] = SLICK
    for last, part in zip(lane_quads[1:], slick.lanes, strict=True):
        materials[last - len(part) : last] = EGO_SLICK
    return SceneTables(
        quads=quads,
        circles=np.array([_circle(quad) for quad in quads]).reshape(-1, 3),
        materials=materials,
        cluster_circles=np.array(clusters).reshape(-1, 3),
        cluster_quads=np.array([*cluster_quads, begin], np.int32),
        layer_clusters=np.array([layer_clusters], np.int32),
        lane_quads=lane_quads.astype(np.int32),
        lane_rows=np.array([0, len(lane_quads)], np.int32),
    )


def _circle(points: Float) -> tuple[float, float, float]:
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return float(centre[0]), float(centre[1]), float(np.hypot(*(points - centre).T).max())


def join_scenes(scenes: Sequence[Scene]) -> SceneTables:
    """Concatenate scenes; row i of a frame request names scene i of this sequence.

    Raises:
        ParameterError: if no scene is given.
    """
    if not scenes:
        raise ParameterError("no scene was given; a picture needs at least one")
    parts = [scene.tables for scene in scenes]
    quads = np.cumsum([0] + [len(part.quads) for part in parts])
    clusters = np.cumsum([0] + [len(part.cluster_circles) for part in parts])
    lanes = np.cumsum([0] + [len(part.lane_quads) for part in parts])
    # A cluster ends where the next begins; the last of a scene must not run into that scene's ego-lane quads, so
    # every scene keeps its closing entry as an empty cluster.
    shifted = [part.cluster_quads + quads[number] for number, part in enumerate(parts)]
    empty = np.full((1, 3), np.nan)
    circles = [np.concatenate([part.cluster_circles, empty]) for part in parts]
    layers = [part.layer_clusters + clusters[number] + number for number, part in enumerate(parts)]
    lane_quads = [part.lane_quads + quads[number] for number, part in enumerate(parts)]
    return SceneTables(
        quads=np.concatenate([part.quads for part in parts]),
        circles=np.concatenate([part.circles for part in parts]),
        materials=np.concatenate([part.materials for part in parts]),
        cluster_circles=np.concatenate(circles),
        cluster_quads=np.concatenate([*shifted, quads[-1:]]).astype(np.int32),
        layer_clusters=np.concatenate(layers).astype(np.int32),
        lane_quads=np.concatenate(lane_quads).astype(np.int32),
        lane_rows=lanes.astype(np.int32),
    )


def tunnel_walls(scene: Scene, lighting: Lighting) -> tuple[float, float]:
    """Return the world y of the left and right wall of a world's tunnel, (NaN, NaN) without one.

    Raises:
        ParameterError: if the tunnel stands where no road is.
    """
    start, end = lighting.tunnel_start_x_m, lighting.tunnel_end_x_m
    if math.isnan(start):
        return math.nan, math.nan
    tables = scene.tables
    asphalt = tables.quads[tables.materials == ASPHALT]
    inside = (asphalt[:, :, 0].max(axis=1) > start) & (asphalt[:, :, 0].min(axis=1) < end)
    if not inside.any():
        raise ParameterError(f"the tunnel from x = {start} to {end} m covers no road; move it onto one")
    y = asphalt[inside][:, :, 1]
    return float(y.min()) - _TUNNEL_MARGIN_M, float(y.max()) + _TUNNEL_MARGIN_M
