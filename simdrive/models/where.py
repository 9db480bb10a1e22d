"""Where models lie and what vouches for their weights; imports no torch, so that run keys can be made anywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from simdrive.errors import UnknownNameError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"  # of weights in several files
ZOO_ROOT = Path(__file__).resolve().parent / "zoo"


def zoo_names() -> tuple[str, ...]:
    """Return the names of the models that come with simdrive."""
    return tuple(sorted(path.parent.name for path in ZOO_ROOT.glob("*/config.json")))


def find_model(name: str) -> Path:
    """Return the folder of a model: a path, or the name of one that comes with simdrive.

    Raises:
        UnknownNameError: if there is neither such a folder nor such a name.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if (ZOO_ROOT / name).is_dir():
        return ZOO_ROOT / name
    raise UnknownNameError("model (no folder of that path, no name of the zoo)", name, zoo_names())


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a folder: one, or those that an index names."""
    index = folder / INDEX
    if index.is_file() and not (folder / WEIGHTS).is_file():
        named = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
        return [folder / name for name in sorted(set(named.values()))]
    return [folder / WEIGHTS]


def weight_hash(folder: Path | str) -> str:
    """Return the SHA-256 of a folder's weights, hexadecimal; of several files that of their hashes."""
    hashes = []
    for path in weight_files(Path(folder)):
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
