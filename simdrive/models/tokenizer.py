"""A byte-level BPE tokenizer trained on given lines: every frequent word is one token, any other text still encodes."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, START, END, IMAGE_OPEN, IMAGE_CLOSE, IMAGE = (
    "<pad>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>",
)  # fmt: skip
MARKS = (PAD, START, END, IMAGE_OPEN, IMAGE_CLOSE, IMAGE)


def train_tokenizer(lines: Iterable[str], most_tokens: int = 4096) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on ``lines``; words are kept whole with the space before and the line end after them.

    Args:
        lines: text that shows every word that should become one token, twice or more.
        most_tokens: upper bound of the vocabulary; marks and the 256 bytes are always in it.
    """
    core = Tokenizer(models.BPE())
    core.decoder = decoders.ByteLevel()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[^\s]+\n?|\s"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=most_tokens,
        min_frequency=2,
        special_tokens=list(MARKS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, pad_token=PAD, eos_token=END, padding_side="left",
        extra_special_tokens={"context_image_token": IMAGE},
    )  # fmt: skip
