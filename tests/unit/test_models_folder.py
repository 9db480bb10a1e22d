from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_kit import TINY, tiny_model, tiny_tokenizer
from transformers import InternVLForConditionalGeneration

from simdrive.models.build import CLASSES
from simdrive.models.folder import ModelFolderError, load_model, read_card, save_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.models.where import weight_hash
from simdrive.types import CameraSpec


def _save(folder: Path, family: str = "internvl", dtype: torch.dtype = torch.float32) -> Path:
    shape = VlmShape(**{**vars(TINY), "family": family})
    processor = Processor.of(shape, [CameraSpec("front", 64, 32), CameraSpec("left", 64, 32, yaw_deg=-60.0)])
    save_model(folder, tiny_model(family), tiny_tokenizer(), processor, "tiny", dtype=dtype, parents=("big",))
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.parametrize("family", sorted(CLASSES))
def test_a_model_comes_back_as_it_was(tmp_path: Path, family: str) -> None:
    loaded = load_model(_save(tmp_path / "m", family))
    for name, value in tiny_model(family).state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name
    assert loaded.tokenizer.get_vocab() == tiny_tokenizer().get_vocab()
    assert loaded.is_zoo
    assert loaded.processor.cameras[1].yaw_deg == -60.0
    assert loaded.processor.frame_offsets_us == (0, -300_000)
    assert loaded.card.parents == ("big",)
    assert loaded.card.weight_hash == weight_hash(tmp_path / "m")
    assert loaded.card.parameters == sum(value.numel() for value in tiny_model(family).parameters())
    assert loaded.model.generation_config.eos_token_id == tiny_tokenizer().convert_tokens_to_ids("<|im_end|>")


def test_the_plain_class_of_transformers_reads_the_folder(saved: Path) -> None:
    model = InternVLForConditionalGeneration.from_pretrained(saved, local_files_only=True)
    assert torch.equal(model.lm_head.weight, tiny_model().lm_head.weight)


def test_weights_are_stored_as_asked(tmp_path: Path) -> None:
    folder = _save(tmp_path / "half", dtype=torch.bfloat16)
    assert read_card(folder).bits == 16.0
    assert (folder / "model.safetensors").stat().st_size < 2.2 * read_card(folder).parameters + 20_000
    assert load_model(folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16
    assert tiny_model().dtype == torch.float32  # the saved model is left as it is


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def _edit(name: str, **changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def _shrink(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["text_config"]["num_hidden_layers"] = 1
    content["text_config"]["layer_types"] = ["full_attention"]
    (folder / "config.json").write_text(json.dumps(content))


def _other_tokenizer(folder: Path) -> None:
    train_tokenizer(f"word{number} word{number}" for number in range(2000)).save_pretrained(folder)


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


DAMAGES: tuple[tuple[Callable[[Path], object], str], ...] = (
    (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing; copy it"),
    (_pickle, r"pytorch_model\.bin is a pickle and is not read"),
    (_truncate, r"model\.safetensors is no complete safetensors file .*copy it again"),
    (_flip, r"model\.safetensors was changed: its hash is .*restore the file"),
    (lambda f: (f / "config.json").unlink(), r"config\.json is missing; give the folder of a model"),
    (lambda f: (f / "config.json").write_text("{"), r"config\.json is no JSON"),
    (_edit("config.json", architectures=["LlavaForConditionalGeneration"]), r"'LlavaForCond.*simdrive drives InternVL"),
    (_shrink, r"does not fit .*config\.json: \d+ unexpected keys, e\.g\. .*layers\.1\."),
    (_other_tokenizer, r"tokenizer\.json does not belong to this model: .*take the tokenizer"),
    (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    (lambda f: (f / "tokenizer.json").write_text("{}"), r"tokenizer\.json cannot be read"),
    (lambda f: (f / "preprocessor_config.json").unlink(), r"preprocessor_config\.json is missing"),
    (_edit("card.json", colour="red"), r"card\.json is no card"),
)


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_damage_is_named_with_its_file_and_a_fix(saved: Path, tmp_path: Path, number: int) -> None:
    damage, message = DAMAGES[number]
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    damage(folder)
    with pytest.raises(ModelFolderError, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_processor_is_named(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    _edit("preprocessor_config.json", image_mean=0.1)(folder)
    with pytest.raises(ModelFolderError, match=r"preprocessor_config\.json: image_mean and image_std must be 0\.45"):
        _ = load_model(folder).processor
    with pytest.raises(ModelFolderError, match=r"is missing: only models saved by simdrive"):
        read_card(tmp_path)
