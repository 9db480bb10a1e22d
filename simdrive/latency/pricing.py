"""Chip x runtime x precision x architecture x tokens -> stage times, their 80 % interval, energy.

Times are medians of the roofline formula of ``roofline`` over the operators of the model. Image tokens are tokens
inside the prompt of the language model; the tower sees ``merge`` patches for each. The first output token comes
out of prefill, so ``n`` output tokens take ``n - 1`` decode steps.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.chip import ChipCard
from simdrive.latency.language_cost import TokenPruning, decode_operators, mean_context, prefill_operators
from simdrive.latency.launches import launches
from simdrive.latency.names import load_card
from simdrive.latency.operators import Amount, Memory, Operator, total_bytes, total_flops
from simdrive.latency.parameters import Calibration, RuntimeParameters, parameters_of
from simdrive.latency.peak_memory import PeakMemory, check_fit, peak_memory
from simdrive.latency.price_table import PriceTable
from simdrive.latency.roofline import Z80, Machine, Work, machine_for, stage_seconds
from simdrive.latency.runtime import Format, RuntimeCard
from simdrive.latency.speculation import Speculation
from simdrive.latency.tiling import PictureLoad
from simdrive.latency.token_load import token_load
from simdrive.latency.vision_cost import copy_bytes, vision_operators
from simdrive.types import STAGES, Float, Long

MOST_TOKENS = 1_000_000  # more in one request is a mistake of units, not a prompt
RUNTIME_BYTES = 0.5e9  # context and workspace of a GPU runtime
_ALL_TOKENS, _PLAIN = TokenPruning(), Speculation()
_CHECKED = ("vision", "prefill", "decode")


@dataclass(frozen=True)
class Price:
    """What N requests cost.

    Attributes:
        stages_s: ``[N, 6]`` median seconds in the order of ``STAGES``.
        low_s, high_s: ``[N, 6]`` bounds of the 80 % interval of each stage.
        power_w: power of the mode, None = not published or no mode given.
    """

    stages_s: Float
    low_s: Float
    high_s: Float
    power_w: float | None = None

    def total_s(self) -> tuple[Float, Float, Float]:
        """Return (median, low, high) ``[N]`` of all stages together.

        Errors of the stages are taken to go the same way, which is the wide choice.
        """
        return self.stages_s.sum(1), self.low_s.sum(1), self.high_s.sum(1)

    def energy_j(self) -> Float | None:
        """Return ``[N]`` joules while the accelerator works at the power of its mode: an upper bound."""
        if self.power_w is None:
            return None
        busy = self.stages_s[:, [STAGES.index(name) for name in (*_CHECKED, "action")]]
        return np.asarray(busy.sum(1) * self.power_w, float)


@dataclass(frozen=True)
class HostTimes:
    """Stages that no card prices: assumptions, the same for every chip.

    Args:
        sensor_ms: exposure and image signal processor; 15-50 ms are usual.
        preprocess_ms: resizing and packing of a request on the host.
        preprocess_ns_per_pixel: the same per pixel.
        action_ms: what follows the text; 0 for models that write their action as text.
    """

    sensor_ms: float = 30.0
    preprocess_ms: float = 2.0
    preprocess_ns_per_pixel: float = 5.0
    action_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sensor_ms", "preprocess_ms", "preprocess_ns_per_pixel", "action_ms"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 60_000.0:
                raise ParameterError(f"{name} must be at least 0 and below 60000, got {value!r}")


@dataclass(frozen=True)
class Pricer:
    """One model in one format under one runtime on one chip.

    Build it through ``pricer`` (cached, by names) or ``price_cards`` (from cards).
    """

    chip: ChipCard
    runtime: RuntimeCard
    architecture: ArchitectureCard
    precision: str
    parameters: RuntimeParameters
    power_mode: str | None = None
    pruning: TokenPruning = _ALL_TOKENS
    speculation: Speculation = _PLAIN

    @property
    def form(self) -> Format:
        """The weight format."""
        return self.runtime.format(self.precision)

    @functools.cached_property
    def memory(self) -> Memory:
        """How operators meet the chip's memory."""
        cache = self.chip.cache_mib.value
        return Memory(self.runtime.fused, None if cache is None else cache * 2.0**20)

    def work(self, operators: tuple[Operator, ...], layers: float) -> Work:
        """Return the FLOPs and bytes of operators in this format."""
        return Work(total_flops(operators), total_bytes(operators, self.form.bits, self.memory), layers)

    def prefill_work(self, prompt_tokens: Amount, image_tokens: Amount = 0) -> Work:
        """Return the work from the prompt (pictures included) to the first output token."""
        operators = prefill_operators(self.architecture, prompt_tokens, image_tokens, pruning=self.pruning)
        return self.work(operators, launches(self.architecture.language))

    def decode_work(self, context_tokens: Amount) -> Work:
        """Return the work of one decode step."""
        return self.work(decode_operators(self.architecture, context_tokens), launches(self.architecture.language))

    def vision_work(self, load: PictureLoad) -> Work:
        """Return the work of the tower; copies between modules are paid at the chip's bandwidth."""
        tower = self.architecture.vision
        base = self.work(vision_operators(self.architecture, load), tower.layers if tower else 0)
        copied = copy_bytes(self.architecture, load, self.form.bits, self.chip.unified_memory)
        return Work(base.flops, base.bytes + copied, base.layers)

    @functools.cached_property
    def machine(self) -> Machine:
        """What the chip offers the language layers."""
        return machine_for(self.chip, self.form, False, self.power_mode)

    @functools.cached_property
    def decode_machine(self) -> Machine:
        """The same for decode, which can do without a published peak: bandwidth decides."""
        return machine_for(self.chip, self.form, False, self.power_mode, need_peak=False)

    @functools.cached_property
    def vision_machine(self) -> Machine:
        """What the chip offers the vision tower."""
        return machine_for(self.chip, self.form, True, self.power_mode)

    def step_seconds(self, context_tokens: Amount) -> Float:
        """Return the time of one decode step with ``context_tokens`` in the cache."""
        return stage_seconds(self.decode_work(context_tokens), self.decode_machine, self.parameters.decode)

    def prefill_seconds(self, prompt_tokens: Amount, image_tokens: Amount = 0) -> Float:
        """Return the time of prefill; image tokens matter only where some are pruned."""
        return stage_seconds(self.prefill_work(prompt_tokens, image_tokens), self.machine, self.parameters.prefill)

    def cached_context(self, prompt_tokens: Amount, image_tokens: Amount) -> Float:
        """Return the tokens of a prompt in the cache, as a mean over the layers: pruned ones lie only in early layers."""
        late = 1.0 - min(1.0, self.pruning.after_layer / self.architecture.language.layers)
        dropped = np.asarray(image_tokens, float) * (1.0 - self.pruning.keep) * late
        return np.asarray(np.asarray(prompt_tokens, float) - dropped, float)

    @functools.cached_property
    def _prefill_table(self) -> PriceTable:
        return PriceTable(self.prefill_seconds)

    @functools.cached_property
    def _step_table(self) -> PriceTable:
        """At twice the context, since mean contexts come in halves."""
        return PriceTable(lambda doubled: self.step_seconds(doubled / 2.0))

    @functools.cached_property
    def _vision_seconds(self) -> dict[tuple[int, int], float]:
        return {}

    def vision_seconds(self, load: PictureLoad) -> float:
        """Return the time of the vision tower; 0 without pictures."""
        if not load.sequences:
            return 0.0
        return float(stage_seconds(self.vision_work(load), self.vision_machine, self.parameters.vision))

    def price(
        self, text_tokens: Long, image_tokens: Long, output_tokens: Long, images: Long, pixels: Long, host: HostTimes
    ) -> Price:
        """Return what requests cost; all counts ``[N]``, every row by itself.

        Raises:
            ParameterError: if a count is negative or absurd, or a figure of the chip is not published.
        """
        stages = self.median_seconds(text_tokens, image_tokens, output_tokens, images, pixels, host)
        spread = self._spread
        return Price(stages, stages / spread, stages * spread, self.power_w)

    def median_seconds(
        self, text_tokens: Long, image_tokens: Long, output_tokens: Long, images: Long, pixels: Long, host: HostTimes
    ) -> Float:
        """Return the median stage times ``[N, 6]`` alone.

        Raises:
            ParameterError: as ``price`` does.
        """
        _check_tokens(text_tokens=text_tokens, image_tokens=image_tokens, output_tokens=output_tokens)
        prompt = text_tokens + image_tokens
        if len(prompt) and prompt.min() < 1:
            raise ParameterError("a request needs at least one token in its prompt; charge it with prompt tokens")
        stages = np.empty((len(prompt), len(STAGES)))
        stages[:, 0] = host.sensor_ms * 1e-3
        stages[:, 1] = host.preprocess_ms * 1e-3 + np.asarray(pixels, float) * (host.preprocess_ns_per_pixel * 1e-9)
        stages[:, 2] = self._vision(image_tokens, images)
        stages[:, 3], stages[:, 4] = self._language(prompt, image_tokens, output_tokens)
        stages[:, 5] = host.action_ms * 1e-3
        return stages

    def price_one(
        self, text_tokens: int, image_tokens: int, output_tokens: int, images: int, pixels: int, host: HostTimes
    ) -> tuple[float, ...]:
        """Return the six stage times of one request: those of ``price``, bit for bit, without its arrays.

        Raises:
            ParameterError: as ``price`` does.
        """
        most = max(text_tokens, image_tokens, output_tokens)
        prompt = text_tokens + image_tokens
        if most > MOST_TOKENS or min(text_tokens, image_tokens, output_tokens) < 0 or prompt < 1 or not self._tabled:
            given = np.array([[text_tokens], [image_tokens], [output_tokens], [images], [pixels]], dtype=np.int64)
            text, image, output, shown, points = given
            return tuple(self.median_seconds(text, image, output, shown, points, host)[0].tolist())
        steps = max(output_tokens - 1, 0)
        step = self._step_table.one(2 * prompt + max(steps - 1, 0))
        return (
            host.sensor_ms * 1e-3,
            host.preprocess_ms * 1e-3 + pixels * (host.preprocess_ns_per_pixel * 1e-9),
            self._vision_one(image_tokens, images),
            self._prefill_table.one(prompt),
            steps * step / self.speculation.speedup,
            host.action_ms * 1e-3,
        )

    @property
    def _tabled(self) -> bool:
        """Whether prefill depends on the length of the prompt alone."""
        return self.pruning.keep == 1.0

    def _language(self, prompt: Long, image_tokens: Long, output_tokens: Long) -> tuple[Float, Float]:
        """Return the times of prefill and decode."""
        steps = np.maximum(output_tokens - 1, 0)
        if self._tabled:
            prefill = self._prefill_table.at(prompt)
            step = self._step_table.at(2 * prompt + np.maximum(steps - 1, 0))
        else:
            prefill = self.prefill_seconds(prompt.astype(float), image_tokens.astype(float))
            context = self.cached_context(prompt.astype(float), image_tokens.astype(float))
            step = self.step_seconds(mean_context(context, steps))
        return prefill, np.asarray(steps * step / self.speculation.speedup, float)

    def _vision(self, image_tokens: Long, images: Long) -> Float:
        """A run shows few different picture loads, so each is priced once."""
        if not image_tokens.any():
            return np.zeros(len(image_tokens))
        # One number per pair: sorting numbers is far cheaper than sorting rows.
        codes = np.broadcast_to(images, image_tokens.shape) * (MOST_TOKENS + 1) + image_tokens
        kinds, which = np.unique(codes, return_inverse=True)
        times = [self._vision_one(*divmod(int(code), MOST_TOKENS + 1)[::-1]) for code in kinds]
        return np.asarray(np.asarray(times, float)[which.reshape(-1)], float)

    def _vision_one(self, image_tokens: int, images: int) -> float:
        known, key = self._vision_seconds, (image_tokens, images)
        if key not in known:
            known[key] = self.vision_seconds(token_load(self.architecture, image_tokens, images))
        return known[key]

    @functools.cached_property
    def _spread(self) -> Float:
        """Factor from the median to the upper bound of each stage."""
        return np.asarray(np.exp(Z80 * self._sigmas()), float)

    def _sigmas(self) -> Float:
        of = {name: self.parameters.stage(name).sigma(self.chip.name) for name in _CHECKED}
        return np.array([of.get(name, 0.0) for name in STAGES])

    @property
    def power_w(self) -> float | None:
        """Watts of the power mode, None = not published or no mode given."""
        return None if self.power_mode is None else self.chip.power_mode(self.power_mode).power_w

    def peak_memory(self, prompt_tokens: int, output_tokens: int, image_tokens: int = 0, images: int = 1) -> PeakMemory:
        """Return the peak memory of one request, what the runtime itself holds included."""
        load = token_load(self.architecture, image_tokens, images)
        return peak_memory(
            self.architecture, self.form.bits, prompt_tokens, output_tokens, load, RUNTIME_BYTES, self.runtime.fused
        )

    def check_fit(self, prompt_tokens: int, output_tokens: int, image_tokens: int = 0, images: int = 1) -> None:
        """Refuse a model that the chip cannot hold; a chip whose memory is not published is let through.

        Raises:
            ParameterError: with the sum, if it does not fit.
        """
        if self.chip.memory_gib.value is not None:
            needed = self.peak_memory(prompt_tokens, output_tokens, image_tokens, images)
            check_fit(needed, self.chip.memory_gib.value, f"{self.architecture.name} {self.precision}", self.chip.name)


def _check_tokens(**counts: Long) -> None:
    for name, values in counts.items():
        if len(values) and not (values.min() >= 0 and values.max() <= MOST_TOKENS):
            raise ParameterError(f"{name} must be between 0 and {MOST_TOKENS}, got {values.min()} to {values.max()}")


def price_cards(
    chip: ChipCard,
    runtime: RuntimeCard,
    architecture: ArchitectureCard,
    precision: str,
    power_mode: str | None = None,
    calibration: Calibration | None = None,
) -> Pricer:
    """Return the pricer of four cards.

    Raises:
        UnknownNameError: if the runtime lacks the precision or the chip the power mode.
    """
    runtime.format(precision)
    if power_mode is not None:
        chip.power_mode(power_mode)
    return Pricer(chip, runtime, architecture, precision, parameters_of(runtime.name, calibration), power_mode)


@functools.lru_cache(maxsize=512)
def pricer(chip: str, runtime: str, architecture: str, precision: str, power_mode: str | None = None) -> Pricer:
    """Return the pricer of names, aliases or yaml paths; built once per combination.

    Raises:
        UnknownNameError: with the nearest name.
    """
    cards = load_card("chip", chip), load_card("runtime", runtime), load_card("architecture", architecture)
    return price_cards(*cards, precision, power_mode)
