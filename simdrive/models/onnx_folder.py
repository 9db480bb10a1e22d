"""A folder of exported graphs: what is in it, how it is made, and a generator that answers from it without torch's layers.

``export.json`` names the shapes; ``int8/`` holds the same graphs with 8-bit weights, their inputs rounded as they come
(onnxruntime's dynamic quantization of matrix products). onnx and onnxruntime are the extra ``onnx``.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simdrive.errors import ParameterError, SimdriveError
from simdrive.models.chat import Chat, Prompts
from simdrive.models.constrain import Automaton
from simdrive.models.folder import LoadedModel
from simdrive.models.generate import Generated
from simdrive.models.onnx_graphs import DECODE, OPSET, PREFILL, VISION, write_graphs
from simdrive.models.pixels import Pictures
from simdrive.models.positions import prompt_positions
from simdrive.models.quantized import QuantizedLinear

EXPORT, INT8 = "export.json", "int8"
VERSION = 1
GRAPHS = (VISION, PREFILL, DECODE)
_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "card.json")


@dataclass(frozen=True)
class Shapes:
    """What the graphs of a folder take."""

    prompt: int  # tokens of a prompt, padded on the left
    answer: int  # tokens of an answer at most, end mark included
    layers: int
    opening: tuple[
        tuple[int, ...], ...
    ]  # places of the tokens before the question, one row per axis of the rotary embedding
    opset: int = OPSET
    version: int = VERSION


def need(name: str) -> Any:
    """Return a module of the extra ``onnx``.

    Raises:
        SimdriveError: if it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SimdriveError(
            f"{name.partition('.')[0]} is not installed: pip install -c constraints.txt 'simdrive[onnx]'"
        ) from error


def export_model(loaded: LoadedModel, out: Path, questions: Sequence[str], answer: int, int8: bool) -> Shapes:
    """Write the graphs of a model trained here; prompts have room for the longest of ``questions``.

    Raises:
        SimdriveError: if onnx is not installed.
        ParameterError: if the model is a released or a quantized one, or there is no question or no room.
        UnsupportedError: if a layer cannot be exported.
    """
    need("onnx")
    if not loaded.is_zoo:
        raise ParameterError(f"{loaded.folder} is a released model; only models trained here have fixed shapes")
    if any(isinstance(part, QuantizedLinear) for part in loaded.model.modules()):
        raise ParameterError(
            f"{loaded.folder} is quantized; export the model that it was made from, with int8=true for 8-bit weights"
        )
    if not questions or answer < 1:
        raise ParameterError("an export needs a question to size the prompt by, and room for an answer")
    processor = loaded.processor
    model: Any = loaded.model
    model = model.float().cpu()
    chat = Chat(loaded.tokenizer, processor.slots)
    longest = max((chat.prompt(question) for question in questions), key=len)
    camera = processor.cameras[0]
    shape = (1, len(processor.cameras), len(processor.frame_offsets_us), camera.height, camera.width, 3)
    pictures = processor.pictures(np.zeros(shape, np.uint8))
    out.mkdir(parents=True, exist_ok=True)
    write_graphs(out, model, pictures, len(longest), answer)
    places = _opening(model, longest, len(chat.opening()), pictures)
    shapes = Shapes(len(longest), answer, len(model.model.language_model.layers), places)
    for name in _COPIED:
        if (loaded.folder / name).is_file():
            shutil.copyfile(loaded.folder / name, out / name)
    (out / EXPORT).write_text(json.dumps(asdict(shapes), indent=2) + "\n", encoding="utf-8")
    if int8:
        _rounded(out)
    return shapes


def _opening(model: Any, prompt: Sequence[int], count: int, pictures: Pictures) -> tuple[tuple[int, ...], ...]:
    """Return the places of the first ``count`` tokens, which are the same in every prompt."""
    ids = torch.tensor([list(prompt)])
    found = prompt_positions(model, ids, torch.ones_like(ids), pictures)
    rows = found[:, 0] if found.ndim == 3 else found
    return tuple(tuple(row) for row in rows[:, :count].tolist())


def _rounded(out: Path) -> None:
    quantization = need("onnxruntime.quantization")
    (out / INT8).mkdir(exist_ok=True)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises a preprocessing that fixed shapes do not need
    try:
        for name in GRAPHS:
            quantization.quantize_dynamic(
                out / name, out / INT8 / name, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                weight_type=quantization.QuantType.QInt8,
            )  # fmt: skip
    finally:
        logging.getLogger().setLevel(level)


def read_shapes(folder: Path) -> Shapes:
    """Return what the graphs of a folder take.

    Raises:
        SimdriveError: if there is no such folder, or it is of another version.
    """
    path = folder / EXPORT
    if not path.is_file():
        raise SimdriveError(f"{path} is missing; make the folder with 'simdrive onnx model=... out={folder}'")
    given = json.loads(path.read_text(encoding="utf-8"))
    if given.get("version") != VERSION:
        raise SimdriveError(f"{path} is of version {given.get('version')!r}, not {VERSION}; export the model again")
    return Shapes(**{**given, "opening": tuple(tuple(row) for row in given["opening"])})


def open_graphs(folder: Path, loaded: LoadedModel, int8: bool = False, threads: int = 1) -> OnnxGenerator:
    """Return the generator of graphs that were exported from a loaded model.

    Raises:
        SimdriveError: if onnxruntime or a graph is missing, or the graphs are those of another model.
    """
    read_shapes(folder)
    card = folder / "card.json"
    theirs = json.loads(card.read_text(encoding="utf-8")).get("weight_hash", "") if card.is_file() else ""
    if theirs != loaded.card.weight_hash:
        raise SimdriveError(
            f"the graphs in {folder} were exported from other weights ({theirs[:12] or 'no card'}) than those of "
            f"{loaded.folder} ({loaded.card.weight_hash[:12]}); export the model again"
        )
    chat = Chat(loaded.tokenizer, loaded.processor.slots)
    return OnnxGenerator(folder, chat.end_id, chat.pad_id, int8, threads)


class OnnxGenerator:
    """Answers prompts from exported graphs, one request after the other; stands where ``Generator`` stands."""

    def __init__(self, folder: Path, end_id: int, pad_id: int, int8: bool = False, threads: int = 1) -> None:
        """Load the graphs.

        Raises:
            SimdriveError: if onnxruntime is not installed, or the folder lacks the graphs.
        """
        runtime = need("onnxruntime")
        self.shapes, self._end_id, self._pad_id = read_shapes(folder), end_id, pad_id
        where = folder / INT8 if int8 else folder
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        for name in GRAPHS:
            if not (where / name).is_file():
                raise SimdriveError(
                    f"{where / name} is missing; export the model again" + (", with int8=true" if int8 else "")
                )
        self._vision, self._prefill, self._decode = (
            runtime.InferenceSession(str(where / name), options, providers=["CPUExecutionProvider"]) for name in GRAPHS
        )
        self._cached = [f"past_{kind}_{layer}" for layer in range(self.shapes.layers) for kind in ("key", "value")]

    @property
    def device(self) -> torch.device:
        """Where grammars live."""
        return torch.device("cpu")

    def __call__(
        self, prompts: Prompts, pictures: Pictures | None, limits: int | torch.Tensor, grammar: Automaton | None = None
    ) -> Generated:
        """Answer prompts greedily; as ``simdrive.models.generate.Generator``.

        Raises:
            ParameterError: if there are no pictures, or a prompt or an answer is longer than the graphs allow.
        """
        count = len(prompts)
        limit = torch.as_tensor(limits, dtype=torch.int64).expand(count)
        if pictures is None:
            raise ParameterError("exported graphs always see pictures; text_only needs the model itself")
        most = int(limit.max()) if count else 0
        if most > self.shapes.answer or (count and int(limit.min()) < 1):
            raise ParameterError(f"answers have room for 1 to {self.shapes.answer} tokens here, asked for {most}")
        tokens = torch.full((count, most), self._pad_id, dtype=torch.int64)
        pixels = pictures.values.float().cpu().numpy()
        cut = pixels.reshape(count, -1, *pixels.shape[1:]) if count else pixels
        for row in range(count):
            ids = prompts.ids[row, prompts.mask[row] > 0]
            one = grammar and grammar.of_rows(torch.tensor([row]))
            said = self._answer(ids.numpy(), cut[row], int(limit[row]), one)
            tokens[row, : len(said)] = torch.tensor(said)
            limit = limit.index_fill(0, torch.tensor([row]), len(said))
        return Generated(tokens, limit)

    def _answer(self, ids: np.ndarray, pixels: np.ndarray, most: int, grammar: Automaton | None) -> list[int]:
        prompt = self.shapes.prompt
        if len(ids) > prompt:
            raise ParameterError(
                f"a prompt of {len(ids)} tokens does not fit into {prompt}; export with longer questions"
            )
        (features,) = self._vision.run(["features"], {"pixels": pixels})
        before = prompt - len(ids)
        padded = np.concatenate([np.full(before, self._pad_id, np.int64), ids])[None]
        mask = np.concatenate([np.zeros(before, np.int64), np.ones(len(ids), np.int64)])[None]
        places = self._places(len(ids))
        given = {"ids": padded, "mask": mask, "positions": self._shaped(places, before), "features": features}
        logits, *cache = self._prefill.run(None, given)
        state, said = torch.zeros(1, dtype=torch.int64) if grammar is None else grammar.beginning(1), []
        following = int(places[:, -1].max()) + 1
        while True:
            token, state = _chosen(logits, state, grammar)
            said.append(token)
            if token == self._end_id or len(said) == most:
                return said
            here = np.full((len(places), 1), following + len(said) - 1, np.int64)
            step = {
                "token": np.array([[token]], np.int64), "mask": mask, "positions": self._shaped(here, 0),
                "place": np.array([prompt + len(said) - 1], np.int64), **dict(zip(self._cached, cache, strict=True)),
            }  # fmt: skip
            logits, *cache = self._decode.run(None, step)

    def _places(self, length: int) -> np.ndarray:
        """Return the places ``[axes, length]`` of a prompt's tokens: pictures as exported, text one after the other."""
        opening = np.array(self.shapes.opening, np.int64)[:, :length]
        rest = int(opening.max()) + 1 + np.arange(length - opening.shape[1])
        return np.concatenate([opening, np.tile(rest, (len(opening), 1))], axis=1)

    def _shaped(self, places: np.ndarray, before: int) -> np.ndarray:
        whole = np.concatenate([np.repeat(places[:, :1], before, axis=1), places], axis=1)
        return whole if len(whole) == 1 else whole[:, None]


def _chosen(logits: np.ndarray, state: torch.Tensor, grammar: Automaton | None) -> tuple[int, torch.Tensor]:
    if grammar is None:
        return int(logits[0].argmax()), state
    token, after = grammar.choose(torch.from_numpy(logits), state)
    return int(token[0]), after
