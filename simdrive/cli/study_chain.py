"""``simdrive study chain``: what compression does to a model's answers, signals and attention, beside its driving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.study_layers import SPLITS
from simdrive.cli.words import listed, parse_words
from simdrive.errors import ParameterError, UnknownNameError

OPTIONS: dict[str, Any] = {
    "models": None,
    "data": None,
    "split": "test",
    "rows": 400,
    "runs": None,
    "out": "runs/chain",
}


@guarded
def chain(
    words: list[str] = typer.Argument(
        None, help="key=value options, e.g. 'models=[teacher,student_kd]' 'data=[data/samples]'"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Teacher to student to pruned to 8 to 4 bits: size, exact answers, drift of attention, attention on who decides.

    Needed: models=[...] (folders or names of the zoo; the others are held against the first), data=[...] (made by 'simdrive
    data'). split=test rows=400 (half critical). runs=[...] names run folders in which they drove: failures are found by the
    weights' hash, whatever agents are called, and ranked against the answers. Text, JSON and CSV go to out=runs/chain.
    """
    options = {**OPTIONS, **parse_words(words or [], OPTIONS)}
    for name in ("models", "data"):
        if not options[name]:
            raise ParameterError(f"{name}=[...] is needed")
    names, folders = ([str(one) for one in listed(options[name])] for name in ("models", "data"))
    if options["split"] not in SPLITS:
        raise UnknownNameError("split", str(options["split"]), SPLITS)
    import dataclasses

    import pandas as pd

    from simdrive.compress.chain import chain as links_of
    from simdrive.compress.chain import ranked
    from simdrive.compress.samples import read_samples
    from simdrive.compress.validate import balanced_rows
    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values
    from simdrive.eval.weights import failures_by_weights
    from simdrive.report.chain import chain_records, chain_text

    samples = read_samples([Path(folder) for folder in folders], str(options["split"]))
    rows = balanced_rows(samples, int(options["rows"]))
    if not rows:
        raise ParameterError(f"data hold no {options['split']} samples; make more cases with 'simdrive data'")
    failures = failures_by_weights([str(one) for one in listed(options["runs"])] if options["runs"] else [])
    links = links_of(names, samples, rows)
    found, out = ranked(links, failures), Path(str(options["out"]))
    text = chain_text(links, failures, found, len(rows))
    records = chain_records(links, failures)
    told = {"study": "chain", "frames": len(rows), "ranked": dataclasses.asdict(found), "models": records}
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "chain.txt", text + "\n")
    write_text(out / "chain.csv", pd.DataFrame(records).to_csv(index=False))
    write_json(out / "chain.json", plain_values(told))
    if json:
        print_json({"out": out.as_posix(), **plain_values(told)})
        return
    stdout().print(text, markup=False)
    stderr().print(f"study folder: {out.as_posix()}", markup=False)
