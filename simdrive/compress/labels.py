"""A teacher's own answers in the place of the exact ones: hard labels for distillation on frames that a student met.

Only training rows are answered anew. Validation and test rows keep the exact answers, so that scores stay comparable,
and so do what is critical and what stands in the columns of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrive.agents.language.grammar import answer_forms
from simdrive.agents.language.questions import ASKED, DRIVING, TOPICS
from simdrive.compress.collect import part_of
from simdrive.compress.samples import Pictured, unpack
from simdrive.errors import ParameterError
from simdrive.models.local import LocalModel, open_model
from simdrive.types import Bytes, Long

_BATCH = 64
_LONGEST = 64  # tokens of a topic's answer


def answered(rows: Sequence[dict[str, Any]], pictured: Pictured, model: str) -> list[dict[str, Any]]:
    """Return sample rows whose training answers are those of a model (folder or zoo name), each other row as it is.

    The driving answer is held to the driving language; topics are answered freely. ``driver`` stays who drove there.

    Raises:
        UnknownNameError, ModelFolderError: if the model does not exist or is damaged.
        ParameterError: if it is a released model, or wants other pictures than the rows have.
    """
    loaded = open_model(model)
    if not loaded.is_zoo:
        raise ParameterError(
            f"labels={model}: a released model does not speak the driving language; take one trained here"
        )
    local = LocalModel(loaded)
    chosen = [place for place, row in enumerate(rows) if row["split"] == "train"]
    found = [dict(row) for row in rows]
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        frames = shown_to(pictured, local, [rows[place] for place in part])
        for name, texts in model_answers(local, [rows[place]["state"] for place in part], frames).items():
            for place, text in zip(part, texts, strict=True):
                found[place][name] = text
    return found


def check_labeller(model: str, pictured: Pictured) -> None:
    """Raise what ``answered`` would raise, before anything is driven."""
    answered([], pictured, model)
    part_of(pictured, LocalModel(open_model(model)).wants)


def shown_to(pictured: Pictured, local: LocalModel, rows: Sequence[dict[str, Any]]) -> Bytes | None:
    """Return the pictures of sample rows that a model wants; None if it wants none."""
    part = part_of(pictured, local.wants)
    if part is None:
        return None
    cameras, times = part
    return np.stack([unpack(row["frames"], pictured.shape) for row in rows])[:, cameras][:, :, times]


def model_answers(local: LocalModel, states: Sequence[str], frames: Bytes | None) -> dict[str, list[str]]:
    """Return answers by column, asked in the first wording."""
    forms = local.grammar(answer_forms("plan"))

    def said(question: str, most: int, grammar: Any = None) -> list[str]:
        limits: Long = np.full(len(states), most, np.int64)
        return local.answer([f"{state} ; {question} ?" for state in states], frames, limits, grammar, _BATCH).texts

    found: dict[str, list[str]] = {topic: said(ASKED[topic][0], _LONGEST) for topic in TOPICS}
    return {"drive": said(DRIVING["plan"][0], forms.longest, forms), **found}
