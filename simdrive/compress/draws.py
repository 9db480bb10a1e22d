"""Which samples a training step sees: drawn from (seed, step) alone, so that a resumed run goes on identically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simdrive.compress.lessons import Lesson, lesson_named
from simdrive.compress.samples import Samples
from simdrive.types import Bytes, Float, Long


def generator(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """Return the generator of one step on one process."""
    return np.random.Generator(np.random.Philox(key=[seed, rank], counter=step << 128))


def sample_weights(samples: Samples, critical_share: float = 0.5) -> Float:
    """Return the probability ``[N]`` of each sample: a share of a batch is critical, rare scenarios count more."""
    weights: Float = np.zeros(len(samples))
    for critical, share in ((True, critical_share), (False, 1.0 - critical_share)):
        here = samples.critical == critical
        for scenario in np.unique(samples.scenario[here]):
            rows = here & (samples.scenario == scenario)
            weights[rows] = 1.0 / np.sqrt(rows.sum())
        if here.any():
            weights[here] *= share / weights[here].sum()
    weights /= weights.sum()
    return weights


class Draws:
    """Draws batches of one lesson each."""

    def __init__(self, samples: Samples, lessons: Mapping[str, float], seed: int, critical_share: float = 0.5) -> None:
        self._cumulated = np.cumsum(sample_weights(samples, critical_share))
        self._lessons = [lesson_named(name) for name in lessons]
        self._shares = np.array(list(lessons.values()), dtype=np.float64)
        self._shares /= self._shares.sum()
        self._seed = seed

    def draw(self, step: int, count: int, rank: int = 0) -> tuple[Lesson, Long, Long, np.random.Generator]:
        """Return the lesson of a step, its rows ``[count]``, their phrasings, and a generator for what follows."""
        lesson = self._lessons[int(generator(self._seed, step).choice(len(self._shares), p=self._shares))]
        rng = generator(self._seed + 1, step, rank)
        rows = np.searchsorted(self._cumulated, rng.random(count) * self._cumulated[-1])
        return lesson, np.minimum(rows, len(self._cumulated) - 1), rng.integers(0, 1 << 16, count), rng


def augmented(tiles: Bytes, rng: np.random.Generator) -> Bytes:
    """Return tiles ``[N, ...]`` with another brightness and contrast per request."""
    count = len(tiles)
    gain = rng.uniform(0.8, 1.25, (count, 1)).astype(np.float32)
    lift = rng.uniform(-16.0, 16.0, (count, 1)).astype(np.float32)
    # What becomes of each of the 256 values of a byte, instead of arithmetic on millions of them.
    becomes = np.clip(np.arange(256, dtype=np.float32) * gain + lift, 0.0, 255.0).astype(np.uint8)
    changed = [one.tobytes().translate(table.tobytes()) for one, table in zip(tiles, becomes, strict=True)]
    return np.stack([np.frombuffer(one, np.uint8).reshape(tiles.shape[1:]) for one in changed])
