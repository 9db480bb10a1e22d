"""What the pictures of a request cost before the language model sees them: tower, projector, copies.

    tower FLOPs = n S (2 N_layer L + patch) + 4 d L * pairs,   pairs = n S^2, or n S min(S, W) in windowed layers

with n sequences (tiles or pictures) of S tokens: linear in the number of cameras, quadratic in the pixels of a
picture that is one sequence. Architecture: Dosovitskiy et al. 2021 (arXiv 2010.11929).
"""

from __future__ import annotations

from simdrive.latency.architecture import ArchitectureCard, VisionTower
from simdrive.latency.bits import Bits
from simdrive.latency.operators import Operator
from simdrive.latency.tiling import PictureLoad


def _attention(tower: VisionTower, count: int, sequences: float, length: float, window: int) -> list[Operator]:
    pairs = sequences * length * (min(length, window) if window else length)
    values, scores = sequences * length * tower.heads_width, pairs * tower.heads
    return [
        Operator("vision_attention", "vision", count, 4.0 * pairs * tower.heads_width, 0, 3.0 * values, values),
        Operator("vision_scores", "vision", count, inputs=2.0 * scores, outputs=2.0 * scores, fusible=True),
    ]


def tower_operators(tower: VisionTower, load: PictureLoad, keep: float = 1.0) -> list[Operator]:
    """Return the operators of the vision tower; ``keep`` is the share of patches left by pruning before it."""
    sequences = float(load.sequences)
    if not sequences:
        return []
    patches = load.patches * keep
    length = patches + tower.class_tokens
    tokens, width = sequences * length, tower.width
    stem, layer = tower.patch_values * width, tower.layer_matrix_parameters()
    inner = tokens * tower.mlp_width
    full = tower.full_layers if tower.window_patches else tower.layers
    stem_rows = sequences * load.patches
    wide = 2.0 if tower.gated else 1.0
    moved = 2.0 * tokens * width
    operators = [
        Operator("patches", "vision", 1, 2.0 * stem_rows * stem, stem, stem_rows * tower.patch_values, tokens * width),
        Operator("vision_matrices", "vision", tower.layers, 2.0 * tokens * layer, layer, 3 * tokens * width + inner,
                 5 * tokens * width),
        Operator("vision_activation", "vision", tower.layers, inputs=wide * inner, outputs=wide * inner, fusible=True),
        Operator("vision_norms", "vision", 2 * tower.layers, inputs=moved, outputs=moved, fusible=True),
    ]  # fmt: skip
    operators += _attention(tower, full, sequences, length, 0)
    if full < tower.layers:
        operators += _attention(tower, tower.layers - full, sequences, length, tower.window_patches)
    return operators


def vision_operators(card: ArchitectureCard, load: PictureLoad, keep: float = 1.0) -> tuple[Operator, ...]:
    """Return the operators from pixels to image tokens; none for a model or a request without pictures."""
    tower, projector, tiling = card.vision, card.projector, card.tiling
    if tower is None or projector is None or tiling is None or not load.sequences:
        return ()
    tokens = load.sequences * load.patches * keep / tiling.merge
    weights = projector.matrix_parameters()
    inputs, outputs = (
        tokens * (projector.input_width + projector.hidden_width),
        tokens * (projector.hidden_width + projector.output_width),
    )
    last = Operator("projector", "projector", projector.copies, 2.0 * tokens * weights, weights, inputs, outputs)
    return (*tower_operators(tower, load, keep), last)


def copy_bytes(card: ArchitectureCard, load: PictureLoad, bits: Bits, unified_memory: bool) -> float:
    """Return the bytes copied between host and accelerator for one request: pixels in, image tokens between modules.

    With unified memory the modules hand over a pointer, and nothing is copied.
    """
    if unified_memory or card.tiling is None or card.projector is None:
        return 0.0
    tokens = load.sequences * load.patches / card.tiling.merge
    image_tokens = tokens * card.projector.output_width * card.projector.copies
    return (3.0 * load.pixels + image_tokens) * bits.activation / 8.0
