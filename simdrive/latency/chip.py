"""A chip as far as inference time depends on it: the card behind ``configs/chip``.

Every figure says where it comes from; an unknown figure is None and asking for it is refused, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.mapping import record

Precision = Literal["fp32", "fp16", "int8", "fp8", "int4", "fp4"]
Provenance = Literal["vendor", "secondary", "unverified", "derived", "user"]


@dataclass(frozen=True)
class Figure:
    """One number and where it comes from.

    Args:
        value: None = not known.
        provenance: ``vendor``: published by the vendor or read at the source; ``secondary``: second-hand;
            ``unverified``: general knowledge; ``derived``: computed from another peak; ``user``: given by the user.
        note: what a reader has to know, e.g. which conflicting figures there are.
    """

    value: float | None = None
    provenance: Provenance = "unverified"
    note: str = ""

    def __post_init__(self) -> None:
        if self.provenance not in get_args(Provenance):
            raise UnknownNameError("provenance", self.provenance, get_args(Provenance))
        if self.value is not None and not (math.isfinite(self.value) and self.value > 0.0):
            raise ParameterError(f"a figure must be above 0, or null where unknown, got {self.value!r}")


@dataclass(frozen=True)
class PowerMode:
    """One operating point; figures that are None are not published for it.

    Args:
        compute_share: peak compute as a share of the card's.
        bandwidth_gb_s: memory bandwidth in this mode.
    """

    power_w: float | None = None
    compute_share: float | None = None
    bandwidth_gb_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ChipCard:
    """One chip. Peaks are dense and without DLA: what a language model can use.

    Attributes:
        peak_tera: 1e12 operations per second per precision of the operands.
        bandwidth_gb_s: 1e9 bytes per second of memory.
        memory_gib: memory that the accelerator can use, shared with the host where ``unified_memory``.
        cache_mib: largest on-chip cache or scratch memory.
        link_gb_s: host link where memory is not unified.
        measured_in: power mode that published measurements under a runtime ran in where their rows do not say.
        marketing: the advertised peak, in words; never an input.
    """

    name: str
    peak_tera: Mapping[Precision, Figure]
    bandwidth_gb_s: Figure = Figure()
    memory_gib: Figure = Figure()
    cache_mib: Figure = Figure()
    link_gb_s: Figure = Figure()
    unified_memory: bool = True
    power_modes: Mapping[str, PowerMode] = field(default_factory=dict)
    default_mode: str | None = None
    measured_in: Mapping[str, str] = field(default_factory=dict)
    marketing: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for precision in self.peak_tera:
            if precision not in get_args(Precision):
                raise UnknownNameError("precision", precision, get_args(Precision))
        for mode in (self.default_mode, *self.measured_in.values()):
            if mode is not None:
                self.power_mode(mode)

    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions with a known peak."""
        return tuple(name for name in get_args(Precision) if self._peak(name).value is not None)

    def _peak(self, precision: Precision) -> Figure:
        return self.peak_tera.get(precision, Figure())

    def power_mode(self, name: str) -> PowerMode:
        """Return an operating point by name.

        Raises:
            UnknownNameError: if the chip has no such mode.
        """
        if name not in self.power_modes:
            raise UnknownNameError(f"power mode of {self.name}", name, self.power_modes)
        return self.power_modes[name]

    def peak_flops(self, precision: Precision, mode: str | None = None) -> float:
        """Return dense operations per second.

        Raises:
            ParameterError: if the peak, or its share in that power mode, is not known.
            UnknownNameError: if there is no such precision or mode.
        """
        if precision not in get_args(Precision):
            raise UnknownNameError("precision", precision, get_args(Precision))
        figure = self._peak(precision)
        if figure.value is None:
            known = ", ".join(self.precisions()) or "none"
            raise ParameterError(
                f"{self.name} has no published dense {precision} peak (known: {known}); choose another precision or "
                f"give peak_tera={{{precision}: ...}} yourself"
            )
        share = 1.0
        if mode is not None:
            given = self.power_mode(mode).compute_share
            if given is None:
                raise ParameterError(
                    f"the compute of {self.name} in mode {mode!r} is not published; leave the mode out"
                )
            share = given
        return figure.value * 1e12 * share

    def bandwidth_bytes_per_s(self, mode: str | None = None) -> float:
        """Return bytes per second of memory.

        Raises:
            ParameterError: if it is not known.
        """
        value = self.bandwidth_gb_s.value
        if mode is not None and self.power_mode(mode).bandwidth_gb_s is not None:
            value = self.power_mode(mode).bandwidth_gb_s
        if value is None:
            raise ParameterError(
                f"the memory bandwidth of {self.name} is not published, and decode time hangs on it; "
                "give bandwidth_gb_s yourself, the result is then marked as yours"
            )
        return value * 1e9

    def unknown_figures(self) -> tuple[str, ...]:
        """Return the names of figures that nobody has published."""
        peaks = [f"peak_tera.{name}" for name in get_args(Precision) if self._peak(name).value is None]
        scalars = ("bandwidth_gb_s", "memory_gib", "cache_mib")
        return (*peaks, *(name for name in scalars if getattr(self, name).value is None))

    def with_figures(self, peak_tera: Mapping[Precision, float] | None = None, **figures: float) -> ChipCard:
        """Return a card with figures of the user's own, marked as such.

        Raises:
            UnknownNameError: if there is no such figure.
        """
        allowed = ("bandwidth_gb_s", "memory_gib", "cache_mib", "link_gb_s")
        for name in figures:
            if name not in allowed:
                raise UnknownNameError("chip figure", name, (*allowed, "peak_tera"))
        given: dict[str, Any] = {name: Figure(value, "user") for name, value in figures.items()}
        peaks = {**self.peak_tera, **{name: Figure(value, "user") for name, value in (peak_tera or {}).items()}}
        return replace(self, peak_tera=peaks, **given)


def _figure(given: float | Mapping[str, Any] | None, where: str) -> Figure:
    if given is None:
        return Figure()
    if isinstance(given, Mapping):
        return record(Figure, given, where)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ParameterError(f"{where} must be a number, a mapping or null, got {given!r}")
    return Figure(float(given), "user")


def chip_card(
    name: str,
    peak_tera: Mapping[Precision, Any] | None = None,
    bandwidth_gb_s: float | Mapping[str, Any] | None = None,
    memory_gib: float | Mapping[str, Any] | None = None,
    cache_mib: float | Mapping[str, Any] | None = None,
    link_gb_s: float | Mapping[str, Any] | None = None,
    unified_memory: bool = True,
    power_modes: Mapping[str, Mapping[str, Any]] | None = None,
    default_mode: str | None = None,
    measured_in: Mapping[str, str] | None = None,
    marketing: str = "",
    description: str = "",
    aliases: Sequence[str] = (),
) -> ChipCard:
    """Build a card from plain data: the target of every ``configs/chip`` entry.

    A figure is a mapping (value, provenance, note), null where unknown, or a bare number given by the user.

    Raises:
        UnknownNameError: if a field, precision or provenance does not exist.
        ParameterError: if a figure is not above 0.
    """
    return ChipCard(
        name=name,
        peak_tera={key: _figure(value, f"peak_tera.{key}") for key, value in (peak_tera or {}).items()},
        bandwidth_gb_s=_figure(bandwidth_gb_s, "bandwidth_gb_s"),
        memory_gib=_figure(memory_gib, "memory_gib"),
        cache_mib=_figure(cache_mib, "cache_mib"),
        link_gb_s=_figure(link_gb_s, "link_gb_s"),
        unified_memory=unified_memory,
        power_modes={
            str(key): record(PowerMode, value, f"power_modes.{key}") for key, value in (power_modes or {}).items()
        },
        default_mode=default_mode,
        measured_in=dict(measured_in or {}),
        marketing=marketing,
        description=description,
        aliases=tuple(aliases),
    )
