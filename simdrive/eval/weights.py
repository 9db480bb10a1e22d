"""Failure rates of models in finished runs, found by their weights, whatever the agents were called."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from simdrive.errors import ParameterError
from simdrive.eval.store import RunStore
from simdrive.eval.summary import GROUP, outcomes

CONTROLS = ("blind", "stale", "text_only")  # they have the weights of the model, but do not drive as it does


def failures_by_weights(runs: Sequence[str]) -> dict[str, float]:
    """Return the failure rate of every model of some run folders by the hash of its weights, over its scored episodes.

    Models are compared by these rates, so all of them must have driven the same cases under one setting.

    Raises:
        RunFolderError: if a folder holds no run.
        ParameterError: if models drove under several settings, or other cases than each other.
    """
    driven = [found for folder in runs for found in _driven(RunStore.open(folder))]
    if not driven:
        return {}
    frame = pd.concat(driven, ignore_index=True)
    settings = frame[list(GROUP[1:])].drop_duplicates().astype(str)
    if len(settings) > 1:
        said = "; ".join(", ".join(part for part in row if part) for row in settings.itertuples(index=False))
        raise ParameterError(
            f"runs hold models under {len(settings)} settings ({said}); give runs with one setting only"
        )
    by_weights = {str(key): part for key, part in frame.groupby("weight_hash", sort=False)}
    cases = {key: frozenset(part["case_key"]) for key, part in by_weights.items()}
    if len(set(cases.values())) > 1:
        counts = "/".join(str(len(found)) for found in cases.values())
        raise ParameterError(
            f"models of these runs drove different cases ({counts}); give runs of the same suite, seed and cases"
        )
    rates = {key: outcomes(part) for key, part in by_weights.items()}
    return {key: float((found > 0.0).mean()) for key, found in rates.items() if len(found)}


def _driven(store: RunStore) -> list[pd.DataFrame]:
    episodes = store.episodes()
    agents = {name: json.loads(text) for name, text in store.config["agents"].items()}
    return [
        episodes[episodes["agent"] == name].assign(weight_hash=agent["weight_hash"])
        for name, agent in agents.items()
        if agent.get("weight_hash") and not any(agent.get(key) for key in CONTROLS)
    ]
