"""How many bits each group of numbers takes: what a precision changes about a model's bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from simdrive.errors import ParameterError, UnknownNameError

WEIGHT_GROUPS = ("attention", "feedforward", "head", "embedding", "vision", "projector")


@dataclass(frozen=True)
class Bits:
    """Effective bits per value, scales and zero points included.

    ``b_eff = b + scale_bits / group (+ zero_bits / group)``: INT4 with one FP16 scale per 64 values is 4.25.

    Args:
        attention: matrices of mixers in the language layers.
        feedforward: matrices of MLPs and experts in the language layers.
        head: LM head as it is read.
        embedding: embedding table as it is stored; a tied one takes the bits of ``head``.
        vision: matrices of the vision tower.
        projector: matrices between tower and language model.
        kv: keys and values in the cache.
        state: recurrent states; published configurations keep them in FP32.
        activation: numbers between operators.
    """

    attention: float = 16.0
    feedforward: float = 16.0
    head: float = 16.0
    embedding: float = 16.0
    vision: float = 16.0
    projector: float = 16.0
    kv: float = 16.0
    state: float = 32.0
    activation: float = 16.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 1.0 <= value <= 64.0:
                raise ParameterError(f"bits.{field.name} must be between 1 and 64, got {value!r}")

    def weight(self, group: str) -> float:
        """Return the bits of one weight of a group.

        Raises:
            UnknownNameError: if there is no such group.
        """
        if group not in WEIGHT_GROUPS:
            raise UnknownNameError("weight group", group, WEIGHT_GROUPS)
        return float(getattr(self, group))


def body_bits(body: float, **others: float) -> Bits:
    """Return bits with all language layers at ``body``; the other groups as given."""
    return Bits(attention=body, feedforward=body, **others)
