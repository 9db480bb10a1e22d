"""The rules of a gate: ``failure_rate>+0.02`` fails a candidate whose rate is more than 0.02 above the baseline's.

A threshold with a sign is a difference, candidate minus baseline; one without is the candidate's own value. Rates are
those of :data:`simdrive.eval.summary.RATES` with ``_rate`` behind; any other name is the mean of that metric.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.stats import Interval
from simdrive.eval.summary import RATES

Decide = Literal["point", "interval"]
DECIDE: tuple[Decide, ...] = ("point", "interval")
RATE_NAMES = {f"{name}_rate": name for name in RATES}
_RULE = re.compile(r"\s*([A-Za-z]\w*)\s*(>=|<=|>|<)\s*([+-]?)(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*")
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_RULE_KEYS = ("rule", "scenario", "agent", "latency")


@dataclass(frozen=True)
class Rule:
    """When a candidate fails.

    Attributes:
        text: as it was given.
        metric: ``<rate>_rate``, or a metric, whose mean is meant.
        sign: ``>``, ``>=``, ``<`` or ``<=``: on which side of the threshold it fails.
        threshold: in the metric's unit; rates as shares (0.02 = two points).
        relative: the threshold is a difference to the baseline.
        scenario: judge only this scenario; None = all together.
        agent: judge only this agent of the candidate; None = each.
        latency: judge only the setting of this label; None = each.
    """

    text: str
    metric: str
    sign: str
    threshold: float
    relative: bool
    scenario: str | None = None
    agent: str | None = None
    latency: str | None = None

    @property
    def column(self) -> str:
        """The column of the episodes table behind the metric."""
        return RATE_NAMES.get(self.metric, self.metric)

    @property
    def is_rate(self) -> bool:
        """Whether the metric counts episodes."""
        return self.metric in RATE_NAMES

    def fires(self, value: Interval, decide: Decide) -> bool | None:
        """Return whether a value (or difference) fails; None if there is no value.

        ``point`` looks at the estimate. ``interval`` passes only what lies on the good side with its whole interval: the
        burden of proof is the candidate's.
        """
        if math.isnan(value.estimate):
            return None
        bad = value.estimate if decide == "point" else value.high if self.sign[0] == ">" else value.low
        if math.isnan(bad):  # too few cases for an interval: nothing is proven
            return None
        # 0.6 - 0.4 is a little less than 0.2 in floating point; a rule means the decimal number.
        return _SIGNS[self.sign](round(bad, 12), round(self.threshold, 12))


@dataclass(frozen=True)
class Gate:
    """Rules and how they are judged.

    Attributes:
        rules: each is applied to each agent under each latency setting.
        decide: by the estimate or by its whole interval.
        confidence: of the intervals.
        allow_unpaired: baseline episodes without counterpart do not make the comparison incomplete.
        min_cases: a rule on fewer scored cases than this cannot be judged, which makes the comparison INVALID.
    """

    rules: tuple[Rule, ...] = ()
    decide: Decide = "point"
    confidence: float = 0.95
    allow_unpaired: bool = False
    min_cases: int = 1

    def __post_init__(self) -> None:
        if self.decide not in DECIDE:
            raise UnknownNameError("way to decide", str(self.decide), DECIDE)
        if not 0.5 < self.confidence < 1.0:
            raise ParameterError(f"confidence must be a number between 0.5 and 1, got {self.confidence!r}")
        if self.min_cases < 1:
            raise ParameterError(f"min_cases must be at least 1, got {self.min_cases}")


def parse_rule(text: str, **only: str | None) -> Rule:
    """Return the rule behind ``METRIC SIGN THRESHOLD``; ``only`` restricts it to a scenario, agent or latency.

    Raises:
        ParameterError: if it has another form.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        raise ParameterError(
            f"cannot read the rule {text!r}; write METRIC, one of > >= < <=, and a number: 'failure_rate>+0.02' (with "
            "a sign: above the baseline's) or 'failure_rate>0.1' (without: the candidate's own)"
        )
    metric, sign, plus_or_minus, number = match.groups()
    threshold = float(f"{plus_or_minus}{number}")
    if not math.isfinite(threshold):
        raise ParameterError(f"the threshold of the rule {text!r} is not a finite number")
    return Rule(text.strip(), metric, sign, threshold, bool(plus_or_minus), **only)


def read_gate(path: Path) -> Gate:
    """Return the gate of a thresholds file.

    Raises:
        ParameterError: if it cannot be read or an entry has a wrong form; the message names file and entry.
        UnknownNameError: if it holds an unknown key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ParameterError(f"the thresholds file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"the thresholds file {path} must be a mapping with `rules:`, got {content!r:.80}")
    allowed = ("rules", "decide", "confidence", "allow_unpaired", "min_cases")
    _known(f"key of {path}", content, allowed)
    rules = content.get("rules") or []
    if not isinstance(rules, list):
        raise ParameterError(f"rules of {path} must be a list, got {rules!r:.80}")
    settings = {name: content[name] for name in allowed[1:] if name in content}
    if type(settings.get("confidence", 0.5)) not in (int, float):
        raise ParameterError(f"confidence of {path} must be a number, got {settings['confidence']!r:.80}")
    if type(settings.get("min_cases", 1)) is not int:
        raise ParameterError(f"min_cases of {path} must be a whole number, got {settings['min_cases']!r:.80}")
    if not isinstance(settings.get("allow_unpaired", False), bool):
        raise ParameterError(f"allow_unpaired of {path} must be true or false, got {settings['allow_unpaired']!r:.80}")
    return Gate(tuple(_entry(path, entry) for entry in rules), **settings)


def _known(kind: str, given: Mapping[Any, Any], allowed: Iterable[str]) -> None:
    names = tuple(allowed)
    for name in given:
        if name not in names:
            raise UnknownNameError(kind, str(name), names)


def _entry(path: Path, entry: Any) -> Rule:
    if isinstance(entry, str):
        return parse_rule(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("rule"), str):
        raise ParameterError(f"a rule of {path} must be text or a mapping with `rule:`, got {entry!r:.80}")
    _known(f"key of a rule of {path}", entry, _RULE_KEYS)
    only = {name: None if entry.get(name) is None else str(entry[name]) for name in _RULE_KEYS[1:]}
    return parse_rule(entry["rule"], **only)
