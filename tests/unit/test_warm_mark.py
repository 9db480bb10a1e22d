"""The mark that says that kernels are compiled: of one checkout, and of its sources as they are."""

from pathlib import Path

import pytest

from simdrive import jit


def test_a_second_checkout_is_not_taken_for_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_CACHED_ELSEWHERE", False)

    def mark(checkout: str, text: str) -> Path | None:
        package = tmp_path / checkout / "simdrive"
        package.mkdir(parents=True, exist_ok=True)
        (package / "kernel.py").write_text(text)
        monkeypatch.setattr(jit, "_PACKAGE", package)
        return jit.warm_mark()

    first = mark("one", "a = 1\n")
    assert first is not None
    assert mark("one", "a = 1\n") == first
    assert mark("one", "a = 2\n") != first
    assert mark("two", "a = 1\n") != first
