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
