"""What a study of layers found, as plain values; imports no torch, so that reports can read it."""

from __future__ import annotations

from dataclasses import dataclass

CONSISTENCY, RELIABILITY = "consistency", "reliability"
RULES = (CONSISTENCY, RELIABILITY)
NORM = -1  # number of the row that stands for what comes out of the final norm


@dataclass(frozen=True)
class LayerRow:
    """One language layer, counted from 0, or the final norm (``layer`` is ``NORM``); NaN where nothing is defined."""

    layer: int
    adjacent: float  # cosine of what goes in and what comes out, mean over tokens
    vision_text: float  # cosine of the mean picture token and the mean text token that come out
    looks: float  # share of the attention of text behind the pictures that goes to them
    dispersion_hidden: float  # 1 - cosine over re-phrasings, of the state before the answer
    dispersion_attention: float  # the same of that token's attention to the pictures
    dispersion_text: float  # the same of the attention of all text behind the pictures
    consistency: dict[str, float]  # by capability: mean cosine of the states of different samples
    attention_consistency: dict[str, float]  # the same of attention to the pictures
    reliability: dict[str, float]  # by capability: 1 - dispersion over re-phrasings / dispersion over samples


@dataclass(frozen=True)
class Choice:
    """The layers that one rule takes for one capability, beside those of Drive-KD."""

    capability: str
    rule: str  # one of RULES
    chosen: tuple[int, ...]
    drive_kd: tuple[int, ...]
    overlap: float  # share of the layers in both among those in either
    verdict: str  # agrees, contains, partly, differs, undefined
    best: float  # the measure at the best layer, at Drive-KD's (mean), and over all (median)
    at_drive_kd: float
    median: float
    redrawn: float  # share of redrawn sample sets on which the verdict is the same


@dataclass(frozen=True)
class Confidence:
    """How sure a model is of its own answers."""

    capability: str
    tokens: int
    exact: float  # share of answers that are exactly right
    top1: float  # mean probability of what it says
    top10: float  # mean probability of the ten likeliest tokens
    margins: dict[str, float]  # by temperature: mean of the largest minus the second largest probability
    bins: tuple[float, ...]  # margin at temperature 1 by place in the answer, ten equal parts


@dataclass(frozen=True)
class LayerStudy:
    """All that was found."""

    model: str
    family: str
    layers: int
    samples: int
    phrasings: int
    rows: tuple[LayerRow, ...]
    choices: tuple[Choice, ...]
    confidence: tuple[Confidence, ...]
