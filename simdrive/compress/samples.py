"""Driving samples in sharded parquet: one row per frame, with pictures, prompts, exact answers and where it came from.

The pictures of a row are one zstd-compressed block of uint8 ``[camera, time, H, W, 3]``, so that any row can be read by
itself; what the block means stands in the schema of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.compress.columns import CELL_PX, VALUES
from simdrive.errors import SimdriveError
from simdrive.types import Bytes, CameraSpec, Float, Wants

VERSION = 3
TEXTS = ("state", "drive", "perception", "reasoning", "planning")
SCHEMA = pa.schema(
    [
        ("case_key", pa.string()),
        ("scenario", pa.string()),
        ("seed", pa.int64()),
        ("split", pa.string()),  # train, validation or test; all rows of a case share it
        ("t_us", pa.int64()),
        ("driver", pa.string()),  # who had driven there
        ("ego", pa.list_(pa.float32(), 7)),  # x, y, heading, speed, acceleration, steering, yaw_rate
        ("state", pa.string()),  # the line of numbers every prompt begins with
        ("drive", pa.string()),  # the answers, exact
        ("perception", pa.string()),
        ("reasoning", pa.string()),
        ("planning", pa.string()),
        ("visible", pa.string()),  # JSON: every actor in the pictures
        (
            "columns",
            pa.binary(),
        ),  # float16 [camera, columns, VALUES]: what stands in each column of the newest pictures
        ("critical", pa.bool_()),
        ("frames", pa.binary()),
    ]
)
_ZSTD = pa.Codec("zstd", compression_level=1)


@dataclass(frozen=True)
class Pictured:
    """What the pictures of a data set are: cameras and frame offsets, the same for every row."""

    cameras: tuple[CameraSpec, ...]
    frame_offsets_us: tuple[int, ...]

    @classmethod
    def of(cls, wants: Wants) -> Pictured:
        """Return what an agent that ``wants`` something is shown."""
        return cls(wants.cameras, wants.frame_offsets_us)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Shape ``(camera, time, H, W, 3)`` of the pictures of one row."""
        first = self.cameras[0]
        return (len(self.cameras), len(self.frame_offsets_us), first.height, first.width, 3)

    def to_json(self) -> str:
        """Return this as text for the schema of a file."""
        return json.dumps({"cameras": [asdict(c) for c in self.cameras], "frame_offsets_us": self.frame_offsets_us})

    @classmethod
    def from_json(cls, text: str) -> Pictured:
        """Read what ``to_json`` wrote."""
        found = json.loads(text)
        return cls(tuple(CameraSpec(**c) for c in found["cameras"]), tuple(found["frame_offsets_us"]))


def split_of(case_key: str, validation: float = 0.04, test: float = 0.04) -> str:
    """Return the split of a case from its hash: the same for every data set that meets it."""
    share = int(case_key[:8], 16) / 2**32
    return "validation" if share < validation else "test" if share < validation + test else "train"


def pack(frames: Bytes) -> bytes:
    """Compress the pictures of one row."""
    return bytes(_ZSTD.compress(np.ascontiguousarray(frames).tobytes(), asbytes=True))


def unpack(block: bytes, shape: Sequence[int]) -> Bytes:
    """Return the pictures of one row.

    Raises:
        SimdriveError: if the block is damaged or of another shape.
    """
    size = int(np.prod(shape))
    try:
        raw = _ZSTD.decompress(block, decompressed_size=size, asbytes=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SimdriveError(f"a block of pictures is damaged: {error}; make the data again") from error
    if len(raw) != size:
        raise SimdriveError(f"a block of pictures has {len(raw)} bytes instead of {size}; make the data again")
    return np.frombuffer(raw, np.uint8).reshape(tuple(shape))


def write_shard(path: Path, rows: Sequence[dict[str, Any]], pictured: Pictured, labels: str = "") -> None:
    """Write rows into a file that is there whole or not at all; ``labels`` = whose answers they hold, empty = the expert's."""
    meta = {b"simdrive.version": str(VERSION).encode(), b"simdrive.pictured": pictured.to_json().encode()}
    if labels:
        meta[b"simdrive.labels"] = labels.encode()
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA.with_metadata(meta))
    part = path.with_suffix(f".{os.getpid()}.part")
    pq.write_table(
        table, part, compression={name: "zstd" for name in SCHEMA.names if name != "frames"} | {"frames": "none"}
    )
    part.replace(path)


@dataclass(frozen=True)
class Samples:
    """Rows of some data folders: texts as plain arrays, pictures as compressed blocks."""

    pictured: Pictured
    split: np.ndarray  # [N] of str
    scenario: np.ndarray
    critical: np.ndarray  # [N] bool
    texts: dict[str, list[str]]
    blocks: list[bytes]
    dense: list[bytes]

    def __len__(self) -> int:
        return len(self.blocks)

    def frames(self, rows: Sequence[int]) -> Bytes:
        """Return the pictures ``[N, camera, time, H, W, 3]`` of some rows."""
        return np.stack([unpack(self.blocks[row], self.pictured.shape) for row in rows])

    def columns(self, rows: Sequence[int]) -> Float:
        """Return what stands in the columns of some rows' pictures, ``[N, camera, columns, VALUES]``."""
        cameras, _, _, width, _ = self.pictured.shape
        shape = (len(rows), cameras, width // CELL_PX, len(VALUES))
        found: Float = (
            np.frombuffer(b"".join(self.dense[row] for row in rows), np.float16).reshape(shape).astype(np.float64)
        )
        return found


def shards(folders: Sequence[Path]) -> list[Path]:
    """Return the files of data folders in a fixed order.

    Raises:
        SimdriveError: if a folder holds none.
    """
    found: list[Path] = []
    for folder in folders:
        here = sorted(folder.glob("*.parquet"))
        if not here:
            raise SimdriveError(f"{folder} holds no samples (*.parquet); make some with 'simdrive data out={folder}'")
        found += here
    return found


def read_samples(folders: Sequence[Path], split: str | None = None) -> Samples:
    """Read data folders into memory, pictures still compressed.

    Raises:
        SimdriveError: if a file is damaged, of another version, or shows other pictures than the first.
    """
    pictured: Pictured | None = None
    columns: dict[str, list[Any]] = {
        name: [] for name in ("split", "scenario", "critical", "frames", "columns", *TEXTS)
    }
    for path in shards(folders):
        try:
            table = pq.read_table(path, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise SimdriveError(f"{path} cannot be read ({error}); delete it and run 'simdrive data' again") from error
        here = _pictured(path, table.schema.metadata or {})
        pictured = pictured or here
        if here != pictured:
            raise SimdriveError(f"{path} shows other pictures than the files before it; do not mix them")
        if split is not None:
            table = table.filter(pa.compute.equal(table["split"], split))
        for name in columns:
            columns[name] += table[name].to_pylist()
    assert pictured is not None
    return Samples(
        pictured, np.array(columns["split"]), np.array(columns["scenario"]), np.array(columns["critical"], np.bool_),
        {name: columns[name] for name in TEXTS}, columns["frames"],
        columns["columns"],
    )  # fmt: skip


def pictured_of(path: Path) -> Pictured:
    """Return what the pictures of a file are.

    Raises:
        SimdriveError: if it is damaged or of another version.
    """
    try:
        return _pictured(path, pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException) as error:
        raise SimdriveError(f"{path} cannot be read ({error}); delete it and run 'simdrive data' again") from error


def _pictured(path: Path, metadata: dict[bytes, bytes]) -> Pictured:
    if metadata.get(b"simdrive.version") != str(VERSION).encode():
        raise SimdriveError(f"{path} is no sample file of version {VERSION}; make the data again with 'simdrive data'")
    return Pictured.from_json(metadata[b"simdrive.pictured"].decode())
