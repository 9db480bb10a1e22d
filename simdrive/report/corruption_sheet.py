"""The contact sheet of corruptions: one frame of one case, every corruption at some severities, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from simdrive.build import build, config_names
from simdrive.corrupt.corruption import GROUPS, Corruption
from simdrive.errors import ParameterError
from simdrive.eval.files import write_atomically
from simdrive.report.hud import font
from simdrive.scenarios.sampling import build_case
from simdrive.sim.camera import render, state_from_log
from simdrive.sim.scene_cache import scene_of
from simdrive.types import Bytes, CameraSpec, EpisodeLog

_LABEL_PX, _GAP_PX, _TILE_PX = 96, 2, 256
_FORMATS = {".png": {}, ".jpg": {"quality": 82, "optimize": True}, ".jpeg": {"quality": 82, "optimize": True}}


def corruptions_by_group() -> list[tuple[str, Corruption]]:
    """Return all corruptions with their names, group by group."""
    built = [(name, build("corruption", name)) for name in config_names("corruption")]
    return sorted(built, key=lambda entry: (GROUPS.index(entry[1].group), entry[0]))


def camera_frame(log: EpisodeLog, camera: CameraSpec, t_s: float | None = None) -> tuple[Bytes, int]:
    """Return what a camera sees ``[H, W, 3]`` at a time of an episode, and the row of the log.

    Args:
        log: the episode.
        camera: who looks.
        t_s: when; None = a second after the hazard comes into sight, or the middle of an episode without one.
    """
    default = int(log.t_us[-1]) // 2 if log.hazard_us < 0 else log.hazard_us + 1_000_000
    at = default if t_s is None else round(t_s * 1e6)
    row = int(np.clip(np.searchsorted(log.t_us, at, side="right") - 1, 0, len(log.t_us) - 1))
    scene = scene_of(build_case(log.case))
    picture: Bytes = render([scene], state_from_log(log, scene, [row]), [camera], labels=False).rgb[0, 0]
    return picture, row


def contact_sheet(
    frame: Bytes, case_key: str, step: int, camera: CameraSpec, severities: Sequence[int], columns: int = 1
) -> Image.Image:
    """Return the sheet: per corruption the clean frame and one tile per severity; dead and lost frames included.

    Args:
        frame: ``[H, W, 3]`` clean.
        case_key, step: of the frame, for the draws.
        camera: that it was seen through.
        severities: each 1 to 5.
        columns: blocks side by side.

    Raises:
        ParameterError: if a severity is out of range or there is none.
    """
    if not severities:
        raise ParameterError("a contact sheet needs at least one severity, 1 to 5")
    entries = [
        (name, _tiles(frame, corruption, case_key, step, camera, severities))
        for name, corruption in corruptions_by_group()
    ]
    height = round(_TILE_PX * frame.shape[0] / frame.shape[1])
    down = -(-len(entries) // columns)
    block = _LABEL_PX + (len(severities) + 1) * (_TILE_PX + _GAP_PX)
    head = 20
    sheet = Image.new("RGB", (block * columns, head + down * (height + _GAP_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, tiles) in enumerate(entries):
        left, top = block * (number // down), head + number % down * (height + _GAP_PX)
        draw.text((left + 4, top + height // 2 - 7), name, fill="black", font=font(11))
        for place, tile in enumerate([frame, *tiles]):
            x = left + _LABEL_PX + place * (_TILE_PX + _GAP_PX)
            sheet.paste(Image.fromarray(tile).resize((_TILE_PX, height), Image.Resampling.LANCZOS), (x, top))
            title = "clean" if place == 0 else f"severity {severities[place - 1]}"
            if number % down == 0:
                draw.text((x + 4, 3), title, fill="black", font=font(11))
    return sheet


def _tiles(
    frame: Bytes, corruption: Corruption, case_key: str, step: int, camera: CameraSpec, severities: Sequence[int]
) -> list[Bytes]:
    t_us = np.zeros(1, np.int64)
    return [
        replace(corruption, severity=severity).applied(
            frame[None, None], [case_key], np.array([step]), t_us, [camera]
        )[0, 0]
        for severity in severities
    ]  # fmt: skip


def write_sheet(path: Path, sheet: Image.Image) -> None:
    """Write a sheet as .png or .jpg.

    Raises:
        ParameterError: if the name ends otherwise.
    """
    check_sheet_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    write_atomically(path, lambda temporary: sheet.save(temporary, format=kind, **_FORMATS[path.suffix]))


def check_sheet_name(path: Path) -> None:
    """Refuse a name that no picture can have.

    Raises:
        ParameterError: if it ends neither in .png nor in .jpg.
    """
    if path.suffix not in _FORMATS:
        raise ParameterError(f"a contact sheet is a .png or .jpg, got {path.as_posix()!r}")
