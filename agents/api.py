"""A vision-language model behind any OpenAI-compatible server as a driver."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simdrive.agents.api_client import Reply, Server, ServerError, request_key
from simdrive.agents.api_trace import Recorder, read_trace
from simdrive.agents.charging import charge_of
from simdrive.agents.first_frames import FirstFrames
from simdrive.agents.heard import AnswerForm, heard
from simdrive.agents.heard import answer_form as read_as
from simdrive.agents.language.questions import PHRASINGS, STYLES, Style, driving_question
from simdrive.errors import AgentUnavailableError, ParameterError, UnknownNameError
from simdrive.types import AgentCard, Bytes, CameraSpec, Long, ObservationBatch, PlanBatch, TokenUsage, Wants


class ApiVlm:
    """Drives with a served model. Requests that fail are failures of their row; none holds an episode up."""

    def __init__(
        self,
        url: str,
        model: str,
        name: str = "api",
        charge: Mapping[str, Any] | None = None,
        answer_style: Style = "plan",
        phrasing: int = 0,
        briefing: str = "",
        max_output_tokens: int = 64,
        cameras: Sequence[Mapping[str, Any]] | None = None,
        frame_offsets_us: Sequence[int] | None = None,
        key_variable: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 120.0,
        retries: int = 3,
        concurrency: int = 8,
        record: str = "",
        replay: str = "",
        blind: bool = False,
        stale: bool = False,
        text_only: bool = False,
        description: str = "",
        answer_form: AnswerForm = "targets",
        waypoints: Mapping[str, Any] | None = None,
    ) -> None:
        """Look the model up at its server, or open a recorded trace.

        Args:
            url, model: base address (``http://host:port/v1``), and the name the server knows the model by.
            name: in tables.
            charge: ``architecture`` and ``precision`` that requests are priced as.
            answer_style, phrasing, briefing: what is asked, and what is said before it.
            max_output_tokens: of an answer; way-points need about 16 for each point.
            cameras, frame_offsets_us: what is shown; None = what the server says it wants, else one front camera now.
            key_variable: environment variable with the key; empty = none is needed.
            timeout_s, deadline_s, retries, concurrency: see ``Server``.
            record: file that replies are added to. replay: file to answer from instead of any server.
            blind, stale, text_only: controls that see grey pictures, their first ones for ever, or none.
            description: for tables.
            answer_form: ``targets`` of the driving language, or ``waypoints`` in text.
            waypoints: ``interval_s``, ``points`` and ``axes`` of way-points; with them an empty briefing tells the form.

        Raises:
            ServerError: if the server is not there or does not serve the model.
            ParameterError, UnknownNameError: if a value is wrong.
        """
        if answer_style not in STYLES:
            raise UnknownNameError("answer_style", answer_style, STYLES)
        if not 0 <= phrasing < PHRASINGS or max_output_tokens < 1:
            raise ParameterError(f"phrasing must be 0 to {PHRASINGS - 1} and max_output_tokens at least 1")
        self._form = read_as(answer_form, waypoints)
        if record and replay:
            raise ParameterError("give record or replay, not both")
        self._replies: dict[str, Reply] | None = None
        self._server: Server | None = None
        self._recorder: Recorder | None = None
        if replay:
            told, self._replies = read_trace(Path(replay))
        else:
            self._server = Server(url, model, key_variable, timeout_s, deadline_s, retries, concurrency)
            told = _entry(self._server)
            self._recorder = Recorder(Path(record), told) if record else None
        self.wants = Wants() if text_only else _wants(told, cameras, frame_offsets_us)
        self._style, self._phrasing, self._blind = answer_style, phrasing, blind
        self._first = FirstFrames() if stale else None
        self._briefing = briefing or (self._form.briefing() if self._form else "")
        self._most = max_output_tokens
        self.charge = charge_of(charge)
        settings: dict[str, Any] = {"url": url, "model": model, "answer_style": answer_style}
        settings |= {} if self._form is None else {"answer_form": answer_form, **asdict(self._form)}
        self.card = AgentCard(
            name, "control" if blind or stale or text_only else "model",
            description or f"{model} at an OpenAI-compatible server, drives from camera frames", settings,
        )  # fmt: skip

    def reset(self, slots: Long) -> None:
        """Forget the first frames of ``slots``, if this control keeps any."""
        if self._first is not None:
            self._first.forget(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Ask the server about each observation and follow what it says."""
        questions = driving_question(batch, self._style, self._phrasing)
        limits = np.full(len(batch), self._most, np.int64)
        if batch.max_output_tokens is not None:
            limits = np.minimum(limits, np.maximum(batch.max_output_tokens, 1))
        frames = batch.frames
        if frames is not None and self._first is not None:
            frames = self._first.instead_of(frames, batch.slot)
        bodies = [
            self._body(question, None if frames is None else frames[row], int(limits[row]))
            for row, question in enumerate(questions)
        ]
        replies = self._ask(bodies)
        counts = np.array([reply.tokens for reply in replies], np.int64).reshape(-1, 3)
        return heard(
            batch,
            [reply.text for reply in replies],
            TokenUsage(counts[:, 0], counts[:, 1], counts[:, 2]),
            [reply.error or None for reply in replies],
            self._form,
        )

    def _ask(self, bodies: list[dict[str, Any]]) -> list[Reply]:
        keys = [request_key(body) for body in bodies]
        if self._replies is not None:
            missing = Reply("the trace holds no reply to this request; record it again", error="exception")
            return [self._replies.get(key, missing) for key in keys]
        assert self._server is not None
        replies = self._server.ask_all(bodies)
        if replies and all(reply.unreachable for reply in replies):
            raise AgentUnavailableError(
                f"no answer any more from {replies[0].text}; start the server again, then run the same command again"
            )
        if self._recorder is not None:
            for key, reply in zip(keys, replies, strict=True):
                self._recorder.keep(key, reply)
        return replies

    def _body(self, question: str, frames: Bytes | None, limit: int) -> dict[str, Any]:
        """Return the body of one request: pictures camera after camera, the oldest frame first, then the text."""
        text = {"type": "text", "text": self._briefing + question}
        shown: Any = frames[:, ::-1].reshape(-1, *frames.shape[2:]) if frames is not None and self.wants.cameras else []
        pictures = [{"type": "image_url", "image_url": {"url": self._address(frame)}} for frame in shown]
        return {"messages": [{"role": "user", "content": [*pictures, text]}], "max_tokens": limit, "temperature": 0}

    def _address(self, frame: Bytes) -> str:
        file = io.BytesIO()
        Image.fromarray(np.full_like(frame, 115) if self._blind else frame).save(file, format="PNG", compress_level=1)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _entry(server: Server) -> dict[str, Any]:
    """Return what the server says of the model.

    Raises:
        ServerError: if it does not serve it.
    """
    models = server.models()
    names = [str(entry.get("id")) for entry in models]
    if server.model not in names:
        raise ServerError(f"{server.url} does not serve {server.model!r}; it serves {', '.join(names) or 'nothing'}")
    return {"model": server.model, "simdrive": models[names.index(server.model)].get("simdrive")}


def _wants(
    told: Mapping[str, Any], cameras: Sequence[Mapping[str, Any]] | None, frame_offsets_us: Sequence[int] | None
) -> Wants:
    own = told.get("simdrive") or {}
    listed = cameras if cameras is not None else own.get("cameras")
    offsets = frame_offsets_us if frame_offsets_us is not None else own.get("frame_offsets_us", (0,))
    try:
        specs = (CameraSpec(width=448, height=252),) if listed is None else tuple(CameraSpec(**c) for c in listed)
    except TypeError as error:
        raise ParameterError(f"cameras: {error}; fields are {', '.join(CameraSpec.__dataclass_fields__)}") from error
    return Wants(specs, tuple(int(offset) for offset in offsets))
