"""A model as far as its cost depends on it: the card behind ``configs/architecture``.

A card holds shapes, never weights, so a model of any size can be priced on a machine that could not load it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.errors import ParameterError
from simdrive.latency.layers import (
    Attention,
    Block,
    Experts,
    Feedforward,
    GatedDelta,
    Mamba,
    ShortConv,
    check_counts,
)
from simdrive.latency.mapping import pick_one, record
from simdrive.latency.tiling import DynamicTiles, NativeGrid, PictureLoad, Tiling

MIXERS = {"attention": Attention, "gated_delta": GatedDelta, "mamba": Mamba, "short_conv": ShortConv}
FEEDFORWARDS = {"feedforward": Feedforward, "experts": Experts}
TILINGS = {"tiles": DynamicTiles, "grid": NativeGrid}


@dataclass(frozen=True)
class LanguageModel:
    """The decoder: ``blocks`` of equal layers, embedding and head (one matrix if ``tied``)."""

    width: int
    vocabulary: int
    tied: bool
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        check_counts(self)
        if not self.blocks:
            raise ParameterError("language.blocks must hold at least one block, got none")

    @property
    def layers(self) -> int:
        """Layers of all blocks."""
        return sum(block.count for block in self.blocks)

    @property
    def head_parameters(self) -> int:
        """Weights of the LM head, tied or not: it is read for every token."""
        return self.vocabulary * self.width

    def body_parameters(self) -> int:
        """Everything but embedding and head."""
        return sum(block.count * block.parameters(self.width) for block in self.blocks) + self.width

    def parameters(self) -> int:
        """All stored parameters; a tied head counts once."""
        return self.body_parameters() + self.head_parameters * (1 if self.tied else 2)

    def cache_values_per_token(self) -> int:
        """Key and value numbers that one token leaves behind in all layers."""
        return sum(block.count * block.mixer.cache_values_per_token() for block in self.blocks if block.mixer)

    def state_values(self) -> int:
        """Numbers of all recurrent states, whatever the context."""
        return sum(block.count * block.mixer.state_values(self.width) for block in self.blocks if block.mixer)


@dataclass(frozen=True)
class VisionTower:
    """The vision transformer.

    Args:
        patch_values: pixel values of one patch, e.g. 3 x 14 x 14, and x 2 where frames come in pairs.
        class_tokens: tokens beside the patches in every sequence.
        positions: learned position embeddings.
        norm_vectors: vectors of a norm: 2 with bias (LayerNorm), 1 without (RMSNorm).
        layer_vectors: further width-long vectors of a layer: layer scales, norms of queries and keys.
        window_patches: patches that attend to each other in windowed layers; 0 = no windows.
        full_layers: layers with attention over the whole sequence where others have windows.
        attention_width: width of all heads together; 0 = ``width``, less where heads were pruned.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    patch_values: int
    gated: bool = False
    class_tokens: int = 0
    positions: int = 0
    norm_vectors: int = 2
    layer_vectors: int = 0
    qkv_bias: bool = True
    patch_bias: bool = True
    window_patches: int = 0
    full_layers: int = 0
    attention_width: int = 0

    def __post_init__(self) -> None:
        free = ("class_tokens", "positions", "layer_vectors", "window_patches", "full_layers", "attention_width")
        check_counts(self, free)
        if self.full_layers > self.layers:
            raise ParameterError(f"vision.full_layers must not exceed layers={self.layers}, got {self.full_layers}")

    @property
    def heads_width(self) -> int:
        """Width of all heads together."""
        return self.attention_width or self.width

    def layer_matrix_parameters(self) -> int:
        """Weights of all matrices of one layer."""
        return 4 * self.width * self.heads_width + (3 if self.gated else 2) * self.width * self.mlp_width

    def layer_parameters(self) -> int:
        """All parameters of one layer; every matrix has a bias but, in some towers, q, k and v."""
        qkv = 3 * self.heads_width if self.qkv_bias else 0
        bias = qkv + self.width + self.mlp_width * (2 if self.gated else 1) + self.width
        return self.layer_matrix_parameters() + bias + (2 * self.norm_vectors + self.layer_vectors) * self.width

    def parameters(self) -> int:
        """All parameters of the tower, its projector not included."""
        stem = self.patch_values * self.width + (self.width if self.patch_bias else 0)
        return stem + (self.class_tokens + self.positions) * self.width + self.layers * self.layer_parameters()


@dataclass(frozen=True)
class Projector:
    """From merged patches to the width of the language model: norm, matrix, activation, matrix.

    Args:
        copies: equal projectors; Qwen3-VL has three more that feed early language layers (DeepStack).
        norm_parameters: parameters of all norms together.
    """

    input_width: int
    hidden_width: int
    output_width: int
    copies: int = 1
    norm_parameters: int = 0

    def __post_init__(self) -> None:
        check_counts(self, ("norm_parameters",))

    def matrix_parameters(self) -> int:
        """Weights of both matrices of one copy."""
        return self.input_width * self.hidden_width + self.hidden_width * self.output_width

    def parameters(self) -> int:
        """All parameters of all copies."""
        bias = self.hidden_width + self.output_width
        return self.copies * (self.matrix_parameters() + bias) + self.norm_parameters


@dataclass(frozen=True)
class ArchitectureCard:
    """One model. ``vision``, ``projector`` and ``tiling`` are None together for a model without pictures.

    Attributes:
        provenance: where the figures come from.
        unconfirmed: what no public configuration at hand confirms; empty = all confirmed.
        published_parameters: total of the published checkpoint, None = not known.
    """

    name: str
    language: LanguageModel
    vision: VisionTower | None = None
    projector: Projector | None = None
    tiling: Tiling | None = None
    description: str = ""
    aliases: tuple[str, ...] = ()
    provenance: str = ""
    unconfirmed: tuple[str, ...] = ()
    published_parameters: int | None = None

    def __post_init__(self) -> None:
        present = [part is not None for part in (self.vision, self.projector, self.tiling)]
        if any(present) and not all(present):
            raise ParameterError(f"{self.name}: give vision, projector and tiling together, or none of them")
        if self.projector and self.projector.output_width != self.language.width:
            raise ParameterError(
                f"{self.name}: projector.output_width must be the language width {self.language.width}, "
                f"got {self.projector.output_width}"
            )

    def parameters(self) -> int:
        """All stored parameters; multi-token-prediction heads are no part of a card."""
        vision = self.vision.parameters() if self.vision else 0
        return self.language.parameters() + vision + (self.projector.parameters() if self.projector else 0)

    def pictures(self, count: int, height: int, width: int) -> PictureLoad:
        """Return what ``count`` pictures of one size become.

        Raises:
            ParameterError: if the model takes no pictures and there are some.
        """
        if self.tiling is None:
            if count:
                raise ParameterError(
                    f"{self.name} takes no pictures, got {count}; charge a vision-language architecture"
                )
            return PictureLoad(0, 0, 0, 0)
        return self.tiling.load(count, height, width)


def _block(index: int, given: Mapping[str, Any]) -> Block:
    where = f"language.blocks[{index}]"
    mixer = pick_one(MIXERS, given, where)
    feedforward = pick_one(FEEDFORWARDS, given, where)
    rest = {key: value for key, value in given.items() if key not in MIXERS and key not in FEEDFORWARDS}
    return record(Block, {**rest, "mixer": mixer, "feedforward": feedforward}, where)


def architecture_card(
    name: str,
    language: Mapping[str, Any],
    vision: Mapping[str, Any] | None = None,
    projector: Mapping[str, Any] | None = None,
    tiling: Mapping[str, Any] | None = None,
    description: str = "",
    aliases: Sequence[str] = (),
    provenance: str = "",
    unconfirmed: Sequence[str] = (),
    published_parameters_m: float | None = None,
) -> ArchitectureCard:
    """Build a card from plain data: the target of every ``configs/architecture`` entry.

    Raises:
        UnknownNameError: if a field does not exist.
        ParameterError: if a field is missing or out of range.
    """
    blocks = tuple(_block(index, given) for index, given in enumerate(language.get("blocks", ())))
    return ArchitectureCard(
        name=name,
        language=record(LanguageModel, {**language, "blocks": blocks}, "language"),
        vision=record(VisionTower, vision, "vision") if vision else None,
        projector=record(Projector, projector, "projector") if projector else None,
        tiling=pick_one(TILINGS, tiling, "tiling", closed=True) if tiling else None,
        description=description,
        aliases=tuple(aliases),
        provenance=provenance,
        unconfirmed=tuple(unconfirmed),
        published_parameters=None if published_parameters_m is None else round(published_parameters_m * 1e6),
    )
