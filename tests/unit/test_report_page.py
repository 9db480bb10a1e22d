"""The report: what it says about whole, half, empty and hostile runs; that it needs no network and never changes."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_fixtures import CONFIG, plan, tables_of
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.gate import Gate, parse_rule
from simdrive.eval.store import RunStore
from simdrive.report.evidence import gather, groups_of, series_of, short_labels
from simdrive.report.page import PageOptions, write_report
from simdrive.report.svg import ticks

VOID = {"meta", "link", "br", "img", "input", "hr", "source", "rect", "line", "circle", "polygon", "polyline"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where an element is closed by another one's tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_run(path: Path, rows: tuple[int, ...] = tuple(range(12)), config: Any = CONFIG) -> RunStore:
    store = RunStore.create_or_open(path, config, plan())
    for row in rows:
        store.write_part(tables_of(row))
    if len(rows) == 12:
        store.compact()
    return store


def page_of(run: Path, tmp_path: Path, **options: Any) -> tuple[Any, Page, str]:
    out = tmp_path / "report.html"
    verdict = write_report([run], out, PageOptions(**options))
    text = out.read_text(encoding="utf-8")
    return verdict, Page(text), text


def rename_agent(path: Path, old: str, new: str) -> None:
    """Let a run's agent be called otherwise, as a hostile configuration would."""
    for name in ("plan", "episodes"):
        table = pq.read_table(path / f"{name}.parquet")
        frame: pd.DataFrame = table.to_pandas()
        frame["agent"] = frame["agent"].replace(old, new)
        pq.write_table(pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False), path / f"{name}.parquet")


def test_whole_run(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    verdict, page, text = page_of(tmp_path / "run", tmp_path)
    assert (verdict.word, verdict.exit_code) == ("PASS", 0)
    assert f"<title>{verdict.title}</title>" in text
    for words in ("careful", "rash", "cut in", "lead brake", "3/3 = 100.0 %", "0/3 = 0.0 %", "12", "run.json"):
        assert words in page.text
    assert f"simdrive record run={tmp_path / 'run'} key=" in page.text
    assert len(page.all("article")) == 12


def test_no_request_leaves_the_page_and_data_parse(tmp_path: Path) -> None:
    store = make_run(tmp_path / "run")
    key = store.episodes()["key"].iloc[6]
    (tmp_path / "run" / "videos").mkdir()
    (tmp_path / "run" / "videos" / f"{key}.mp4").write_bytes(b"\x00\x01clip")
    _, page, text = page_of(tmp_path / "run", tmp_path)
    assert "http://" not in text
    assert "https://" not in text
    (video,) = page.all("video")
    assert base64.b64decode(str(video["src"]).split(",")[1], validate=True) == b"\x00\x01clip"
    for _, attributes in page.tags:
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:"))
    (link,) = [attributes for attributes in page.all("a") if attributes.get("download")]
    rows = base64.b64decode(str(link["href"]).split(",")[1], validate=True).decode().splitlines()
    assert len(rows) == 13
    policy = page.all("meta")[1]["content"] or ""
    assert policy.startswith("default-src 'none'")


def test_policy_allows_the_script_of_the_page_alone(tmp_path: Path) -> None:
    import hashlib

    make_run(tmp_path / "run")
    _, page, text = page_of(tmp_path / "run", tmp_path)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in (page.all("meta")[1]["content"] or "")


def test_same_run_same_bytes(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    first = page_of(tmp_path / "run", tmp_path)[2]
    assert page_of(tmp_path / "run", tmp_path)[2] == first


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></title>&lt;b onload='x'", "{{ 7*7 }}"],
)
def test_names_cannot_inject_markup(tmp_path: Path, name: str) -> None:
    store = make_run(tmp_path / "run")
    rename_agent(tmp_path / "run", "rash", name)
    store.record_error(3, name, f"message {name}", name)
    (tmp_path / "run" / "config.yaml").write_text(json.dumps({"suite": name, "agents": {}}), encoding="utf-8")
    _, page, _ = page_of(tmp_path / "run", tmp_path)
    assert [each for each in page.all("script") if each.get("type") != "application/json"] == [{}]
    assert not page.all("img")
    assert not page.all("b")
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert " ".join(name.split()) in page.text


def test_what_cannot_be_scored_is_not_called_not_run(tmp_path: Path) -> None:
    store = make_run(tmp_path / "run")
    path = store.path / "episodes.parquet"
    frame = pd.read_parquet(path)
    frame.loc[frame["scenario"] == "lead_brake", "failure"] = float("nan")  # nothing avoidable
    pq.write_table(pa.Table.from_pandas(frame, schema=pq.read_schema(path), preserve_index=False), path)
    _, page, _ = page_of(store.path, tmp_path)
    assert "not scored" in page.text
    assert "not run" not in page.text.replace("Grey: not run", "")


def test_half_a_run_is_incomplete(tmp_path: Path) -> None:
    make_run(tmp_path / "run", rows=(0, 1, 6))
    verdict, page, _ = page_of(tmp_path / "run", tmp_path)
    assert (verdict.word, verdict.exit_code) == ("INCOMPLETE", 4)
    assert "3 of 12 planned episodes are done" in page.text
    assert "9 planned episodes are not done" in page.text
    assert "not run" in page.text


def test_run_without_an_episode(tmp_path: Path) -> None:
    make_run(tmp_path / "run", rows=())
    verdict, page, _ = page_of(tmp_path / "run", tmp_path)
    assert verdict.word == "INCOMPLETE"
    assert "0 of 12 planned episodes are done" in page.text
    assert "there is nothing to draw" in page.text


def test_newer_schema_is_refused_with_its_version(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(run | {"schema": 99}))
    with pytest.raises(RunFolderError, match="schema version 99"):
        page_of(tmp_path / "run", tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_gate_and_baseline(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    gate = Gate((parse_rule("failure_rate>+0.5"),))
    verdict, page, _ = page_of(tmp_path / "run", tmp_path, baseline="careful", gate=gate)
    assert (verdict.word, verdict.exit_code) == ("FAIL", 3)
    assert "failure_rate>+0.5 fired for rash" in verdict.reasons[0]
    assert len(verdict.reasons) == 2
    assert "+100.0" in page.text
    with pytest.raises(UnknownNameError, match="Did you mean 'careful'"):
        page_of(tmp_path / "run", tmp_path, baseline="carefull")
    same = page_of(tmp_path / "run", tmp_path, baseline=str(tmp_path / "run"), gate=gate)[0]
    assert same.word == "PASS"


def test_videos_beyond_the_budget_are_linked(tmp_path: Path) -> None:
    store = make_run(tmp_path / "run")
    (tmp_path / "run" / "videos").mkdir()
    for key in store.episodes()["key"]:
        (tmp_path / "run" / "videos" / f"{key}.mp4").write_bytes(bytes(300))
    _, page, _ = page_of(tmp_path / "run", tmp_path, budget_bytes=1000, videos="worst:4")
    assert len(page.all("video")) == 2
    links = [str(each["href"]) for each in page.all("a") if str(each["href"]).startswith("run/videos/")]
    assert len(links) == 2
    assert all((tmp_path / link).is_file() for link in links)
    assert not page_of(tmp_path / "run", tmp_path, videos="none")[1].all("article")
    with pytest.raises(ParameterError, match="worst:N"):
        page_of(tmp_path / "run", tmp_path, videos="best:3")


def test_runs_side_by_side(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b")
    both = gather([tmp_path / "a", tmp_path / "b"])
    assert (len(both.plan), len(both.episodes), both.repeated) == (12, 12, 12)
    groups = groups_of(both)
    assert [(group.agent, group.setting) for group in groups[:2]] == [
        ("careful", "constant 0 ms"),
        ("careful", "constant 400 ms"),
    ]
    assert sum(group.requests for group in groups) == 48  # four each; those of the second folder are the same ones


def test_labels() -> None:
    labels = ["constant delay_ms=0, streaming, follow_plan", "constant delay_ms=200, streaming, follow_plan"]
    assert short_labels(labels) == ["constant delay_ms=0", "constant delay_ms=200"]
    assert short_labels(labels[:1]) == ["constant delay_ms=0"]
    assert short_labels([]) == []
    assert series_of("lognormal median_ms=300 sigma=0.8") == series_of("lognormal median_ms=217.8 sigma=0.8")
    assert series_of("lognormal median_ms=300 sigma=0.8") != series_of("lognormal median_ms=300 sigma=0")


@pytest.mark.parametrize(("highest", "last"), [(0.0, 1.0), (0.07, 0.08), (1.0, 1.0), (430.0, 500.0), (1e-9, 1e-9)])
def test_ticks_are_round_and_reach_the_end(highest: float, last: float) -> None:
    found = ticks(highest)
    assert found[0] == 0.0
    assert found[-1] == pytest.approx(last)
    assert len(found) <= 8


def test_command_line(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    words = ["report", str(tmp_path / "run"), "--baseline", "careful", "--fail-on", "failure_rate>+0.5", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.output
    facts = json.loads(result.output.splitlines()[-1])
    assert (facts["verdict"], facts["exit_code"]) == ("FAIL", 3)
    assert facts["bytes"] == (tmp_path / "run" / "report.html").stat().st_size
    assert CliRunner().invoke(app, ["report", str(tmp_path / "nothing")]).exit_code == 2
