"""Recorded traffic: a planning problem of a CommonRoad file, with its traffic replayed or driven by IDM."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.commonroad.read import read_recording
from simdrive.scenarios.commonroad.world import build_world, problems_of
from simdrive.scenarios.parameters import Choice, Parameter
from simdrive.sim.spec import WorldSpec

DATA = Path(__file__).resolve().parent / "commonroad" / "data"
TRAFFIC = ("replay", "reactive")


class Recorded:
    """Recordings of a folder; each is named by its file, and by its planning problem where a file has several.

    Args:
        recordings: SHA-256 of the file behind every recording, so that a case always means the same recording.
        folder: where the files lie; None = those that come with simdrive.

    Raises:
        ParameterError: if there are no recordings.
    """

    name = "recorded"
    description = "Recorded traffic replays its tracks around the ego, or IDM takes over at the first recorded state."
    tags = ("nhtsa:18", "nhtsa:24", "nhtsa:25", "r157:cut-in")
    has_hazard = True

    def __init__(self, recordings: Any, folder: str | None = None) -> None:
        if not isinstance(recordings, Mapping) or not recordings:
            raise ParameterError(f"recordings must map names to SHA-256 sums of files, got {recordings!r}")
        self._sums = {str(name): str(value) for name, value in recordings.items()}
        self._folder = DATA if folder is None else Path(folder)
        self.parameters: Mapping[str, Parameter] = {
            "recording": Choice(tuple(self._sums)),
            "traffic": Choice(TRAFFIC),
        }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case; without its hazard the ego is alone on the road."""
        name = str(params["recording"])
        stem, _, wanted = name.partition(":")
        path = self._folder / f"{stem}.xml"
        recording = read_recording(path)
        if file_sum(path) != self._sums[name]:
            raise ParameterError(f"{path} has changed since it was imported; import it again to drive the new content")
        problems = problems_of(recording)
        chosen = [problem for problem in problems if wanted in ("", str(problem.id))]
        if not chosen:
            raise UnknownNameError(f"planning problem of {path}", wanted, [str(problem.id) for problem in problems])
        reactive = params["traffic"] == "reactive"
        return build_world(recording, chosen[0], rng, reactive=reactive, traffic=hazard).spec


def file_sum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
