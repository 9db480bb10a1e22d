"""Score one episode with a set of metrics; a metric that raises is recorded, never swallowed, and stops no
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simdrive.build import build, config_names
from simdrive.errors import ParameterError
from simdrive.types import EpisodeLog, Metric, MetricValue

UNSCORED = MetricValue(float("nan"), valid=False)


@dataclass(frozen=True)
class Evaluation:
    """All metric values of one episode, by metric name, and what went wrong per failed metric."""

    values: dict[str, MetricValue]
    errors: dict[str, str]  # metric name -> "ErrorClass: message"; its value is unscored

    def __getitem__(self, name: str) -> MetricValue:
        return self.values[name]


def evaluate(log: EpisodeLog, metrics: Sequence[Metric]) -> Evaluation:
    """Return the values of ``metrics`` for one episode, in the given order, with the failures of metrics
    beside them.
    """
    values: dict[str, MetricValue] = {}
    errors: dict[str, str] = {}
    for metric in metrics:
        try:
            values[metric.name] = metric(log)
        except Exception as error:  # whatever a metric of a third party raises
            values[metric.name] = UNSCORED
            errors[metric.name] = f"{type(error).__name__}: {error}"
    return Evaluation(values, errors)


def load_metrics(names: Iterable[str] = ()) -> tuple[Metric, ...]:
    """Build the metrics of ``configs/metric`` by name (or yaml path); without names, all of them in sorted
    order.

    Raises:
        UnknownNameError: if a name is not in the group.
        ParameterError: if two entries build metrics of the same name.
    """
    metrics: tuple[Metric, ...] = tuple(build("metric", name) for name in (tuple(names) or config_names("metric")))
    seen: set[str] = set()
    for metric in metrics:
        if metric.name in seen:
            raise ParameterError(f"two metrics are named {metric.name!r}; give one of them another `name`")
        seen.add(metric.name)
    return metrics
