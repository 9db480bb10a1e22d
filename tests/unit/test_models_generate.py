from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from model_kit import TINY, tiny_model, tiny_tokenizer
from transformers import PreTrainedModel

from simdrive.agents.language.codec import vocabulary
from simdrive.errors import ParameterError
from simdrive.models.chat import Chat, Prompts, prompts
from simdrive.models.constrain import Automaton, compile_grammar
from simdrive.models.generate import Generator
from simdrive.models.pixels import Pictures
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.types import CameraSpec

FAMILIES = ("internvl", "qwen2_5_vl")
QUESTIONS = ("What do you do now?", "What now?", "speed 3 side what do you do at 12 now?", "Say: -0.5")


def _processor(family: str, cameras: int = 2) -> Processor:
    specs = [CameraSpec(f"c{number}", 64, 32) for number in range(cameras)]
    return Processor.of(VlmShape(**{**vars(TINY), "family": family}), specs)


def _frames(count: int, cameras: int = 2) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, cameras, 2, 32, 64, 3), dtype=np.uint8)


def _setting(family: str, questions: tuple[str, ...] = QUESTIONS) -> tuple[PreTrainedModel, Chat, Prompts, Pictures]:
    processor = _processor(family)
    chat = Chat(tiny_tokenizer(), processor.slots)
    return tiny_model(family), chat, prompts(chat, questions), processor.pictures(_frames(len(questions)))


def _hugging_face(
    model: PreTrainedModel, chat: Chat, asked: Prompts, pictures: Pictures | None, most: int, **kwargs: Any
) -> list[list[int]]:
    """Generate with transformers; its padding is cut off."""
    extra: dict[str, Any] = {}
    if pictures is not None:
        extra["pixel_values"] = pictures.values
        if pictures.grid is not None:
            extra["image_grid_thw"] = pictures.grid
            extra["mm_token_type_ids"] = (asked.ids == model.config.image_token_id).int()
    with torch.inference_mode():
        out = cast(Any, model).generate(
            input_ids=asked.ids, attention_mask=asked.mask, do_sample=False, max_new_tokens=most, **extra, **kwargs
        )
    rows = out[:, asked.ids.shape[1] :].tolist()
    return [row[: row.index(chat.end_id) + 1] if chat.end_id in row else row for row in rows]


def _ours(generated: Any) -> list[list[int]]:
    return [row[:length].tolist() for row, length in zip(generated.tokens, generated.lengths, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_equal_transformers_under_padding(family: str) -> None:
    model, chat, asked, pictures = _setting(family)
    assert int(asked.mask[1].sum()) < asked.ids.shape[1]
    expected = _hugging_face(model, chat, asked, pictures, 12)
    assert _ours(Generator(model, chat.end_id, chat.pad_id)(asked, pictures, 12)) == expected
    assert len({tuple(row) for row in expected}) > 1  # answers differ, so a mixed-up row would show


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_says_the_same_alone_as_beside_longer_prompts(family: str) -> None:
    model, chat, asked, pictures = _setting(family)
    generator = Generator(model, chat.end_id, chat.pad_id)
    together = _ours(generator(asked, pictures, 10))
    processor, frames = _processor(family), _frames(len(QUESTIONS))
    for row, question in enumerate(QUESTIONS):
        alone = generator(prompts(chat, [question]), processor.pictures(frames[row : row + 1]), 10)
        assert _ours(alone)[0] == together[row]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_end_early_stop_and_the_loop_stops_with_the_last(family: str) -> None:
    model, chat, asked, pictures = _setting(family)
    free = _ours(Generator(model, chat.end_id, chat.pad_id)(asked, pictures, 12))
    # The token that one row says third is made the end mark: that row ends there, others where they say it.
    end = free[0][2]
    model.generation_config.eos_token_id = end
    try:
        expected = _hugging_face(model, chat, asked, pictures, 12)
    finally:
        model.generation_config.eos_token_id = chat.end_id
    answers = Generator(model, end, chat.pad_id)(asked, pictures, 12)
    cut = [row[: row.index(end) + 1] if end in row else row for row in expected]
    assert _ours(answers) == cut
    assert int(answers.lengths[0]) <= 3
    behind = torch.arange(12) >= answers.lengths[:, None]
    assert set(answers.tokens[behind].tolist()) <= {chat.pad_id}


@pytest.mark.parametrize("family", FAMILIES)
def test_without_pictures(family: str) -> None:
    model = tiny_model(family)
    chat = Chat(tiny_tokenizer(), ())
    asked = prompts(chat, QUESTIONS)
    assert _ours(Generator(model, chat.end_id, chat.pad_id)(asked, None, 8)) == _hugging_face(
        model, chat, asked, None, 8
    )


def test_each_row_has_its_own_limit() -> None:
    model, chat, asked, pictures = _setting("internvl")
    generator = Generator(model, chat.end_id, chat.pad_id)
    whole = _ours(generator(asked, pictures, 9))
    limits = torch.tensor([1, 9, 4, 2])
    assert _ours(generator(asked, pictures, limits)) == [
        row[:limit] for row, limit in zip(whole, limits.tolist(), strict=True)
    ]
    with pytest.raises(ParameterError, match="at least 1 token"):
        generator(asked, pictures, 0)


def _allowed_by(grammar: Automaton, width: int) -> Any:
    """The same grammar as transformers takes it: a function from the tokens so far to those that may come."""

    def allowed(_: int, ids: torch.Tensor) -> list[int]:
        state = 0
        for token in ids[width:].tolist():
            where = (grammar.allowed[state] == token) & grammar.valid[state]
            state = int(grammar.following[state][where][0])
        return grammar.allowed[state][grammar.valid[state]].tolist()

    return allowed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("forms", [1, 2])
def test_constrained_tokens_equal_transformers_with_the_same_grammar(family: str, forms: int) -> None:
    model, chat, asked, pictures = _setting(family)
    other = (("speed",), ("-1", "-1.5", "stop here"), ("side", "user side"))
    grammar = compile_grammar(chat.encoded, chat.end_id, (vocabulary(), other)[:forms])
    expected = _hugging_face(
        model, chat, asked, pictures, 24, prefix_allowed_tokens_fn=_allowed_by(grammar, asked.ids.shape[1])
    )
    answers = Generator(model, chat.end_id, chat.pad_id)(asked, pictures, 24, grammar)
    assert _ours(answers) == expected


def test_forced_tokens_cost_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model, chat, asked, pictures = _setting("internvl")
    grammar = compile_grammar(chat.encoded, chat.end_id, [(("speed",), ("1", "2"), ("side",), ("0", "1"))])
    assert grammar.lockstep
    generator = Generator(model, chat.end_id, chat.pad_id)
    widths: list[int] = []
    real = generator._decoder.__call__

    def spy(_self: Any, x: torch.Tensor, *rest: Any) -> Any:
        widths.append(x.shape[1])
        return real(x, *rest)

    monkeypatch.setattr(type(generator._decoder), "__call__", spy)
    answers = generator(asked, pictures, 24, grammar)
    assert widths == [asked.ids.shape[1] + 1, 2]  # the prompt and 'speed'; the first number and 'side'
    assert answers.lengths.tolist() == [5] * 4
    for row in answers.tokens[:, :5].tolist():
        assert chat.tokenizer.decode(row).split()[0] == "speed"


def test_bfloat16_runs_and_answers_in_the_grammar() -> None:
    _, chat, asked, _ = _setting("internvl")
    import copy

    model = copy.deepcopy(tiny_model("internvl")).to(torch.bfloat16)
    pictures = _processor("internvl").pictures(_frames(4), dtype=torch.bfloat16)
    grammar = compile_grammar(chat.encoded, chat.end_id, [vocabulary()])
    answers = Generator(model, chat.end_id, chat.pad_id)(asked, pictures, 24, grammar)
    assert (answers.lengths > 7).all()


def test_wrong_number_of_pictures_is_refused() -> None:
    model, chat, asked, _ = _setting("internvl")
    pictures = _processor("internvl", 1).pictures(_frames(4, 1))
    with pytest.raises(ParameterError, match="image slots"):
        Generator(model, chat.end_id, chat.pad_id)(asked, pictures, 4)
