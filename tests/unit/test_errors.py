"""Errors list what is allowed, as far as anybody would read it."""

from __future__ import annotations

from simdrive.errors import UnknownNameError


def test_all_names_are_listed_and_the_nearest_is_offered() -> None:
    error = UnknownNameError("agent", "exprt", ["idm", "expert"])
    assert str(error) == "unknown agent 'exprt'. Did you mean 'expert'? Available: expert, idm"
    assert error.nearest == "expert"


def test_hundreds_of_names_are_cut_short() -> None:
    text = str(UnknownNameError("episode key", "k7", [f"k{number:03d}" for number in range(700)]))
    assert text.endswith("k008, k009, ... (700 in all)")
    assert "k010" not in text
