"""A minimal chat-completions server over a model folder: the protocol that big teachers on a cluster speak.

Requests that arrive while the model is busy are answered together. Pictures come as ``data:`` addresses (PNG or JPEG),
camera after camera, the oldest frame first. ``GET /v1/models`` also says which cameras the model wants.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import queue
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from simdrive.errors import SimdriveError
from simdrive.models.local import LocalModel, Said
from simdrive.types import Bytes, Wants

_MOST_BYTES = 256 * 1024 * 1024


class RequestError(SimdriveError):
    """A request cannot be answered as it stands."""


@dataclass
class _Job:
    """One request on its way to the model."""

    question: str
    frames: Bytes | None  # [camera, time, H, W, 3], newest first
    limit: int
    done: threading.Event = field(default_factory=threading.Event)
    text: str = ""
    usage: tuple[int, int, int] = (0, 0, 0)
    error: str = ""


class ModelServer:
    """Serves one model on one address until it is closed; ``with`` closes it."""

    def __init__(self, model: LocalModel, name: str, host: str = "127.0.0.1", port: int = 0, batch: int = 16) -> None:
        """Listen at once; ``port`` 0 takes a free one. Call ``run`` or ``start`` to answer.

        Raises:
            SimdriveError: if the address is in use.
        """
        self._model, self.name, self._batch = model, name, batch
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        handler = type("Handler", (_Handler,), {"server_of": self})
        try:
            self._http = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise SimdriveError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port=...") from error
        self._http.daemon_threads = True
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    @property
    def url(self) -> str:
        """Base address for clients."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    @property
    def wants(self) -> Wants:
        """Cameras and frames of the model."""
        return self._model.wants

    def run(self) -> None:
        """Answer until interrupted."""
        self._http.serve_forever(poll_interval=0.1)

    def start(self) -> ModelServer:
        """Answer in the background."""
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._jobs.put(None)

    def __enter__(self) -> ModelServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the chat completion for the body of a request.

        Raises:
            RequestError: if the body is not one this server can answer.
        """
        job = self._job(body)
        self._jobs.put(job)
        job.done.wait()
        if job.error:
            raise RequestError(job.error)
        prompt, image, output = job.usage
        return {
            "id": "chatcmpl-simdrive",
            "object": "chat.completion",
            "model": self.name,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": job.text},
                    "finish_reason": "length" if output >= job.limit else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": prompt + image,
                "completion_tokens": output,
                "total_tokens": prompt + image + output,
                "prompt_tokens_details": {"image_tokens": image},
            },
        }

    def _job(self, body: Mapping[str, Any]) -> _Job:
        given = body.get("model", self.name)
        if given != self.name:
            raise RequestError(f"this server serves {self.name!r}, not {given!r}")
        if body.get("temperature", 0) not in (0, 0.0, None):
            raise RequestError("this server answers greedily: leave temperature away, or 0")
        try:
            content = body["messages"][-1]["content"]
            limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 64)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise RequestError(
                f"messages must end with a user message, and max_tokens be a number ({error})"
            ) from error
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        question = "".join(part.get("text", "") for part in parts if part.get("type") == "text")
        images = [_decoded(part) for part in parts if part.get("type") == "image_url"]
        return _Job(question, self._arranged(images), max(limit, 1))

    def _arranged(self, images: list[Bytes]) -> Bytes | None:
        wants = self._model.wants
        cameras, times = len(wants.cameras), len(wants.frame_offsets_us)
        if len(images) != (cameras * times if cameras else 0):
            raise RequestError(
                f"this model takes {cameras} cameras x {times} frames, got {len(images)} pictures"
                if cameras
                else f"this model takes no pictures, got {len(images)}"
            )
        if not images:
            return None
        size = (wants.cameras[0].height, wants.cameras[0].width, 3)
        if any(image.shape != size for image in images):
            raise RequestError(f"pictures must be {size[1]} x {size[0]} pixels, got {images[0].shape[1::-1]}")
        return np.stack(images).reshape(cameras, times, *size)[:, ::-1]

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            jobs = [job]
            while len(jobs) < self._batch:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._jobs.put(None)
                    break
                jobs.append(more)
            self._answer(jobs)

    def _answer(self, jobs: list[_Job]) -> None:
        try:
            said = self._ask(jobs)
            usage = np.stack([said.usage.prompt, said.usage.image, said.usage.output], axis=1).tolist()
            for job, text, tokens in zip(jobs, said.texts, usage, strict=True):
                job.text, job.usage = text, (tokens[0], tokens[1], tokens[2])
        except Exception as error:  # told to the client; the server goes on
            for job in jobs:
                job.error = f"{type(error).__name__}: {error}"
        for job in jobs:
            job.done.set()

    def _ask(self, jobs: list[_Job]) -> Said:
        frames = [job.frames for job in jobs if job.frames is not None]
        return self._model.answer(
            [job.question for job in jobs],
            np.stack(frames) if frames else None,
            np.array([job.limit for job in jobs], np.int64),
            batch=self._batch,
        )


def _decoded(part: Mapping[str, Any]) -> Bytes:
    address = part.get("image_url", {})
    address = address.get("url", "") if isinstance(address, Mapping) else str(address)
    if not address.startswith("data:") or ";base64," not in address:
        raise RequestError("pictures must be data: addresses in base64; this server fetches nothing")
    try:
        with Image.open(io.BytesIO(base64.b64decode(address.partition(";base64,")[2], validate=True))) as image:
            pixels: Bytes = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, binascii.Error, OSError, ValueError) as error:
        raise RequestError(f"a picture cannot be decoded: {error}") from error
    return pixels


class _Handler(BaseHTTPRequestHandler):
    """HTTP around ``ModelServer.complete``."""

    server_of: ModelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.rstrip("/") not in ("/v1/models", "/health"):
            self._reply(404, {"error": {"message": f"no such path {self.path}; try /v1/models"}})
            return
        served, wants = self.server_of, self.server_of.wants
        shown = {"cameras": [asdict(camera) for camera in wants.cameras], "frame_offsets_us": wants.frame_offsets_us}
        entry = {"id": served.name, "object": "model", "owned_by": "simdrive", "simdrive": shown}
        self._reply(200, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path.rstrip("/") != "/v1/chat/completions" or not 0 < length <= _MOST_BYTES:
            self.close_connection = True
            self._reply(404 if length else 411, {"error": {"message": "POST a body to /v1/chat/completions"}})
            return
        try:
            body = json.loads(self.rfile.read(length))
            if not isinstance(body, dict):
                raise RequestError("the body must be a JSON object")
            self._reply(200, self.server_of.complete(body))
        except (RequestError, json.JSONDecodeError, UnicodeDecodeError) as error:
            self._reply(400, {"error": {"message": str(error)}})

    def _reply(self, status: int, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: requests come by the thousand."""
