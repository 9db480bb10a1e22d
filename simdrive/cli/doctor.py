"""``simdrive doctor``: what this machine has, what is missing, and the line that installs it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import typer

from simdrive.cli.console import guarded, print_json, stdout

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` is a command where something is missing."""

    name: str
    state: Literal["ok", "absent", "broken"]  # absent: simdrive works without it
    detail: str
    remedy: str = ""


@guarded
def doctor(json: bool = typer.Option(False, "--json", help="print one JSON object as the last line")) -> None:
    """Look at versions, GPU, ffmpeg, browser, kernels and the models that come with simdrive.

    Exit code 1 if something is broken that simdrive cannot do without.
    """
    findings = [*_machine(), *_packages(), *_extras(), _gpu(), _ffmpeg(), _browser(), _kernels(), *_zoo()]
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        _table(findings)
    raise typer.Exit(1 if any(finding.state == "broken" for finding in findings) else 0)


def _machine() -> Iterator[Finding]:
    import simdrive

    yield Finding("simdrive", "ok", f"{simdrive.__version__}, {Path(simdrive.__file__).resolve().parent.as_posix()}")
    good = sys.version_info >= (3, 11)
    yield Finding(
        "python", "ok" if good else "broken", platform.python_version(), "" if good else "install Python 3.11"
    )
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding(
        "machine", "ok", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {free:.0f} GB free here"
    )


def _packages() -> Iterator[Finding]:
    """Look at what simdrive requires, versions included."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("simdrive") or ()]
    except PackageNotFoundError:
        yield Finding("packages", "broken", "simdrive is not installed", "pip install -e .")
        return
    for need in wanted:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        yield _package(need.name, str(need.specifier), "broken", f"pip install '{need.name}{need.specifier}'")


def _package(name: str, wanted: str, missing: Literal["absent", "broken"], remedy: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, missing, "not installed", remedy)
    if not SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding(name, missing, f"{found}, needed: {wanted}", remedy)
    return Finding(name, "ok", found)


def _extras() -> Iterator[Finding]:
    for name in ("torch", "transformers", "safetensors"):
        yield _package(name, "", "absent", "pip install 'simdrive[models]'")
    yield _package("rerun-sdk", ">=0.41", "absent", "pip install 'simdrive[rerun]'")
    for name in ("ray", "submitit"):
        yield _package(name, "", "absent", f"pip install 'simdrive[{name}]'")


def _gpu() -> Finding:
    try:
        from simdrive.models.hardware import gpu
    except ImportError:
        return Finding("GPU", "absent", "no torch to ask", "pip install 'simdrive[models]'")
    found, told = gpu()
    remedy = "" if found else "install the CUDA build of torch if this machine has a GPU"
    return Finding("GPU", "ok" if found else "absent", told, remedy)


def _ffmpeg() -> Finding:
    remedy = "pip install --force-reinstall imageio-ffmpeg"
    try:
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
        told = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=60)  # noqa: S603
    except (ImportError, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return Finding("ffmpeg", "broken", f"cannot be run ({error})", remedy)
    if "libx264" not in told.stdout:
        return Finding("ffmpeg", "broken", f"{program} has no libx264, which videos need", remedy)
    return Finding("ffmpeg", "ok", f"{imageio_ffmpeg.get_ffmpeg_version()} with libx264")


def _browser() -> Finding:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        return Finding("browser", "absent", "no Chromium; only the browser tests need one", "apt-get install chromium")
    return Finding("browser", "ok", found)


def _kernels() -> Finding:
    from simdrive.jit import warm_mark

    mark = warm_mark()
    if mark is None:
        return Finding("kernels", "ok", "cached where NUMBA_CACHE_DIR says")
    if mark.is_file():
        return Finding("kernels", "ok", f"compiled, in {mark.parent.as_posix()}")
    return Finding(
        "kernels",
        "absent",
        "not compiled for these sources; the first run does it, for minutes",
        "python -m simdrive.cli.warm",
    )


def _zoo() -> Iterator[Finding]:
    """Compare the weights of the models that come along with what their cards say."""
    from simdrive.models.where import ZOO_ROOT
    from simdrive.models.zoo import zoo

    entries = [entry.row() for entry in zoo(ZOO_ROOT)]
    if not entries:
        yield Finding("zoo", "absent", "no models come with this copy of simdrive", "simdrive train --help")
    for row in entries:
        good = row["state"] == "ok"
        yield Finding(f"zoo {row['name']}", "ok" if good else "broken", str(row["weight_hash"])[:16] if good else str(row["state"]),
                      "" if good else "git checkout -- simdrive/models/zoo")  # fmt: skip


def _table(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    colours = {"ok": "green", "absent": "yellow", "broken": "red"}
    for finding in findings:
        told = finding.detail + (f"  ->  {finding.remedy}" if finding.remedy else "")
        table.add_row(Text(finding.name), Text(finding.state, colours[finding.state]), Text(told))
    stdout().print(table)
