from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_kit import save_tiny
from test_agents_vlm import COUNT, _batch

from simdrive.agents.api import ApiVlm
from simdrive.agents.api_client import Server, ServerError
from simdrive.agents.api_trace import read_trace
from simdrive.agents.vlm import Vlm
from simdrive.errors import ParameterError
from simdrive.models.local import LocalModel, open_model
from simdrive.models.serve import ModelServer, RequestError

ANSWER = "speed 0 -1 -2.5 side 0m 0.5m"


def _completion(text: str = ANSWER) -> dict[str, Any]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 8},
    }


class Fake:
    """A real HTTP server that does to each chat request what the next entry of its script says."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.seen: list[Any] = []
        self.times: list[float] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "m"}]})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.seen.append((dict(self.headers), json.loads(body)))
                fake.times.append(time.monotonic())
                step = fake.script.pop(0) if len(fake.script) > 1 else fake.script[0]
                if step == "hang":
                    time.sleep(3.0)
                elif step == "drip":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    for _ in range(30):
                        self.wfile.write(b" ")
                        self.wfile.flush()
                        time.sleep(0.1)
                elif isinstance(step, int):
                    self._send(step, {"error": {"message": f"said with {self.headers.get('Authorization')}"}})
                elif step == "cut":
                    self.connection.close()
                else:
                    self._send(200, step)

            def _send(self, status: int, content: Any) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Clients hang up in the middle here: no traceback on the terminal."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def fakes() -> Iterator[Any]:
    made: list[Fake] = []

    def make(*script: Any) -> Fake:
        made.append(Fake(*script))
        return made[-1]

    yield make
    for fake in made:
        fake.close()


def _agent(url: str, **options: Any) -> ApiVlm:
    cameras = [{"width": 64, "height": 32}, {"width": 64, "height": 32}]
    return ApiVlm(url, "m", **{"cameras": cameras, "frame_offsets_us": [0, -300_000], "timeout_s": 2.0, **options})


def test_the_answer_becomes_a_plan_and_the_request_has_the_common_form(fakes: Any) -> None:
    fake = fakes(_completion())
    answer = _agent(fake.url, briefing="Say it. ").plan(_batch())
    assert answer.error == (None,) * COUNT
    assert answer.usage.prompt.tolist() == [40] * COUNT
    assert answer.usage.image.tolist() == [-1] * COUNT  # this server does not tell
    body = fake.seen[0][1]
    assert body["temperature"] == 0
    assert body["model"] == "m"
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url"] * 4 + ["text"]
    assert body["messages"][0]["content"][-1]["text"].startswith("Say it. at ")
    assert "Authorization" not in fake.seen[0][0]


def test_passing_faults_are_tried_again(fakes: Any) -> None:
    fake = fakes(503, "cut", _completion())
    answer = _agent(fake.url, concurrency=1, deadline_s=20.0).plan(_batch())
    assert answer.error == (None,) * COUNT
    assert len(fake.seen) == COUNT + 2
    assert fake.times[2] - fake.times[1] > fake.times[1] - fake.times[0] > 0.2  # pauses grow


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_slow_server_costs_no_more_than_the_deadline(fakes: Any, fault: str) -> None:
    agent = _agent(fakes(fault).url, timeout_s=0.4, deadline_s=0.8, retries=5)
    start = time.monotonic()
    answer = agent.plan(_batch())
    assert time.monotonic() - start < 3.0
    assert answer.error == ("timeout",) * COUNT
    assert answer.usage.output.tolist() == [-1] * COUNT


def test_a_refusal_is_not_tried_again_and_never_shows_the_key(fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVER_KEY", "sesame-42")
    fake = fakes(401)
    answer = _agent(fake.url, key_variable="TEST_SERVER_KEY").plan(_batch())
    assert answer.error == ("exception",) * COUNT
    assert len(fake.seen) == COUNT
    assert fake.seen[0][0]["Authorization"] == "Bearer sesame-42"
    assert answer.text is not None
    assert "status 401" in answer.text[0]
    assert not any("sesame" in text for text in answer.text)
    monkeypatch.delenv("TEST_SERVER_KEY")
    with pytest.raises(ParameterError, match="TEST_SERVER_KEY is not set"):
        _agent(fake.url, key_variable="TEST_SERVER_KEY")


@pytest.mark.parametrize("content", [b"<html>", {"choices": []}, [], {"choices": [{"message": None}]}])
def test_answers_that_are_no_completion_are_exceptions(fakes: Any, content: Any) -> None:
    answer = _agent(fakes(content).url).plan(_batch())
    assert answer.error == ("exception",) * COUNT


def test_free_talk_is_unparsable_and_keeps_its_cost(fakes: Any) -> None:
    answer = _agent(fakes(_completion("I would brake.")).url).plan(_batch())
    assert answer.error == ("unparsable",) * COUNT
    assert answer.usage.output.tolist() == [8] * COUNT


def test_way_points_are_asked_for_and_followed(fakes: Any) -> None:
    fake = fakes(_completion("[(6, 0), (12, 0), (18, 0.5), (24, 1), (30, 1), (36, 1)]"))
    agent = _agent(fake.url, answer_form="waypoints", waypoints={"axes": "forward_left"})
    batch = _batch()
    answer = agent.plan(batch)
    assert answer.error == (None,) * COUNT
    assert answer.plan[:, 12, 1] - batch.ego[:, 0] == pytest.approx(36.0, abs=1e-3)
    assert answer.plan[:, 12, 2] - batch.ego[:, 1] == pytest.approx(-1.0, abs=1e-3)
    asked = fake.seen[0][1]["messages"][0]["content"][-1]["text"]
    assert "exactly 6 points" in asked
    assert asked.endswith(" ?")
    assert agent.card.parameters["interval_s"] == 0.5
    told = _agent(fake.url, answer_form="waypoints", briefing="Go. ")
    told.plan(batch)
    assert fake.seen[-1][1]["messages"][0]["content"][-1]["text"].startswith("Go. at ")
    assert _agent(fakes(_completion()).url, answer_form="waypoints").plan(batch).error == ("unparsable",) * COUNT


def test_a_dead_server_is_named_at_once(fakes: Any) -> None:
    fake = fakes(_completion())
    with pytest.raises(ServerError, match=r"does not serve 'other'; it serves m"):
        ApiVlm(fake.url, "other")
    fake.close()
    with pytest.raises(ServerError, match=r"no answer from http://127.*start the server, or change url"):
        _agent(fake.url)
    fakes_without = "ftp://host"
    with pytest.raises(ParameterError, match="http://host:port/v1"):
        Server(fakes_without, "m")
    with pytest.raises(ParameterError, match="credentials"):
        Server("http://me:secret@host/v1", "m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    """A server in a process of its own, as a user starts it."""
    words = ["serve", f"model={folder}", "port=0", "name=m"]
    process = subprocess.Popen(
        [sys.executable, "-m", "simdrive", *words], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "serving m at " in line:
            yield line.split("serving m at ")[1].split()[0]
            break
    else:
        pytest.fail("the server did not start")
    process.terminate()
    process.wait(timeout=120)
    process.stderr.close()


def test_a_served_model_says_what_it_says_at_home_and_its_trace_replays_offline(
    served: str, folder: Path, tmp_path: Path
) -> None:
    home = Vlm(str(folder), max_output_tokens=12)
    expected = home.plan(_batch())
    trace = str(tmp_path / "deep" / "trace.jsonl")
    away = ApiVlm(served, "m", max_output_tokens=12, record=trace)
    assert away.wants == home.wants  # told by the server
    answer = away.plan(_batch())
    assert answer.text == expected.text
    assert answer.error == expected.error
    for name in ("prompt", "image", "output"):
        assert np.array_equal(getattr(answer.usage, name), getattr(expected.usage, name))
    offline = ApiVlm("http://nobody.invalid/v1", "m", max_output_tokens=12, replay=trace)
    again = offline.plan(_batch())
    assert again.text == answer.text
    assert np.array_equal(again.plan, answer.plan)
    other = offline.plan(_batch(seed=1))
    assert other.error == ("exception",) * COUNT
    assert other.text is not None
    assert "record it again" in other.text[0]


def test_broken_traces_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="does not exist; record one"):
        read_trace(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"header": {}}\n{"key": "a", "text": "t"}\n')
    with pytest.raises(ParameterError, match="line 2: no recorded reply"):
        read_trace(broken)


def test_the_server_says_what_is_wrong_with_a_request(folder: Path) -> None:
    server = ModelServer(LocalModel(open_model(str(folder))), "m")
    with server:
        server.start()
        text = [{"role": "user", "content": "hello"}]
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        for body, message in (
            ({"model": "x", "messages": text}, "serves 'm', not 'x'"),
            ({"messages": text, "temperature": 0.7}, "greedily"),
            ({"messages": text}, "2 cameras x 2 frames, got 0 pictures"),
            ({}, "must end with a user message"),
            ({"messages": [{"role": "user", "content": [picture]}]}, "cannot be decoded"),
            (
                {"messages": [{"role": "user", "content": [{**picture, "image_url": {"url": "http://x/y.png"}}]}]},
                "fetches nothing",
            ),
        ):
            with pytest.raises(RequestError, match=message):
                server.complete(body)
        reply = Server(server.url, "m", retries=0).ask({"messages": text})
        assert "status 400" in reply.text
        assert "got 0 pictures" in reply.text
