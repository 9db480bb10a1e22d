"""``simdrive record``: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_fixtures import CONFIG, plan, planned, tables_of
from straight_worlds import straight_world
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.cli.demo import WORDS, free_folder
from simdrive.eval.store import RunStore


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["record", *words])
    assert result.exit_code == 2
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("scenario=cut_inn", "Did you mean 'cut_in'"),
        ("agent=exprt", "Did you mean 'expert'"),
        ("scenrio=cut_in", "Did you mean 'scenario'"),
        ("seed=-1", "seed must be a whole number"),
        ("seed=two", "seed must be a whole number"),
        ("hazard=maybe", "hazard must be true or false"),
        ("out=clip.avi", "out must end in .mp4 or .gif"),
        ("fps=0", "fps must be a number from 1 to 100"),
        ("window=[5,2]", "0 <= from < to"),
        ("params.ego_sped=20", "ego_sp"),
        ("params.ego_speed_mps=2000", "ego_speed_mps"),
        ("mode=strem", "Did you mean 'streaming'"),
        ("key=0123", "both run=FOLDER and key=KEY"),
    ],
)
def test_bad_words_are_explained(word: str, told: str) -> None:
    assert told in refused(word)


def test_a_grid_is_no_single_episode() -> None:
    assert "one latency setting, got 2" in refused("latency.delay_ms=[0,300]")


def test_stored_episode_settles_the_rest(tmp_path: Path) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    assert "agent is settled by the stored episode" in refused(f"run={store.path}", "key=x", "agent=idm")
    assert "unknown episode key" in refused(f"run={store.path}", "key=x")
    assert "run" in refused(f"run={tmp_path / 'nowhere'}", "key=x")


def test_stored_episode_is_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    monkeypatch.setattr("simdrive.scenarios.sampling.build_case", lambda case: straight_world())
    out, key = tmp_path / "clip.gif", planned(1)[3].key
    result = CliRunner().invoke(app, ["record", f"run={store.path}", f"key={key}", f"out={out}", "fps=5", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout.splitlines()[-1])
    assert out.read_bytes().startswith(b"GIF8")
    assert facts["video"] == out.as_posix()
    assert facts["agent"] == "rash"
    assert facts["outcome"].startswith("CONTACT with car")
    assert facts["failure"] == 1.0


def test_demo_leaves_another_runs_folder_alone(tmp_path: Path) -> None:
    from simdrive.cli.compose import compose_config
    from simdrive.cli.evaluate import build_request

    request = build_request(compose_config("eval", list(WORDS)), "chip")
    out = tmp_path / "demo"
    assert free_folder(request, out) == out
    RunStore.create_or_open(out, CONFIG, plan(1))
    beside = free_folder(request, out)
    assert beside.parent == tmp_path
    assert beside.name.startswith("demo-")
    assert len(beside.name) == len("demo-") + 8
    same = RunStore.create_or_open(beside, request.config(), plan(1))
    assert free_folder(request, same.path) == same.path
