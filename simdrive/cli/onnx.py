"""``simdrive onnx``: a model as ONNX graphs of fixed shapes, checked against the model on samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

OPTIONS: dict[str, Any] = {
    "model": None, "out": None, "int8": True, "answer_tokens": 32, "data": None, "split": "validation", "rows": 24,
}  # fmt: skip


@guarded
def onnx(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. model=FOLDER out=runs/onnx"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Write a model as three ONNX graphs (vision, prefill, decode step with its cache) for onnxruntime.

    Needed: model= (folder or name of the zoo) out=. int8=true also writes graphs with 8-bit weights; answer_tokens=32 is
    the longest answer. With data=[...] the graphs' greedy answers to driving and the triad are compared with the model's
    on rows=24 samples of split=validation. Drive with them: graphs: FOLDER in an agent's yaml (docs/compression.md).
    """
    options = _checked({**OPTIONS, **parse_words(words, OPTIONS)})
    from simdrive.compress.onnx import agreement, export_folder

    out = Path(str(options["out"]))
    shapes = export_folder(str(options["model"]), out, options["answer_tokens"], options["int8"])
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*.onnx"))}
    same: dict[str, dict[str, float]] = {}
    if options["data"]:
        stderr().print("comparing answers", markup=False)
        same = agreement(
            str(options["model"]), out, options["data"], options["split"], options["rows"], options["int8"]
        )
    if json:
        print_json({"out": out.as_posix(), "prompt_tokens": shapes.prompt, "answer_tokens": shapes.answer,
                    "bytes": sizes, "same_answers": same})  # fmt: skip
        return
    for name, size in sizes.items():
        stdout().print(f"{name:<20} {size / 1e6:8.2f} MB", markup=False)
    for name, shares in same.items():
        said = ", ".join(f"{lesson} {share:.1%}" for lesson, share in shares.items())
        stdout().print(f"{name}: the same answers as the model: {said}", markup=False)
    stdout().print(f"{out.as_posix()}: prompts of {shapes.prompt} tokens, answers of {shapes.answer}", markup=False)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name in ("model", "out"):
        if not options[name]:
            raise ParameterError(f"{name}=... is needed, e.g. model=student out=runs/student_onnx")
    for name in ("answer_tokens", "rows"):
        if isinstance(options[name], bool) or not isinstance(options[name], int) or options[name] < 1:
            raise ParameterError(f"{name} must be a whole number of at least 1, got {options[name]!r}")
    if not isinstance(options["int8"], bool):
        raise ParameterError(f"int8 is true or false, got {options['int8']!r}")
    given = options["data"]
    data = [] if given is None else given if isinstance(given, list) else [given]
    return {**options, "data": [Path(str(folder)) for folder in data]}
