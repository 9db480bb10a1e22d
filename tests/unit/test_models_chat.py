from __future__ import annotations

import pytest
from model_kit import tiny_tokenizer

from simdrive.errors import ParameterError
from simdrive.models.chat import IGNORED, Chat, prompts, training_batch
from simdrive.models.tokenizer import train_tokenizer


def test_a_prompt_is_its_text_tokenised_as_a_whole() -> None:
    tokenizer = tiny_tokenizer()
    text = (
        "<|im_start|>system\nuser<|im_end|>\n<|im_start|>user\n<img><IMG_CONTEXT><IMG_CONTEXT></img>"
        "<img><IMG_CONTEXT></img>\nWhat now?<|im_end|>\n<|im_start|>assistant\n"
    )
    chat = Chat(tokenizer, (2, 1), system="user")
    assert list(chat.prompt("What now?")) == tokenizer(text)["input_ids"]
    assert chat.image_tokens == 7


def test_prompts_are_padded_on_the_left_and_count_their_text() -> None:
    chat = Chat(tiny_tokenizer(), (4,))
    batch = prompts(chat, ["What now?", "What do you do now?"], width=40)
    assert batch.ids.shape == (2, 40)
    for row, question in enumerate(("What now?", "What do you do now?")):
        ids = chat.prompt(question)
        assert batch.ids[row, -len(ids) :].tolist() == list(ids)
        assert batch.mask[row].tolist() == [0] * (40 - len(ids)) + [1] * len(ids)
        assert batch.text_tokens[row] == len(ids) - 6


def test_without_pictures_a_prompt_has_no_image_tokens() -> None:
    chat = Chat(tiny_tokenizer(), ())
    assert chat.image_tokens == 0
    assert tiny_tokenizer().decode(list(chat.prompt("What?"))) == (
        "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_labels_lie_on_answers_and_their_end_marks_only() -> None:
    tokenizer = tiny_tokenizer()
    chat = Chat(tokenizer, (2,))
    batch = training_batch(chat, [[("Where?", "speed 1"), ("What now?", "side 0")], [("What?", "speed 0")]])
    whole = tokenizer.decode(batch.ids[0])
    assert whole == (
        "<|im_start|>user\n<img><IMG_CONTEXT><IMG_CONTEXT></img>\nWhere?<|im_end|>\n<|im_start|>assistant\nspeed 1<|im_end|>"
        "\n<|im_start|>user\nWhat now?<|im_end|>\n<|im_start|>assistant\nside 0<|im_end|>"
    )
    taught = batch.labels[0] != IGNORED
    assert tokenizer.decode(batch.ids[0][taught]) == "speed 1<|im_end|>side 0<|im_end|>"
    assert (batch.labels[0][taught] == batch.ids[0][taught]).all()
    assert batch.labels[1][batch.mask[1] == 0].unique().tolist() == [IGNORED]
    assert batch.ids[1, 0] == batch.ids[0, 0]  # padding is on the right
    assert batch.ids[1][batch.mask[1] == 0].unique().tolist() == [chat.pad_id]


def test_a_foreign_tokenizer_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"lacks <\|vision_start\|>.*came with the model"):
        Chat(train_tokenizer(["a b"]), (4,), marks=("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"))
