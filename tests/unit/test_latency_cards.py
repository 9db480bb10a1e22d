"""Cards: the published totals catch wrong shapes, unknown figures are refused, names are found."""

from __future__ import annotations

import pytest

from simdrive.build import config_names, instantiate
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.architecture import ArchitectureCard, architecture_card
from simdrive.latency.chip import chip_card
from simdrive.latency.layers import Attention, Experts
from simdrive.latency.names import find_entry, known_names, load_card
from simdrive.latency.runtime import runtime_card

PREDICTS_AHEAD = ("qwen3_5_4b", "qwen3_5_9b", "qwen3_5_27b", "qwen3_5_35b_a3b")  # one more layer in the checkpoint


def mtp_parameters(card: ArchitectureCard) -> int:
    """Return the size of a multi-token-prediction head: an attention layer behind a matrix that joins two inputs."""
    width = card.language.width
    layer = next(block for block in card.language.blocks if isinstance(block.mixer, Attention))
    return layer.parameters(width) + 2 * width * width


@pytest.mark.parametrize("name", config_names("architecture"))
def test_parameters_agree_with_the_published_total(name: str) -> None:
    card = load_card("architecture", name)
    if card.published_parameters is None:
        assert card.unconfirmed, "a card without a published total says what is not confirmed"
        return
    total = card.parameters() + (mtp_parameters(card) if name in PREDICTS_AHEAD else 0)
    assert total == pytest.approx(card.published_parameters, rel=0.0025)


def test_the_smallest_internvl_to_the_parameter() -> None:
    card = load_card("architecture", "InternVL3-1B")
    assert card.vision.parameters() == 304_012_288
    assert card.parameters() == 938_193_024


@pytest.mark.parametrize(
    ("group", "given", "entry"),
    [
        ("chip", "Jetson AGX Thor (T5000 devkit)", "jetson_thor_t5000"),
        ("chip", "IGX Orin iGPU (=AGX Orin)", "agx_orin_64gb"),
        ("chip", "AGX_ORIN_64GB", "agx_orin_64gb"),
        ("runtime", "TensorRT Edge-LLM 0.9.0", "trt_edge_llm"),
        ("architecture", "Qwen 3 32B", "qwen3_32b"),
        ("architecture", "Cosmos-Reason2-2B", "qwen3_vl_2b"),
    ],
)
def test_published_names_are_found(group: str, given: str, entry: str) -> None:
    assert find_entry(group, given) == entry


@pytest.mark.parametrize("group", ["chip", "runtime", "architecture"])
def test_no_two_cards_claim_a_name(group: str) -> None:
    assert set(known_names(group).values()) == set(config_names(group))


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'internvl3_8b'"):
        find_entry("architecture", "internvl3_9b")
    with pytest.raises(UnknownNameError, match="jetson_thor_t5000"):
        find_entry("chip", "Jetson AGX Thorr")


def test_unknown_figures_are_refused_and_can_be_given() -> None:
    chip = load_card("chip", "qualcomm_sa8650p")
    assert "bandwidth_gb_s" in chip.unknown_figures()
    with pytest.raises(ParameterError, match="bandwidth of qualcomm_sa8650p is not published"):
        chip.bandwidth_bytes_per_s()
    with pytest.raises(ParameterError, match="no published dense fp16 peak"):
        chip.peak_flops("fp16")
    own = chip.with_figures(bandwidth_gb_s=100.0, peak_tera={"fp16": 10.0})
    assert own.bandwidth_bytes_per_s() == 1e11
    assert own.peak_flops("fp16") == 1e13
    assert own.bandwidth_gb_s.provenance == "user"
    with pytest.raises(UnknownNameError, match="bandwidth_gb_s"):
        chip.with_figures(bandwidth_gbs=100.0)


def test_dense_peaks_without_dla_and_power_modes() -> None:
    orin = load_card("chip", "agx_orin_64gb")
    assert orin.peak_flops("fp16") == pytest.approx(42.5e12)
    assert orin.peak_flops("int8") == pytest.approx(85e12)  # 171 sparse / 2; the DLA's 105 is no part of it
    assert orin.peak_flops("fp16", "30w") == pytest.approx(42.5e12 * 41 / 171, rel=1e-3)
    with pytest.raises(UnknownNameError, match="power mode of agx_orin_64gb"):
        orin.peak_flops("fp16", "60w")
    with pytest.raises(ParameterError, match="not published"):
        load_card("chip", "orin_nx_8gb").peak_flops("fp16", "15w")


def test_runtime_lacks_a_precision() -> None:
    with pytest.raises(UnknownNameError, match="precision of mlc_llm 'w8a8'"):
        load_card("runtime", "mlc_llm").format("w8a8")
    assert load_card("runtime", "trt_edge_llm").format("w4a16").bits.feedforward == 4.25


LANGUAGE = {
    "width": 8,
    "vocabulary": 16,
    "tied": True,
    "blocks": [
        {"count": 2, "attention": {"heads": 2, "kv_heads": 1, "head_dim": 4}, "feedforward": {"width": 32}},
    ],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widht": 8}, "Did you mean 'width'"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"width": 8.0}, "whole number"),
        ({"blocks": []}, "at least one block"),
        ({"blocks": [{"count": 2}]}, "needs a mixer, a feed-forward"),
        ({"blocks": [{"count": 2, "attention": {"heads": 2}}]}, "lacks kv_heads, head_dim"),
        ({"blocks": [{"count": 1, "attention": {"heads": 1, "kv_heads": 2, "head_dim": 4}}]}, "must not exceed heads"),
        ({"blocks": [{"count": 1, "attention": {}, "mamba": {}}]}, "exactly one of"),
    ],
)
def test_broken_architectures_say_what_to_change(change: dict[str, object], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        architecture_card("tiny", {**LANGUAGE, **change})


def test_a_vision_model_needs_all_its_parts() -> None:
    vision = {"width": 8, "layers": 1, "heads": 1, "mlp_width": 8, "patch_values": 12}
    with pytest.raises(ParameterError, match="together, or none"):
        architecture_card("tiny", LANGUAGE, vision=vision)
    projector = {"input_width": 32, "hidden_width": 8, "output_width": 9}
    with pytest.raises(ParameterError, match="language width 8, got 9"):
        architecture_card("tiny", LANGUAGE, vision, projector, {"grid": {"patch": 2}})


def test_broken_chips_and_runtimes() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fp16'"):
        chip_card("x", {"fp61": 3.0})  # type: ignore[dict-item]
    with pytest.raises(ParameterError, match="above 0"):
        chip_card("x", bandwidth_gb_s=-1.0)
    with pytest.raises(ParameterError, match="number, a mapping or null"):
        chip_card("x", bandwidth_gb_s="204 GB/s")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="provenance"):
        chip_card("x", bandwidth_gb_s={"value": 1.0, "provenance": "rumour"})
    with pytest.raises(ParameterError, match="between 1 and 64"):
        runtime_card("x", {"w0a16": {"bits": {"body": 0}}})
    with pytest.raises(UnknownNameError, match="field of"):
        instantiate({"_target_": "simdrive.latency.chip.chip_card", "name": "x", "bandwidth": 3})
    with pytest.raises(ParameterError, match="must not exceed count"):
        Experts(count=4, active=8, width=2)
