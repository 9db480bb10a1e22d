"""A corruption as an agent meets it: an effect, how bad, which cameras, and when on the world clock."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.build import locate
from simdrive.corrupt.draws import Draws, Effect
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import Bytes, CameraSpec, Float, Long

GROUPS = ("weather", "external", "sensor", "motion", "transmission")


@dataclass(frozen=True)
class Corruption:
    """One effect on the pictures of some cameras during a window of world time.

    Attributes:
        effect: dotted path of a function ``(frames [K, H, W, 3], severity, K draws) -> frames``.
        group: what kind of fault it is, one of ``GROUPS``.
        severity: 1 to 5.
        onset_s: world time of the first corrupted frame (the episode starts at 0).
        duration_s: how long it lasts; None = to the end. A frame at ``onset_s + duration_s`` is clean.
        fade_in_s, fade_out_s: at either end of the window the picture goes over linearly.
        cameras: names of the cameras it is on; None = all.
        description: for lists.
    """

    effect: str
    group: str
    severity: int
    onset_s: float = 0.0
    duration_s: float | None = None
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    cameras: Sequence[str] | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ParameterError, UnknownNameError: naming the field, what was given and what is allowed.
        """
        if self.group not in GROUPS:
            raise UnknownNameError("corruption group", str(self.group), GROUPS)
        _check_severity(self.severity)
        for name in ("onset_s", "fade_in_s", "fade_out_s"):
            _check_seconds(name, getattr(self, name), "at least 0", zero=True)
        if self.duration_s is not None:
            _check_seconds("duration_s", self.duration_s, "above 0, or null for the rest of the episode", zero=False)
        self._check_fades()
        names = self.cameras
        if names is not None and (
            isinstance(names, str) or not names or not all(isinstance(name, str) for name in names)
        ):
            raise ParameterError(f"corruption.cameras must be a list of camera names, or null for all, got {names!r}")
        if not callable(locate(self.effect)):
            raise ParameterError(f"corruption effect {self.effect!r} is no function")

    def _check_fades(self) -> None:
        if self.duration_s is None:
            if self.fade_out_s > 0.0:
                raise ParameterError("corruption.fade_out_s needs an end: give corruption.duration_s as well")
        elif self.fade_in_s + self.fade_out_s > self.duration_s + 1e-9:
            raise ParameterError(
                f"corruption.fade_in_s + fade_out_s must fit into duration_s, got {self.fade_in_s:g} + "
                f"{self.fade_out_s:g} > {self.duration_s:g}"
            )

    def weight(self, t_us: Long) -> Float:
        """Return how much of the corruption is there at world times [M], 0 = clean, 1 = all."""
        onset, rise, fall = (round(s * 1e6) for s in (self.onset_s, self.fade_in_s, self.fade_out_s))
        weight = (t_us >= onset).astype(np.float64)
        if rise:
            weight *= np.clip((t_us - onset) / rise, 0.0, 1.0)
        if self.duration_s is not None:
            end = onset + round(self.duration_s * 1e6)
            weight *= np.clip((end - t_us) / fall, 0.0, 1.0) if fall else t_us < end
        return weight

    def places(self, cameras: Sequence[CameraSpec]) -> list[int]:
        """Return the places of the affected cameras in a rig.

        Raises:
            UnknownNameError: if a camera is named that the rig lacks.
        """
        names = [camera.name for camera in cameras]
        for name in self.cameras or ():
            if name not in names:
                raise UnknownNameError("camera in corruption.cameras", name, names)
        return [place for place, name in enumerate(names) if self.cameras is None or name in self.cameras]

    def applied(
        self, pictures: Bytes, case_keys: Sequence[str], steps: Long, t_us: Long, cameras: Sequence[CameraSpec]
    ) -> Bytes:
        """Return pictures with the corruption on them; what is clean is passed on as it is.

        Args:
            pictures: ``[M, C, H, W, 3]``, left as they are.
            case_keys: episode of each of the M.
            steps: ``[M]`` number of the frame in its episode.
            t_us: ``[M]`` its world time.
            cameras: the C cameras.
        """
        affected = self.places(cameras)
        weights = self.weight(t_us)
        rows = np.flatnonzero(weights > 0.0)
        if not len(rows) or not affected:
            return pictures
        effect, name = _effect(self.effect), self.effect.rpartition(".")[2]
        out = pictures.copy()
        for order, place in enumerate(affected):
            camera = cameras[place].name
            draws = [
                Draws(case_keys[row], name, camera, order, len(affected), int(steps[row])) for row in rows.tolist()
            ]
            clean = pictures[rows, place]
            out[rows, place] = faded(clean, effect(clean, self.severity, draws), weights[rows])
        return out


def faded(clean: Bytes, corrupt: Bytes, weights: Float) -> Bytes:
    """Return ``clean + weight (corrupt - clean)``, rounded; frames [K, ...], weights [K] from 0 to 1."""
    partly = np.flatnonzero(weights < 1.0)
    if not len(partly):
        return corrupt
    out = corrupt.copy()
    share = weights[partly].astype(np.float32).reshape(-1, *[1] * (clean.ndim - 1))
    base = clean[partly].astype(np.float32)
    out[partly] = np.rint(base + share * (corrupt[partly].astype(np.float32) - base)).astype(np.uint8)
    return out


@functools.cache
def _effect(path: str) -> Effect:
    found: Effect = locate(path)
    return found


def _check_severity(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise ParameterError(f"corruption.severity must be a whole number from 1 to 5, got {value!r}")


def _check_seconds(name: str, value: object, allowed: str, *, zero: bool) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and not zero):  # type: ignore[operator]
        raise ParameterError(f"corruption.{name} must be seconds {allowed}, got {value!r}")
