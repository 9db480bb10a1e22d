"""How many patches and tokens a picture becomes: the rules of the public image processors.

The rule is the model's own, so the same camera costs different models different numbers of tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simdrive.errors import ParameterError
from simdrive.latency.layers import check_counts


@dataclass(frozen=True)
class PictureLoad:
    """What the pictures of one request become.

    Attributes:
        sequences: sequences that the vision tower attends within (tiles, or whole pictures).
        patches: patches of one sequence, without class token.
        tokens: tokens that the language model gets for all pictures, markers included.
        pixels: pixels after resizing, of all sequences.
    """

    sequences: int
    patches: int
    tokens: int
    pixels: int


def check_picture(pictures: int, height: int, width: int) -> None:
    """Refuse impossible pictures.

    Raises:
        ParameterError: if there is less than no picture, or one without pixels.
    """
    if pictures < 0 or height < 1 or width < 1:
        raise ParameterError(
            f"pictures must be at least 0 and of at least 1 x 1 pixels, got {pictures} {height}x{width}"
        )


@dataclass(frozen=True)
class DynamicTiles:
    """InternVL: cut into up to ``most`` square tiles by the nearest aspect ratio, plus a thumbnail.

    After ``dynamic_preprocess`` of the InternVL model cards; each tile gives ``(tile / patch)^2 / merge`` tokens.
    ``most = 1`` is the single tile of Drive-KD.
    """

    tile: int = 448
    patch: int = 14
    merge: int = 4
    least: int = 1
    most: int = 12
    thumbnail: bool = True
    markers: int = 2  # <img> and </img> around the tokens of every picture

    def __post_init__(self) -> None:
        check_counts(self, ("markers",))
        if self.least > self.most:
            raise ParameterError(f"DynamicTiles.least must not exceed most={self.most}, got {self.least}")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return (columns, rows) of the tiles that a picture is cut into."""
        ratio, area = width / height, width * height
        shapes = {
            (columns, rows)
            for columns in range(1, self.most + 1)
            for rows in range(1, self.most + 1)
            if self.least <= columns * rows <= self.most
        }
        best, nearest = (1, 1), math.inf
        for columns, rows in sorted(shapes, key=lambda shape: shape[0] * shape[1]):
            distance = abs(ratio - columns / rows)
            if distance < nearest:
                nearest, best = distance, (columns, rows)
            elif distance == nearest and area > 0.5 * self.tile**2 * columns * rows:
                best = (columns, rows)
        return best

    def load(self, pictures: int, height: int, width: int) -> PictureLoad:
        """Return what ``pictures`` of one size become."""
        check_picture(pictures, height, width)
        columns, rows = self.grid(height, width)
        tiles = columns * rows + (1 if self.thumbnail and columns * rows > 1 else 0)
        patches = (self.tile // self.patch) ** 2
        tokens = pictures * (tiles * patches // self.merge + self.markers)
        return PictureLoad(pictures * tiles, patches, tokens, pictures * tiles * self.tile**2)


@dataclass(frozen=True)
class NativeGrid:
    """Qwen-VL: keep the aspect ratio, round both sides to whole merged patches, stay between two pixel counts.

    After ``smart_resize`` of the Qwen2-VL image processor in transformers.
    """

    patch: int
    merge: int = 4
    least_pixels: int = 3136
    most_pixels: int = 12845056
    markers: int = 2  # <|vision_start|> and <|vision_end|>

    def __post_init__(self) -> None:
        check_counts(self, ("markers",))
        if math.isqrt(self.merge) ** 2 != self.merge:
            raise ParameterError(f"NativeGrid.merge must be a square number such as 4, got {self.merge}")
        if self.least_pixels > self.most_pixels:
            raise ParameterError(f"NativeGrid.least_pixels must not exceed most_pixels={self.most_pixels}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after resizing."""
        step = self.patch * math.isqrt(self.merge)
        rows, columns = (max(step, round(side / step) * step) for side in (height, width))
        if rows * columns > self.most_pixels:
            shrink = math.sqrt(height * width / self.most_pixels)
            rows, columns = (max(step, math.floor(side / shrink / step) * step) for side in (height, width))
        elif rows * columns < self.least_pixels:
            grow = math.sqrt(self.least_pixels / (height * width))
            rows, columns = (math.ceil(side * grow / step) * step for side in (height, width))
        return rows, columns

    def load(self, pictures: int, height: int, width: int) -> PictureLoad:
        """Return what ``pictures`` of one size become."""
        check_picture(pictures, height, width)
        rows, columns = self.size(height, width)
        patches = (rows // self.patch) * (columns // self.patch)
        tokens = pictures * (patches // self.merge + self.markers)
        return PictureLoad(pictures, patches, tokens, pictures * rows * columns)


Tiling = DynamicTiles | NativeGrid
