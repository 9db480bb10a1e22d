"""The charge of an agent from its configuration."""

import pytest

from simdrive.agents.charging import charge_of
from simdrive.errors import UnknownNameError
from simdrive.types import Charge


def test_fields_of_a_charge() -> None:
    assert charge_of(None) == charge_of({}) == Charge()
    given = {
        "architecture": "internvl3_1b",
        "precision": "w4a16",
        "keep_layers": 0.5,
        "bits": {"head": 8, "body": 4.25},
    }
    assert charge_of(given) == Charge("internvl3_1b", "w4a16", keep_layers=0.5, bits=(("body", 4.25), ("head", 8.0)))
    assert charge_of({"bits": [["head", 8]]}).bits == (("head", 8.0),)


def test_unknown_fields_are_named() -> None:
    with pytest.raises(UnknownNameError, match="field of charge"):
        charge_of({"archtecture": "internvl3_1b"})


def test_the_card_fills_what_the_configuration_leaves_out() -> None:
    card: dict[str, object] = {
        "precision": "w4a16",
        "bits": {"attention": 4.25},
        "keep_layers": 0.5,
        "keep_heads": 0.75,
    }
    card["keep_image_tokens"] = 0.25  # shows in the tokens that are reported
    assert charge_of(None, card) == Charge(
        precision="w4a16", keep_layers=0.5, keep_heads=0.75, bits=(("attention", 4.25),)
    )
    named = charge_of({"architecture": "internvl3_1b", "keep_heads": 1.0}, card)
    assert (named.architecture, named.precision, named.keep_heads, named.keep_layers) == (
        "internvl3_1b",
        "w4a16",
        1.0,
        0.5,
    )
    # Who names the precision says what the bits are.
    assert charge_of({"precision": "w16a16"}, card) == Charge(precision="w16a16", keep_layers=0.5, keep_heads=0.75)
