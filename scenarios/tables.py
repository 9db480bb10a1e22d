"""Writes the table of scenarios of docs/scenarios.md from the scenarios themselves.

Run ``python -m simdrive.scenarios.tables`` to print it, with a path to write it between the markers of that file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from simdrive.errors import ParameterError
from simdrive.scenarios.contract import Scenario
from simdrive.scenarios.parameters import Choice, Parameter
from simdrive.scenarios.sampling import scenario, scenario_names
from simdrive.scenarios.taxonomy import VOCABULARIES

BEGIN, END = "<!-- scenarios: begin (generated) -->", "<!-- scenarios: end -->"
_COVERED = ("bench2drive", "nhtsa")  # taxonomies that list situations, not tests
_HEADINGS = {"bench2drive": "Bench2Drive", "nhtsa": "NHTSA", "r157": "UN R157", "euro_ncap": "Euro NCAP"}


def scenario_tables() -> str:
    """Return Markdown: an overview with the codes, who covers which code, the parameters of every scenario."""
    kinds = [scenario(name) for name in scenario_names()]
    head = ["scenario", "what happens", *(_HEADINGS[name] for name in VOCABULARIES)]
    rows = [[f"`{kind.name}`", kind.description, *_codes(kind)] for kind in kinds]
    covered = [_coverage(group, kinds) for group in _COVERED]
    return "\n\n".join([_table(head, rows), *covered, *(_parameters(kind) for kind in kinds)]) + "\n"


def _coverage(group: str, kinds: Sequence[Scenario]) -> str:
    """Return which scenarios carry each code of one taxonomy."""
    rows = []
    for code, meaning in VOCABULARIES[group].items():
        names = [f"`{kind.name}`" for kind in kinds if f"{group}:{code}" in kind.tags]
        rows.append([code if code == meaning else f"{code} {meaning}", ", ".join(names) or "-"])
    found = sum(row[1] != "-" for row in rows)
    head = f"### Coverage of {_HEADINGS[group]}: {found} of {len(rows)}"
    return f"{head}\n\n" + _table(["code", "scenarios"], rows)


def _codes(kind: Scenario) -> list[str]:
    split = [tag.partition(":") for tag in kind.tags]
    return [", ".join(code for group, _, code in split if group == name) or "-" for name in VOCABULARIES]


def _parameters(kind: Scenario) -> str:
    rows = [[f"`{name}`", *_cells(parameter)] for name, parameter in kind.parameters.items()]
    return f"### `{kind.name}`\n\n{kind.description}\n\n" + _table(["parameter", "values", "unit"], rows)


def _cells(parameter: Parameter) -> tuple[str, str]:
    if isinstance(parameter, Choice):
        return ", ".join(f"`{value}`" for value in parameter.values), "-"
    return f"{parameter.low:g} to {parameter.high:g}", parameter.unit or "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_into(path: Path) -> bool:
    """Replace the generated part of a Markdown file; return whether it changed.

    Raises:
        ParameterError: if the file lacks the markers.
    """
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ParameterError(f"{path} lacks the lines {BEGIN!r} and {END!r} around its generated part")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    fresh = f"{before}{BEGIN}\n\n{scenario_tables()}\n{END}{after}"
    if fresh == text:
        return False
    path.write_text(fresh, encoding="utf-8")
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_into(Path(sys.argv[1]))
    else:
        print(scenario_tables())
