"""``simdrive data export`` and ``simdrive data check``: driving samples as Drive-KD items, and such files on their way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simdrive.cli.console import print_json, stderr, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError

FORMATS = ("drive_kd",)
_SHOWN = 50  # faults in the text; --json has all


def export(words: list[str], json: bool) -> None:
    """Write data folders as items of another format."""
    options = parse_words(
        words, ("data", "out", "format", "frames", "rows", "style"), "option of 'simdrive data export'"
    )
    for name in ("data", "out"):
        if not options.get(name):
            raise ParameterError(f"export needs {name}, e.g. 'simdrive data export data=[data/samples] out=data/items'")
    if (given := options.get("format", "drive_kd")) not in FORMATS:
        raise UnknownNameError("format", str(given), FORMATS)
    from simdrive.compress.drive_kd_export import ExportRequest, export_items

    request = ExportRequest(**{name: options[name] for name in ("frames", "rows", "style") if name in options})
    data: Any = options["data"]
    folders = [Path(str(folder)) for folder in (data if isinstance(data, list) else [data])]
    out = Path(str(options["out"]))
    counts = export_items(folders, out, request)
    if json:
        print_json({"out": out.as_posix(), "format": "drive_kd", "items": counts})
        return
    stdout().print(f"{sum(counts.values())} items; per split: {counts}", markup=False)
    stderr().print(f"item folder: {out.as_posix()}", markup=False)


def check(words: list[str], json: bool) -> None:
    """Print what a file of items holds and what is wrong with it.

    Raises:
        SimdriveError: if an item cannot be used.
    """
    files = [word for word in words if "=" not in word]
    options = parse_words(
        [word for word in words if "=" in word], ("unknown", "images"), "option of 'simdrive data check'"
    )
    if len(files) != 1:
        raise ParameterError("check needs one file, e.g. 'simdrive data check data/items/train.json'")
    if not isinstance(images := options.get("images", True), bool):
        raise ParameterError(f"images must be true or false, got {images!r}")
    from simdrive.compress.drive_kd import check_items

    found = check_items(Path(files[0]), str(options.get("unknown", "error")), images)
    errors = [fault for fault in found.faults if fault.severity == "error"]
    doubts = len(found.faults) - len(errors)
    if json:
        faults = [{"item": f.number, "severity": f.severity, "message": f.message} for f in found.faults]
        print_json(
            {
                "file": files[0], "items": found.total, "usable": len(found.items), "skipped": found.skipped,
                "types": found.types(), "cameras": found.cameras(), "errors": len(errors), "doubts": doubts,
                "faults": faults,
            }
        )  # fmt: skip
    else:
        print_ = stdout().print
        print_(f"{found.total} items, {len(found.items)} usable, {found.skipped} skipped", markup=False)
        print_("types: " + ", ".join(f"{name} {count}" for name, count in found.types().items()), markup=False)
        print_("images: " + (", ".join(f"{n} {c}" for n, c in found.cameras().items()) or "none"), markup=False)
        for fault in found.faults[:_SHOWN]:
            print_(f"{fault.severity}: {fault.message}", markup=False)
        if len(found.faults) > _SHOWN:
            print_(f"and {len(found.faults) - _SHOWN} more; --json lists all", markup=False)
    if errors:
        raise SimdriveError(f"{files[0]}: {len(errors)} of {found.total} items cannot be used")
