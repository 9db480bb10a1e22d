"""How a model is pruned; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from simdrive.errors import ParameterError, UnknownNameError

IMPORTANCE = ("magnitude", "activation", "taylor", "safe")
CAPABILITIES = ("perception", "reasoning", "planning", "driving")
SCOPES = ("matrix", "model")


@dataclass(frozen=True)
class Sizes:
    """What pruning counts: layers, and per layer heads, key/value heads and inner channels, of both halves."""

    text_layers: int
    text_heads: int
    text_kv_heads: int
    text_ffn: int
    vision_layers: int
    vision_heads: int
    vision_ffn: int


KEPT = tuple(entry.name for entry in fields(Sizes))


@dataclass(frozen=True)
class PruneSettings:
    """How a model is pruned.

    Args:
        importance: ``magnitude``, ``activation``, ``taylor`` (first order), or ``safe``: Taylor importance per capability,
            kept if important to any, less ``conflict`` times the conflict of the capabilities' gradients.
        keep: shares that are left, by the fields of ``Sizes``; 1 where none is given.
        drop: layers that go whatever their importance, e.g. ``text.3``.
        protect: layers that stay whole layers whatever their importance.
        sparsity: share of the weights of the layers' matrices that become zero, the smallest ones, after cutting.
        scope: the smallest of each ``matrix``, or of the whole ``model``.
        merge: picture tokens joined ``merge`` x ``merge`` into one.
        conflict: weight of the gradient conflict under ``safe``.
        capabilities: whose importance counts under ``safe``.
        rows: samples that importance is measured on, of each capability under ``safe``.
        batch: samples of one pass.
        rounds: cut in so many steps, with recovery after each.
        multiple: inner widths are multiples of this where they change; hardware likes 8 and more.
        seed: of the samples.
    """

    importance: str = "taylor"
    keep: Mapping[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    sparsity: float = 0.0
    scope: str = "matrix"
    merge: int = 1
    conflict: float = 0.5
    capabilities: tuple[str, ...] = CAPABILITIES
    rows: int = 256
    batch: int = 32
    rounds: int = 1
    multiple: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        _known("importance", (self.importance,), IMPORTANCE)
        _known("scope of sparsity", (self.scope,), SCOPES)
        _known("thing to keep a share of", self.keep, KEPT)
        _known("capability", self.capabilities, CAPABILITIES)
        for name, share in self.keep.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share <= 1.0:
                raise ParameterError(f"keep.{name} must be above 0 and at most 1, got {share!r}: nothing would be left")
        if not 0.0 <= self.sparsity < 1.0:
            raise ParameterError(f"sparsity must be at least 0 and below 1, got {self.sparsity!r}")
        if min(self.rows, self.batch, self.rounds, self.multiple, self.merge) < 1 or self.conflict < 0.0:
            raise ParameterError(
                "rows, batch, rounds, multiple and merge must be at least 1 and conflict at least 0, "
                f"got {(self.rows, self.batch, self.rounds, self.multiple, self.merge, self.conflict)}"
            )
        if not self.capabilities or len(set(self.capabilities)) != len(self.capabilities):
            raise ParameterError(f"capabilities must name at least one, each once, got {list(self.capabilities)}")
        both = sorted(set(self.drop) & set(self.protect))
        if both:
            raise ParameterError(f"{', '.join(both)} cannot be both dropped and protected")

    @property
    def needs_data(self) -> bool:
        """Whether importance is measured on samples."""
        return self.importance != "magnitude"


def _known(kind: str, given: object, allowed: tuple[str, ...]) -> None:
    for name in given if not isinstance(given, str) else (given,):  # type: ignore[attr-defined]
        if name not in allowed:
            raise UnknownNameError(kind, str(name), allowed)


def target(before: Sizes, settings: PruneSettings) -> Sizes:
    """Return the sizes that pruning ends at.

    Query heads are counted per key/value head, so that groups stay balanced. Inner widths are rounded to ``multiple``.

    Raises:
        ParameterError: if a share leaves nothing of something.
    """
    share = {name: float(settings.keep.get(name, 1.0)) for name in KEPT}
    groups = _part("text_kv_heads", before.text_kv_heads, share["text_kv_heads"])
    slots = _part("text_heads", before.text_heads // before.text_kv_heads, share["text_heads"])
    return replace(
        before,
        text_layers=_part("text_layers", before.text_layers, share["text_layers"]),
        text_heads=groups * slots, text_kv_heads=groups,
        text_ffn=_width("text_ffn", before.text_ffn, share["text_ffn"], settings.multiple),
        vision_layers=_part("vision_layers", before.vision_layers, share["vision_layers"]),
        vision_heads=_part("vision_heads", before.vision_heads, share["vision_heads"]),
        vision_ffn=_width("vision_ffn", before.vision_ffn, share["vision_ffn"], settings.multiple),
    )  # fmt: skip


def after_round(before: Sizes, end: Sizes, done: int, rounds: int) -> Sizes:
    """Return the sizes after ``done`` of ``rounds`` rounds: the same share goes in each, and the last reaches the end."""
    if done == rounds:
        return end
    part = done / rounds

    def between(first: int, last: int) -> int:
        return max(last, round(math.exp(math.log(first) * (1.0 - part) + math.log(last) * part)))

    groups = between(before.text_kv_heads, end.text_kv_heads)
    slots = between(before.text_heads // before.text_kv_heads, end.text_heads // end.text_kv_heads)
    plain = {name: between(getattr(before, name), getattr(end, name)) for name in KEPT}
    return Sizes(**{**plain, "text_heads": groups * slots, "text_kv_heads": groups})


def sparsity_after(settings: PruneSettings, done: int) -> float:
    """Return the sparsity after a round: fast at first, slow at the end (Zhu and Gupta 2017, arXiv 1710.01878)."""
    return settings.sparsity * (1.0 - (1.0 - done / settings.rounds) ** 3)


def _part(name: str, whole: int, share: float) -> int:
    kept = round(whole * share)
    if kept < 1:
        raise ParameterError(f"keep.{name}={share} leaves nothing of {whole}; the smallest share is {1 / whole:.3g}")
    if kept == whole and share < 1.0:
        per = " per key/value head" if name == "text_heads" else ""
        most = "1 is all there is" if whole == 1 else f"the largest share that does is {(whole - 1) / whole:.3g}"
        raise ParameterError(f"keep.{name}={share} removes nothing of {whole}{per}; {most}")
    return kept


def _width(name: str, whole: int, share: float, multiple: int) -> int:
    if share == 1.0:
        return whole
    kept = round(whole * share / multiple) * multiple
    if kept < 1:
        raise ParameterError(
            f"keep.{name}={share} leaves nothing of {whole} in multiples of {multiple}; the smallest share is "
            f"{min(multiple, whole) / whole:.3g}"
        )
    return min(kept, whole)
