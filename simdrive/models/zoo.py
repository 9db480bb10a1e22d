"""The models that come with simdrive: where each comes from, what it scored, and whether its weights are untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simdrive.models.folder import ModelCard, ModelFolderError, read_card
from simdrive.models.where import ZOO_ROOT, weight_files

OK = "ok"


@dataclass(frozen=True)
class ZooEntry:
    """One model folder."""

    folder: Path
    card: ModelCard | None  # None if the folder is damaged
    size_bytes: int  # of its weight files
    state: str  # ``ok``, or what is wrong

    def row(self) -> dict[str, Any]:
        """Return plain values for a table."""
        card = self.card
        base: dict[str, Any] = {"name": self.folder.name, "state": self.state, "bytes": self.size_bytes}
        if card is None:
            return base
        return base | {
            "family": card.family, "parameters": card.parameters, "bits": card.bits, "parents": list(card.parents),
            "data": dict(card.data), "scores": dict(card.scores), "weight_hash": card.weight_hash,
        }  # fmt: skip


def zoo(root: Path = ZOO_ROOT) -> list[ZooEntry]:
    """Return the models under a folder, each checked against its card: hash of weights and tokenizer, whole files."""
    return [_entry(path.parent) for path in sorted(root.glob("*/config.json"))]


def _entry(folder: Path) -> ZooEntry:
    size = sum(path.stat().st_size for path in weight_files(folder) if path.is_file())
    try:
        return ZooEntry(folder, read_card(folder), size, OK)
    except (ModelFolderError, OSError) as error:
        return ZooEntry(folder, None, size, str(error))


def driving_of(scores: Mapping[str, Any]) -> str:
    """Return the failures on validation cases that a card speaks of, as text."""
    driving = scores.get("driving")
    return f"{driving['failures']}/{driving['cases']}" if isinstance(driving, Mapping) else "-"
