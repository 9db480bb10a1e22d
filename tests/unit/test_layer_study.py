"""The preliminary study: measures by hand, choices by hand, probes against eager attention, the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED, rows, written
from test_compress_trainer import TINY, TOKENIZER
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.compress.distill.attention import head_mean
from simdrive.compress.layer_study.choice import best_layers, choose, drive_kd_layers, verdict_of
from simdrive.compress.layer_study.measures import binned, likeness, pair_mean, reliability, rephrased
from simdrive.compress.layer_study.probe import TEMPERATURES, probe
from simdrive.compress.layer_study.study import study_layers
from simdrive.compress.samples import write_shard
from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.chat import training_batch
from simdrive.models.folder import load_model, save_model
from simdrive.models.local import LocalModel
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape

X, Y = [1.0, 0.0], [0.0, 2.0]


def folder(path: Path, family: str = "internvl", layers: int = 3) -> Path:
    shape = VlmShape(**{**vars(TINY), "family": family, "text_layers": layers})
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    save_model(path, build_model(shape, TOKENIZER, 1), TOKENIZER, processor, f"tiny_{family}", dtype=torch.float32)
    return path


def test_likeness_and_pairs_by_hand() -> None:
    vectors = np.array([X, X, Y])[:, None, None, :]  # three samples, one wording, one layer
    alike = likeness(vectors)
    assert alike[0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert pair_mean(alike, np.ones(3)).tolist() == pytest.approx([1 / 3])
    # The third sample three times: pairs (0,1) once and (0,2), (1,2) three times each; never with itself.
    assert pair_mean(alike, np.array([1.0, 1.0, 3.0])).tolist() == pytest.approx([1 / 7])
    assert math.isnan(pair_mean(alike, np.array([3.0, 0.0, 0.0]))[0])


def test_rephrasings_by_hand() -> None:
    vectors = np.array([[X, X, Y], [X, X, X]])[:, :, None, :]  # two samples, three wordings
    assert rephrased(vectors)[:, 0].tolist() == pytest.approx([2 / 3, 0.0])
    assert np.isnan(rephrased(vectors[:, :1])).all()


def test_reliability_tells_scenes_from_words() -> None:
    ones = np.ones(2)
    scene = np.array([[X, X], [Y, Y]])[:, :, None, :]  # follows the sample alone
    words = np.array([[X, Y], [X, Y]])[:, :, None, :]  # follows the wording alone: samples look the same
    assert reliability(likeness(scene), rephrased(scene), ones).tolist() == pytest.approx([1.0])
    assert np.isnan(reliability(likeness(words), rephrased(words), ones)).all()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 3, 1, 40))
    assert abs(float(reliability(likeness(noise), rephrased(noise), np.ones(60))[0])) < 0.05


def test_bins_by_hand() -> None:
    found = binned(np.array([1.0, 3.0, 5.0]), np.array([0.0, 0.05, 0.99]), 4)
    assert found[0] == 2.0
    assert found[3] == 5.0
    assert math.isnan(found[1])


def test_choices_by_hand() -> None:
    assert drive_kd_layers("perception", 6) == (0,)
    assert drive_kd_layers("reasoning", 6) == (0, 1, 2, 3, 4)
    assert drive_kd_layers("planning", 6) == drive_kd_layers("driving", 6) == (4,)
    assert best_layers(np.array([0.9, 0.95, np.nan, 0.94]), 0.02) == (1, 3)
    assert best_layers(np.full(3, np.nan), 0.02) == ()
    assert verdict_of((0, 1, 2), (0, 1)) == ("agrees", 2 / 3)
    assert verdict_of((0, 1), (0,)) == ("contains", 0.5)
    assert verdict_of((0, 3), (0, 1)) == ("partly", 1 / 3)
    assert verdict_of((3,), (0,)) == ("differs", 0.0)
    assert verdict_of((), (0,))[0] == "undefined"


def test_a_verdict_of_chance_is_not_firm() -> None:
    rng = np.random.default_rng(1)
    noise = likeness(rng.normal(size=(12, 1, 8, 40)))
    loose = choose("perception", "consistency", lambda counts: pair_mean(noise, counts), 12, 8, 100, rng)
    firm = choose("perception", "consistency", lambda counts: np.linspace(0.9, 0.1, 8), 12, 8, 100, rng)
    assert (firm.verdict, firm.redrawn) == ("agrees", 1.0)
    assert loose.redrawn < 1.0


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_a_probe_sees_what_eager_attention_and_hidden_states_show(tmp_path: Path, family: str) -> None:
    """One conversation at a time through the plain model of transformers, with everything it can tell."""
    loaded = load_model(folder(tmp_path / "model", family))
    local, samples = LocalModel(loaded), written(tmp_path / "data")
    turns = [("at 3 of 15 ; what now ?", "keep straight"), ("at 11 of 15 side 0m ; who decides ?", "nothing")]
    found = probe(local, samples.frames([0, 1]), turns, 2)
    model = loaded.model
    model.set_attn_implementation("eager")
    for row, turn in enumerate(turns):
        text = training_batch(local.chat, [[turn]])
        seen = local.processor.pictures(samples.frames([row]))
        image = text.ids == model.config.image_token_id
        given = {"input_ids": text.ids, "pixel_values": seen.values}
        if seen.grid is not None:
            given |= {"image_grid_thw": seen.grid, "mm_token_type_ids": image.int()}
        with torch.no_grad():
            whole = model(**given, output_attentions=True, output_hidden_states=True)
        prompt = len(local.chat.prompt(turn[0]))
        states = whole.hidden_states  # the last one is after the final norm
        cosine = torch.cosine_similarity(states[0], states[1], dim=-1).mean()
        assert found.adjacent[row, 0] == pytest.approx(float(cosine), abs=1e-5)
        kinds = [states[2][0][mask].mean(dim=0) for mask in (image[0], ~image[0])]
        assert found.vision_text[row, 1] == pytest.approx(float(torch.cosine_similarity(*kinds, dim=0)), abs=1e-5)
        np.testing.assert_allclose(found.state[row, -1], states[-1][0, prompt - 1].numpy(), atol=1e-4)
        behind = int(image[0].nonzero().max()) + 1
        for layer, maps in enumerate(whole.attentions):
            looked = head_mean(maps)[0][:, image[0]]
            np.testing.assert_allclose(found.attention[row, layer], looked[prompt - 1].numpy(), atol=1e-5)
            np.testing.assert_allclose(
                found.text_attention[row, layer], looked[behind:prompt].mean(0).numpy(), atol=1e-5
            )
            assert found.looks[row, layer] == pytest.approx(float(looked[behind:prompt].sum(-1).mean()), abs=1e-5)
        sure = whole.logits[0, prompt - 1 : -1].softmax(-1).sort(dim=-1, descending=True).values
        np.testing.assert_allclose(found.certainty[row][:, 0], sure[:, 0].numpy(), atol=1e-5)
        np.testing.assert_allclose(found.certainty[row][:, 1], sure[:, :10].sum(-1).numpy(), atol=1e-5)
        one = 2 + TEMPERATURES.index(1.0)
        np.testing.assert_allclose(found.certainty[row][:, one], (sure[:, 0] - sure[:, 1]).numpy(), atol=1e-5)


def test_a_study_is_the_same_for_any_batch(tmp_path: Path) -> None:
    loaded, samples = load_model(folder(tmp_path / "model")), written(tmp_path / "data")
    one, many = (study_layers(loaded, samples, [0, 1, 2], batch=batch, redraws=5, longest=6) for batch in (1, 3))
    assert [(c.capability, c.rule, c.chosen, c.verdict, c.redrawn) for c in one.choices] == [
        (c.capability, c.rule, c.chosen, c.verdict, c.redrawn) for c in many.choices
    ]
    for mine, other in zip(one.rows, many.rows, strict=True):
        assert mine.adjacent == pytest.approx(other.adjacent, abs=1e-5, nan_ok=True)
        assert mine.reliability == pytest.approx(other.reliability, abs=1e-3, nan_ok=True)
    with pytest.raises(ParameterError, match="at least 2"):
        study_layers(loaded, samples, [0])


def test_the_command_writes_tables_and_a_picture(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "qwen2_5_vl")
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "a.parquet", rows(8), PICTURED)
    asked = ["study", "layers", f"model={model}", f"data=[{tmp_path / 'data'}]", "split=train", "rows=4", "redraws=3"]
    found = CliRunner().invoke(app, [*asked, "answer_tokens=5", f"out={tmp_path / 'out'}", "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout.splitlines()[-1])
    assert [row["layer"] for row in told["rows"]] == [0, 1, 2, -1]
    assert {each["verdict"] for each in told["choices"]} <= {"agrees", "contains", "partly", "differs", "undefined"}
    written_files = {path.name for path in (tmp_path / "out").iterdir()}
    assert written_files == {"layers.json", "layers.txt", "layers.csv", "choices.csv", "confidence.csv", "layers.png"}
    assert "Drive-KD" in (tmp_path / "out" / "layers.txt").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=[x]"], "model=... is needed"),
        (["model=nobody", "data=[x]"], "nobody"),
        (["model=m", "data=[x]", "rows=1"], "at least 2"),
        (["model=m", "data=[x]", "split=all"], "validation"),
        (["model=m", "data=[x]", "layer=3"], "layer"),
    ],
)
def test_wrong_words_are_told(words: list[str], message: str) -> None:
    found = CliRunner().invoke(app, ["study", "layers", *words])
    assert found.exit_code == 2
    assert message in found.output
