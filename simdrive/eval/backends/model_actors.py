"""One actor of Ray per GPU that answers for models: workers hold no weights, and requests of all of them go in batches."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

from simdrive.eval.backends.model_host import ModelHost
from simdrive.eval.grid import AgentConfig
from simdrive.eval.work import ChunkTask
from simdrive.streams import canonical_json

_CALLS = 1000  # that one actor has open; each worker has one


class ModelActors:
    """Starts the actors when the first model drives, and gives each chunk of a model to one of them in turn."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._gpus = int(ray.cluster_resources().get("GPU", 0))
        self._actors: list[Any] = []  # held, since an actor ends with the last that knows of it
        self._turn = itertools.count()

    def served(self, task: Any) -> Any:
        """Return a chunk whose model answers from a GPU; everything else as it is."""
        if not isinstance(task, ChunkTask) or not self._gpus or not is_model(task.agent):
            return task
        if not self._actors:
            self._actors = [self._actor(number) for number in range(self._gpus)]
        config = {
            "_target_": "simdrive.eval.backends.served_agent.ServedAgent",
            "actor": _name(next(self._turn) % self._gpus),
            "agent": task.agent.config,
        }
        return replace(task, agent=AgentConfig(task.agent.name, canonical_json(config)))

    def _actor(self, number: int) -> Any:
        # An actor that dies is started again for as long as the run believes in its agent, which counts the chunks.
        options = {"name": _name(number), "num_gpus": 1, "num_cpus": 0, "max_restarts": -1, "max_concurrency": _CALLS}
        return self._ray.remote(ModelHost).options(**options).remote()


def _name(number: int) -> str:
    return f"simdrive-models-{number}"


def is_model(agent: AgentConfig) -> bool:
    """Return whether an agent loads weights that may be on a GPU."""
    config = json.loads(agent.config)
    return isinstance(config.get("model"), str) and "url" not in config and config.get("device", "auto") != "cpu"
