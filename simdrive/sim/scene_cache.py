"""Scenes and light of worlds, kept by content: many cases stand on the same ground."""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from simdrive.sim.lighting import light_row
from simdrive.sim.scene import Scene, build_scene, tunnel_walls
from simdrive.sim.slick_ground import slick_ground
from simdrive.sim.spec import WorldSpec
from simdrive.sim.state import Float

_KEPT_SCENES = 256


class _Ground:
    """What a scene is built from, hashed by content."""

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        total = hashlib.sha256(spec.road.key.encode())
        for group in (spec.walkable, spec.extra_drivable):
            for polygon in group:
                total.update(repr(polygon.shape).encode() + np.ascontiguousarray(polygon).tobytes())
            total.update(b"/")
        if spec.slicks:
            total.update(repr((spec.slicks, spec.ego_route, spec.ego.s_m)).encode())
        self.key = total.hexdigest()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ground) and self.key == other.key


@functools.lru_cache(maxsize=_KEPT_SCENES)
def _scene(ground: _Ground) -> Scene:
    spec = ground.spec
    return build_scene(spec.road, spec.walkable, spec.extra_drivable, slick_ground(spec))


def scene_of(spec: WorldSpec) -> Scene:
    """Return the scene of a world; worlds on equal ground share one.

    Raises:
        ParameterError: if a polygon of the world is malformed.
    """
    return _scene(_Ground(spec))


def light_of(spec: WorldSpec) -> Float:
    """Return the light row ``[LIGHT_COLUMNS]`` of a world, tunnel walls included.

    Raises:
        ParameterError: if its tunnel stands where no road is.
    """
    if np.isnan(spec.lighting.tunnel_start_x_m):
        return light_row(spec.lighting)
    return light_row(spec.lighting, tunnel_walls(scene_of(spec), spec.lighting))
