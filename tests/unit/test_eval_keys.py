"""Keys: everything that decides an episode's content is in them, nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simdrive.eval import keys
from simdrive.types import Case

CASE = Case("cut_in", (("gap_m", 20.0),), 3)


def key(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "case": CASE,
        "agent": {"name": "idm", "weights": "0"},
        "latency": {"delay_ms": 200},
        "sources": "abc",
    }
    return keys.episode_key(**(fields | changes))


def test_a_key_is_stable_and_short() -> None:
    assert key() == key(agent={"weights": "0", "name": "idm"})
    assert key() == "79bb1b124d7894aa5038"


@pytest.mark.parametrize(
    "change",
    [
        {"case": Case("cut_in", (("gap_m", 20.0),), 4)},
        {"case": Case("cut_in", (("gap_m", 20.5),), 3)},
        {"case": Case("cut_out", (("gap_m", 20.0),), 3)},
        {"agent": {"name": "idm", "weights": "1"}},
        {"latency": {"delay_ms": 201}},
        {"camera": "wide"},
        {"corruption": "fog"},
        {"sources": "abd"},
    ],
)
def test_whatever_decides_the_content_changes_the_key(change: dict[str, Any]) -> None:
    assert key(**change) != key()


def test_source_hash_sees_an_edit_a_rename_and_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "simdrive"
    (package / "sim").mkdir(parents=True)
    (package / "eval").mkdir()
    (tmp_path / "scenarios").mkdir()  # a checkout without links
    (package / "sim" / "kernel.py").write_text("a = 1")
    (package / "geometry.py").write_text("b = 1")
    monkeypatch.setattr(keys, "__file__", str(package / "eval" / "keys.py"))

    def current() -> str:
        return keys.source_hash.__wrapped__()

    seen = [current()]
    (package / "sim" / "kernel.py").write_text("a = 2")
    seen.append(current())
    (package / "sim" / "kernel.py").rename(package / "sim" / "core.py")
    seen.append(current())
    (tmp_path / "scenarios" / "new.py").write_text("")
    seen.append(current())
    (package / "cli.py").write_text("no part of it")
    assert current() == seen[-1]
    assert len(set(seen)) == 4


def test_the_sources_of_this_package_are_found() -> None:
    root = Path(keys.__file__).resolve().parent.parent
    for entry in keys.SOURCES:
        if entry != "eval/rollout.py":
            assert keys._files(root, entry), entry
    assert len(keys.source_hash()) == 16
