"""Cost: hand-computed tiny models, agreement with the textbook formulas, and what must be monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard, architecture_card
from simdrive.latency.bits import Bits, body_bits
from simdrive.latency.language_cost import (
    TokenPruning,
    Tokens,
    attention_pairs,
    decode_operators,
    experts_touched,
    mean_context,
    prefill_operators,
)
from simdrive.latency.layers import Experts
from simdrive.latency.names import load_card
from simdrive.latency.operators import Memory, Operator, named, total_bytes, total_flops, weight_bytes
from simdrive.latency.peak_memory import check_fit, kv_cache_bytes, peak_memory, stored_weight_bytes
from simdrive.latency.pruning import Keep, pruned
from simdrive.latency.tiling import DynamicTiles, NativeGrid
from simdrive.latency.vision_cost import copy_bytes, vision_operators

PUBLISHED_GB = {  # peak GPU memory at 16 bit, Drive-KD table, six views
    "internvl3_1b": 4.1,
    "internvl3_2b": 6.3,
    "internvl3_8b": 18.3,
    "internvl3_14b": 33.4,
    "internvl3_38b": 87.0,
    "internvl3_78b": 171.6,
    "qwen2_5_vl_3b": 8.5,
    "qwen2_5_vl_7b": 17.1,
    "qwen2_5_vl_32b": 69.5,
    "qwen2_5_vl_72b": 146.5,
}


def tiny(layers: int = 2, window: int = 0) -> ArchitectureCard:
    """Width 8, two query heads and one key/value head of 4, MLP 32, vocabulary 16."""
    attention = {"heads": 2, "kv_heads": 1, "head_dim": 4, "window": window}
    block = {"count": layers, "attention": attention, "feedforward": {"width": 32}}
    return architecture_card("tiny", {"width": 8, "vocabulary": 16, "tied": True, "blocks": [block]})


def test_tiny_model_by_hand() -> None:
    card = tiny()
    # Per layer: q 8x8, k and v 8x4 each, o 8x8, three matrices 8x32, two norms of 8.
    assert card.language.blocks[0].parameters(8) == 64 + 32 + 32 + 64 + 3 * 256 + 16
    assert card.parameters() == 2 * 976 + 8 + 16 * 8
    body, head = 960, 128  # matrices of one layer, and of the head
    # Three tokens see 1 + 2 + 3 = 6 pairs; scores and weighted sum are 2 products of 2 heads x 4.
    assert total_flops(prefill_operators(card, 3)) == 2 * (2 * 3 * body + 4 * 6 * 8) + 2 * head
    # The full matrix has 9 pairs.
    assert total_flops(prefill_operators(card, 3, causal=False)) == 2 * (2 * 3 * body + 4 * 9 * 8) + 2 * head
    # One token after three in the cache looks at four.
    assert total_flops(decode_operators(card, 3)) == 2 * (2 * body + 4 * 4 * 8) + 2 * head
    row = 8  # of the embedding
    assert weight_bytes(decode_operators(card, 3), Bits()) == 2 * (2 * body + head + row)
    # The cache: four tokens read, one written, keys and values of 4 numbers, 2 bytes each, two layers.
    assert kv_cache_bytes(card, 4, Bits()) == 4 * 2 * 4 * 2 * 2
    cache = named(decode_operators(card, 3), "attention")[0]
    assert cache.cache == (4 + 1) * 8


def test_prefill_agrees_with_the_textbook_formula() -> None:
    card, tokens = load_card("architecture", "qwen3_8b"), 2048
    body = 36 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 12288)
    textbook = 2 * body * tokens + 2 * 36 * tokens**2 * 4096 + 2 * 151936 * 4096
    assert total_flops(prefill_operators(card, tokens)) == pytest.approx(textbook, rel=1e-3)


def test_decode_reads_weights_head_and_cache() -> None:
    card, bits = load_card("architecture", "qwen3_8b"), body_bits(4.25)
    body = 36 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 12288)
    expected = body * 4.25 / 8 + 151936 * 4096 * 2 + 1024 * 2 * 36 * 1024 * 2
    assert total_bytes(decode_operators(card, 1024), bits) == pytest.approx(expected, rel=0.01)


def test_a_batch_of_requests_equals_its_rows() -> None:
    card, prompts = load_card("architecture", "gemma2_2b"), np.array([10.0, 5000.0, 9000.0])
    batch = total_bytes(decode_operators(card, prompts), Bits())
    rows = [float(total_bytes(decode_operators(card, prompt), Bits())) for prompt in prompts]
    np.testing.assert_array_equal(batch, rows)


def test_decode_of_many_tokens_is_the_step_at_the_mean_context() -> None:
    card = load_card("architecture", "internvl3_1b")
    steps = [float(total_bytes(decode_operators(card, 100 + k), Bits())) for k in range(7)]
    mean = total_bytes(decode_operators(card, mean_context(100, 7)), Bits())
    assert sum(steps) == pytest.approx(7 * float(mean))


def test_windows_cap_what_a_token_sees() -> None:
    def seen(new: int, past: int, window: int) -> int:
        return sum(min(past + i, window) for i in range(1, new + 1))

    for new, past, window in [(5, 0, 3), (5, 2, 3), (1, 9, 4), (3, 0, 9), (4, 7, 7)]:
        assert attention_pairs(Tokens(new, past), window) == seen(new, past, window)


def test_experts_touched() -> None:
    experts = Experts(count=128, active=8, width=768)
    assert experts_touched(experts, 1) == pytest.approx(8)
    assert experts_touched(experts, 4096) == pytest.approx(128)
    card = load_card("architecture", "qwen3_30b_a3b")
    active = float(weight_bytes(decode_operators(card, 0), Bits())) / 2
    assert active == pytest.approx(3.3e9 - 0.3e9, rel=0.05)  # published 3.3 B active, of which 0.3 B are embeddings


def test_hybrid_layers_keep_a_state_instead_of_a_cache() -> None:
    card = load_card("architecture", "qwen3_5_9b")
    assert card.language.cache_values_per_token() == 8 * 2 * 4 * 256  # 8 of 32 layers
    state = 24 * (32 * 128 * 128 + 3 * (2 * 16 * 128 + 32 * 128))
    assert card.language.state_values() == state
    longer = total_bytes(decode_operators(card, 2000), Bits()) - total_bytes(decode_operators(card, 1000), Bits())
    assert longer == pytest.approx(1000 * 8 * 2 * 4 * 256 * 2)


def test_int4_halves_only_what_it_touches() -> None:
    card = load_card("architecture", "internvl3_1b")
    step = decode_operators(card, 300)
    eight, four = (float(total_bytes(step, body_bits(bits))) for bits in (8.0, 4.0))
    assert 0.5 < four / eight < 0.8  # the 16-bit head is 0.27 of 0.63 GB
    assert float(total_bytes(step, Bits(4, 4, head=4, kv=4, activation=4, embedding=4))) / float(
        total_bytes(step, Bits(8, 8, head=8, kv=8, activation=8, embedding=8))
    ) == pytest.approx(0.5)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_tiles_of_internvl() -> None:
    rule = DynamicTiles()
    assert rule.grid(900, 1600) == (4, 2)  # 16:9 is nearest to 2:1, and large enough for eight tiles
    assert rule.grid(448, 448) == (1, 1)
    assert rule.load(1, 448, 448).tokens == 256 + 2  # one tile: no thumbnail
    assert rule.load(6, 900, 1600).tokens == 6 * (9 * 256 + 2)
    assert DynamicTiles(most=1).load(6, 900, 1600).tokens == 6 * 258


def test_native_grid_of_qwen() -> None:
    rule = NativeGrid(14)
    assert rule.size(900, 1600) == (896, 1596)
    assert rule.load(1, 900, 1600).tokens == 32 * 57 + 2
    small = NativeGrid(16, least_pixels=65536)
    assert small.load(1, 32, 32).tokens == 64 + 2
    rows, columns = NativeGrid(16, most_pixels=512 * 512).size(2160, 3840)
    assert rows * columns <= 512 * 512
    assert rows % 32 == columns % 32 == 0


def test_one_more_camera_costs_its_tokens() -> None:
    for name in ("internvl3_1b", "qwen2_5_vl_7b", "qwen3_vl_4b"):
        card = load_card("architecture", name)
        one, two = (card.pictures(count, 448, 800) for count in (1, 2))
        assert two.tokens == 2 * one.tokens
        flops = [float(total_flops(vision_operators(card, load))) for load in (one, two)]
        assert flops[1] == pytest.approx(2 * flops[0])
        prompts = [float(total_flops(prefill_operators(card, 50 + load.tokens))) for load in (one, two)]
        assert prompts[1] > prompts[0]


def test_a_larger_picture_costs_quadratic_attention() -> None:
    card = load_card("architecture", "qwen3_vl_4b")
    small, large = (vision_operators(card, card.pictures(1, side, side)) for side in (512, 1024))
    linear = [float(total_flops(named(ops, "vision_matrices"))) for ops in (small, large)]
    square = [float(total_flops(named(ops, "vision_attention"))) for ops in (small, large)]
    assert linear[1] == pytest.approx(4 * linear[0])
    assert square[1] == pytest.approx(16 * square[0])


def test_tower_flops_by_hand() -> None:
    card = load_card("architecture", "internvl3_1b")
    ops = vision_operators(card, card.pictures(1, 448, 448))
    layer = 2 * 1025 * (4 * 1024**2 + 2 * 1024 * 4096) + 4 * 1025**2 * 1024
    expected = 2 * 1024 * 588 * 1024 + 24 * layer + 2 * 256 * (4096 * 896 + 896 * 896)
    assert total_flops(ops) == pytest.approx(expected, rel=1e-12)


def test_no_pictures_cost_nothing_and_text_models_take_none() -> None:
    card = load_card("architecture", "internvl3_1b")
    assert vision_operators(card, card.pictures(0, 448, 448)) == ()
    with pytest.raises(ParameterError, match="takes no pictures"):
        load_card("architecture", "qwen3_8b").pictures(1, 448, 448)
    with pytest.raises(ParameterError, match="pictures must be at least 0"):
        card.pictures(-1, 448, 448)


def test_copies_cost_bandwidth_unless_memory_is_unified() -> None:
    card = load_card("architecture", "internvl3_1b")
    load = card.pictures(1, 448, 448)
    assert copy_bytes(card, load, Bits(), unified_memory=True) == 0.0
    assert copy_bytes(card, load, Bits(), unified_memory=False) == 2 * (3 * 448 * 448 + 256 * 896)


# --- traffic ---------------------------------------------------------------------------------------------------------


def test_fusion_and_cache_only_save_traffic() -> None:
    card = load_card("architecture", "internvl3_1b")
    prompt = prefill_operators(card, 2048)
    loose, fused = (float(total_bytes(prompt, Bits(), Memory(fused=flag))) for flag in (False, True))
    assert fused < 0.5 * loose  # scores of 14 heads x 2048^2 dominate when they are written
    sizes = [float(total_bytes(prompt, Bits(), Memory(cache_bytes=mib * 2**20))) for mib in (1, 4, 32, 1024)]
    assert sizes == sorted(sizes, reverse=True)
    everything = float(weight_bytes(prompt, Bits()))
    assert sizes[-1] >= everything


def test_a_matrix_product_that_does_not_fit_is_read_again() -> None:
    side = 8192.0
    product = Operator("p", "attention", 1, 2 * side**3, side**2, side**2, side**2)
    once = float(total_bytes([product], Bits()))
    assert once == 3 * side**2 * 2
    small = float(total_bytes([product], Bits(), Memory(cache_bytes=2.0**20)))
    assert small == pytest.approx(2 * side**3 * 2 / (2.0**19) ** 0.5)


# --- pruning ---------------------------------------------------------------------------------------------------------


def test_pruning_changes_the_cost_as_it_changes_the_model() -> None:
    card = load_card("architecture", "internvl3_1b")
    base = float(weight_bytes(decode_operators(card, 0), Bits()))
    half = pruned(card, Keep(layers=0.5))
    assert half.language.layers == 12
    head = 2 * (card.language.head_parameters + 896)  # and one row of the embedding
    assert float(weight_bytes(decode_operators(half, 0), Bits())) - head == pytest.approx((base - head) / 2)
    thin = pruned(card, Keep(feedforward=0.5))
    assert base - float(weight_bytes(decode_operators(thin, 0), Bits())) == 2 * 24 * 3 * 896 * 2432
    heads = pruned(card, Keep(heads=0.5))
    assert kv_cache_bytes(heads, 100, Bits()) == kv_cache_bytes(card, 100, Bits()) / 2
    narrow = pruned(card, Keep(width=0.5))
    assert narrow.language.width == narrow.projector.output_width == 448  # type: ignore[union-attr]
    assert pruned(card, Keep()) is card
    with pytest.raises(ParameterError, match="keep.layers must be above 0"):
        Keep(layers=0.0)


def test_depth_pruning_keeps_the_mixture_of_a_hybrid() -> None:
    card = pruned(load_card("architecture", "qwen3_5_9b"), Keep(layers=0.5))
    assert [block.count for block in card.language.blocks] == [12, 4]


def test_dropped_image_tokens_save_prefill_and_later_layers_only() -> None:
    card = load_card("architecture", "internvl3_1b")
    full, none = (float(total_flops(prefill_operators(card, prompt, 0))) for prompt in (306, 50 + 128))
    half = float(total_flops(prefill_operators(card, 306, 256, pruning=TokenPruning(0.5))))
    assert half == pytest.approx(none)
    later = float(total_flops(prefill_operators(card, 306, 256, pruning=TokenPruning(0.5, after_layer=12))))
    assert later == pytest.approx((full + half) / 2)
    with pytest.raises(ParameterError, match="image_tokens must be between"):
        prefill_operators(card, 10, 20)
    with pytest.raises(ParameterError, match="tokens.new must be finite and at least 0, got -1"):
        prefill_operators(card, -1)


# --- memory ----------------------------------------------------------------------------------------------------------


def test_peak_memory_agrees_with_the_published_table() -> None:
    errors = []
    for name, published in PUBLISHED_GB.items():
        card = load_card("architecture", name)
        load = card.pictures(6, 900, 1600)
        peak = peak_memory(card, Bits(), load.tokens + 300, 200, load, overhead_bytes=0.5e9)
        errors.append(abs(peak.total / 1e9 / published - 1.0))
    assert np.median(errors) < 0.06
    assert max(errors) < 0.15


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    card = load_card("architecture", "internvl3_78b")
    needed = peak_memory(card, Bits(), 1000, 100)
    with pytest.raises(ParameterError, match=r"needs 14\d\.\d GiB \(weights 146\.0.*agx_orin_64gb with 64 GiB"):
        check_fit(needed, 64.0, card.name, "agx_orin_64gb")
    four = peak_memory(card, body_bits(4.25), 1000, 100)
    check_fit(four, 64.0, card.name, "agx_orin_64gb")
    with pytest.raises(ParameterError, match="memory of drive_orin is not published"):
        check_fit(four, None, card.name, "drive_orin")
    assert stored_weight_bytes(card, Bits()) == pytest.approx(2 * card.parameters())


# --- what must be monotone -------------------------------------------------------------------------------------------

counts = st.integers(1, 4096)


@settings(max_examples=40, deadline=None)
@given(counts, counts, st.integers(1, 6), st.sampled_from([0, 7, 100]), st.booleans())
def test_more_never_costs_less(tokens: int, more: int, layers: int, window: int, fused: bool) -> None:
    memory = Memory(fused=fused, cache_bytes=1e5)
    for small, large in (
        (prefill_operators(tiny(layers, window), tokens), prefill_operators(tiny(layers, window), tokens + more)),
        (prefill_operators(tiny(layers, window), tokens), prefill_operators(tiny(layers + 1, window), tokens)),
        (decode_operators(tiny(layers, window), tokens), decode_operators(tiny(layers, window), tokens + more)),
    ):
        assert total_flops(small) <= total_flops(large)
        assert total_bytes(small, Bits(), memory) <= total_bytes(large, Bits(), memory)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 32.0), st.floats(1.0, 32.0))
def test_fewer_bits_never_move_more(first: float, second: float) -> None:
    low, high = sorted((first, second))
    step = decode_operators(load_card("architecture", "internvl3_1b"), 300)
    assert total_bytes(step, body_bits(low)) <= total_bytes(step, body_bits(high))
