"""What a layer of a language model is made of, as far as its cost depends on it: mixers and feed-forwards.

Figures are those of the published ``config.json`` files. Nothing here knows a chip, a precision or torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from simdrive.errors import ParameterError


def check_counts(card: Any, allow_zero: tuple[str, ...] = ()) -> None:
    """Refuse counts that are no whole number of at least 1 (0 where allowed); booleans are left alone.

    Raises:
        ParameterError: naming the field, what was given and what is allowed.
    """
    for field in fields(card):
        value, least = getattr(card, field.name), 0 if field.name in allow_zero else 1
        if field.type not in ("int", int) or isinstance(value, bool):
            continue
        if not isinstance(value, int) or value < least:
            kind = type(card).__name__
            raise ParameterError(f"{kind}.{field.name} must be a whole number of at least {least}, got {value!r}")


@dataclass(frozen=True)
class Attention:
    """Softmax attention with grouped key/value heads (MHA: ``kv_heads == heads``).

    Args:
        gate: the query projection is twice as wide, its second half gates the output (Qwen3.5).
        window: tokens a token looks back at; 0 = all.
    """

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: bool = False
    gate: bool = False
    window: int = 0

    def __post_init__(self) -> None:
        check_counts(self, ("window",))
        if self.kv_heads > self.heads:
            raise ParameterError(f"Attention.kv_heads must not exceed heads={self.heads}, got {self.kv_heads}")

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads together; values are as wide."""
        return self.kv_heads * self.head_dim

    def input_width(self) -> int:
        """Outputs of the query, key, value (and gate) projection."""
        return self.query_width * (2 if self.gate else 1) + 2 * self.kv_width

    def matrix_parameters(self, width: int) -> int:
        """Weights of the projections: ``2 d n_h d_h + 2 d n_kv d_h`` without a gate."""
        return width * self.input_width() + self.query_width * width

    def vector_parameters(self, width: int) -> int:
        """Biases and the norms of queries and keys."""
        bias = (self.input_width() if self.qkv_bias else 0) + (width if self.output_bias else 0)
        return bias + (2 * self.head_dim if self.qk_norm else 0)

    def cache_values_per_token(self) -> int:
        """Key and value numbers that one token leaves in the cache of one layer."""
        return 2 * self.kv_width

    def state_values(self, width: int) -> int:
        """Numbers of a recurrent state: attention has none."""
        return 0


@dataclass(frozen=True)
class GatedDelta:
    """Gated DeltaNet, the linear attention of Qwen3-Next and Qwen3.5 (arXiv 2412.06464)."""

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int

    def __post_init__(self) -> None:
        check_counts(self)

    @property
    def mixed_width(self) -> int:
        """Channels of queries, keys and values that the short convolution sees."""
        return 2 * self.key_heads * self.key_dim + self.output_width

    @property
    def output_width(self) -> int:
        """Width of all value heads together."""
        return self.value_heads * self.value_dim

    def input_width(self) -> int:
        """Outputs of the projections: q, k, v, gate z, and the scalars b and a of every value head."""
        return self.mixed_width + self.output_width + 2 * self.value_heads

    def matrix_parameters(self, width: int) -> int:
        """Weights of the projections in and out."""
        return width * self.input_width() + self.output_width * width

    def vector_parameters(self, width: int) -> int:
        """Convolution kernels, decay, time step bias and output norm."""
        return self.kernel * self.mixed_width + 2 * self.value_heads + self.value_dim

    def cache_values_per_token(self) -> int:
        """Nothing grows with the context."""
        return 0

    def state_values(self, width: int) -> int:
        """The matrix state of every value head, and the tail that the convolution still needs."""
        return self.value_heads * self.key_dim * self.value_dim + (self.kernel - 1) * self.mixed_width

    def state_flops_per_token(self, width: int) -> int:
        """Three products of a key- or query-long vector with the state: recall, rank-one update, read-out."""
        return 6 * self.value_heads * self.key_dim * self.value_dim


@dataclass(frozen=True)
class Mamba:
    """Mamba-2 mixer (arXiv 2405.21060), as in Nemotron-H."""

    heads: int
    head_dim: int
    state: int
    groups: int
    kernel: int

    def __post_init__(self) -> None:
        check_counts(self)

    @property
    def inner_width(self) -> int:
        """Width of all heads together."""
        return self.heads * self.head_dim

    @property
    def mixed_width(self) -> int:
        """Channels of x, B and C that the short convolution sees."""
        return self.inner_width + 2 * self.groups * self.state

    def input_width(self) -> int:
        """Outputs of the projection: gate, x, B, C and one time step per head."""
        return self.inner_width + self.mixed_width + self.heads

    def matrix_parameters(self, width: int) -> int:
        """Weights of the projections in and out."""
        return width * self.input_width() + self.inner_width * width

    def vector_parameters(self, width: int) -> int:
        """Convolution with bias; decay, skip and time step bias per head; output norm."""
        return (self.kernel + 1) * self.mixed_width + 3 * self.heads + self.inner_width

    def cache_values_per_token(self) -> int:
        """Nothing grows with the context."""
        return 0

    def state_values(self, width: int) -> int:
        """The state of every head, and the tail that the convolution still needs."""
        return self.inner_width * self.state + (self.kernel - 1) * self.mixed_width

    def state_flops_per_token(self, width: int) -> int:
        """Decay and rank-one update (4 per entry), and the read-out (2)."""
        return 6 * self.inner_width * self.state


@dataclass(frozen=True)
class ShortConv:
    """Gated short convolution of LFM2: three projections, a causal kernel per channel, one projection out."""

    kernel: int

    def __post_init__(self) -> None:
        check_counts(self)

    def matrix_parameters(self, width: int) -> int:
        """Weights of the projections in (B, C, x) and out."""
        return 4 * width * width

    def vector_parameters(self, width: int) -> int:
        """The kernels."""
        return self.kernel * width

    def cache_values_per_token(self) -> int:
        """Nothing grows with the context."""
        return 0

    def state_values(self, width: int) -> int:
        """The tail that the convolution still needs."""
        return (self.kernel - 1) * width

    def state_flops_per_token(self, width: int) -> int:
        """One multiply-add per kernel tap and channel."""
        return 2 * self.kernel * width


@dataclass(frozen=True)
class Feedforward:
    """The MLP of a layer; ``gated`` has three matrices (SwiGLU, GeGLU), plain has two."""

    width: int
    gated: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        check_counts(self)

    def matrix_parameters(self, width: int) -> int:
        """Weights of all matrices for a model of ``width``."""
        return (3 if self.gated else 2) * width * self.width

    def vector_parameters(self, width: int) -> int:
        """Biases."""
        return (self.width * (2 if self.gated else 1) + width) if self.bias else 0


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: a router picks ``active`` of ``count`` for every token; ``shared_width`` sees all."""

    count: int
    active: int
    width: int
    gated: bool = True
    shared_width: int = 0
    shared_gate: bool = False

    def __post_init__(self) -> None:
        check_counts(self, ("shared_width",))
        if self.active > self.count:
            raise ParameterError(f"Experts.active must not exceed count={self.count}, got {self.active}")

    @property
    def matrices(self) -> int:
        """Matrices of one expert."""
        return 3 if self.gated else 2

    def expert_parameters(self, width: int) -> int:
        """Weights of one routed expert."""
        return self.matrices * width * self.width

    def common_parameters(self, width: int) -> int:
        """Weights that every token meets: router, shared expert and its gate."""
        return width * self.count + self.matrices * width * self.shared_width + (width if self.shared_gate else 0)

    def matrix_parameters(self, width: int) -> int:
        """Weights of all experts together, as stored."""
        return self.count * self.expert_parameters(width) + self.common_parameters(width)

    def vector_parameters(self, width: int) -> int:
        """Experts have no biases."""
        return 0


Mixer = Attention | GatedDelta | Mamba | ShortConv


@dataclass(frozen=True)
class Block:
    """``count`` equal layers. Nemotron-H alternates blocks that have only a mixer or only a feed-forward.

    Args:
        norms: norm vectors of the model's width per layer: 2 in most, 4 in Gemma 2, 1 in Nemotron-H.
    """

    count: int
    mixer: Mixer | None
    feedforward: Feedforward | Experts | None
    norms: int = 2

    def __post_init__(self) -> None:
        check_counts(self)
        if self.mixer is None and self.feedforward is None:
            raise ParameterError("a block needs a mixer, a feed-forward, or both; got neither")

    def matrix_parameters(self, width: int) -> int:
        """Weights of all matrices of one layer."""
        parts = (part for part in (self.mixer, self.feedforward) if part is not None)
        return sum(part.matrix_parameters(width) for part in parts)

    def parameters(self, width: int) -> int:
        """All parameters of one layer."""
        parts = (part for part in (self.mixer, self.feedforward) if part is not None)
        return self.matrix_parameters(width) + sum(part.vector_parameters(width) for part in parts) + self.norms * width
