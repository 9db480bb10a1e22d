"""What pruning left of a model, as fields of a charge."""

from __future__ import annotations

from dataclasses import asdict

from simdrive.compress.prune.settings import Sizes


def shares_left(before: Sizes, after: Sizes, merge: int = 1) -> dict[str, float]:
    """Return the fields of a charge that say what pruning left; those that stayed whole are left out."""
    old, new = asdict(before), asdict(after)
    names = {
        "keep_layers": "text_layers", "keep_heads": "text_heads", "keep_feedforward": "text_ffn",
        "keep_vision_layers": "vision_layers", "keep_vision_heads": "vision_heads",
        "keep_vision_feedforward": "vision_ffn",
    }  # fmt: skip
    shares = {field: new[size] / old[size] for field, size in names.items()}
    shares["keep_image_tokens"] = 1.0 / merge**2
    return {field: share for field, share in shares.items() if share != 1.0}
