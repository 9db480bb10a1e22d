"""Random streams that depend on the case and on nothing else, so that every agent meets the same world.

A stream is a Philox generator keyed by (case key, stream name) with the event or request index as its counter.
Agent, latency setting, batch slot and worker never enter.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def canonical_json(value: Any) -> str:
    """Serialise ``value`` with sorted keys and no spaces, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """Return the first ``length`` hex digits of the SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def stream(case_key: str, name: str, counter: int = 0) -> np.random.Generator:
    """Return the generator of one named stream of one case.

    Args:
        case_key: hash that identifies the case (``Case.key``).
        name: stream name, e.g. ``"latency.decode"``; streams never share draws.
        counter: request or event index; draws of one index do not depend on how many others were made.

    Raises:
        ValueError: if ``counter`` is negative.
    """
    if counter < 0:
        raise ValueError(f"counter must be at least 0, got {counter}")
    raw = hashlib.sha256(f"{case_key}/{name}".encode()).digest()
    key = int.from_bytes(raw[:16], "little")
    # The high word of the counter carries the index: each index owns 2**192 draws.
    return np.random.Generator(np.random.Philox(key=key, counter=counter << 192))
