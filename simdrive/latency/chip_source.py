"""Requests priced from cards: the time that a charge takes on a chip, from the tokens of each request.

A small model that stands for a big one is charged as the big one: its image tokens come from the charged model's
own tiling rule, its text tokens from the real text by a declared ratio. Times are medians; jitter is another
matter and draws from its own stream.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simdrive.build import config_names
from simdrive.errors import ParameterError
from simdrive.latency.charging import charged_pricer
from simdrive.latency.names import load_card
from simdrive.latency.parameters import SHIPPED
from simdrive.latency.pricing import MOST_TOKENS, HostTimes, Pricer
from simdrive.latency.source import RequestBatch
from simdrive.types import Charge, Long

# What a failed request is charged where nobody knows its tokens: a short prompt and a short answer.
UNKNOWN_TEXT, UNKNOWN_IMAGE, UNKNOWN_OUTPUT = 256, 0, 32
NO_PROMPT = (
    "a request without a token in its prompt cannot be priced, and this agent reports none (rule drivers use no tokens): "
    "give latency.prompt_tokens=..., latency.image_tokens=... and latency.output_tokens=..., e.g. 300, 1792 and 20"
)


@dataclass(frozen=True)
class ChipLatency:
    """Prices every request on one chip under one runtime.

    Args:
        chip, runtime: names, published aliases or yaml paths of cards.
        power_mode: of the chip; None = its published peak figures.
        architecture, precision: charged instead of the agent's own charge, both or neither.
        prompt_tokens, image_tokens, output_tokens: counts of every request instead of what the agent reports.
        picture_height, picture_width: size of one picture; image tokens then follow the charged model's tiling.
        text_ratio: text tokens of the charged model per reported text token.
        sensor_ms, preprocess_ms, preprocess_ns_per_pixel, action_ms: stages that no card prices, see ``HostTimes``.
    """

    chip: str
    runtime: str = "trt_edge_llm"
    power_mode: str | None = None
    architecture: str | None = None
    precision: str | None = None
    prompt_tokens: int | None = None
    image_tokens: int | None = None
    output_tokens: int | None = None
    picture_height: int | None = None
    picture_width: int | None = None
    text_ratio: float = 1.0
    sensor_ms: float = 30.0
    preprocess_ms: float = 2.0
    preprocess_ns_per_pixel: float = 5.0
    action_ms: float = 0.0
    _host: HostTimes = field(init=False, repr=False, compare=False)
    _fits: dict[Charge, tuple[int, int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if (self.architecture is None) != (self.precision is None):
            raise ParameterError("give architecture and precision together, or neither to take the agent's charge")
        if (self.picture_height is None) != (self.picture_width is None):
            raise ParameterError("give picture_height and picture_width together, or neither")
        if self.image_tokens is not None and self.picture_height is not None:
            raise ParameterError("give image_tokens or the size of a picture, not both")
        for name in ("prompt_tokens", "image_tokens", "output_tokens"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or int(value) != value or not 0 <= value <= MOST_TOKENS):
                raise ParameterError(f"{name} must be a whole number from 0 to {MOST_TOKENS}, got {value!r}")
        if not 0.0 < self.text_ratio < 100.0:
            raise ParameterError(f"text_ratio must be above 0 and below 100, got {self.text_ratio}")
        host = HostTimes(self.sensor_ms, self.preprocess_ms, self.preprocess_ns_per_pixel, self.action_ms)
        object.__setattr__(self, "_host", host)
        self._check_names()

    def _check_names(self) -> None:
        """Refuse wrong names now, not at the first request of a run."""
        chip, runtime = load_card("chip", self.chip), load_card("runtime", self.runtime)
        chip.bandwidth_bytes_per_s(self.power_mode)
        if self.precision is not None and self.architecture is not None:
            runtime.format(self.precision)
            load_card("architecture", self.architecture)

    def charged(self, charge: Charge) -> Charge:
        """Return what requests are priced as; what compression did to the agent is done to another card too.

        Raises:
            ParameterError: if neither the agent nor the source says it.
        """
        if self.architecture is not None and self.precision is not None:
            return replace(charge, architecture=self.architecture, precision=self.precision, bits=())
        if not (charge.architecture and charge.precision):
            raise ParameterError(
                "the agent is charged as no model, so a chip cannot price it: give latency.architecture=... and "
                "latency.precision=..., e.g. internvl3_1b and w4a16"
            )
        return charge

    def check_charge(self, charge: Charge) -> None:
        """Refuse a charge that cannot be priced, before anything is driven.

        Raises:
            ParameterError: if it is missing, a share is out of range, a figure of the chip is unknown or the model does
                not even fit with an empty context.
            UnknownNameError: if a card or format does not exist.
        """
        model = self._pricer(self.charged(charge))
        model.check_fit(1, 1)
        _ = model.machine, model.vision_machine if model.architecture.vision else None

    def _pricer(self, charge: Charge) -> Pricer:
        return charged_pricer(self.chip, self.runtime, charge, self.power_mode)

    def price(self, requests: RequestBatch) -> Long:
        """Return the median stage times of every request from its own tokens.

        Raises:
            ParameterError: if a figure of the chip is unknown, or the model does not fit into its memory.
        """
        charge = self.charged(requests.charge)
        model = self._pricer(charge)
        if len(requests) == 1:
            return self._price_one(requests, charge, model)
        if not len(requests):
            return np.zeros((0, 6), dtype=np.int64)
        text = self._scaled(_counts(requests.usage.prompt, self.prompt_tokens, UNKNOWN_TEXT), self.prompt_tokens)
        output = self._scaled(_counts(requests.usage.output, self.output_tokens, UNKNOWN_OUTPUT), self.output_tokens)
        image = self._image_tokens(requests, model)
        if int((text + image).min()) < 1:
            raise ParameterError(NO_PROMPT)
        self._check_fit(charge, model, int((text + image).max()), int(output.max()))
        stages_s = model.median_seconds(text, image, output, requests.images, requests.pixels, self._host)
        return np.rint(stages_s * 1e6).astype(np.int64)

    def _price_one(self, requests: RequestBatch, charge: Charge, model: Pricer) -> Long:
        """The same for a single request, which is what a closed loop asks for most: plain numbers are faster."""
        usage, images = requests.usage, int(requests.images[0])
        text = self._scaled_one(int(usage.prompt[0]), self.prompt_tokens, UNKNOWN_TEXT)
        output = self._scaled_one(int(usage.output[0]), self.output_tokens, UNKNOWN_OUTPUT)
        if self.picture_height is None or self.picture_width is None:
            image = _count(int(usage.image[0]), self.image_tokens, UNKNOWN_IMAGE)
        else:
            image = self._tiled(model, images)
        if text + image < 1:
            raise ParameterError(NO_PROMPT)
        self._check_fit(charge, model, text + image, output)
        stages_s = model.price_one(text, image, output, images, int(requests.pixels[0]), self._host)
        return np.array([[round(seconds * 1e6) for seconds in stages_s]], dtype=np.int64)

    def _scaled(self, counts: Long, fixed: int | None) -> Long:
        """Counts that the user gives are of the charged model already."""
        return counts if fixed is not None else np.ceil(counts * self.text_ratio).astype(np.int64)

    def _scaled_one(self, reported: int, fixed: int | None, unknown: int) -> int:
        count = _count(reported, fixed, unknown)
        return count if fixed is not None else math.ceil(count * self.text_ratio)

    def _tiled(self, model: Pricer, images: int) -> int:
        assert self.picture_height is not None
        assert self.picture_width is not None
        return model.architecture.pictures(images, self.picture_height, self.picture_width).tokens

    def _image_tokens(self, requests: RequestBatch, model: Pricer) -> Long:
        if self.picture_height is None or self.picture_width is None:
            return _counts(requests.usage.image, self.image_tokens, UNKNOWN_IMAGE)
        kinds, which = np.unique(requests.images, return_inverse=True)
        tokens = [self._tiled(model, int(count)) for count in kinds]
        return np.array(tokens, dtype=np.int64)[which.reshape(-1)]

    def _check_fit(self, charge: Charge, model: Pricer, prompt: int, output: int) -> None:
        """Memory grows with every count, so what is below counts that were found to fit needs no second look."""
        most = self._fits.get(charge, (-1, -1))
        if prompt > most[0] or output > most[1]:
            model.check_fit(prompt, output)
            self._fits[charge] = prompt, output

    def identity(self) -> dict[str, Any]:
        """Return all settings, the cards they stand for and the calibration behind the times."""
        return {
            "source": "chip",
            **_settings(self),
            "cards": _cards(self),
            "calibration": _calibration(),
        }


def _counts(reported: Long, fixed: int | None, unknown: int) -> Long:
    """-1 = unknown: a failed request costs a fixed short one, whatever the batch around it."""
    if fixed is not None:
        return np.full(len(reported), int(fixed), dtype=np.int64)
    return np.asarray(np.where(reported < 0, unknown, reported), dtype=np.int64)


def _count(reported: int, fixed: int | None, unknown: int) -> int:
    if fixed is not None:
        return int(fixed)
    return unknown if reported < 0 else reported


def _settings(source: ChipLatency) -> dict[str, Any]:
    return {name: getattr(source, name) for name in source.__dataclass_fields__ if not name.startswith("_")}


@functools.cache
def _calibration() -> str:
    return _digest(SHIPPED.read_bytes())


@functools.cache
def _shipped_architectures() -> str:
    cards = [load_card("architecture", name) for name in config_names("architecture")]
    return _digest(repr(cards).encode())


def _cards(source: ChipLatency) -> str:
    """Return a digest of the cards: a changed card changes the times under the same name.

    A source that prices each agent by its own charge depends on all shipped architectures.
    """
    cards: list[Any] = [load_card("chip", source.chip), load_card("runtime", source.runtime)]
    own = source.architecture
    cards.append(_shipped_architectures() if own is None else load_card("architecture", own))
    return _digest(repr(cards).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
