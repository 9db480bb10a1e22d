"""What a distillation takes from its teachers, and how it is joined; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simdrive.compress.distill.names import ATTENTION, CAPABILITIES, KL, METHODS, SIGNALS, SUPERVISED
from simdrive.compress.lessons import Lesson
from simdrive.errors import ParameterError, UnknownNameError

TERMS = (*CAPABILITIES, KL)


@dataclass(frozen=True)
class DistillSettings:
    """What is taken from the teachers, and how it is joined."""

    method: str = "agp"  # see simdrive.compress.distill.projection
    terms: tuple[str, ...] = CAPABILITIES  # of TERMS
    signal: str = ATTENTION  # what capabilities are seen through (simdrive.compress.distill.terms)
    mixing: bool = True  # a question's own capability counts most
    reweight: bool = True  # terms are kept pulling equally hard
    weights: Mapping[str, float] = field(default_factory=dict)  # static weights, 1 where none is given
    temperature: float = 2.0  # of the softened answers for ``kl``

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        if self.method not in METHODS:
            raise UnknownNameError("way to join gradients", self.method, METHODS)
        if self.signal not in SIGNALS:
            raise UnknownNameError("signal of a distillation", self.signal, SIGNALS)
        for names, known in ((self.terms, TERMS), (self.weights, (*TERMS, SUPERVISED))):
            for term in names:
                if term not in known:
                    raise UnknownNameError("term of a distillation", term, known)
        if not self.terms or self.temperature <= 0.0:
            raise ParameterError("a distillation needs at least one term and a temperature above 0")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Terms that compare layers."""
        return tuple(term for term in self.terms if term in CAPABILITIES)

    @property
    def summed(self) -> bool:
        """Whether gradients are only added."""
        return self.method in ("plain_sum", "equal_supervision")


_ANSWERED = {"": (), "plan": ("planning",), "reason_plan": ("reasoning", "planning"), "full": CAPABILITIES}


def asked_of(lesson: Lesson) -> tuple[str, ...]:
    """Return the capabilities that a lesson asks for, once each; driving is planning, and longer styles say more."""
    return tuple(dict.fromkeys((*_ANSWERED[lesson.style], *((lesson.topic,) if lesson.topic else ()))))
