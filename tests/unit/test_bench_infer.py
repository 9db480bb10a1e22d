"""The model that ``simdrive bench infer`` measures by default."""

from __future__ import annotations

from pathlib import Path

from simdrive.bench.infer import untrained
from simdrive.compress.requests import data_request, settings_of
from simdrive.models.local import open_model


def test_it_sees_what_samples_show_by_default(tmp_path: Path) -> None:
    shown = data_request(settings_of("data", {})).pictured
    processor = open_model(untrained(tmp_path / "student"), "float32").processor
    assert processor.cameras == tuple(shown.cameras)
    assert processor.frame_offsets_us == tuple(shown.frame_offsets_us)
