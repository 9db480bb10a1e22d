"""The study of a model's layers as text and as CSV tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simdrive.compress.layer_study.result import NORM, RULES, Choice, LayerRow, LayerStudy
from simdrive.report.aligned import aligned

NONE = "-"
MEANING = (
    "in-out: cosine of what goes into a layer and what comes out, mean over tokens. vis-text: cosine of the mean picture\n"
    "and the mean text token that come out. looks: share of attention that text behind the pictures spends on them.\n"
    "moved: 1 - cosine over re-phrasings of a question: state, and attention to the pictures, of the token before the\n"
    "answer; text: attention of all text behind the pictures, most of which stays the same. Last row: the final norm."
)
CAPABILITY = (
    "alike: mean cosine of the states before the answer of different samples. reliable: 1 - dispersion of attention over\n"
    "re-phrasings / over samples: 1 follows what is seen, 0 moves with the words as much as with the scene."
)
RULE = (
    "consistency: layers within 0.02 of the most alike. reliability: layers within 0.05 of the most reliable. agrees:\n"
    "overlap with Drive-KD's layers above 1/2; contains: holds them among many others; redrawn: same verdict on\n"
    "sample sets drawn again."
)
SURE = (
    "margin: largest minus second largest probability of the model's own answer tokens, by temperature; by tenth of the\n"
    "answer at temperature 1. Drive-KD reads margins of 0.54-0.66 on driving (0.65-0.78 elsewhere) as too unsure to be\n"
    "distilled through output probabilities; its margin is defined otherwise, so only the size compares."
)


def layers_text(study: LayerStudy) -> str:
    """Return a study as tables with what their columns mean."""
    title = (
        f"{study.model} ({study.family}, {study.layers} language layers), {study.samples} samples, "
        f"{study.phrasings} wordings of each question; layers count from 0"
    )
    parts = [title, _layer_table(study), MEANING, _capability_table(study), CAPABILITY]
    parts += [_choice_table(study), RULE, _verdict(study), _confidence_table(study), SURE]
    return "\n\n".join(parts)


def layer_records(study: LayerStudy) -> list[dict[str, Any]]:
    """Return a row per layer, what capabilities own as ``<measure>_<capability>``."""
    found = []
    for row in study.rows:
        plain = {key: value for key, value in vars(row).items() if not isinstance(value, dict)}
        nested = {f"{key}_{name}": inner for key, value in vars(row).items() if isinstance(value, dict)
                  for name, inner in value.items()}  # fmt: skip
        found.append({**plain, "layer": layer_name(row), **nested})
    return found


def choice_records(study: LayerStudy) -> list[dict[str, Any]]:
    """Return a row per capability and rule."""
    return [
        {**vars(each), "chosen": layer_list(each.chosen), "drive_kd": layer_list(each.drive_kd)}
        for each in study.choices
    ]


def confidence_records(study: LayerStudy) -> list[dict[str, Any]]:
    """Return a row per capability."""
    return [
        {
            "capability": each.capability, "tokens": each.tokens, "exact": each.exact, "top1": each.top1,
            "top10": each.top10, **{f"margin_t{key}": value for key, value in each.margins.items()},
            **{f"margin_part_{place}": value for place, value in enumerate(each.bins)},
        }
        for each in study.confidence
    ]  # fmt: skip


def layer_name(row: LayerRow) -> str:
    """Return the number of a layer, or ``norm``."""
    return "norm" if row.layer == NORM else str(row.layer)


def layer_list(layers: Sequence[int]) -> str:
    """Return layers as ``0-5,7``; ``-`` for none."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or NONE


def _value(value: float, decimals: int = 3) -> str:
    return NONE if math.isnan(value) else f"{value:.{decimals}f}"


def _layer_table(study: LayerStudy) -> str:
    names = ("adjacent", "vision_text", "looks", "dispersion_hidden", "dispersion_attention", "dispersion_text")
    rows = [[layer_name(row), *(_value(getattr(row, name)) for name in names)] for row in study.rows]
    return aligned(("layer", "in-out", "vis-text", "looks", "moved: state", "attention", "text"), rows)


def _capability_table(study: LayerStudy) -> str:
    names = [each.capability for each in study.confidence]
    headings = ["layer", *(f"alike: {name}" for name in names), *(f"reliable: {name}" for name in names)]
    rows = [
        [layer_name(row), *(_value(row.consistency[name]) for name in names),
         *(_value(row.reliability[name]) for name in names)]
        for row in study.rows
    ]  # fmt: skip
    return aligned(headings, rows)


def _choice_table(study: LayerStudy) -> str:
    rows = [
        [
            each.capability, each.rule, layer_list(each.chosen), layer_list(each.drive_kd), _value(each.overlap, 2),
            each.verdict, _value(each.best), _value(each.at_drive_kd), _value(each.median),
            NONE if math.isnan(each.redrawn) else f"{100.0 * each.redrawn:.0f} %",
        ]
        for each in study.choices
    ]  # fmt: skip
    headings = (
        "capability",
        "rule",
        "takes",
        "Drive-KD",
        "overlap",
        "verdict",
        "best",
        "at Drive-KD",
        "median",
        "redrawn",
    )
    return aligned(headings, rows, left=("capability", "rule", "takes", "Drive-KD", "verdict"))


def _verdict(study: LayerStudy) -> str:
    """Return one line per rule, and what a shallow model cannot tell."""
    lines = []
    for rule in RULES:
        mine = [each for each in study.choices if each.rule == rule]
        lines.append(f"by {rule}: " + "; ".join(_sentence(each) for each in mine) + ".")
    if study.layers < 4:
        lines.append(
            f"With {study.layers} language layers first, intermediate and penultimate are nearly the same: no choice is tested."
        )
    return "\n".join(lines)


def _sentence(each: Choice) -> str:
    return f"{each.capability} {layer_list(each.chosen)} ({each.verdict})"


def _confidence_table(study: LayerStudy) -> str:
    heats = list(study.confidence[0].margins)
    rows = [
        [
            each.capability, str(each.tokens), f"{100.0 * each.exact:.1f}", _value(each.top1), _value(each.top10),
            *(_value(each.margins[heat]) for heat in heats), " ".join(_value(value, 2) for value in each.bins),
        ]
        for each in study.confidence
    ]  # fmt: skip
    headings = (
        "capability",
        "tokens",
        "exact %",
        "top 1",
        "top 10",
        *(f"margin T={heat}" for heat in heats),
        "by tenth",
    )
    return aligned(headings, rows, left=("capability", "by tenth"))
