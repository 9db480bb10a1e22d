"""``simdrive demo``: what the whole thing does, in a few minutes: a scored run with latency in the loop, and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.compose import compose_config
from simdrive.cli.console import guarded, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress
from simdrive.cli.provenance import provenance
from simdrive.errors import RunFolderError

WORDS = (
    "suite=smoke",
    "agents=[teacher,student_kd,student_kd_int4]",
    "latency=chip",
    "latency.chip=agx_orin_64gb",
    "mode=streaming",
    "workers=2",
    "cases=1",
)
VIDEOS = "worst:3"


@guarded
def demo(
    out: Path = typer.Option(Path("runs/demo"), help="run folder; another version's is left as it is"),
) -> None:
    """Score a teacher and two students at the speed of a Jetson AGX Orin; record the worst three.

    They are charged as InternVL3-8B in 16 bits, InternVL3-1B in 16 bits and the same in 4 bits, and drive one case of each of
    fourteen scenarios, and a free drive.
    """
    from simdrive.cli.evaluate import build_request, summarise
    from simdrive.eval.runner import run
    from simdrive.report.clips import record_clips

    config = compose_config("eval", list(WORDS))
    first_use()
    request = build_request(config, "chip")
    with progress() as shown:
        store = run(
            request, free_folder(request, out), shown, workers=int(config["workers"]), batch=int(config["batch"]),
            provenance=provenance(),
        )  # fmt: skip
        shown.note("recording videos")
        videos = record_clips(store, VIDEOS)
    summarise(store, json=False)
    console = stdout()
    console.print(f"\nrun folder: {store.path.as_posix()}", markup=False)
    for video in videos:
        console.print(f"video: {video.as_posix()}", markup=False)
    console.print("\nthe same by hand: simdrive eval " + " ".join(_quoted(word) for word in WORDS), markup=False)


def free_folder(request: Any, out: Path) -> Path:
    """Return ``out`` if it is empty or holds this very run, else a folder beside it named after the content."""
    from simdrive.eval import folder as layout
    from simdrive.streams import digest

    if layout.is_empty(out):
        return out
    try:
        layout.check_config(out, request.config())
    except RunFolderError:
        return out.with_name(f"{out.name}-{digest(request.config(), 8)}")
    return out


def _quoted(word: str) -> str:
    return f"'{word}'" if {"[", "{"} & set(word) else word
