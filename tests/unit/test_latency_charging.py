"""A charge is a complete statement: what compression left changes the price as it changes the model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.bench.price import bench_price
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.charges import check_charges
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.latency.charging import changes, charged_pricer, describe
from simdrive.latency.chip_source import ChipLatency
from simdrive.latency.names import load_card
from simdrive.latency.price_table import MOST, PIECE, PriceTable
from simdrive.latency.pricing import HostTimes, Pricer
from simdrive.latency.source import RequestBatch
from simdrive.latency.speculation import Speculation, fitted_kappas
from simdrive.types import STAGES, Charge, Float, Long, TokenUsage

BIG = Charge("internvl3_8b", "w4a16")
VISION, PREFILL, DECODE = (STAGES.index(name) for name in ("vision", "prefill", "decode"))


def stages(charge: Charge, text: int = 300, image: int = 1536, output: int = 30, images: int = 6) -> Float:
    return times(charged_pricer("agx_orin_64gb", "trt_edge_llm", charge), text, image, output, images)


def times(model: Pricer, *counts: int) -> Float:
    arrays = [np.array([count], dtype=np.int64) for count in (*counts, 0)]
    return model.median_seconds(*arrays, HostTimes())[0]


def test_each_share_moves_what_it_should() -> None:
    whole = stages(BIG)
    names = ("keep_layers", "keep_heads", "keep_feedforward", "keep_vision_layers", "keep_image_tokens")
    halves = {name: stages(replace(BIG, **{name: 0.5}))[: DECODE + 1] / whole[: DECODE + 1] for name in names}
    assert halves["keep_layers"][PREFILL] == pytest.approx(0.5, abs=0.02)
    assert 0.5 < halves["keep_layers"][DECODE] < 0.75  # the head stays
    assert 0.6 < halves["keep_feedforward"][DECODE] < 0.85
    assert 0.8 < halves["keep_heads"][PREFILL] < 1.0
    assert halves["keep_vision_layers"][VISION] < 0.7
    assert halves["keep_vision_layers"][PREFILL] == 1.0
    assert 0.5 < halves["keep_image_tokens"][PREFILL] < 0.65
    assert 0.97 < halves["keep_image_tokens"][DECODE] < 1.0  # a shorter cache
    late = stages(replace(BIG, keep_image_tokens=0.5, prune_after=0.5))
    assert stages(replace(BIG, keep_image_tokens=0.5))[PREFILL] < late[PREFILL] < whole[PREFILL]
    assert late[DECODE] < whole[DECODE]


def test_dropping_all_that_can_be_dropped_is_the_shorter_prompt() -> None:
    half = stages(replace(BIG, keep_image_tokens=0.5))
    short = stages(BIG, 300, 768, 30, 3)
    assert half[PREFILL] == pytest.approx(short[PREFILL], rel=0.002)  # the embedding still sees every token
    assert half[DECODE] == pytest.approx(short[DECODE], rel=1e-9)


def test_bits_per_group() -> None:
    whole = stages(BIG)
    head = stages(replace(BIG, bits=(("head", 4.25),)))
    # The head of 152k x 3584 weights at 11.75 bits less, of about 4.9 GB in all.
    assert 0.8 < head[DECODE] / whole[DECODE] < 0.9
    long = {bits: stages(replace(BIG, bits=(("kv", bits),)), 30_000, 0, 30, 0)[DECODE] for bits in (16.0, 8.0)}
    assert long[8.0] < 0.92 * long[16.0]
    with pytest.raises(UnknownNameError, match="Did you mean 'head'"):
        stages(replace(BIG, bits=(("haed", 4.0),)))
    with pytest.raises(ParameterError, match="between 1 and 64"):
        stages(replace(BIG, bits=(("head", 0.0),)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep_layers": 0.0}, "keep.layers must be above 0"),
        ({"keep_image_tokens": 1.5}, "above 0 and at most 1"),
        ({"prune_after": -0.1}, "prune_after must be from 0 to 1"),
        ({"architecture": ""}, "needs an architecture and a precision"),
    ],
)
def test_impossible_charges_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        charged_pricer("agx_orin_64gb", "trt_edge_llm", replace(BIG, **change))  # type: ignore[arg-type]


def test_a_charge_in_words_and_as_data() -> None:
    assert (describe(Charge()), changes(Charge())) == ("no model", {})
    small = replace(BIG, keep_layers=0.75, bits=(("kv", 8.0),))
    assert describe(small) == "internvl3_8b w4a16 keep_layers=0.75 bits.kv=8"
    assert changes(small)["bits"] == {"kv": 8.0}


def test_another_card_keeps_the_shares() -> None:
    source = ChipLatency("agx_orin_64gb", architecture="internvl3_8b", precision="w8a8")
    charged = source.charged(Charge("internvl3_1b", "w4a16", keep_layers=0.5, bits=(("head", 8.0),)))
    assert charged == Charge("internvl3_8b", "w8a8", keep_layers=0.5)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_table_values_do_not_depend_on_the_order_of_questions() -> None:
    def seconds(counts: Float) -> Float:
        return np.sqrt(counts) + len(counts)  # the length of the call shows which piece it came from

    one, other = PriceTable(seconds), PriceTable(seconds)
    asked: Long = np.array([3, PIECE + 5, 3 * PIECE, 7], dtype=np.int64)
    together = one.at(asked)
    assert together.tolist() == [other.one(int(count)) for count in asked[::-1]][::-1]
    assert together.tolist() == (np.sqrt(asked) + PIECE).tolist()
    assert one.at(np.array([MOST + 1])).tolist() == [one.one(MOST + 1)] == [np.sqrt(MOST + 1) + 1]
    assert one.at(np.zeros(0, dtype=np.int64)).shape == (0,)


CHARGES = (BIG, Charge("internvl3_1b", "w16a16"), replace(BIG, keep_image_tokens=0.4), Charge("qwen3_vl_2b", "w4a16"))
rows = st.lists(st.tuples(st.integers(-1, 3000), st.integers(-1, 2000), st.integers(-1, 300), st.integers(1, 6)),
                min_size=1, max_size=8)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(rows, st.sampled_from(CHARGES), st.sampled_from([{}, {"text_ratio": 1.3}, {"output_tokens": 20}]))
def test_a_row_costs_the_same_alone_and_in_any_batch(
    given_rows: list[tuple[int, ...]], charge: Charge, settings_: dict[str, float]
) -> None:
    text, image, output, images = np.array(given_rows, dtype=np.int64).T
    text = np.where((text == 0) & (image < 1), 1, text)
    source = ChipLatency("agx_orin_64gb", **settings_)  # type: ignore[arg-type]

    def priced(chosen: slice) -> Long:
        usage = TokenUsage(text[chosen], image[chosen], output[chosen])
        count = len(text[chosen])
        return source.price(
            RequestBatch(("c",) * count, np.arange(count), usage, images[chosen], images[chosen], charge)
        )

    batch = priced(slice(None))
    assert [priced(slice(row, row + 1))[0].tolist() for row in range(len(text))] == batch.tolist()


def test_pricing_is_fast_and_equals_the_straightforward_way() -> None:
    result = bench_price(batches=[1, 64, 1024], repetitions=2)
    assert result["summary"]["largest_difference_us"] <= 0.51  # rounding to whole microseconds
    values = {row["case"]: row["value"] for row in result["rows"]}
    assert values["batch 1024"] < 20.0
    assert all(row["ratio"] > 5.0 for row in result["rows"])
    with pytest.raises(ParameterError, match="at least 1"):
        bench_price(batches=[0])


# --- speculation -----------------------------------------------------------------------------------------------------


def test_speculation_divides_decode_and_nothing_else() -> None:
    model = charged_pricer("agx_orin_64gb", "trt_edge_llm", BIG)
    plain = times(model, 300, 256, 30, 1)
    fast = times(replace(model, speculation=Speculation(4.0, 0.5)), 300, 256, 30, 1)
    assert fast[DECODE] == pytest.approx(plain[DECODE] / 2.0)
    assert np.delete(fast, DECODE).tolist() == np.delete(plain, DECODE).tolist()
    for wrong in ({"accept_length": 0.5}, {"kappa": 0.0}, {"kappa": 1.1}):
        with pytest.raises(ParameterError):
            Speculation(**wrong)


def test_kappa_is_the_median_per_format() -> None:
    assert fitted_kappas([("a", 0.2), ("a", 0.4), ("a", 0.9), ("b", 1.7)]) == {"a": 0.4, "b": 1.0}
    kappa = charged_pricer("agx_orin_64gb", "trt_edge_llm", BIG).parameters.kappa
    assert kappa.keys() == {"w4a16", "w4a4"}
    assert kappa["w4a16"] < kappa["w4a4"] < 1.0  # weight-only formats widen their weights for every pass


# --- before a run ----------------------------------------------------------------------------------------------------


def chip_latency(mode: str = "streaming", **more: object) -> LatencyConfig:
    source = {"_target_": "simdrive.latency.chip_source.ChipLatency", "chip": "agx_orin_64gb", **more}
    return LatencyConfig("chip", json.dumps(source), json.dumps(mode), "follow_plan", False)


def test_agents_that_cannot_be_priced_are_refused_beforehand() -> None:
    agent = AgentConfig.named("idm")
    with pytest.raises(ParameterError, match=r"agent 'idm' cannot be priced under latency 'chip'.*charged as no model"):
        check_charges([agent], [chip_latency()])
    check_charges([agent], [chip_latency("zero")])
    check_charges([agent], [chip_latency(architecture="internvl3_1b", precision="w4a16")])
    with pytest.raises(ParameterError, match=r"needs 14\d\.\d GiB .*does not fit on agx_orin_64gb"):
        check_charges([agent], [chip_latency(architecture="internvl3_78b", precision="w16a16")])


def test_identity_knows_the_cards_that_agents_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    from simdrive.latency import chip_source

    before = ChipLatency("agx_orin_64gb").identity()["cards"]
    fixed = ChipLatency("agx_orin_64gb", architecture="internvl3_1b", precision="w4a16").identity()["cards"]
    card = load_card("architecture", "internvl3_8b")

    def changed(group: str, name: str) -> object:
        return replace(card, description="another") if name == "internvl3_8b" else load_card(group, name)

    monkeypatch.setattr(chip_source, "load_card", changed)
    chip_source._shipped_architectures.cache_clear()
    assert ChipLatency("agx_orin_64gb").identity()["cards"] != before
    same = ChipLatency("agx_orin_64gb", architecture="internvl3_1b", precision="w4a16").identity()["cards"]
    assert same == fixed
    chip_source._shipped_architectures.cache_clear()
