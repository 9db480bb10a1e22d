"""What student and teacher of a flywheel see and speak: found out before anything is driven."""

from __future__ import annotations

import json
from pathlib import Path

from simdrive.compress.samples import Pictured
from simdrive.errors import ParameterError


def pictured_by(model: Path) -> Pictured:
    """Return the pictures that a model is shown.

    Raises:
        ParameterError: if it is a released model, which has no cameras of its own.
    """
    from simdrive.models.processor import KIND, Processor

    config = json.loads((model / "preprocessor_config.json").read_text(encoding="utf-8"))
    if config.get("processor") != KIND:
        raise ParameterError(
            f"{model} is a released model without cameras of its own; student and teacher must be made here"
        )
    processor = Processor.from_config(config)
    return Pictured(processor.cameras, processor.frame_offsets_us)


def check_alike(student: Path, teacher: Path) -> None:
    """Refuse a teacher that the student cannot learn from.

    Raises:
        ParameterError: if cameras, frames or vocabulary differ.
    """
    from simdrive.models.folder import read_card

    if pictured_by(student) != pictured_by(teacher):
        raise ParameterError(
            f"{teacher} and {student} see different pictures; take a teacher with the student's cameras"
        )
    if read_card(student).tokenizer_hash != read_card(teacher).tokenizer_hash:
        raise ParameterError(f"{teacher} and {student} have different vocabularies; take a teacher with the student's")
