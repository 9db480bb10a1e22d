"""A headless Chromium for tests, spoken to over DevTools pipes: no package, no driver, no port.

With ``--remote-debugging-pipe`` Chromium reads commands from file descriptor 3 and writes answers and events to 4, each a
JSON text that a zero byte ends.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simdrive.cli.doctor import BROWSERS

PATIENCE_S = 180.0
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--mute-audio", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip
# Puts two pipes where Chromium looks for them; above 9 first, so that neither overwrites the other.
_START = (
    "import fcntl, os, sys; r, w = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]);"
    "os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def chromium() -> str | None:
    """Return where Chromium is, None if it is not installed."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Page:
    """One open page, and what it complained about or asked the network for since it was opened."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._rest, self._session = 0, b"", ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def open(self, path: Path, width: int = 1280, height: int = 900, fragment: str = "") -> None:
        """Load a file at a window size and wait until it is there."""
        self.resize(width, height)
        # A blank page in between: an address that differs in its fragment alone would not be loaded again.
        for address in ("about:blank", path.resolve().as_uri() + fragment):
            self._loaded = False
            self._ask("Page.navigate", url=address)
            until = time.monotonic() + PATIENCE_S
            while not self._loaded:
                self._take(until)

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of another size; narrow ones count as phones."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip

    def run(self, expression: str) -> Any:
        """Return the value of an expression in the page.

        Raises:
            AssertionError: if it throws.
        """
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true.

        Raises:
            AssertionError: if it never is.
        """
        until = time.monotonic() + PATIENCE_S
        while not self.run(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click the first element that a selector finds."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def key(self, name: str, code: int, shift: bool = False) -> None:
        """Press and release a key on whatever has the focus."""
        text = {"text": " "} if name == " " else {}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=name, code="Space" if name == " " else name,
                      windowsVirtualKeyCode=code, modifiers=8 if shift else 0, **(text if kind == "keyDown" else {}))  # fmt: skip

    def picture(self, path: Path, selector: str | None = None) -> None:
        """Write a picture of the window, or of one element, as PNG."""
        clip: dict[str, Any] = {}
        if selector is not None:
            box = self.run(f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                           "return [b.x + scrollX, b.y + scrollY, b.width, b.height]; })()")  # fmt: skip
            clip = {"clip": dict(zip(("x", "y", "width", "height", "scale"), [*box, 1], strict=True)),
                    "captureBeyondViewport": True}  # fmt: skip
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png", **clip)["data"]))

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self._take(until)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def _take(self, until: float) -> dict[str, Any]:
        """Return the next message, events noted."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(until - time.monotonic(), 0.0))
            assert ready, "Chromium does not answer"
            part = os.read(self._answers, 1 << 20)
            assert part, "Chromium has ended"
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(str(params["entry"]))


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """Run Chromium with an empty profile and yield its page."""
    reads, commands = os.pipe()
    answers, writes = os.pipe()
    words = [sys.executable, "-c", _START, str(reads), str(writes), program, *_FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(words, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reads)
    os.close(writes)
    try:
        yield Page(commands, answers)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)
