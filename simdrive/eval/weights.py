"""Failure rates of models in finished runs, found by their weights, whatever the agents were called."""

from __future__ import annotations

import json
from collections.abc import Sequence

from simdrive.eval.store import RunStore
from simdrive.eval.summary import outcomes


def failures_by_weights(runs: Sequence[str]) -> dict[str, float]:
    """Return the failure rate of every model of some run folders by the hash of its weights, over all its scored episodes.

    Controls of a model (blind, stale, text only) have its weights and are left out.

    Raises:
        RunFolderError: if a folder holds no run.
    """
    failed: dict[str, list[float]] = {}
    for folder in runs:
        store = RunStore.open(folder)
        episodes = store.episodes()
        for name, text in store.config["agents"].items():
            agent = json.loads(text)
            if agent.get("weight_hash") and not any(agent.get(key) for key in ("blind", "stale", "text_only")):
                found = outcomes(episodes[episodes["agent"] == name])
                failed.setdefault(agent["weight_hash"], []).extend(found.tolist())
    return {key: sum(value > 0.0 for value in values) / len(values) for key, values in failed.items() if values}
