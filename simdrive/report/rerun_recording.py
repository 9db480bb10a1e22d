"""Episodes as a Rerun recording for deep review: everybody as boxes, path and plan, readings, and what models said."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.errors import SimdriveError
from simdrive.eval.files import write_atomically
from simdrive.eval.store import RunStore
from simdrive.report.hud import BAD, GOOD, HAZARD, INK, Colour, outcome, outcome_note
from simdrive.report.overlay import plan_ahead, route_points
from simdrive.report.replay import ttc_rows
from simdrive.scenarios.sampling import build_case
from simdrive.sim.birdseye import GROUND
from simdrive.sim.camera_light import OWN_LANE
from simdrive.sim.scene_cache import scene_of
from simdrive.sim.spec import WorldSpec
from simdrive.types import EpisodeLog, Float, RequestStatus

CLOCK = "simulated_time"
APPLICATION = "simdrive"
_ROUTE: Colour = (180, 180, 190)


def need_rerun() -> Any:
    """Return the package of the extra ``rerun``.

    Raises:
        SimdriveError: if it is not installed; says how to get it.
    """
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise SimdriveError("rerun is not installed: pip install -c constraints.txt 'simdrive[rerun]'") from error


def write_rerun(store: RunStore, keys: Sequence[str], out: Path) -> int:
    """Write episodes as one ``.rrd`` recording; return how many.

    All run on one simulated clock. The world is the simulator's: x ahead at heading 0, y to the right, so z is down.
    Ground and route are shared by the episodes of a case; each episode has a branch of its own.

    Raises:
        SimdriveError: if Rerun is not installed.
        StorageError: if the file cannot be written.
    """
    rr = need_rerun()
    out.parent.mkdir(parents=True, exist_ok=True)
    agents = store.plan.set_index("key")["agent"]

    def write(temporary: Path) -> None:
        stream = rr.RecordingStream(APPLICATION, recording_id=f"{APPLICATION}-{keys[0]}")
        stream.save(temporary)
        for key in keys:
            log = store.load_log(key)
            if len(log.t_us):
                case = f"{log.case.scenario}-{log.case.key[:8]}"
                _write_episode(rr, stream, log, case, f"{agents[key]}-{key[:8]}")
        stream.flush()
        stream.disconnect()

    write_atomically(out, write)
    return len(keys)


def _write_episode(rr: Any, stream: Any, log: EpisodeLog, case: str, driver: str) -> None:
    spec = build_case(log.case)
    world = [case, "world"]
    stream.log([case], rr.ViewCoordinates.FRD, static=True)
    _write_ground(rr, stream, world, spec)
    own = [*world, driver]
    path = np.stack([log.x[:, 0], log.y[:, 0], np.full(len(log.t_us), -0.05)], axis=1)
    stream.log([*own, "path"], rr.LineStrips3D([path], colors=[INK], radii=0.1), static=True)
    ttc = ttc_rows(log)
    for row, t_us in enumerate(log.t_us.tolist()):
        stream.set_time(CLOCK, duration=t_us / 1e6)
        stream.log([*own, "actors"], _boxes(rr, log, row))
        way = plan_ahead(log, row)
        strips = [_raised(way, 0.1)] if len(way) else []
        stream.log([*own, "plan"], rr.LineStrips3D(strips, colors=[GOOD] * len(strips), radii=0.15))
        for name, value in _readings(log, row, float(ttc[row])).items():
            stream.log([case, "readings", driver, name], rr.Scalars(value))
    for t_us, level, words in messages(log):
        stream.set_time(CLOCK, duration=t_us / 1e6)
        stream.log([case, "log", driver], rr.TextLog(words, level=level))


def _write_ground(rr: Any, stream: Any, world: list[str], spec: WorldSpec) -> None:
    """Log road and route; every episode of a case logs the same, and static data counts once."""
    tables = scene_of(spec).tables
    shown = ~np.isin(tables.materials, OWN_LANE)
    quads, materials = tables.quads[shown], tables.materials[shown]
    layers = np.array([list(GROUND).index(kind) for kind in materials.tolist()])
    below_m = 0.01 * (len(GROUND) - 1 - layers)  # marks over asphalt over shoulders, a centimetre each
    corners = np.concatenate([quads, np.broadcast_to(below_m[:, None, None], (*quads.shape[:2], 1))], axis=2)
    halves = np.array([[0, 1, 2], [0, 2, 3]])  # of a quad
    triangles = (4 * np.arange(len(quads))[:, None, None] + halves).reshape(-1, 3)
    colours = np.repeat([GROUND[kind] for kind in materials.tolist()], 4, axis=0).astype(np.uint8)
    mesh = rr.Mesh3D(vertex_positions=corners.reshape(-1, 3), triangle_indices=triangles, vertex_colors=colours)
    stream.log([*world, "ground"], mesh, static=True)
    route = rr.LineStrips3D([_raised(route_points(spec), 0.05)], colors=[_ROUTE], radii=0.05)
    stream.log([*world, "route"], route, static=True)


def _raised(points: Float, by_m: float) -> Float:
    """Return points ``[n, 2]`` a little over the ground (z is down)."""
    return np.concatenate([points, np.full((len(points), 1), -by_m)], axis=1)


def _boxes(rr: Any, log: EpisodeLog, row: int) -> Any:
    """Return who is there as boxes: the ego white, hazards in their colour, who is out of sight pale."""
    who = np.flatnonzero(log.present[row])
    table = log.actors
    half = 0.5 * np.stack([table.length[who], table.width[who], table.height[who]], axis=1)
    centres = np.stack([log.x[row, who], log.y[row, who], -half[:, 2]], axis=1)
    turns = 0.5 * log.heading[row, who]
    zero = np.zeros(len(who))
    return rr.Boxes3D(
        half_sizes=half,
        centers=centres,
        quaternions=np.stack([zero, zero, np.sin(turns), np.cos(turns)], axis=1),
        colors=[_colour(log, row, int(actor)) for actor in who],
        labels=[table.name[int(actor)] for actor in who],
        show_labels=False,
    )


def _colour(log: EpisodeLog, row: int, actor: int) -> tuple[int, ...]:
    struck = log.contact is not None and int(log.t_us[row]) >= log.contact.t_us and actor in (0, log.contact.actor)
    if struck:
        return (*BAD, 255)
    if actor == 0:
        return (*INK, 255)
    seen = 255 if log.visible[row, actor] else 90
    if log.actors.is_hazard[actor]:
        return (*HAZARD, seen)
    return (*(int(part) for part in log.actors.colour[actor]), seen)


def _readings(log: EpisodeLog, row: int, ttc_s: float) -> dict[str, float]:
    found = {
        "speed_mps": float(log.speed[row, 0]),
        "acceleration_mps2": float(log.acceleration[row, 0]),
        "steering_rad": float(log.steering[row]),
    }
    if math.isfinite(ttc_s):
        found["time_to_collision_s"] = ttc_s
    if log.plan_age_us[row] >= 0:
        found["plan_age_s"] = int(log.plan_age_us[row]) / 1e6
    return found


def messages(log: EpisodeLog) -> list[tuple[int, str, str]]:
    """Return what happened as time (us), level and words, in order: requests with their text, hazard, outcome."""
    requests = log.requests
    end_us = int(log.t_us[-1])
    found = [(end_us, "INFO" if log.contact is None else "ERROR", f"{outcome(log)} ({outcome_note(log)})")]
    if log.hazard_us >= 0:
        found.append((log.hazard_us, "WARN", "hazard in sight"))
    for k, text in enumerate(requests.text):
        status = RequestStatus(int(requests.status[k])).name.lower()
        seen, finished, used = (int(a[k]) for a in (requests.t_obs_us, requests.t_finish_us, requests.t_actuate_us))
        when = finished if finished >= 0 else seen
        words = f"request {k} on the frame of {seen / 1e6:.2f} s: {status}"
        words += f", in use from {used / 1e6:.2f} s" if used >= 0 else ""
        level = "INFO" if status in ("ok", "unfinished") else "WARN"
        found.append((when, level, f"{words}\n{text}" if text else words))
    return sorted(found, key=lambda entry: entry[0])
