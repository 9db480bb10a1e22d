"""From a measurement to what the model has to predict: which stage it times, on which cards, with which tokens."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.errors import SimdriveError
from simdrive.latency.chip import ChipCard
from simdrive.latency.layers import Attention
from simdrive.latency.measurements import Measurement
from simdrive.latency.names import find_entry, load_card, plain
from simdrive.latency.pricing import Pricer, price_cards
from simdrive.latency.roofline import Machine, Work
from simdrive.latency.runtime import RuntimeCard
from simdrive.latency.token_load import token_load

SHORT_PROMPT = 64.0  # where a row says that the prompt was short, or nothing
SPECULATIVE = ("EAGLE3", "MTP", "DFlash")
GENERATED = 128.0  # tokens generated where a row does not say


@dataclass(frozen=True)
class Target:
    """One stage time that a row gives.

    Attributes:
        stage: vision, prefill, decode, or speculation (the time of one pass over the proposals of a draft).
        seconds: measured; for decode per token, for an end-to-end rate of the whole request.
        work, machine: what the stage has to do, and with what.
        steps: decode steps of an end-to-end rate; 0 = ``seconds`` is the stage alone.
        prefill_work: prefill of an end-to-end rate.
        nominal_bytes: parameters times the bits of the format's name: what a naive estimate would move.
        model: width and depth of the language layers: models that share them are one cluster.
        hybrid: recurrent layers, which are kept out of the fit.
    """

    row: int
    stage: str
    seconds: float
    work: Work
    machine: Machine
    chip: str
    runtime: str
    model: str
    precision: str
    hybrid: bool
    steps: float = 0.0
    prefill_work: Work | None = None
    nominal_bytes: float = 0.0

    @property
    def cluster(self) -> tuple[str, str, str]:
        """Rows that are not independent of each other."""
        return self.chip, self.model, self.precision


@dataclass(frozen=True)
class Skipped:
    """A row, or a stage of it, that cannot be compared, and why."""

    row: int
    stage: str
    reason: str


def precision_of(row: Measurement, runtime: RuntimeCard) -> str | None:
    """Return the format of a runtime that a row was measured in; None = it has none or the row does not say."""
    if row.weight_bits is None:
        return None
    if row.act_bits is None:
        return next((name for name in runtime.formats if name.startswith(f"w{row.weight_bits:g}a")), None)
    name = f"w{row.weight_bits:g}a{row.act_bits:g}"
    if "FP8" in row.keys.get("quant", "").upper():
        name += "_fp8"
    return name if name in runtime.formats else None


def mode_of(row: Measurement, chip: ChipCard, runtime: str) -> str | None:
    """Return the power mode that a row was measured in; None = the published figures of the chip apply.

    Where the row does not say, the mode that the card names for measurements under that runtime. A mode whose compute
    nobody has published says nothing that could be used.
    """
    wanted = {plain(row.power), plain(f"{row.power}w")} if row.power else {plain(chip.measured_in.get(runtime, ""))}
    found = next((name for name in chip.power_modes if plain(name) in wanted), None)
    return None if found is None or chip.power_mode(found).compute_share is None else found


@functools.cache
def _card(group: str, entry: str) -> Any:
    return load_card(group, entry)


def _pricer(row: Measurement) -> Pricer | str:
    """Return the cards of a row, or why there are none."""
    try:
        runtime: RuntimeCard = _card("runtime", find_entry("runtime", row.runtime))
        chip: ChipCard = _card("chip", find_entry("chip", row.chip))
        architecture = _card("architecture", find_entry("architecture", row.model))
    except SimdriveError as error:
        return str(error).split(" Available:")[0]
    precision = precision_of(row, runtime)
    if precision is None:
        bits = f"weights {row.weight_bits}, activations {row.act_bits}"
        return f"the format ({bits}) is not said or {runtime.name} has no such format"
    return price_cards(chip, runtime, architecture, precision, mode_of(row, chip, runtime.name), calibration={})


def _hybrid(pricer: Pricer) -> bool:
    blocks = pricer.architecture.language.blocks
    return any(block.mixer is not None and not isinstance(block.mixer, Attention) for block in blocks)


def _context(row: Measurement, pricer: Pricer) -> float | str:
    if row.context is not None:
        return row.context
    prompt = row.prompt_tokens
    if prompt is None:
        seen = re.search(r"\b(image|video) (\d+)x(\d+)", row.note)
        if seen and seen.group(1) == "video":
            return "a video of unknown tokens is in the context"
        size = (int(seen.group(3)), int(seen.group(2))) if seen else (1, 1)
        prompt = SHORT_PROMPT + (pricer.architecture.pictures(1, *size).tokens if seen else 0)
    return prompt + (row.outputs or GENERATED) / 2.0


def _decode(row: Measurement, pricer: Pricer) -> tuple[float, Work, float, Work | None] | str:
    """Return (seconds, work per step, steps, prefill work), or why not."""
    if row.decode_tok_s is None:
        return ""
    if "FlashHead" in row.note:
        return "a reduced LM head"
    context = _context(row, pricer)
    if isinstance(context, str):
        return context
    if row.mode == "vanilla":
        return 1.0 / row.decode_tok_s, pricer.decode_work(context), 0.0, None
    if row.mode in SPECULATIVE:
        return "speculative decoding without the accept length" if row.accept_length is None else ""
    if not row.mode.startswith("e2e"):
        return f"mode {row.mode or 'not said'}: only plain decoding is priced"
    if row.outputs is None:
        return "an end-to-end rate without the number of output tokens"
    work = pricer.prefill_work(row.prompt_tokens or SHORT_PROMPT)
    return row.outputs / row.decode_tok_s, pricer.decode_work(context), row.outputs - 1.0, work


def _speculation(row: Measurement, pricer: Pricer) -> tuple[float, Work] | str:
    """Return the time of one pass and the work of a plain step."""
    if row.mode not in SPECULATIVE or row.decode_tok_s is None or row.accept_length is None:
        return ""
    context = _context(row, pricer)
    return context if isinstance(context, str) else (row.accept_length / row.decode_tok_s, pricer.decode_work(context))


def _prefill(row: Measurement, pricer: Pricer) -> tuple[float, Work] | str:
    if row.ttft_ms is None:
        return ""
    if "suspiciously low" in row.note or "cache hit" in row.note:
        return "the encoder's cache was probably warm"
    if row.mode != "vanilla":
        return f"mode {row.mode or 'not said'}: a draft model's prefill may be inside"
    if row.prompt_tokens is None:
        return "the number of prompt tokens is not said"
    time_ms = row.ttft_ms
    if "includes preprocessing+ViT" in row.note:
        time_ms -= row.vit_ms or 0.0
        if row.vit_ms is None or time_ms <= 0.0:
            return "the time includes a vision tower of unknown time"
    elif row.image_tokens and "prefill only" not in row.note:
        return "it is not said whether the time includes the vision tower"
    return time_ms * 1e-3, pricer.prefill_work(row.prompt_tokens)


def _targets(row: Measurement, pricer: Pricer) -> list[Target | Skipped]:
    card, language = pricer.architecture, pricer.architecture.language
    cluster = {"chip": pricer.chip.name, "runtime": pricer.runtime.name, "precision": pricer.precision,
               "model": f"{language.layers}x{language.width}", "hybrid": _hybrid(pricer), "row": row.row,
               "nominal_bytes": language.parameters() * (row.weight_bits or 16.0) / 8.0}  # fmt: skip
    found: list[Target | Skipped] = []

    def add(stage: str, given: tuple[object, ...] | str, machine: str) -> None:
        if isinstance(given, str):
            if given:
                found.append(Skipped(row.row, stage, given))
            return
        try:
            seconds, work, *rest = given
            extra = dict(zip(("steps", "prefill_work"), rest, strict=False))
            found.append(
                Target(stage=stage, seconds=seconds, work=work, machine=getattr(pricer, machine), **cluster, **extra)  # type: ignore[arg-type]
            )
        except SimdriveError as error:
            found.append(Skipped(row.row, stage, str(error)))

    decode = _decode(row, pricer)
    # An end-to-end rate contains prefill, which needs the peak; its machine is the one of prefill.
    whole = not isinstance(decode, str) and decode[3] is not None
    add("decode", decode, "machine" if whole else "decode_machine")
    add("speculation", _speculation(row, pricer), "decode_machine")
    add("prefill", _prefill(row, pricer), "machine")
    if row.vit_ms is not None and row.image_tokens and card.tiling is not None and row.mode == "vanilla":
        load = token_load(card, int(row.image_tokens))
        add("vision", (row.vit_ms * 1e-3, pricer.vision_work(load)), "vision_machine")
    return found


def targets_of(rows: Sequence[Measurement]) -> tuple[tuple[Target, ...], tuple[Skipped, ...]]:
    """Return every stage time that can be compared, and the rows that cannot with the reason."""
    targets: list[Target] = []
    skipped: list[Skipped] = []
    for row in rows:
        pricer = _pricer(row)
        if isinstance(pricer, str):
            skipped.append(Skipped(row.row, "all", pricer))
            continue
        for item in _targets(row, pricer):
            if isinstance(item, Target):
                targets.append(item)
            else:
                skipped.append(item)
    return tuple(targets), tuple(skipped)
