"""Answers that can only be of the right form: a grammar of words as an automaton over tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch

from simdrive.errors import ParameterError

Words = Sequence[str]  # what may stand at one place
Answers = Sequence[Words]  # places in order, one space between them
_Item = tuple[int, int, tuple[int, ...]]  # alternative, place, tokens of the word so far


@dataclass(frozen=True)
class Automaton:
    """States of an answer, row by row: which tokens may come, and the state that each leads to.

    State 0 is the start. ``allowed`` is ascending, so that equal scores fall to the same token as in a plain argmax.
    """

    allowed: torch.Tensor  # [S, K] int64, padded with 0
    following: torch.Tensor  # [S, K] int64
    valid: torch.Tensor  # [S, K] bool
    forced: torch.Tensor  # [S] int64: the only token that may come, -1 = there is a choice
    opening: tuple[int, ...]  # tokens that every answer begins with
    longest: int  # most tokens an answer can have, its end mark included
    lockstep: bool  # every answer makes its choices at the same tokens
    order: torch.Tensor | None = (
        None  # [S, K] int64: columns of ``allowed`` from low to high where choices are numbers, else -1
    )
    quantile: torch.Tensor | None = None  # [S]: numbers are this quantile of what the model holds possible
    copies: int = 1  # of the states, one per quantile
    start: torch.Tensor | None = None  # [N] the state that each of N answers begins in; None = 0

    def to(self, device: torch.device | str) -> Automaton:
        """Return the automaton on a device."""
        tables = (field.name for field in fields(self) if isinstance(getattr(self, field.name), torch.Tensor))
        return replace(self, **{name: getattr(self, name).to(device) for name in tables})

    def cautious(self, ordered: Sequence[int], quantiles: Sequence[float]) -> Automaton:
        """Return the automaton that takes a quantile wherever exactly the tokens ``ordered``, from low to high, may come.

        Its states come once per quantile, one copy after the other; ``with_moods`` says which copy an answer goes through.

        Raises:
            ParameterError: if a quantile does not lie between 0 and 1.
        """
        for quantile in quantiles:
            if not 0.0 < quantile < 1.0:
                raise ParameterError(f"quantile must lie between 0 and 1, got {quantile:g}")
        order = torch.full_like(self.allowed, -1)
        for state in range(len(order)):
            column = {int(token): place for place, token in enumerate(self.allowed[state][self.valid[state]])}
            if column.keys() == set(ordered):
                order[state, : len(ordered)] = torch.tensor([column[token] for token in ordered])
        count, copies = len(self.allowed), len(quantiles)
        first = torch.arange(copies, device=order.device) * count
        return replace(
            self,
            allowed=self.allowed.repeat(copies, 1),
            following=(self.following + first[:, None, None]).flatten(0, 1),
            valid=self.valid.repeat(copies, 1),
            forced=self.forced.repeat(copies),
            order=order.repeat(copies, 1),
            quantile=torch.tensor(quantiles, device=order.device).repeat_interleave(count),
            copies=copies,
        )

    def with_moods(self, moods: torch.Tensor) -> Automaton:
        """Return the automaton for N answers, each by the quantile whose index ``moods`` [N] says (see ``cautious``)."""
        return replace(self, start=moods.to(self.forced.device) * (len(self.forced) // self.copies))

    def of_rows(self, rows: torch.Tensor) -> Automaton:
        """Return the automaton of some of the answers."""
        return self if self.start is None else replace(self, start=self.start[rows.to(self.start.device)])

    def beginning(self, count: int) -> torch.Tensor:
        """Return the states [N] that N answers begin in."""
        return torch.zeros(count, dtype=torch.int64, device=self.forced.device) if self.start is None else self.start

    def choose(self, logits: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best allowed token and the next state, both ``[N]``, for logits ``[N, V]`` and states [N]."""
        candidates = self.allowed[state]
        scores = logits.gather(1, candidates).masked_fill(~self.valid[state], float("-inf"))
        best = scores.argmax(dim=1, keepdim=True)
        if self.order is not None and self.quantile is not None:
            best = _quantile(scores, self.order[state], self.quantile[state, None], best)
        return candidates.gather(1, best)[:, 0], self.following[state].gather(1, best)[:, 0]


def _quantile(scores: torch.Tensor, order: torch.Tensor, quantile: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
    """Return the columns ``[N, 1]`` at quantiles [N, 1] of scores ``[N, K]``; ``best`` where ``order`` [N, K] knows none."""
    known = order >= 0
    shares = scores.float().softmax(-1).gather(1, order.clamp(min=0)) * known
    place = (shares.cumsum(-1) < quantile).sum(-1, keepdim=True).clamp(max=scores.shape[1] - 1)
    place = torch.minimum(place, (known.sum(-1, keepdim=True) - 1).clamp(min=0))
    return torch.where(known[:, :1], order.gather(1, place), best)


def compile_grammar(encode: Callable[[str], Sequence[int]], end_id: int, alternatives: Sequence[Answers]) -> Automaton:
    """Return the automaton of one or several forms of an answer.

    Args:
        encode: text to token ids, without marks.
        end_id: the token that ends an answer.
        alternatives: forms, each a sequence of places, each place the words (or phrases) that may stand there.

    Raises:
        ParameterError: if a place is empty, or the tokenizer does not split answers between their words.
    """
    if not alternatives or any(not words for form in alternatives for words in form):
        raise ParameterError("an answer grammar needs at least one form, and at least one word at every place")
    forms = [_encoded(encode, form) for form in alternatives]
    for form in alternatives:
        _check_joins(encode, form)
    start: frozenset[_Item] = frozenset((number, 0, ()) for number in range(len(forms)))
    states: dict[frozenset[_Item], int] = {start: 0}
    edges: list[dict[int, int]] = []
    queue = [start]
    for items in queue:  # grows while it is walked
        moves: dict[int, set[_Item]] = {}
        for item in items:
            for token, after in _moves(forms, item, end_id):
                moves.setdefault(token, set()).update(() if after is None else (after,))
        edge = {}
        for token in sorted(moves):
            target = frozenset(moves[token])
            if target not in states:
                states[target] = len(states)
                queue.append(target)
            edge[token] = states[target]
        edges.append(edge)
    return _tables(edges, end_id)


def _encoded(encode: Callable[[str], Sequence[int]], form: Answers) -> list[list[tuple[int, ...]]]:
    return [[tuple(encode(word if not place else f" {word}")) for word in words] for place, words in enumerate(form)]


def _check_joins(encode: Callable[[str], Sequence[int]], form: Answers) -> None:
    """Say a text with every word in it and compare with its words said alone."""
    for turn in range(max(map(len, form))):
        said = [words[turn % len(words)] for words in form]
        apart = [token for place, word in enumerate(said) for token in encode(word if not place else f" {word}")]
        if list(encode(" ".join(said))) != apart:
            raise ParameterError(
                f"the tokenizer joins words of {' '.join(said)!r}, so answers cannot be constrained; set constrained=false"
            )


def _moves(forms: list[list[list[tuple[int, ...]]]], item: _Item, end_id: int) -> list[tuple[int, _Item | None]]:
    number, place, so_far = item
    if place == len(forms[number]):
        return [(end_id, None)]
    found: list[tuple[int, _Item | None]] = []
    for word in forms[number][place]:
        if word[: len(so_far)] == so_far and len(word) > len(so_far):
            token, whole = word[len(so_far)], len(word) == len(so_far) + 1
            found.append((token, (number, place + 1, ()) if whole else (number, place, word[: len(so_far) + 1])))
    return found


def _tables(edges: list[dict[int, int]], end_id: int) -> Automaton:
    """Return edges as arrays; the state after the end is left by nothing but the end mark again."""
    edges = [edge if edge else {end_id: state} for state, edge in enumerate(edges)]
    widest = max(map(len, edges))
    allowed = torch.zeros((len(edges), widest), dtype=torch.int64)
    following, valid = torch.zeros_like(allowed), torch.zeros_like(allowed, dtype=torch.bool)
    forced = torch.full((len(edges),), -1, dtype=torch.int64)
    for state, edge in enumerate(edges):
        allowed[state, : len(edge)] = torch.tensor(list(edge), dtype=torch.int64)
        following[state, : len(edge)] = torch.tensor(list(edge.values()), dtype=torch.int64)
        valid[state, : len(edge)] = True
        if len(edge) == 1:
            forced[state] = next(iter(edge))
    opening, state = [], 0
    while forced[state] >= 0 and int(forced[state]) != end_id:
        opening.append(int(forced[state]))
        state = edges[state][opening[-1]]
    longest, lockstep = _walk(edges, end_id)
    return Automaton(allowed, following, valid, forced, tuple(opening), longest, lockstep)


def _walk(edges: list[dict[int, int]], end_id: int) -> tuple[int, bool]:
    """Return the longest answer, and whether all states at one depth agree on being forced."""
    front, depth, lockstep = {0}, 0, True
    while front:
        kinds = {(len(edges[state]) == 1, edges[state].keys() == {end_id}) for state in front}
        lockstep &= len(kinds) == 1
        front = {after for state in front for token, after in edges[state].items() if token != end_id}
        depth += 1
    return depth, lockstep
