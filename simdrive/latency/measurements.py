"""Published measurements as rows: reading the csv strictly, and saying why a row cannot be compared.

Columns and the keys of ``note`` are described in ``data/README.md`` beside the shipped table.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simdrive.errors import ParameterError

SHIPPED_ROWS = Path(__file__).resolve().parent / "data" / "edge_calibration.csv"
COLUMNS = ("chip", "model", "weight_bits", "act_bits", "runtime", "prompt_tokens", "image_tokens", "ttft_ms",
           "decode_tok_s", "note")  # fmt: skip
_NUMBERS = ("weight_bits", "act_bits", "prompt_tokens", "image_tokens", "ttft_ms", "decode_tok_s")
_MOST = 1e7


@dataclass(frozen=True)
class Measurement:
    """One row; None = not published.

    Attributes:
        row: number in the file, the header being row 1.
        accept_length: mean tokens per pass of speculative decoding.
        power: watts or the name of a power mode; empty where not said.
        ttft_ms: time to the first token; what it includes is said by ``note``.
        context: tokens in the cache during decode, where the row names them.
        outputs: tokens generated, where the row names them.
        keys: parts of ``note`` of the form key=value.
    """

    row: int
    chip: str
    model: str
    runtime: str
    weight_bits: float | None
    act_bits: float | None
    prompt_tokens: float | None
    image_tokens: float | None
    ttft_ms: float | None
    decode_tok_s: float | None
    context: float | None
    outputs: float | None
    vit_ms: float | None
    keys: Mapping[str, str]
    note: str
    power: str = ""
    accept_length: float | None = None

    @property
    def mode(self) -> str:
        """How decode was measured: ``vanilla``, a kind of speculative decoding, or an end-to-end rate."""
        return self.keys.get("mode", "")


def _number(text: str, row: int, column: str, problems: list[str]) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        problems.append(f"row {row}, column {column}: {text!r} is not a number")
        return None
    if not (math.isfinite(value) and 0.0 <= value <= _MOST):
        problems.append(f"row {row}, column {column}: must be between 0 and {_MOST:g}, got {text}")
        return None
    if value == 0.0 and column not in ("image_tokens",):
        problems.append(f"row {row}, column {column}: must be above 0, or empty where not published")
        return None
    return value


def _outputs(note: str) -> float | None:
    found = re.search(r"OSL[ =](\d+)|(\d+) output tokens", note)
    return float(found.group(1) or found.group(2)) if found else None


def _measurement(row: int, given: Mapping[str, str], problems: list[str]) -> Measurement:
    for column in ("chip", "model", "runtime"):
        if not given[column].strip():
            problems.append(f"row {row}, column {column}: must not be empty")
    numbers = {name: _number(given[name], row, name, problems) for name in _NUMBERS}
    prompt, image = numbers["prompt_tokens"], numbers["image_tokens"]
    if prompt is not None and image is not None and image > prompt:
        problems.append(f"row {row}, column image_tokens: {image:g} are more than prompt_tokens={prompt:g}")
    note = given["note"]
    parts = (part.partition("=") for part in note.split(";"))
    keys = {key.strip(): value.strip() for key, sign, value in parts if sign}
    # "inputLen=2048 pastKV=2048" stands in one part of the note.
    past = re.search(r"pastKV=(\d+)", note)
    context = float(past.group(1)) if past else None
    vit = _number(keys.get("vit_ms", ""), row, "note (vit_ms)", problems)
    accept = _number(keys.get("accept_len", ""), row, "note (accept_len)", problems)
    if accept is not None and accept < 1.0:
        problems.append(f"row {row}, column note (accept_len): must be at least 1, got {accept:g}")
    return Measurement(
        row=row, chip=given["chip"], model=given["model"], runtime=given["runtime"], context=context,
        outputs=_outputs(note), vit_ms=vit, keys=keys, note=note,
        power=(given.get("power_w") or "").strip(), accept_length=accept, **numbers,
    )  # fmt: skip


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Read a table of measurements.

    Raises:
        ParameterError: with row, column and reason of everything that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"cannot read the table {str(path)!r}: {error}") from error
    lines = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
    if missing:
        raise ParameterError(f"{path}: row 1 lacks the columns {', '.join(missing)}; needed: {', '.join(COLUMNS)}")
    problems: list[str] = []
    found = []
    for given in lines:
        row = lines.line_num
        if None in given or any(value is None for value in given.values()):
            problems.append(f"row {row}: has {'more' if None in given else 'fewer'} cells than the header")
            continue
        found.append(_measurement(row, given, problems))
    if problems:
        shown = "\n  ".join(problems[:20])
        raise ParameterError(f"{path}: {len(problems)} problems\n  {shown}")
    if not found:
        raise ParameterError(f"{path}: holds no rows")
    return tuple(found)
