"""Asks an OpenAI-compatible server: many requests at a time, retried with growing pauses, each with a deadline.

Standard library only. The key is read from an environment variable when a request is sent, and is never part of a
message, a trace or a log.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from simdrive.errors import ParameterError, SimdriveError

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # worth another try
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0


class ServerError(SimdriveError):
    """A server cannot be used at all; the message names it and what to do."""

    exit_code = 1


@dataclass(frozen=True)
class Reply:
    """What came of one request; ``error`` says why there is no answer."""

    text: str = ""
    tokens: tuple[int, int, int] = (-1, -1, -1)  # prompt without pictures, pictures, answer; -1 = not told
    error: Literal["", "timeout", "exception"] = ""
    unreachable: bool = False  # nothing at the other end took the request


@dataclass(frozen=True)
class Server:
    """Where to ask and how patiently.

    Args:
        url: base address, usually ending in ``/v1``.
        model: name that the server knows the model by.
        key_variable: environment variable that holds the key; empty = the server needs none.
        timeout_s: longest silence of the server during one try.
        deadline_s: of one request, all tries together; after it the request has failed as ``timeout``.
        retries: tries after the first.
        concurrency: requests at a time.
    """

    url: str
    model: str
    key_variable: str = ""
    timeout_s: float = 30.0
    deadline_s: float = 120.0
    retries: int = 3
    concurrency: int = 8

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ParameterError(f"url must look like http://host:port/v1, got {self.url!r}")
        if parts.username or parts.password or "key=" in parts.query:
            raise ParameterError("url must not hold credentials; put the key into an environment variable")
        if min(self.timeout_s, self.deadline_s) <= 0 or self.retries < 0 or self.concurrency < 1:
            raise ParameterError("timeout_s and deadline_s must be above 0, retries at least 0, concurrency at least 1")
        if self.key_variable and not os.environ.get(self.key_variable):
            raise ParameterError(
                f"environment variable {self.key_variable} is not set; it should hold the server's key"
            )

    def models(self) -> list[Mapping[str, Any]]:
        """Return what the server says it serves.

        Raises:
            ServerError: if it is not there or does not speak the protocol.
        """
        try:
            status, content, _ = self._send("GET", "/models", None, time.monotonic() + self.timeout_s)
            found = json.loads(content).get("data") if status == 200 else None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise ServerError(
                f"no answer from {self.url} ({_reason(error)}); start the server, or change url=... in the agent's yaml"
            ) from error
        if not isinstance(found, list):
            raise ServerError(
                f"{self.url}/models answered with status {status} and no list of models; "
                "url must be the base address of an OpenAI-compatible server, usually ending in /v1"
            )
        return found

    def ask_all(self, bodies: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """Return the replies to several requests, in their order; failures are replies too."""
        if not bodies:
            return []
        with ThreadPoolExecutor(min(self.concurrency, len(bodies))) as pool:
            return list(pool.map(self.ask, bodies))

    def ask(self, body: Mapping[str, Any]) -> Reply:
        """Return the reply to one request; never raises for what a server does, and never takes past the deadline."""
        deadline, pause, told = time.monotonic() + self.deadline_s, _FIRST_PAUSE_S, "no try was made"
        data = json.dumps({"model": self.model, **body}).encode()
        late = gone = False
        for attempt in range(self.retries + 1):
            wait = 0.0
            try:
                status, content, asked_to_wait = self._send("POST", "/chat/completions", data, deadline)
                if status == 200:
                    return _read(content)
                told, late, gone = f"status {status}: {self._clean(content[:300])}", False, False
                if status not in _PASSING:
                    break
                wait = asked_to_wait
            except TimeoutError:
                told, late, gone = f"no answer within {self.timeout_s:g} s", True, False
            except (OSError, http.client.HTTPException) as error:
                told, late, gone = _reason(error), False, isinstance(error, OSError)
            wait = max(wait, pause)
            pause = min(2.0 * pause, _LONGEST_PAUSE_S)
            if attempt == self.retries:
                break
            if time.monotonic() + wait >= deadline:
                late = True
                told = f"deadline of {self.deadline_s:g} s; last: {told}"
                break
            time.sleep(wait)
        return Reply(f"{self.url}: {told}", error="timeout" if late else "exception", unreachable=gone)

    def _send(self, method: str, path: str, data: bytes | None, deadline: float) -> tuple[int, bytes, float]:
        """Return status, content and the pause the server asks for; the deadline holds for every byte."""
        parts = urllib.parse.urlsplit(self.url)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key_variable:
            headers["Authorization"] = f"Bearer {os.environ.get(self.key_variable, '')}"
        left = min(self.timeout_s, deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        host = str(parts.hostname)
        if parts.scheme == "https":
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=left, context=ssl.create_default_context()
            )
        else:
            link = http.client.HTTPConnection(host, parts.port, timeout=left)
        end = min(deadline, time.monotonic() + self.timeout_s)
        try:
            link.request(method, parts.path.rstrip("/") + path, data, headers)
            wire = link.sock  # the reply may let go of it before it is read
            response = link.getresponse()
            pieces = []
            while piece := _next(response, wire, end):
                pieces.append(piece)
            return response.status, b"".join(pieces), _seconds(response.getheader("Retry-After"))
        finally:
            link.close()

    def _clean(self, content: bytes) -> str:
        text = " ".join(content.decode("utf-8", "replace").split())
        key = os.environ.get(self.key_variable, "") if self.key_variable else ""
        return text.replace(key, "***") if key else text


def _next(response: http.client.HTTPResponse, wire: socket.socket | None, end: float) -> bytes:
    """Read on: a server that drips byte after byte must not outlive the deadline."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if wire is not None and wire.fileno() >= 0:
        wire.settimeout(left)
    return response.read1(65536)


def _seconds(header: str | None) -> float:
    try:
        return min(max(float(header or 0.0), 0.0), 60.0)
    except ValueError:
        return 0.0


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _read(content: bytes) -> Reply:
    """Return the reply in the content of a completion; text that is no completion is an exception."""
    try:
        told = json.loads(content)
        text = told["choices"][0]["message"]["content"] or ""
        usage = told.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        whole, image = int(usage.get("prompt_tokens", -1)), int(details.get("image_tokens") or -1)
        output = int(usage.get("completion_tokens", -1))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Reply(f"the server's answer is no chat completion ({_reason(error)})", error="exception")
    return Reply(str(text), (whole - image if image >= 0 else whole, image, output))


def request_key(body: Mapping[str, Any]) -> str:
    """Return the hash that a recorded trace finds a request by."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]
