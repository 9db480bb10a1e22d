"""Where answers looked, as columns of a run's tables: the grid once per episode, a flat list per request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from simdrive.streams import canonical_json
from simdrive.types import CameraSpec, Looked, RequestLog


def looked_text(looked: Looked | None) -> str:
    """Return cameras, rows and columns as JSON; empty where nothing was recorded."""
    if looked is None:
        return ""
    _, _, rows, columns = looked.share.shape
    return canonical_json({"cameras": [asdict(camera) for camera in looked.cameras], "grid": [rows, columns]})


def looked_column(logs: Sequence[RequestLog]) -> pa.Array:
    """Return the shares of all requests as one column of flat lists; empty where nobody looked."""
    if all(requests.looked is None for requests in logs):
        ends = np.zeros(sum(len(requests.status) for requests in logs) + 1, np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array([], pa.float32()))
    return pa.array([share for requests in logs for share in _lists(requests)], pa.list_(pa.float32()))


def _lists(requests: RequestLog) -> list[list[float]]:
    if requests.looked is None:
        return [[] for _ in requests.status]
    flat = requests.looked.share.reshape(len(requests.status), -1)
    return [[] if np.isnan(row).all() else row.tolist() for row in flat]


def looked_from(text: str, lists: Sequence[Sequence[float]]) -> Looked | None:
    """Return what :func:`looked_text` and :func:`looked_column` were made of."""
    if not text:
        return None
    told = json.loads(text)
    cameras = tuple(CameraSpec(**camera) for camera in told["cameras"])
    share = np.full((len(lists), len(cameras), *told["grid"]), np.nan, np.float32)
    for row, values in zip(share, lists, strict=True):
        if values:
            row[...] = np.array(values, np.float32).reshape(row.shape)
    return Looked(cameras, share)
