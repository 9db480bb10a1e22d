"""How a model is trained; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from simdrive.errors import ParameterError


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained."""

    steps: int = 4000
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: int = 800  # steps at the end over which the learning rate falls to nothing; constant before
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0
    lessons: dict[str, float] = field(
        default_factory=lambda: {
            "plan": 0.5, "plan+perception": 0.12, "plan+reasoning": 0.12, "plan+planning": 0.08, "reason_plan": 0.06,
            "full": 0.04, "perception": 0.03, "reasoning": 0.03, "planning": 0.02,
        }
    )  # fmt: skip
    soft_labels: bool = True
    critical: float = 0.5  # share of samples in which something must be done
    decision: float = 1.0  # weight of the first number of a driving answer: those after it follow from it
    augment: bool = True
    blind: bool = False  # grey pictures: a control that never saw a frame
    dense: float = 0.0  # weight of the second task of the vision tower (simdrive.compress.dense); 0 = none
    see_first: int = 0  # steps at the beginning in which it is the only task
    freeze: tuple[str, ...] = ()  # parts that are not trained (simdrive.compress.parts)
    muon: tuple[
        str, ...
    ] = ()  # parts whose matrices are trained by Muon, the rest by AdamW (simdrive.compress.optimizers)
    muon_gain: float = 10.0  # their learning rate as a multiple of the rest's
    precision: str = "fp32"  # fp32, or bf16 = autocast
    log_every: int = 20
    save_every: int = 200

    def __post_init__(self) -> None:
        object.__setattr__(self, "freeze", tuple(self.freeze))
        object.__setattr__(self, "muon", tuple(self.muon))
        if min(self.steps, self.batch, self.accumulate, self.log_every, self.save_every) < 1:
            raise ParameterError("steps, batch, accumulate, log_every and save_every must be at least 1")
        if self.see_first and self.dense <= 0.0:
            raise ParameterError("see_first trains the dense task alone: give it a weight, e.g. train.dense=0.5")
        if not 0.0 <= self.critical <= 1.0:
            raise ParameterError(f"critical is a share from 0 to 1 of the samples, got {self.critical:g}")
        if self.precision not in ("fp32", "bf16"):
            raise ParameterError(f"precision must be fp32 or bf16, got {self.precision!r}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: up, constant, down, so that a run can be prolonged before its end."""
        up = min((step + 1) / max(self.warmup, 1), 1.0)
        down = min(max(self.steps - step, 1) / max(self.decay, 1), 1.0)
        return self.learning_rate * min(up, down)
