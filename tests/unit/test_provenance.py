"""What run folders say about how they were made."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import simdrive
from simdrive.cli.provenance import commit, provenance


def test_arguments_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["simdrive", "demo"])
    found = provenance()
    assert found["arguments"] == ["demo"]
    assert re.fullmatch(r"([0-9a-f]{40}(\+changes)?)?", found["commit"])


def test_a_checkout_with_changes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "simdrive").mkdir()
    (tmp_path / "simdrive" / "__init__.py").touch()
    monkeypatch.setattr(simdrive, "__file__", str(tmp_path / "simdrive" / "__init__.py"))
    assert commit() == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", commit())
    (tmp_path / "new").touch()
    assert commit().endswith("+changes")
