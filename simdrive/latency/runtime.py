"""An inference runtime as far as it changes what a model costs: the card behind ``configs/runtime``.

A card says which weight formats a runtime has, how many bits they really take and which peak they run at. How
fast it gets there (shares of peak and bandwidth, overheads) is fitted on measurements, not written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.bits import Bits
from simdrive.latency.chip import Precision
from simdrive.latency.mapping import record


@dataclass(frozen=True)
class Format:
    """One weight format.

    Args:
        bits: effective bits per group of numbers.
        compute: the precision that the products of the language layers run at; it picks the chip's peak.
        vision_compute: the same for the vision tower.
        dequantize: weights are widened before every product (weight-only formats).
        note: provenance of the bits, and what is not confirmed.
    """

    bits: Bits
    compute: Precision = "fp16"
    vision_compute: Precision = "fp16"
    dequantize: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        for precision in (self.compute, self.vision_compute):
            if precision not in get_args(Precision):
                raise UnknownNameError("precision", precision, get_args(Precision))


@dataclass(frozen=True)
class RuntimeCard:
    """One runtime and the formats that it has."""

    name: str
    formats: Mapping[str, Format]
    fused: bool = True
    version: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.formats:
            raise ParameterError(f"runtime {self.name} needs at least one format, got none")

    def format(self, precision: str) -> Format:
        """Return the format behind a name such as ``w4a16``.

        Raises:
            UnknownNameError: if this runtime lacks it.
        """
        if precision not in self.formats:
            raise UnknownNameError(f"precision of {self.name}", precision, self.formats)
        return self.formats[precision]


def _format(given: Mapping[str, Any], where: str) -> Format:
    """``body`` is short for the bits of attention and feed-forward matrices."""
    bits = dict(given.get("bits") or {})
    body = bits.pop("body", None)
    if body is not None:
        bits = {"attention": body, "feedforward": body} | bits
    rest = {key: value for key, value in given.items() if key != "bits"}
    return record(Format, {**rest, "bits": record(Bits, bits, f"{where}.bits")}, where)


def runtime_card(
    name: str,
    formats: Mapping[str, Mapping[str, Any]],
    fused: bool = True,
    version: str = "",
    description: str = "",
    aliases: Sequence[str] = (),
) -> RuntimeCard:
    """Build a card from plain data: the target of every ``configs/runtime`` entry.

    Raises:
        UnknownNameError: if a field or precision does not exist.
        ParameterError: if a number of bits is out of range.
    """
    built = {str(key): _format(value, f"formats.{key}") for key, value in formats.items()}
    return RuntimeCard(name, built, fused, version, description, tuple(aliases))
