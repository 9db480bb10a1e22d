"""``simdrive corrupt``: the contact sheet of all corruptions on one frame."""

from __future__ import annotations

from pathlib import Path

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.errors import ParameterError


@guarded
def corrupt(
    scenario: str = typer.Option("cut_in", help="name under configs/scenario"),
    seed: int = typer.Option(3, min=0, help="draws the parameters of the case"),
    at: float = typer.Option(None, min=0.0, help="world time in s; default: a second after the hazard is in sight"),
    size: str = typer.Option("256x64", help="pixels of the camera, WIDTHxHEIGHT"),
    fov: float = typer.Option(70.0, min=10.0, max=150.0, help="horizontal field of view, degrees"),
    severities: str = typer.Option("1,3,5", help="1 to 5, comma between"),
    columns: int = typer.Option(1, min=1, max=3, help="blocks side by side"),
    out: Path = typer.Option(Path("runs/corruptions.png"), help=".png or .jpg"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Draw every corruption at several severities on one frame of a case; 'simdrive ls corruptions' lists them."""
    from simdrive.cli.first_use import first_use
    from simdrive.eval.reference import reference_drives
    from simdrive.report.corruption_sheet import camera_frame, check_sheet_name, contact_sheet, write_sheet
    from simdrive.scenarios.sampling import sample_cases
    from simdrive.types import CameraSpec

    check_sheet_name(out)
    width, height = _size(size)
    levels = _levels(severities)
    case = sample_cases(scenario, 1, seed, {}, True)[0]
    first_use()
    _, log = reference_drives([case])[0]
    camera = CameraSpec(width=width, height=height, horizontal_fov_deg=fov, supersample=2)
    frame, row = camera_frame(log, camera, at)
    write_sheet(out, contact_sheet(frame, case.key, row, camera, levels, columns))
    if json:
        print_json({"sheet": out.as_posix(), "scenario": scenario, "seed": seed, "t_s": int(log.t_us[row]) * 1e-6})
        return
    stdout().print(out.as_posix(), markup=False)


def _size(text: str) -> tuple[int, int]:
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdigit() and 16 <= int(part) <= 4096 for part in parts):
        raise ParameterError(f"size must be WIDTHxHEIGHT in pixels from 16 to 4096, such as 256x64, got {text!r}")
    return int(parts[0]), int(parts[1])


def _levels(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and 1 <= int(part) <= 5 for part in parts):
        raise ParameterError(f"severities must be whole numbers from 1 to 5 with commas between, got {text!r}")
    return [int(part) for part in parts]
