"""What prefill and decode of a language model cost: operators from shapes and token counts.

    prefill FLOPs ~ 2 N_body T + 2 L T^2 n_h d_h + 2 V d       (causal; the head sees the last position only)
    decode bytes  ~ W_body + W_head + 2 L ctx n_kv d_h         (times their bits / 8)

with T tokens, L layers, n_h heads of d_h, vocabulary V, width d. Sources: Kaplan et al. 2020 (arXiv 2001.08361)
for 2 N per token, Dao et al. 2022 (arXiv 2205.14135) for attention that keeps its scores on chip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard, LanguageModel
from simdrive.latency.layers import Attention, Block, Experts, Mixer
from simdrive.latency.operators import Amount, Operator
from simdrive.types import Float

CHUNK = 64  # tokens that a chunked recurrence handles before it touches its state again


@dataclass(frozen=True)
class Tokens:
    """Tokens that pass through the decoder at once.

    Args:
        new: tokens computed now: the prompt, or 1 in decode.
        past: tokens that are already in the cache.
        causal: a token attends to those before it; False counts the full matrix, as torch's counter does.
    """

    new: Amount
    past: Amount = 0
    causal: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (("new", self.new, 0), ("past", self.past, 0)):
            given = np.asarray(value, float)
            if not (np.isfinite(given).all() and (given >= least).all()):
                raise ParameterError(f"tokens.{name} must be finite and at least {least}, got {value}")


def attention_pairs(tokens: Tokens, window: int = 0) -> Float:
    """Return how many (query, key) pairs attention looks at.

    Causal: token i of T sees ``past + i`` tokens, itself included, so ``T past + T (T + 1) / 2``; a window W caps
    what one token sees.
    """
    new, past = np.asarray(tokens.new, float), np.asarray(tokens.past, float)
    if not tokens.causal:
        seen = new + past
        return np.asarray(new * (np.minimum(seen, window) if window else seen), float)
    if not window:
        return np.asarray(new * past + new * (new + 1.0) / 2.0, float)
    short = np.clip(window - past, 0.0, new)  # tokens that still see everything before them
    return np.asarray(short * past + short * (short + 1.0) / 2.0 + (new - short) * window, float)


def cached_tokens(tokens: Tokens, window: int = 0) -> Float:
    """Return how many tokens' keys and values attention has to read."""
    seen = np.asarray(tokens.new, float) + np.asarray(tokens.past, float)
    return np.asarray(np.minimum(seen, window) if window else seen, float)


def _attention(mixer: Attention, width: int, count: float, tokens: Tokens) -> list[Operator]:
    new, pairs = np.asarray(tokens.new, float), attention_pairs(tokens, mixer.window)
    scores = pairs * mixer.heads
    written = new * 2 * mixer.kv_width
    read = cached_tokens(tokens, mixer.window) * 2 * mixer.kv_width
    query, inputs, product = new * mixer.query_width, width * mixer.input_width(), 2.0 * pairs * mixer.query_width
    output = mixer.query_width * width
    return [
        Operator("project_in", "attention", count, 2.0 * new * inputs, inputs, new * width, new * mixer.input_width()),
        Operator("attention", "attention", count, 2.0 * product, 0, query, query, cache=read + written),
        # Unfused attention writes the scores, then reads and writes them for the softmax, then reads them again.
        Operator("scores", "attention", count, inputs=2.0 * scores, outputs=2.0 * scores, fusible=True),
        Operator("project_out", "attention", count, 2.0 * new * output, output, query, new * width),
    ]


def _recurrent(mixer: Mixer, width: int, count: float, tokens: Tokens) -> list[Operator]:
    assert not isinstance(mixer, Attention)
    new, weights = np.asarray(tokens.new, float), mixer.matrix_parameters(width)
    steps = np.ceil(new / CHUNK)
    state = 2.0 * steps * mixer.state_values(width)
    inner = weights / width
    recurrence = new * mixer.state_flops_per_token(width)
    return [
        Operator("project", "attention", count, 2.0 * new * weights, weights, new * inner, new * inner),
        Operator("recurrence", "attention", count, recurrence, mixer.vector_parameters(width), state=state),
    ]


def experts_touched(experts: Experts, tokens: Amount) -> Float:
    """Return the expected number of distinct experts that ``tokens`` tokens meet.

    With a balanced router, ``E (1 - (1 - k / E)^T)``: k for one token, all of them for a long prompt.
    """
    missed = (1.0 - experts.active / experts.count) ** np.asarray(tokens, float)
    return np.asarray(experts.count * (1.0 - missed), float)


def _feedforward(block: Block, width: int, count: float, tokens: Tokens) -> list[Operator]:
    part, new = block.feedforward, np.asarray(tokens.new, float)
    if part is None:
        return []
    if isinstance(part, Experts):
        one, common = part.expert_parameters(width), part.common_parameters(width)
        flops = 2.0 * new * (part.active * one + common)
        inner = new * (part.active * part.width + part.shared_width)
        weights: Amount = experts_touched(part, new) * one + common
    else:
        weights = part.matrix_parameters(width)
        flops, inner = 2.0 * new * weights, new * part.width
    wide = 2.0 if part.gated else 1.0
    return [
        Operator("feedforward", "feedforward", count, flops, weights, new * width + inner, new * width),
        # The gate and the up projection before their product; a fused kernel multiplies them in registers.
        Operator("activation", "feedforward", count, inputs=wide * inner, outputs=wide * inner, fusible=True),
    ]


def block_operators(block: Block, width: int, tokens: Tokens, share: float = 1.0) -> list[Operator]:
    """Return the operators of ``share`` of the layers of a block."""
    count, new = block.count * share, np.asarray(tokens.new, float)
    operators: list[Operator] = []
    if isinstance(block.mixer, Attention):
        operators += _attention(block.mixer, width, count, tokens)
    elif block.mixer is not None:
        operators += _recurrent(block.mixer, width, count, tokens)
    operators += _feedforward(block, width, count, tokens)
    moved = 2.0 * new * width  # read twice (residual and branch), written twice (sum and norm)
    operators.append(Operator("norms", "attention", count * block.norms, inputs=moved, outputs=moved, fusible=True))
    return operators


def body_operators(language: LanguageModel, tokens: Tokens, share: float = 1.0) -> list[Operator]:
    """Return the operators of ``share`` of the layers, without embedding and head."""
    return [op for block in language.blocks for op in block_operators(block, language.width, tokens, share)]


def head_operator(language: LanguageModel, positions: Amount = 1) -> Operator:
    """Return the LM head; it reads the whole matrix however few positions it scores."""
    rows, weights = np.asarray(positions, float), language.head_parameters
    return Operator(
        "head", "head", 1.0, 2.0 * rows * weights, weights, rows * language.width, rows * language.vocabulary
    )


def embedding_operator(language: LanguageModel, tokens: Amount) -> Operator:
    """Return the look-up of token embeddings: one row read and written per token."""
    values = np.asarray(tokens, float) * language.width
    return Operator("embedding", "embedding", 1.0, 0.0, values, 0.0, values)


@dataclass(frozen=True)
class TokenPruning:
    """Image tokens dropped inside the language model.

    Args:
        keep: share of image tokens kept, above 0 and at most 1.
        after_layer: language layers that still see all of them; 0 = dropped before the first.
    """

    keep: float = 1.0
    after_layer: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.keep <= 1.0:
            raise ParameterError(f"pruning.keep must be above 0 and at most 1, got {self.keep}")
        if self.after_layer < 0:
            raise ParameterError(f"pruning.after_layer must be at least 0, got {self.after_layer}")


def prefill_operators(
    card: ArchitectureCard,
    prompt_tokens: Amount,
    image_tokens: Amount = 0,
    past: Amount = 0,
    pruning: TokenPruning | None = None,
    causal: bool = True,
) -> tuple[Operator, ...]:
    """Return the operators from the prompt to the first output token.

    Args:
        card: the model.
        prompt_tokens: all tokens of the prompt, text and pictures.
        image_tokens: how many of them are image tokens; only pruning needs it.
        past: tokens that a prefix cache already holds.
        pruning: image tokens dropped on the way.
        causal: False counts the full attention matrix.

    Raises:
        ParameterError: if counts are negative or more image tokens than prompt tokens are given.
    """
    everything = Tokens(prompt_tokens, past, causal)
    prompt, image = np.asarray(prompt_tokens, float), np.asarray(image_tokens, float)
    if (image < 0).any() or (image > prompt).any():
        raise ParameterError(f"image_tokens must be between 0 and prompt_tokens={prompt_tokens}, got {image_tokens}")
    chosen, language = pruning or TokenPruning(), card.language
    early = min(1.0, chosen.after_layer / language.layers)
    operators = [embedding_operator(language, prompt)]
    if chosen.keep == 1.0 or early == 1.0:
        operators += body_operators(language, everything)
    else:
        left = prompt - image * (1.0 - chosen.keep)
        if early > 0.0:
            operators += body_operators(language, everything, early)
        operators += body_operators(language, Tokens(left, past, causal), 1.0 - early)
    return (*operators, head_operator(language))


def decode_operators(card: ArchitectureCard, context_tokens: Amount) -> tuple[Operator, ...]:
    """Return the operators of one decoded token; ``context_tokens`` are in the cache before it.

    Without windows all figures are linear in the context, so n tokens after a prompt of T cost n times the step
    at the mean context ``T + (n - 1) / 2``.
    """
    tokens = Tokens(1.0, context_tokens)
    language = card.language
    return (embedding_operator(language, 1.0), *body_operators(language, tokens), head_operator(language))


def mean_context(prompt_tokens: Amount, steps: Amount) -> Float:
    """Return the mean context of ``steps`` decode steps that follow a prompt."""
    return np.asarray(np.asarray(prompt_tokens, float) + np.maximum(np.asarray(steps, float) - 1.0, 0.0) / 2.0, float)
