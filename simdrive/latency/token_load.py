"""What the vision tower sees where only the number of image tokens is known."""

from __future__ import annotations

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.tiling import DynamicTiles, PictureLoad


def token_load(card: ArchitectureCard, image_tokens: int, images: int = 1) -> PictureLoad:
    """Return what the tower sees where only the number of image tokens is known.

    Tiled models cut pictures into equal sequences, so tokens count tiles; others attend within each picture.

    Raises:
        ParameterError: if the model takes no pictures and there are image tokens.
    """
    if not image_tokens:
        return PictureLoad(0, 0, 0, 0)
    if card.tiling is None:
        raise ParameterError(f"{card.name} takes no pictures, got {image_tokens} image tokens")
    merge, pictures = card.tiling.merge, max(1, images)
    if isinstance(card.tiling, DynamicTiles):
        patches = (card.tiling.tile // card.tiling.patch) ** 2
        tiles = max(1, round(image_tokens * merge / patches))
        return PictureLoad(tiles, patches, image_tokens, tiles * card.tiling.tile**2)
    patches = max(1, round(image_tokens / pictures)) * merge
    return PictureLoad(pictures, patches, image_tokens, pictures * patches * card.tiling.patch**2)
