"""A vision-language model from a local folder as a driver: sees camera frames, is asked in words, answers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simdrive.agents.charging import charge_of
from simdrive.agents.first_frames import FirstFrames
from simdrive.agents.heard import AnswerForm, heard
from simdrive.agents.heard import answer_form as read_as
from simdrive.agents.language.codec import said
from simdrive.agents.language.grammar import answer_forms
from simdrive.agents.language.questions import PHRASINGS, STYLES, Style, driving_question
from simdrive.agents.language.targets import CHANGES_MPS
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.local import LocalModel, Said, camera_specs, open_model
from simdrive.models.onnx_folder import open_graphs
from simdrive.models.processor import grey
from simdrive.types import AgentCard, Bytes, Long, ObservationBatch, PlanBatch

_PULLS_AWAY_BELOW_MPS = 2.0


class Vlm:
    """Drives with a model of the zoo, or with a released InternVL3 or Qwen2.5-VL checkpoint."""

    def __init__(
        self,
        model: str,
        name: str = "",
        charge: Mapping[str, Any] | None = None,
        answer_style: Style = "plan",
        phrasing: int = 0,
        constrained: bool = False,
        quantile: float | None = None,
        blind: bool = False,
        stale: bool = False,
        text_only: bool = False,
        deterministic: bool = False,
        batch: int = 64,
        max_output_tokens: int | None = None,
        dtype: str = "float32",
        device: str = "auto",
        threads: int | None = None,
        attention: bool = False,
        briefing: str = "",
        cameras: Sequence[Mapping[str, Any]] | None = None,
        frame_offsets_us: Sequence[int] | None = None,
        most_tiles: int | None = None,
        weight_hash: str = "",
        description: str = "",
        answer_form: AnswerForm = "targets",
        waypoints: Mapping[str, Any] | None = None,
        graphs: str = "",
        int8: bool = False,
    ) -> None:
        """Load the model.

        Args:
            model: folder, or name of a model of the zoo.
            name: in tables; empty = the model's own.
            charge: ``architecture`` and ``precision`` that requests are priced as. What is not named is taken from the
                model's card: a pruned or quantized model is priced as what is left of it.
            answer_style: ``plan``, ``reason_plan`` or ``full``.
            phrasing: which of the fixed wordings asks.
            constrained: allow only answers of the grammar.
            quantile: target speeds are this quantile of what the model holds possible, not its best guess: low is cautious. Below
                2 m/s they are the median (or the quantile, if higher): a low quantile of "how much faster" keeps a car standing.
            blind: control that sees grey. stale: control that sees its first frames forever. text_only: control without
                any picture.
            deterministic: fixed batch shapes, so that an answer depends on its own request only.
            batch: requests that go through the model together.
            max_output_tokens: of an answer; None = the longest that the style can need.
            dtype, device, threads: how torch computes; ``threads`` is set for the whole process.
            attention: say with every answer where it looked, for videos and reports; one more pass. Zoo models only.
            briefing: text before every question, for models that were not trained on the driving language.
            cameras, frame_offsets_us, most_tiles: of a released model; a zoo model brings its own.
            weight_hash: expected hash of the weights; empty = whatever they are.
            description: for tables.
            answer_form: ``targets`` of the driving language, or ``waypoints`` in text; these are never constrained.
            graphs: folder made by ``simdrive onnx`` that answers instead of the model. int8: its graphs with 8-bit weights.
            waypoints: ``interval_s``, ``points`` and ``axes`` of way-points; with them an empty briefing tells the form.

        Raises:
            UnknownNameError, ParameterError, ModelFolderError: if a name, a value or the folder is wrong.
        """
        if answer_style not in STYLES:
            raise UnknownNameError("answer_style", answer_style, STYLES)
        if not 0 <= phrasing < PHRASINGS or batch < 1:
            raise ParameterError(f"phrasing must be 0 to {PHRASINGS - 1} and batch at least 1, got {phrasing}, {batch}")
        self._form = read_as(answer_form, waypoints)
        if int8 and not graphs:
            raise ParameterError(
                "int8 is of exported graphs; name their folder in graphs, or quantize the model itself"
            )
        if self._form is not None and constrained:
            raise ParameterError("constrained holds answers to the driving language; set it false for way-points")
        if quantile is not None and not constrained:
            raise ParameterError("quantile chooses among the answers of the grammar; set constrained=true")
        if threads is not None:
            torch.set_num_threads(threads)
        loaded = open_model(model, dtype, device)
        if weight_hash and loaded.card.weight_hash and weight_hash != loaded.card.weight_hash:
            raise ParameterError(
                f"the weights of {model!r} are {loaded.card.weight_hash[:12]}, but this run was planned with "
                f"{weight_hash[:12]}; start a new run folder"
            )
        exported = open_graphs(Path(graphs), loaded, int8, threads or 1) if graphs else None
        self._model = LocalModel(
            loaded, generator=exported, cameras=camera_specs(cameras), frame_offsets_us=frame_offsets_us, most_tiles=most_tiles,
            briefing=briefing or (self._form.briefing() if self._form else ""), text_only=text_only,
        )  # fmt: skip
        forms = self._model.grammar(answer_forms(answer_style))
        if quantile is not None:
            numbers = self._model.tokens([said(change) for change in CHANGES_MPS.tolist()])
            forms = forms.cautious(numbers, (quantile, max(quantile, 0.5)))
        self._grammar = forms if constrained else None
        longest = forms.longest if self._form is None else self._form.longest_tokens
        self._longest = longest if max_output_tokens is None else max_output_tokens
        self._style, self._phrasing, self._blind = answer_style, phrasing, blind
        self._first = FirstFrames() if stale else None
        # Graphs answer one request at a time: their answers depend on nothing else as it is.
        self._batch, self._fixed, self._look = batch, deterministic and exported is None, attention
        if attention and not (loaded.is_zoo and self._model.chat.slots and exported is None):
            raise ParameterError(
                "attention is of a model in the folder layout of simdrive that is shown pictures and is no exported graph"
            )
        self.wants, self.charge = self._model.wants, charge_of(charge, loaded.card.data.get("charge"))
        control = blind or stale or text_only
        settings: dict[str, Any] = {"answer_style": answer_style, "constrained": constrained, "dtype": dtype}
        settings |= {} if quantile is None else {"quantile": quantile}
        settings |= {} if self._form is None else {"answer_form": answer_form, **asdict(self._form)}
        settings |= {
            key: True
            for key, on in (("blind", blind), ("stale", stale), ("text_only", text_only), ("int8", int8))
            if on
        }
        settings |= {"graphs": Path(graphs).name} if graphs else {}
        settings["parameters"] = loaded.card.parameters
        self.card = AgentCard(
            name or loaded.card.name, "control" if control else "model", description or _described(loaded.card.name),
            settings, weight_hash or loaded.card.weight_hash,
        )  # fmt: skip

    def reset(self, slots: Long) -> None:
        """Forget the first frames of ``slots``."""
        if self._first is not None:
            self._first.forget(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Ask the model about each observation and follow what it says."""
        answer = self.say(batch)
        plans = heard(batch, answer.texts, answer.usage, form=self._form)
        if answer.looked is None:
            return plans
        return replace(plans, looked=self._model.loaded.processor.spread(answer.looked))

    def say(self, batch: ObservationBatch) -> Said:
        """Return the model's words to each observation."""
        limits = np.full(len(batch), self._longest, np.int64)
        if batch.max_output_tokens is not None:
            limits = np.minimum(limits, np.maximum(batch.max_output_tokens, 1))
        questions = driving_question(batch, self._style, self._phrasing)
        grammar = self._grammar
        if grammar is not None and grammar.copies > 1:
            grammar = grammar.with_moods(torch.from_numpy(batch.ego[:, 3] < _PULLS_AWAY_BELOW_MPS).long())
        return self._model.answer(questions, self._shown(batch), limits, grammar, self._batch, self._fixed, self._look)

    def _shown(self, batch: ObservationBatch) -> Bytes | None:
        """Return the frames as this driver sees them; the controls see less."""
        frames = batch.frames
        if frames is None or not self.wants.cameras:
            return None
        if self._first is not None:
            frames = self._first.instead_of(frames, batch.slot)
        return grey(frames) if self._blind else frames


def _described(name: str) -> str:
    return f"vision-language model {name}, drives from camera frames"
