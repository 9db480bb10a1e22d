"""What a headline study compares: variants of a family, the chips they are priced on, and how much is sought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.grid import AgentConfig
from simdrive.eval.studies.curve import Grid
from simdrive.eval.studies.paired import Criterion


@dataclass(frozen=True)
class Variant:
    """One member of the family: who drives, and what its requests are priced as (empty = its own charge)."""

    name: str
    agent: AgentConfig
    architecture: str = ""
    precision: str = ""


@dataclass(frozen=True)
class Chip:
    """Where requests are priced; the power mode also decides whether energy is known."""

    name: str
    power_mode: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a headline study compares.

    Attributes:
        variants: the first is the teacher, against which the others are held.
        references: driven at zero latency only.
        chips: the first is the one of all worlds.
        tokens: of every request (``prompt_tokens``, ``image_tokens``, ``output_tokens``), None = what agents report.
        grid, criterion: of the latency budgets; no grid = none are sought.
        decompose: students whose difference to the teacher is split into skill and latency.
    """

    variants: tuple[Variant, ...]
    references: tuple[AgentConfig, ...]
    chips: tuple[Chip, ...]
    runtime: str = "trt_edge_llm"
    tokens: Mapping[str, int | None] = field(default_factory=dict)
    grid: Grid | None = None
    criterion: Criterion = Criterion()  # noqa: RUF009 - frozen
    decompose: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.variants or not self.chips:
            raise ParameterError(
                "a headline study needs one variant or more (the first is the teacher), and a chip or more"
            )
        names = [*(v.name for v in self.variants), *(r.name for r in self.references)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ParameterError(f"variants and references name {', '.join(twice)} more than once")
        for name in self.decompose:
            if name not in [variant.name for variant in self.variants[1:]]:
                raise UnknownNameError("student to decompose", name, tuple(v.name for v in self.variants[1:]))
