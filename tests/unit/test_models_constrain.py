from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_kit import tiny_tokenizer

from simdrive.errors import ParameterError
from simdrive.models.chat import Chat
from simdrive.models.constrain import Automaton, compile_grammar

CHAT = Chat(tiny_tokenizer(), ())
WORD = st.sampled_from(["speed", "side", "-1", "-1.5", "12", "xyz", "xy", "x", "stop now", "0"])
FORM = st.lists(st.lists(WORD, min_size=1, max_size=4, unique=True), min_size=1, max_size=4)


def _all_said(grammar: Automaton) -> set[tuple[int, ...]]:
    """Every token sequence that the automaton allows, end mark cut off."""
    found: set[tuple[int, ...]] = set()
    front: list[tuple[tuple[int, ...], int]] = [((), 0)]
    while front:
        said, state = front.pop()
        for token, after in zip(
            grammar.allowed[state][grammar.valid[state]].tolist(),
            grammar.following[state][grammar.valid[state]].tolist(),
            strict=True,
        ):
            if token == CHAT.end_id:
                found.add(said)
            else:
                front.append(((*said, token), after))
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(FORM, min_size=1, max_size=2))
def test_the_automaton_says_all_of_the_grammar_and_nothing_else(forms: list[list[list[str]]]) -> None:
    grammar = compile_grammar(CHAT.encoded, CHAT.end_id, forms)
    texts = {" ".join(words) for form in forms for words in itertools.product(*form)}
    said = _all_said(grammar)
    assert said == {CHAT.encoded(text) for text in texts}
    assert grammar.longest == max(map(len, said)) + 1
    common = min(said)
    assert all(tokens[: len(grammar.opening)] == grammar.opening for tokens in said)
    assert grammar.opening == common[: len(grammar.opening)]


def test_the_best_allowed_token_is_chosen_by_hand() -> None:
    grammar = compile_grammar(CHAT.encoded, CHAT.end_id, [(("speed",), ("1", "2"))])
    one, two = CHAT.encoded(" 1")[0], CHAT.encoded(" 2")[0]
    logits = torch.zeros(2, len(CHAT.tokenizer))
    logits[:, CHAT.end_id] = 9.0  # best of all, but not allowed
    logits[1, two] = 1.0
    state = grammar.following[0, :1].expand(2)
    token, after = grammar.choose(logits, state)
    assert token.tolist() == [min(one, two), two]  # equal scores: the lower id, as argmax does
    assert grammar.forced[after].tolist() == [CHAT.end_id] * 2


def test_a_quantile_is_taken_where_just_the_ordered_numbers_may_come() -> None:
    grammar = compile_grammar(CHAT.encoded, CHAT.end_id, [(("speed",), ("0", "-1", "12"), ("1", "2"))])
    low, middle, high = (CHAT.encoded(f" {word}")[0] for word in ("-1", "0", "12"))
    logits = torch.full((1, len(CHAT.tokenizer)), -20.0)
    logits[0, [low, middle, high]] = torch.tensor([0.2, 0.3, 0.5]).log()
    state = grammar.following[0, :1]
    assert int(grammar.choose(logits, state)[0]) == high
    for quantile, expected in ((0.1, low), (0.4, middle), (0.6, high), (0.999, high)):
        token, after = grammar.cautious([low, middle, high], [quantile]).choose(logits, state)
        assert int(token) == expected
        assert int(grammar.following[state[0], (grammar.allowed[state[0]] == token).int().argmax()]) == int(after)
    # The second place offers other words: there the best one is said.
    one, two = CHAT.encoded(" 1")[0], CHAT.encoded(" 2")[0]
    logits[0, two] = 5.0
    assert int(grammar.cautious([low, middle, high], [0.01]).choose(logits, after)[0]) == two != one
    with pytest.raises(ParameterError, match="between 0 and 1"):
        grammar.cautious([low], [0.5, 1.0])


def test_answers_of_one_batch_go_by_quantiles_of_their_own() -> None:
    grammar = compile_grammar(
        CHAT.encoded, CHAT.end_id, [(("speed",), ("0", "-1", "12"), ("0", "-1", "12"), ("1", "2"))]
    )
    low, middle, high = (CHAT.encoded(f" {word}")[0] for word in ("-1", "0", "12"))
    logits = torch.full((4, len(CHAT.tokenizer)), -20.0)
    logits[:, [low, middle, high]] = torch.tensor([0.2, 0.3, 0.5]).log()
    moods = grammar.cautious([low, middle, high], [0.1, 0.4, 0.1]).with_moods(torch.tensor([1, 0, 2, 1]))
    state = moods.beginning(4)
    spoken = torch.full((4,), int(moods.forced[0]))
    assert (moods.allowed[state] == spoken[:, None]).any(1).all()
    state = moods.following[state, 0]  # past the only opening word
    for _ in range(2):  # the mood lasts to the end of the answer
        token, state = moods.choose(logits, state)
        assert token.tolist() == [middle, low, low, middle]
    assert moods.choose(logits, state)[0].tolist() == grammar.choose(logits, state % len(grammar.forced))[0].tolist()
    assert moods.of_rows(torch.tensor([3, 1])).beginning(2).tolist() == moods.beginning(4)[[3, 1]].tolist()
    assert grammar.of_rows(torch.tensor([3, 1])) is grammar


def test_grammars_without_words_are_refused() -> None:
    with pytest.raises(ParameterError, match="at least one word"):
        compile_grammar(CHAT.encoded, CHAT.end_id, [(("speed",), ())])


def test_a_tokenizer_that_joins_words_is_refused() -> None:
    def joining(text: str) -> list[int]:
        return [hash(text) % 97]

    with pytest.raises(ParameterError, match="constrained=false"):
        compile_grammar(joining, 1, [(("a",), ("b",))])
