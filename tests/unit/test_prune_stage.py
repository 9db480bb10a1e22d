"""Joined picture tokens, recovery, and pruning as a stage that continues and tells what it did."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.batches import Batches
from simdrive.compress.distill.sight import sight_of
from simdrive.compress.priced import PriceSettings, prices
from simdrive.compress.prune.cutting import cut_to
from simdrive.compress.prune.recovery import Elder, RecoverySettings, feature_gap, streams
from simdrive.compress.prune.request import prune_request
from simdrive.compress.prune.scores import magnitude
from simdrive.compress.prune.settings import PruneSettings, Sizes
from simdrive.compress.prune.shares import shares_left
from simdrive.compress.prune.stage import PruneRequest, prune
from simdrive.compress.recipe import load_recipe, run_recipe
from simdrive.compress.requests import settings_of
from simdrive.compress.settings import TrainSettings
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.latency.hf_config import architecture_from_hf
from simdrive.models.anatomy import TEXT, VISION, layers_of
from simdrive.models.build import build_model
from simdrive.models.chat import Chat
from simdrive.models.folder import load_model, read_card, save_model
from simdrive.models.generate import image_features
from simdrive.models.headcount import read_plan
from simdrive.models.merge import members, merge_tokens
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.types import Bytes

FAMILIES = ["internvl", "qwen2_5_vl"]
FINE = VlmShape(**{**vars(TINY), "patch_px": 4, "merge": 2, "tile_px": 16})  # two by two tokens in a tile
ONE_CHIP = PriceSettings(chips=("agx_orin_64gb",))


def whole(folder: Path, shape: VlmShape = TINY, layers: int = 3) -> Path:
    shape = replace(shape, text_layers=layers)
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    model = build_model(shape, TOKENIZER, seed=2)
    save_model(folder, model, TOKENIZER, processor, "whole", dtype=torch.float32)
    return folder


def frames(samples: Any, flat: bool = False) -> Bytes:
    shown: Bytes = samples.frames([0, 1, 2])
    return shown // shown.max() if flat else shown


@pytest.mark.parametrize("family", FAMILIES)
def test_a_joined_token_begins_as_the_mean_of_its_parts(family: str, tmp_path: Path) -> None:
    shape = replace(FINE, family=family)  # type: ignore[arg-type]
    model = build_model(shape, TOKENIZER, seed=4).eval()
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    shown = frames(written(tmp_path / "data"), flat=family == "internvl")  # its norm spans what is joined
    with torch.no_grad():
        fine = image_features(model, processor.pictures(shown))
        coarse_processor = merge_tokens(model, processor, 2)
        coarse = image_features(model, coarse_processor.pictures(shown))
    assert sum(coarse_processor.slots) * 4 == sum(processor.slots)
    if family == "internvl":  # tile after tile, four tokens each
        mean = fine.view(-1, 4, fine.shape[-1]).mean(1)
        torch.testing.assert_close(coarse, mean, rtol=0, atol=2e-3)
    else:  # picture after picture, rows and columns of tokens
        rows = fine.view(3, 2, 2, 2, fine.shape[-1])
        mean = rows.mean((1, 3)).reshape(-1, fine.shape[-1])
        torch.testing.assert_close(coarse, mean, rtol=0, atol=1e-5)
    save_model(tmp_path / "joined", model, TOKENIZER, coarse_processor, "joined", dtype=torch.float32)
    again = load_model(tmp_path / "joined")
    with torch.no_grad():
        assert torch.equal(image_features(again.model, again.processor.pictures(shown)), coarse)


def test_places_of_joined_tokens() -> None:
    assert members(1, 2, 1).tolist() == [[0], [1], [2], [3]]
    assert members(2, 2, 1).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert members(1, 2, 2).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    processor = Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
    model = build_model(TINY, TOKENIZER)
    with pytest.raises(ParameterError, match="does not divide into tokens of 32: it is 1 tokens wide"):
        merge_tokens(model, processor, 2)
    with pytest.raises(ParameterError, match="got 0"):
        merge_tokens(model, processor, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_is_shown_its_own_batch(family: str, tmp_path: Path) -> None:
    shape, samples = replace(FINE, family=family), written(tmp_path, 24)  # type: ignore[arg-type]
    elder = load_model(whole(tmp_path / "whole", shape))
    fine, coarse = elder.processor, replace(elder.processor, merge=4)
    settings = TrainSettings(batch=3, augment=False)
    mine, theirs = (
        Batches(samples, Chat(TOKENIZER, p.slots), p, settings, torch.device("cpu"))(5) for p in (coarse, fine)
    )
    assert sight_of(fine, elder) is None
    sight = sight_of(coarse, elder)
    assert sight is not None
    text, seen = sight.batch(mine)
    assert torch.equal(text.ids, theirs.text.ids)
    assert torch.equal(text.labels, theirs.text.labels)
    assert torch.equal(text.mask, theirs.text.mask)
    assert torch.equal(seen.values, theirs.seen.values)


def test_the_gap_of_features_by_hand() -> None:
    model = build_model(TINY, TOKENIZER)
    elder = Elder(model, {TEXT: [1], VISION: [0]})
    assert elder.partners(TEXT) == [1]
    assert Elder(build_model(replace(TINY, text_layers=5), TOKENIZER), {TEXT: [0, 3], VISION: [0]}).partners(TEXT) == [
        2,
        4,
    ]
    own = {TEXT: [torch.tensor([[[3.0, 4.0], [9.0, 9.0]]])], VISION: [torch.tensor([[0.0, 2.0]])]}
    theirs = {
        TEXT: [torch.zeros(1, 2, 2), torch.tensor([[[0.0, 5.0], [1.0, 0.0]]])],
        VISION: [torch.tensor([[7.0, 0.0]])],
    }
    places = torch.tensor([[True, False]])
    assert float(feature_gap(own, theirs, elder, (places, places))) == pytest.approx(0.4 + 2.0)
    assert float(feature_gap(own, theirs, elder, (places, places), vision=False)) == pytest.approx(0.4)
    with pytest.raises(ParameterError, match="temperature above 0"):
        RecoverySettings(temperature=0.0)
    with streams(model) as kept:
        model.model.language_model(torch.tensor([[5, 6]]))
    assert [tuple(one.shape) for one in kept[TEXT]] == [(1, 2, 32)] * 2


def request(folder: Path, out: str, **more: Any) -> PruneRequest:
    if not (folder / "whole").is_dir():
        whole(folder / "whole")
        written(folder / "data", 24)
    settings = {"importance": "safe", "rows": 4, "batch": 4, "rounds": 2, "sparsity": 0.4,
                "keep": {"text_layers": 0.67, "text_heads": 0.5, "text_ffn": 0.5, "vision_heads": 0.5, "vision_ffn": 0.7},
                **more.pop("settings", {})}  # fmt: skip
    fields = {
        "recover": TrainSettings(steps=2, batch=2, warmup=1, decay=1, save_every=1), "price": ONE_CHIP,
        "recovery": RecoverySettings(kl=0.1), "device": "cpu", **more,
    }  # fmt: skip
    return PruneRequest(
        "small", str(folder / "whole"), (folder / "data",), folder / out, PruneSettings(**settings), **fields
    )


def test_a_pruning_that_was_killed_goes_on_identically(tmp_path: Path) -> None:
    said: list[str] = []
    folder = prune(request(tmp_path, "first"), said.append)
    card, small = read_card(folder), load_model(folder)
    told = card.data["pruned"]
    assert told["sizes"] == {"text_layers": 2, "text_heads": 2, "text_kv_heads": 2, "text_ffn": 24, "vision_layers": 1,
                             "vision_heads": 1, "vision_ffn": 16}  # fmt: skip
    assert len(layers_of(small.model, TEXT)) == 2
    assert card.parents == ("whole",)
    assert card.parameters == sum(p.numel() for p in small.model.parameters()) < told["parameters_before"]
    weights = [
        linear.weight for part in (TEXT, VISION) for one in layers_of(small.model, part) for linear in one.linears
    ]
    zero = sum(int((w == 0).sum()) for w in weights)
    assert zero / sum(w.numel() for w in weights) == pytest.approx(0.4, abs=0.01)
    assert 0.0 < card.sparsity < 0.4  # embeddings are dense
    assert card.data["charge"] == {"keep_layers": 2 / 3, "keep_heads": 0.5, "keep_feedforward": 0.5,
                                   "keep_vision_heads": 0.5, "keep_vision_feedforward": 16 / 24}  # fmt: skip
    priced = card.data["priced"]["chips"]["agx_orin_64gb"]
    assert all(priced["left"][stage] < priced["whole"][stage] for stage in ("vision", "prefill", "decode"))
    assert card.scores["own_price"]["agx_orin_64gb"]["total"] > 0.0
    assert "round 2 of 2" in " ".join(said)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    for gone in ("model", "round_2/model"):
        shutil.rmtree(tmp_path / "second" / gone)
    again = prune(request(tmp_path, "second"), said.append)
    assert read_card(again).weight_hash == card.weight_hash
    shutil.rmtree(tmp_path / "second" / "round_2")
    assert read_card(prune(request(tmp_path, "second"), said.append)).weight_hash == card.weight_hash
    with pytest.raises(RunFolderError, match="holds another pruning"):
        prune(request(tmp_path, "second", settings={"conflict": 0.1}), said.append)


def test_what_cannot_be_pruned_is_refused(tmp_path: Path) -> None:
    plain = {"sparsity": 0.0, "keep": {}}
    for fields, kind, text in (
        ({"settings": plain}, ParameterError, "nothing is pruned"),
        ({"settings": {**plain, "drop": ("text.9",)}}, UnknownNameError, r"text\.9"),
        ({"settings": {**plain, "merge": 2}}, ParameterError, "does not divide"),
        ({"settings": {"keep": {"vision_heads": 0.1}}}, ParameterError, "leaves nothing of 2"),
    ):
        with pytest.raises(kind, match=text):
            prune(request(tmp_path, text[:4], **fields), print)
    blind = replace(request(tmp_path, "blind"), data=())
    with pytest.raises(ParameterError, match="name folders in data"):
        prune(blind, print)


def test_a_layer_that_was_named_goes_without_any_data(tmp_path: Path) -> None:
    settings = {"importance": "magnitude", "keep": {}, "sparsity": 0.0, "drop": ("text.1",), "rounds": 1}
    asked = replace(request(tmp_path, "out", settings=settings, recover=None), data=())
    small = load_model(prune(asked, lambda line: None))
    before = load_model(tmp_path / "whole").model
    kept = small.model.model.language_model.layers
    assert read_card(small.folder).data["pruned"]["layers_left"]["text"] == [0, 2]
    for new, old in ((0, 0), (1, 2)):
        expected = before.model.language_model.layers[old].mlp.up_proj.weight.bfloat16().float()
        assert torch.equal(kept[new].mlp.up_proj.weight, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_card_of_a_pruned_folder_counts_its_weights(family: str, tmp_path: Path) -> None:
    """What is priced is what is there: weights of the card, from configuration and plan, and of the module."""
    model = build_model(replace(TINY, family=family, text_layers=3), TOKENIZER)  # type: ignore[arg-type]
    cut_to(model, magnitude(model), Sizes(2, 2, 1, 24, 1, 1, 8))
    processor = Processor.of(replace(TINY, family=family), PICTURED.cameras, PICTURED.frame_offsets_us)  # type: ignore[arg-type]
    save_model(tmp_path, model, TOKENIZER, processor, "small")
    card = architecture_from_hf(json.loads((tmp_path / "config.json").read_text()), "small", read_plan(tmp_path))
    assert card.parameters() == sum(p.numel() for p in model.parameters())


def test_shares_and_prices_fall_together() -> None:
    before = Sizes(24, 14, 2, 4864, 24, 16, 4096)
    after = replace(before, text_layers=12, vision_heads=8)
    assert shares_left(before, after, 2) == {"keep_layers": 0.5, "keep_vision_heads": 0.5, "keep_image_tokens": 0.25}
    found = prices(shares_left(before, after, 2), ONE_CHIP)["chips"]["agx_orin_64gb"]
    assert found["left"]["total"] < found["whole"]["total"]
    fewer = prices({"keep_vision_heads": 0.5}, ONE_CHIP)["chips"]["agx_orin_64gb"]
    assert fewer["left"]["vision"] < fewer["whole"]["vision"]
    assert fewer["left"]["decode"] == fewer["whole"]["decode"]
    narrow = prices({"precision": "w4a16", "bits": {"attention": 4.5, "feedforward": 4.5}}, ONE_CHIP)
    assert narrow["charged_as"].endswith("w4a16")
    quick = narrow["chips"]["agx_orin_64gb"]
    assert quick["left"]["decode"] < quick["whole"]["decode"]
    assert "refused" in prices({"precision": "w4a8"}, ONE_CHIP)["chips"]["agx_orin_64gb"]  # no such kernels there


def test_a_recipe_prunes_a_stage_before_it(tmp_path: Path) -> None:
    whole(tmp_path / "whole")
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps({"stages": [
        {"stage": "prune", "name": "slim", "init": str(tmp_path / "whole"), "recover": {"steps": 0},
         "prune": {"importance": "magnitude", "keep": {"text_ffn": 0.5}}, "price": {"chips": ["agx_orin_64gb"]}},
        {"stage": "prune", "name": "slimmer", "init": "slim", "recover": {"steps": 0}, "price": {"chips": []},
         "prune": {"importance": "magnitude", "keep": {"vision_heads": 0.5}}}]}))  # fmt: skip
    done = run_recipe(load_recipe(str(path)), tmp_path / "out", lambda line: None)
    last = load_model(done[-1].result)
    assert (last.card.name, last.card.parents) == ("slimmer", ("slim",))
    assert (layers_of(last.model, TEXT)[0].ffn, layers_of(last.model, VISION)[0].heads) == (24, 1)
    assert run_recipe(load_recipe(str(path)), tmp_path / "out", print) == done
    with pytest.raises(UnknownNameError, match="importanse"):
        load_recipe(str(path), {"slim": {"prune": {"importanse": "safe"}}})
    with pytest.raises(ParameterError, match="a model to start from"):
        prune_request(settings_of("prune", {}))
    assert [stage.kind for stage in load_recipe("pruned")] == ["prune"]
