"""What every model of a recipe says on its card beside its own: how long it took, and what a request costs on a few chips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simdrive.compress.priced import PriceSettings, prices
from simdrive.eval.files import write_json
from simdrive.models.folder import CARD


def complete_card(folder: Path, price: Mapping[str, Any], seconds: float) -> None:
    """Add wall time and prices to the card of a model folder; a folder without one holds samples and is left alone.

    Raises:
        UnknownNameError: if a chip, a runtime, an architecture or a precision does not exist.
    """
    path = folder / CARD
    if not path.is_file():
        return
    card = json.loads(path.read_text(encoding="utf-8"))
    asked = PriceSettings(**{**price, "chips": tuple(price["chips"])})
    card["data"] |= {"wall_seconds": round(seconds, 1), "priced": prices(card["data"].get("charge") or {}, asked)}
    write_json(path, card)
