"""What identifies an episode: a hash of everything that decides its content, source code included."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simdrive.streams import digest
from simdrive.types import Case

# Whatever changes here may change what an episode file holds.
_LOOP = (
    "adopting", "asking", "driving", "ending", "episode", "fast", "foresight", "immediate", "junctions", "observe",
    "pictures", "recorder", "reference", "requests", "rollout", "telling",
)  # fmt: skip
SOURCES = (
    "corrupt", "sim", "scenarios", "agents", "latency", "metrics", "configs/metric", "geometry.py", "streams.py",
    *(f"eval/{name}.py" for name in _LOOP),
)  # fmt: skip


def _files(root: Path, entry: str) -> list[tuple[str, Path]]:
    """Return the files of one entry with the names they are hashed under."""
    path = root / entry
    if not path.exists():
        path = root.parent / entry  # content folders of a checkout without symbolic links
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix in (".py", ".yaml"))
        return [(f"{entry}/{file.relative_to(path).as_posix()}", file) for file in found]
    return [(entry, path)] if path.is_file() else []


@functools.cache
def source_hash() -> str:
    """Return a hash of the sources that decide the content of an episode, 16 hex digits.

    Taken once per process: what was imported does not change afterwards.
    """
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for entry in SOURCES:
        for name, file in _files(root, entry):
            total.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def episode_key(
    case: Case,
    agent: Mapping[str, Any],
    latency: Mapping[str, Any],
    camera: str = "",
    corruption: str = "",
    sources: str | None = None,
) -> str:
    """Return the key of an episode, 20 hex digits.

    Args:
        case: the case that is driven.
        agent: the resolved agent; a model's mapping holds its weight hash.
        latency: the resolved latency setting (source, mode, waiting policy, safety brake).
        camera: name of a camera set that replaces what the agent asks for, empty for none.
        corruption: canonical JSON of the corruption of the pictures, empty for none.
        sources: hash of the sources, by default :func:`source_hash`.
    """
    return digest(
        {
            "case": {"scenario": case.scenario, "params": dict(case.params), "seed": case.seed},
            "agent": dict(agent),
            "latency": dict(latency),
            "camera": camera,
            "corruption": corruption,
            "sources": source_hash() if sources is None else sources,
        },
        length=20,
    )
