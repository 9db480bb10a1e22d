"""How one linear map is quantized, in words that fit into a JSON file; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from simdrive.errors import ParameterError, UnknownNameError

Activation = Literal["none", "dynamic", "static"]
ACTIVATIONS = ("none", "dynamic", "static")


@dataclass(frozen=True)
class QuantSpec:
    """One linear map.

    Args:
        bits: of a weight code, 8 or 4; codes are symmetric, from -(2^(bits-1)-1) to 2^(bits-1)-1, without ``zero``.
        group: input columns that share a scale; 0 = one scale per output channel.
        zero: 4-bit codes run over all 16 values from the lowest to the highest weight of a group.
        activation: ``none`` (weights only), ``dynamic`` (a scale per token, from the token), ``static`` (one scale for all
            tokens, from calibration).
        activation_bits: 8, or 7 for processors whose int8 products would saturate at 8 (x86 without VNNI).
        high: input columns that stay in floating point.
        rotate: width of the Hadamard blocks that turn the input before it is quantized; 0 = none.
    """

    bits: int = 8
    group: int = 0
    zero: bool = False
    activation: Activation = "none"
    activation_bits: int = 8
    high: int = 0
    rotate: int = 0

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ParameterError(f"bits of a quantized weight must be 4 or 8, got {self.bits}; 16 = leave it as it is")
        if self.activation not in ACTIVATIONS:
            raise UnknownNameError("activation", str(self.activation), ACTIVATIONS)
        if self.activation_bits not in (7, 8):
            raise ParameterError(f"activation_bits must be 7 or 8, got {self.activation_bits}")
        if min(self.group, self.high, self.rotate) < 0 or self.rotate & (self.rotate - 1):
            raise ParameterError(
                f"group and high must be at least 0 and rotate a power of two, got {self.group}, {self.high}, {self.rotate}"
            )
        if self.zero and self.bits != 4:
            raise ParameterError("zero is for 4-bit weights: 8-bit codes are symmetric; set zero=false")

    def check(self, name: str, width: int) -> None:
        """Refuse a map of ``width`` input columns that this does not fit.

        Raises:
            ParameterError: if the group, the rotation or two codes per byte do not divide the width.
        """
        if self.group and width % self.group:
            near = [size for size in (16, 32, 64, 128, 256) if width % size == 0]
            raise ParameterError(
                f"{name} has {width} input columns, which do not divide into groups of {self.group}; "
                f"choose a group of {', '.join(map(str, near)) or 'a divisor of it'}, or 0 for one scale per channel"
            )
        if self.bits == 4 and width % 2:
            raise ParameterError(f"{name} has {width} input columns; two 4-bit codes share a byte: give it 8 bits")
        if self.rotate and width % self.rotate:
            raise ParameterError(f"{name} has {width} input columns, no multiple of rotate={self.rotate}")

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the defaults, and the bits."""
        plain = QuantSpec()
        return {"bits": self.bits} | {k: v for k, v in asdict(self).items() if v != getattr(plain, k)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> QuantSpec:
        """Return the spec that ``to_json`` wrote.

        Raises:
            UnknownNameError, ParameterError: if a field does not exist or is out of range.
        """
        allowed = [field.name for field in fields(cls)]
        for key in given:
            if key not in allowed:
                raise UnknownNameError("field of a quantized layer", str(key), allowed)
        return cls(**given)
