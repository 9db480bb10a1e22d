"""A smaller card from a card: what pruning does to a model, as fractions of what it had.

So a stand-in's compression can be done to the card of the model that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard, LanguageModel, VisionTower
from simdrive.latency.layers import Attention, Block, Experts, Feedforward, Mixer


@dataclass(frozen=True)
class Keep:
    """Shares that pruning leaves, each above 0 and at most 1.

    Args:
        layers: language layers.
        heads: query heads; key/value heads follow.
        feedforward: inner width of MLPs and experts.
        width: width of the language model (of the residual stream); heads keep their number and size.
        experts: routed experts; the number active per token stays as long as there are that many.
        vision_layers: layers of the vision tower.
        vision_heads: its heads; each keeps its width.
        vision_feedforward: inner width of its MLPs.
    """

    layers: float = 1.0
    heads: float = 1.0
    feedforward: float = 1.0
    width: float = 1.0
    experts: float = 1.0
    vision_layers: float = 1.0
    vision_heads: float = 1.0
    vision_feedforward: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 < value <= 1.0:
                raise ParameterError(f"keep.{field.name} must be above 0 and at most 1, got {value!r}")


def _part(whole: int, share: float) -> int:
    return max(1, round(whole * share))


def _mixer(mixer: Mixer | None, keep: Keep) -> Mixer | None:
    """Recurrent mixers are left as they are: no published recipe prunes their heads."""
    if not isinstance(mixer, Attention):
        return mixer
    heads = _part(mixer.heads, keep.heads)
    return replace(mixer, heads=heads, kv_heads=min(heads, _part(mixer.kv_heads, keep.heads)))


def _feedforward(part: Feedforward | Experts | None, keep: Keep) -> Feedforward | Experts | None:
    if part is None:
        return None
    slim = replace(part, width=_part(part.width, keep.feedforward))
    if not isinstance(slim, Experts):
        return slim
    count, shared = _part(slim.count, keep.experts), round(slim.shared_width * keep.feedforward)
    return replace(slim, count=count, active=min(slim.active, count), shared_width=shared)


def _depths(blocks: tuple[Block, ...], share: float) -> list[int]:
    """Return layers left per block: their total is the rounded share of all, the largest remainders round up."""
    exact = [block.count * share for block in blocks]
    kept = [int(value) for value in exact]
    missing = max(1, round(sum(exact))) - sum(kept)
    order = sorted(range(len(blocks)), key=lambda index: kept[index] - exact[index])
    for index in order[:missing]:
        kept[index] += 1
    return kept


def _language(language: LanguageModel, keep: Keep) -> LanguageModel:
    blocks = tuple(
        replace(block, count=count, mixer=_mixer(block.mixer, keep), feedforward=_feedforward(block.feedforward, keep))
        for block, count in zip(language.blocks, _depths(language.blocks, keep.layers), strict=True)
        if count
    )
    return replace(language, width=_part(language.width, keep.width), blocks=blocks)


def _tower(tower: VisionTower, keep: Keep) -> VisionTower:
    slim = replace(tower, mlp_width=_part(tower.mlp_width, keep.vision_feedforward))
    if keep.vision_heads == 1.0:
        return slim
    heads = _part(tower.heads, keep.vision_heads)
    return replace(slim, heads=heads, attention_width=heads * tower.heads_width // tower.heads)


def pruned(card: ArchitectureCard, keep: Keep) -> ArchitectureCard:
    """Return the card of the pruned model; its published total no longer applies."""
    if keep == Keep():
        return card
    language, vision = _language(card.language, keep), card.vision
    projector = replace(card.projector, output_width=language.width) if card.projector else None
    if vision:
        layers = _part(vision.layers, keep.vision_layers)
        full = min(layers, round(vision.full_layers * keep.vision_layers))
        vision = replace(_tower(vision, keep), layers=layers, full_layers=full)
    return replace(card, language=language, vision=vision, projector=projector, published_parameters=None)
