"""The pages hold what they say: guides run as written, commands and their options exist, links lead somewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from docs_kit import DOCS, PAGES, ROOT, anchors, blocks, commands, links, write_files
from loop_kit import ZERO, inputs
from run_fixtures import CONFIG, plan, tables_of

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.build import CONFIG_ROOT, build
from simdrive.cli import app
from simdrive.cli.corrupted import take_corruption
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import rollout
from simdrive.eval.stats import wilson
from simdrive.eval.store import RunStore
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.names import load_card
from simdrive.latency.source import Constant
from simdrive.scenarios.sampling import build_case, load_suite, sample_cases, suite_cases
from simdrive.types import EndReason, RequestStatus

SITE = DOCS / "site" / "mkdocs.yml"
COMPOSED = ("eval", "record", "data", "train")  # commands whose options are the keys of a configuration
FREE = ("params", "distill", "shape", "train", "validate")  # mappings whose fields the configuration does not list
NAMES = [page.name for page in PAGES]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user, current and on the path of modules."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_your_own_agent_drives_as_written(folder: Path) -> None:
    assert write_files(DOCS / "your-own-agent.md", folder) == ["careful.py", "careful.yaml"]
    agent = build("agent", "./careful.yaml")
    assert agent.card.name == "careful"
    late = LatencySetting(Constant(200), Mode("streaming"))
    braking = inputs(brake_at_s=2.0, gap_m=30.0)
    for setting in (ZERO, late):
        (log,) = rollout(braking, agent, setting)
        assert log.contact is None
        assert set(log.requests.status.tolist()) <= {RequestStatus.OK, RequestStatus.UNFINISHED}
    assert rollout(braking, ConstantSpeed(), ZERO)[0].contact is not None
    (alone,) = rollout(inputs(gap_m=None), agent, ZERO)
    assert alone.end == EndReason.GOAL


def test_your_own_scenario_happens_as_written(folder: Path) -> None:
    assert write_files(DOCS / "your-own-scenario.md", folder) == ["child.py", "child.yaml", "street.yaml"]
    suite = load_suite("street.yaml")
    assert len(suite_cases(suite)) == 25
    for hazard in (True, False):
        (case,) = sample_cases("./child.yaml", 1, seed=1, hazard=hazard)
        spec = build_case(case)
        assert [actor.name for actor in spec.actors] == ["child"]
        (log,) = rollout([EpisodeInput(case, spec)], ConstantSpeed(), ZERO)
        assert (log.contact is not None) == hazard
        assert log.end == (EndReason.CONTACT if hazard else EndReason.GOAL)
        assert log.t_us[-1] > 3_000_000


def test_your_own_chip_is_a_card_as_written(folder: Path) -> None:
    assert write_files(DOCS / "your-own-chip.md", folder) == ["my_chip.yaml"]
    card: Any = load_card("chip", "./my_chip.yaml")
    assert card.bandwidth_bytes_per_s() == pytest.approx(150e9)
    assert card.peak_flops("int8") == pytest.approx(60e12)
    assert card.peak_flops("int8", "eco") == pytest.approx(30e12)


@pytest.mark.parametrize("name", NAMES)
def test_yaml_on_a_page_can_be_read(name: str) -> None:
    page = next(page for page in PAGES if page.name == name)
    for body in blocks(page, "yaml"):
        assert yaml.safe_load(body) is not None


@pytest.mark.parametrize("name", NAMES)
def test_commands_on_a_page_exist_with_their_options(name: str) -> None:
    page = next(page for page in PAGES if page.name == name)
    for words in commands(page):
        command, rest = found(words)
        flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            assert not word.startswith("-") or word.partition("=")[0] in flags, words
        if words[0] in COMPOSED and not (words[0] == "data" and words[1:2] in (["export"], ["check"])):
            check_keys(words[0], [word for word in rest if not word.startswith("-")])


def found(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words behind it."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while isinstance(subcommands := getattr(command, "commands", None), dict):
        assert rest, words
        assert rest[0] in subcommands, words
        command = subcommands[rest.pop(0)]
    return command, rest


def check_keys(primary: str, words: list[str]) -> None:
    """Check that every ``key=value`` names something that the configuration of a command holds."""
    if primary in ("eval", "record"):
        words, *_ = take_corruption(words)
    config = yaml.safe_load((CONFIG_ROOT / f"{primary}.yaml").read_text(encoding="utf-8"))
    groups = {
        group: name for entry in config.get("defaults", []) if isinstance(entry, dict) for group, name in entry.items()
    }
    groups |= {word.partition("=")[0]: word.partition("=")[2] for word in words if word.partition("=")[0] in groups}
    for word in words:
        key, sign, _ = word.partition("=")
        head, _, field = key.partition(".")
        assert sign, word
        assert head in config or head in groups, word
        if field and head in groups:
            entry = yaml.safe_load((CONFIG_ROOT / head / f"{groups[head]}.yaml").read_text(encoding="utf-8"))
            assert field.partition(".")[0] in {**entry, **config.get(head, {})}, word
        elif field and head not in FREE:
            assert field in config[head], word


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    page = next(page for page in PAGES if page.name == name)
    for target in links(page):
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), target
        assert aim.is_relative_to(DOCS if page.parent == DOCS else ROOT), f"{target}: the site has no such page"
        assert not anchor or anchor in anchors(aim), target


def test_every_page_is_in_the_navigation_of_the_site_once() -> None:
    site = yaml.safe_load(SITE.read_text(encoding="utf-8"))
    shown = [page for section in site["nav"] for page in pages_of(section)]
    assert sorted(shown) == sorted(page.name for page in DOCS.glob("*.md"))
    assert (SITE.parent / site["docs_dir"]).resolve() == DOCS
    assert site["theme"]["font"] is False


def pages_of(entry: Any) -> list[str]:
    """Return the files that an entry of the navigation and those below it name."""
    if isinstance(entry, str):
        return [entry]
    below = entry.values() if isinstance(entry, dict) else entry
    return [page for each in below for page in pages_of(each)]


def test_the_makefile_builds_the_site_strictly() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"mkdocs build --quiet --strict -f {os.path.relpath(SITE, ROOT)}" in makefile
    assert "docs" in makefile.partition(".PHONY:")[2].splitlines()[0].split()


def test_the_recipe_of_compress_and_judge_names_fields_that_exist(folder: Path) -> None:
    assert "small.yaml" in write_files(DOCS / "compress-and-judge.md", folder)
    recipe = yaml.safe_load((folder / "small.yaml").read_text(encoding="utf-8"))
    assert [stage["stage"] for stage in recipe["stages"]] == ["prune", "quantize", "quantize"]
    for stage in recipe["stages"]:
        allowed = yaml.safe_load((CONFIG_ROOT / f"{stage['stage']}.yaml").read_text(encoding="utf-8"))
        assert set(stage) <= {"stage", *allowed}, stage["name"]


def test_the_notebook_redraws_the_figure_of_a_run(tmp_path: Path) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan())
    for row in range(12):
        store.write_part(tables_of(row))
    store.compact()
    notebook = DOCS / "a_run_with_pandas.ipynb"
    assert notebook.stat().st_size < 200_000
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code += ["figure.savefig('figure.png')", "table.reset_index().to_json('table.json', orient='records')"]
    (tmp_path / "cells.py").write_text("\n\n".join(code), encoding="utf-8")
    surroundings = {**os.environ, "RUN": "run", "MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run([sys.executable, "cells.py"], cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "figure.png").stat().st_size > 1000
    episodes = store.episodes()
    for row in json.loads((tmp_path / "table.json").read_text(encoding="utf-8")):
        same = episodes[(episodes["agent"] == row["agent"]) & (episodes["latency"] == row["latency"])]
        outcomes = same.loc[same["valid"], "failure"].dropna()
        assert (row["failures"], row["cases"]) == (outcomes.sum(), len(outcomes))
        assert len(outcomes) > 0
        expected = wilson(int(outcomes.sum()), len(outcomes))
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=1e-6)
