"""A model folder as something that answers: questions and frames in, texts and token counts out, any batch size."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.chat import Chat, Prompts, prompts
from simdrive.models.constrain import Answers, Automaton, compile_grammar
from simdrive.models.folder import LoadedModel, load_model
from simdrive.models.generate import Generated, Generator
from simdrive.models.pixels import Pictures
from simdrive.models.released import MARKS, ReleasedProcessor
from simdrive.models.tap import answer_attention
from simdrive.models.where import find_model
from simdrive.types import Bytes, CameraSpec, Long, TokenUsage, Wants

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BUCKET = 16  # with a fixed batch shape, prompts are padded to a multiple of this


class AnyProcessor(Protocol):
    """Cuts frames for a model."""

    @property
    def wants(self) -> Wants:
        """Cameras and frames."""

    @property
    def slots(self) -> tuple[int, ...]:
        """Image tokens of each picture group."""

    def pictures(self, frames: Bytes, device: torch.device | str = ..., dtype: torch.dtype = ...) -> Pictures:
        """Return what the vision tower takes."""


class AnyGenerator(Protocol):
    """Answers prompts."""

    @property
    def device(self) -> torch.device:
        """Where grammars have to be."""

    def __call__(
        self, prompts: Prompts, pictures: Pictures | None, limits: int | torch.Tensor, grammar: Automaton | None = None
    ) -> Generated:
        """Answer prompts with at most ``limits`` tokens each."""


@dataclass(frozen=True)
class Said:
    """What a model answered to N requests."""

    texts: list[str]
    usage: TokenUsage
    looked: np.ndarray | None = None  # [N, slots] attention of the answers to the picture tokens


class LocalModel:
    """A loaded model with the chat form it was trained on."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        cameras: Sequence[CameraSpec] | None = None,
        frame_offsets_us: Sequence[int] | None = None,
        most_tiles: int | None = None,
        briefing: str = "",
        text_only: bool = False,
        generator: AnyGenerator | None = None,
    ) -> None:
        """Prepare the prompts of a model.

        Args:
            loaded: the model; its kind of folder decides about pictures and template.
            cameras, frame_offsets_us, most_tiles: only for released models; a zoo model brings its own.
            briefing: text in front of every question, e.g. how a released model shall answer.
            text_only: show no pictures, not even their slots.
            generator: what answers instead of the loaded model, e.g. its exported graphs.
        """
        self.loaded, self._briefing = loaded, briefing
        self.processor = _processor(loaded, cameras, frame_offsets_us, most_tiles)
        shown = () if text_only else self.processor.slots
        if isinstance(self.processor, ReleasedProcessor):
            layout = self.processor.layout(loaded.tokenizer, briefing, not text_only)
            self.chat = Chat(loaded.tokenizer, shown, MARKS[self.processor.family], layout=layout)
            self._briefing = ""
        else:
            self.chat = Chat(loaded.tokenizer, shown)
        self._generator: AnyGenerator = generator or Generator(loaded.model, self.chat.end_id, self.chat.pad_id)
        self._texts: dict[tuple[int, ...], str] = {}

    @property
    def wants(self) -> Wants:
        """What an agent with this model asks for."""
        return self.processor.wants if self.chat.slots else Wants()

    def grammar(self, forms: Sequence[Answers]) -> Automaton:
        """Return an answer grammar over this model's tokens, where the model is."""
        compiled = compile_grammar(self.chat.encoded, self.chat.end_id, forms)
        return compiled.to(self._generator.device)

    def tokens(self, words: Sequence[str]) -> list[int]:
        """Return the token of each word inside an answer.

        Raises:
            ParameterError: if the tokenizer cuts one of them.
        """
        found = [list(self.chat.encoded(f" {word}")) for word in words]
        for word, token in zip(words, found, strict=True):
            if len(token) != 1:
                raise ParameterError(f"the tokenizer of this model cuts {word!r}; leave quantile out")
        return [token[0] for token in found]

    def answer(
        self,
        questions: Sequence[str],
        frames: Bytes | None,
        limits: Long,
        grammar: Automaton | None = None,
        batch: int = 64,
        fixed: bool = False,
        look: bool = False,
    ) -> Said:
        """Answer N questions about frames ``[N, camera, time, H, W, 3]`` with at most ``limits`` [N] tokens each.

        Args:
            questions, frames, limits: one per request.
            grammar: of the answers; None = free.
            batch: requests that go through the model together.
            fixed: every batch has the same shape, so that an answer depends on nothing but its own request.
            look: also return where the answers looked.
        """
        told = [self._briefing + question for question in questions]
        groups = self._groups(told, batch, fixed)
        texts, counts = [""] * len(told), np.zeros((3, len(told)), np.int64)
        looked: np.ndarray | None = None
        for width, rows in groups:
            filled = np.resize(rows, batch) if fixed else rows
            asked = prompts(self.chat, [told[row] for row in filled], width)
            self._check_room(asked, int(limits[filled].max()))
            pictures = self._pictures(frames, filled)
            chosen = grammar and grammar.of_rows(torch.from_numpy(filled))
            generated = self._generator(asked, pictures, torch.from_numpy(limits[filled]), chosen)
            for place, row in enumerate(rows.tolist()):
                texts[row] = self._text(generated, place)
                counts[:, row] = asked.text_tokens[place], asked.image_tokens, int(generated.lengths[place])
            if look and pictures is not None:
                maps = self._looked(asked, pictures, generated)[: len(rows)]
                looked = np.zeros((len(told), maps.shape[1])) if looked is None else looked
                looked[rows] = maps
        return Said(texts, TokenUsage(*counts), looked)

    def _groups(self, told: Sequence[str], batch: int, fixed: bool) -> list[tuple[int, Long]]:
        """Return (prompt width, rows) of each pass; with a fixed shape only prompts of one width go together."""
        lengths = np.array([len(self.chat.asked(text)) for text in told], np.int64) + len(self.chat.opening())
        order = np.argsort(lengths, kind="stable")
        if not fixed:
            return [(0, order[start : start + batch]) for start in range(0, len(order), batch)]
        widths = -(-lengths // _BUCKET) * _BUCKET
        groups = []
        for width in np.unique(widths).tolist():
            rows = np.flatnonzero(widths == width)
            groups += [(width, rows[start : start + batch]) for start in range(0, len(rows), batch)]
        return groups

    def _pictures(self, frames: Bytes | None, rows: Long) -> Pictures | None:
        if not self.chat.slots:
            return None
        if frames is None:
            raise ParameterError("this model sees pictures, but the observation carries no frames")
        model = self.loaded.model
        return self.processor.pictures(frames[rows], model.device, model.dtype)

    def _check_room(self, asked: Prompts, most: int) -> None:
        room = int(self.loaded.model.config.get_text_config().max_position_embeddings)
        if asked.ids.shape[1] + most > room:
            raise ParameterError(
                f"a prompt of {asked.ids.shape[1]} tokens and {most} of answer do not fit into the {room} positions of the model; "
                "ask for smaller pictures (most_tiles, cameras) or shorter answers"
            )

    def _text(self, generated: Generated, row: int) -> str:
        tokens = generated.tokens[row, : int(generated.lengths[row])].tolist()
        if tokens and tokens[-1] == self.chat.end_id:
            tokens.pop()
        key = tuple(tokens)
        if key not in self._texts:
            if len(self._texts) > 65536:
                self._texts.clear()
            self._texts[key] = str(
                self.chat.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            )
        return self._texts[key]

    def _looked(self, asked: Prompts, pictures: Pictures, generated: Generated) -> np.ndarray:
        maps = answer_attention(self.loaded.model, asked.ids, asked.mask, pictures, generated.tokens, generated.lengths)
        return maps.numpy()


def _processor(
    loaded: LoadedModel,
    cameras: Sequence[CameraSpec] | None,
    frame_offsets_us: Sequence[int] | None,
    most_tiles: int | None,
) -> AnyProcessor:
    if loaded.is_zoo:
        if cameras is not None or frame_offsets_us is not None or most_tiles is not None:
            raise ParameterError(
                f"{loaded.folder} brings its own cameras and frames; leave cameras, frame_offsets_us and most_tiles away"
            )
        return loaded.processor
    per_tile = int(getattr(loaded.model.config, "image_seq_length", 256))
    return ReleasedProcessor(
        loaded.card.family, dict(loaded.config), tuple(cameras or (CameraSpec(width=448, height=252),)),
        tuple(frame_offsets_us or (0,)), per_tile, most_tiles,
    )  # fmt: skip


def device_of(name: str) -> str:
    """Return ``cpu`` or ``cuda``; ``auto`` takes a GPU where torch sees one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path, changed_ns: int, dtype: str, device: str) -> LoadedModel:
    return load_model(folder, dtype=DTYPES[dtype], device=device)


def open_model(name: str, dtype: str = "float32", device: str = "auto") -> LoadedModel:
    """Return the model of a folder or zoo name; kept, since every chunk of a run builds its agent anew.

    Raises:
        UnknownNameError: if the model or the dtype is unknown.
        ModelFolderError: if the folder is damaged.
    """
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES)
    folder = find_model(name)
    changed = max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0)
    return _loaded(folder, changed, dtype, device_of(device))


def camera_specs(cameras: Sequence[Mapping[str, Any]] | None) -> tuple[CameraSpec, ...] | None:
    """Return cameras from configuration mappings.

    Raises:
        ParameterError: if a field is unknown.
    """
    try:
        return None if cameras is None else tuple(CameraSpec(**camera) for camera in cameras)
    except TypeError as error:
        raise ParameterError(f"cameras: {error}; fields are {', '.join(CameraSpec.__dataclass_fields__)}") from error
