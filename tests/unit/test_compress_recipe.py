"""Recipes: stages that continue, refuse what does not fit, and hand their results on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.cli.compress import parsed
from simdrive.compress.recipe import Stage, load_recipe, run_recipe
from simdrive.compress.requests import settings_of, train_request
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.models.folder import load_model, read_card

TINY = {"text_width": 32, "text_layers": 1, "text_heads": 2, "text_kv_heads": 1, "text_ffn": 48, "vision_width": 16,
        "vision_layers": 1, "vision_heads": 2, "vision_ffn": 24}  # fmt: skip
RECIPE = """
stages:
  - {stage: data, name: expert, suite: SUITE, cases: 1, control: 0.0, OFFSETS}
  - {stage: train, name: first, data: [expert], train: {steps: 2, batch: 2}, shape: SHAPE, REST}
  - {stage: data, name: own, suite: SUITE, cases: 1, control: 0.0, agent: {model: first, quantile: 0.3}, model_share: 1.0,
     number: 1, labels: first, OFFSETS}
  - {stage: train, name: second, data: [expert, own], init: first, deepen: 3, train: {steps: 1, batch: 2}, REST}
"""
OFFSETS = "frame_offsets_us: [0, -200000, -500000]"  # three pictures: the model takes as many
REST = "tensorboard: false, validate: {every: 0}"


def recipe(folder: Path) -> str:
    suite = folder / "short.yaml"
    suite.write_text("name: short\nversion: 1\nseed: 1\nentries: [{scenario: lead_braking, cases: 1}]\n")
    path = folder / "tiny.yaml"
    words = {"SUITE": str(suite), "SHAPE": json.dumps(TINY), "REST": REST, "OFFSETS": OFFSETS}
    text = RECIPE
    for name, word in words.items():
        text = text.replace(name, word)
    path.write_text(text)
    return str(path)


def test_stages_hand_their_results_on_and_are_not_done_twice(tmp_path: Path) -> None:
    stages = load_recipe(recipe(tmp_path))
    said: list[str] = []
    done = run_recipe(stages, tmp_path / "out", said.append)
    assert [one.name for one in done] == ["expert", "first", "own", "second"]
    card = read_card(done[-1].result)
    assert (card.name, card.parents) == ("second", ("first",))
    assert card.data["folders"] == ["expert", "own"]
    assert card.data["steps"] == 1
    assert card.data["wall_seconds"] > 0.0
    priced = card.data["priced"]
    assert priced["charged_as"] == "internvl3_1b w16a16"
    assert all(row["left"] == row["whole"] for row in priced["chips"].values())  # nothing was compressed
    assert load_model(done[-1].result).processor.frame_offsets_us == (0, -200_000, -500_000)
    assert yaml.safe_load((tmp_path / "out" / "own" / "agent.yaml").read_text())["quantile"] == 0.3
    assert len(list((tmp_path / "out" / "own").glob("model-answered-*.parquet"))) == 1
    assert all(one.seconds > 0 and one.peak_bytes > 1e8 for one in done)
    again: list[str] = []
    assert run_recipe(stages, tmp_path / "out", again.append) == done
    assert again == []
    sample = next((tmp_path / "out" / "own").glob("*.parquet"))
    kept = sample.read_bytes()
    sample.write_bytes(kept + b"x")  # made again since: what learned from it is no longer what it says
    with pytest.raises(RunFolderError, match="samples or models than the recipe's stage 'second'"):
        run_recipe(stages, tmp_path / "out", said.append)
    sample.write_bytes(kept)
    other = (*stages[:3], replace(stages[3], settings={**stages[3].settings, "deepen": 2}))
    with pytest.raises(RunFolderError, match="other settings, samples or models than the recipe's stage 'second'"):
        run_recipe(other, tmp_path / "out", said.append)


def test_changes_reach_their_stage(tmp_path: Path) -> None:
    given, changes = parsed(["recipe=x.yaml", "workers=2", "first.train.steps=5", "expert.cases=3"])
    assert given == {"recipe": "x.yaml", "workers": 2}
    stages = load_recipe(recipe(tmp_path), changes)
    assert stages[0].settings["cases"] == 3
    assert stages[1].settings["train"] == {"steps": 5, "batch": 2}
    settings = settings_of("train", {"train": {"lessons": {"plan": 1.0}}, "shape": {"text_layers": 2}})
    assert settings["train"]["lessons"] == {"plan": 1.0}
    assert settings["shape"]["text_layers"] == 2
    assert settings["shape"]["merge"] == 2


def test_any_agent_may_make_samples(tmp_path: Path) -> None:
    stages = load_recipe(recipe(tmp_path))
    driver = {"agent": "expert_spoken", "driver": "idm"}
    first = replace(stages[0], settings={**stages[0].settings, "agent": driver})
    run_recipe((first,), tmp_path / "out", print)
    assert yaml.safe_load((tmp_path / "out" / "expert" / "agent.yaml").read_text())["driver"] == "idm"


@pytest.mark.parametrize("agent", [{"quantile": 0.3}, {"model": "later", "quantile": 0.3}, {}])
def test_how_a_model_drives_needs_a_model_of_an_earlier_stage(tmp_path: Path, agent: dict[str, object]) -> None:
    stages = load_recipe(recipe(tmp_path))
    first = replace(stages[0], settings={**stages[0].settings, "agent": agent})
    with pytest.raises(ParameterError, match="an earlier stage .there is none."):
        run_recipe((first,), tmp_path / "out", print)


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (["nonsense"], ParameterError, "not of the form"),
        (["a.b=[1"], ParameterError, "cannot be read"),
    ],
)
def test_wrong_words_are_refused(words: list[str], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        parsed(words)


def test_wrong_recipes_are_refused(tmp_path: Path) -> None:
    name = recipe(tmp_path)
    with pytest.raises(UnknownNameError, match="thrid"):
        load_recipe(name, {"thrid": {"cases": 1}})
    with pytest.raises(UnknownNameError, match="stpes"):
        load_recipe(name, {"first": {"train": {"stpes": 1}}})
    text = Path(name).read_text()
    for change, kind, said in (
        (("stage: data, name: own", "stage: dance, name: own"), UnknownNameError, "dance"),
        (("name: own", "name: first"), ParameterError, "two stages named 'first'"),
        (("stage: data, name: own", "stage: data"), ParameterError, "lacks one of"),
        (("stages:", "steps:"), ParameterError, "list of stages"),
    ):
        Path(name).write_text(text.replace(*change))
        with pytest.raises(kind, match=said):
            load_recipe(name)


def test_a_recipe_is_given_what_it_needs(tmp_path: Path) -> None:
    name = recipe(tmp_path)
    text = Path(name).read_text()
    Path(name).write_text("inputs: {cases: how many}\n" + text.replace("stages:", "stages:", 1))
    with pytest.raises(ParameterError, match=r"needs cases=... \(how many\)"):
        load_recipe(name)
    with pytest.raises(UnknownNameError, match="speed"):
        load_recipe(name, None, {"cases": 3, "speed": 1})
    Path(name).write_text(
        "inputs: {teacher: a model}\n"
        + text
        + """
  - {stage: train, name: third, data: [expert], teacher: {planning: $teacher, kl: $teacher}}
"""
    )
    assert load_recipe(name, None, {"teacher": "runs/t"})[-1].settings["teacher"] == {
        "planning": "runs/t",
        "kl": "runs/t",
    }


def test_a_recipe_within_a_recipe_stands_for_its_stages(tmp_path: Path) -> None:
    family = load_recipe("family")
    names = [stage.name for stage in family]
    assert names == [stage.name for stage in load_recipe("teacher")] + [
        "student_sft", "blind_trained", "student_kd", "student_kd_pruned", "student_kd_int8", "student_kd_int4"
    ]  # fmt: skip
    assert family[names.index("student_kd")].settings["teacher"] == "teacher"
    assert family[names.index("student_sft")].settings["data"] == ["expert"]
    path = tmp_path / "round.yaml"
    path.write_text(f"stages: [{{recipe: {path}}}]\n")
    with pytest.raises(ParameterError, match="which it is a part of"):
        load_recipe(str(path))
    assert [stage.kind for stage in load_recipe("drive_kd_int8", None, {"teacher": "t", "data": "d"})] == [
        "train",
        "quantize",
    ]


def test_a_model_is_judged_as_it_shall_drive() -> None:
    validate = train_request(settings_of("train", {"data": ["d"], "validate": {"quantile": 0.3}})).closed_loop
    assert validate.driver == {"constrained": True, "quantile": 0.3}
    assert train_request(settings_of("train", {"data": ["d"]})).closed_loop.driver == {}


def test_the_command_lists_what_it_would_do(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["compress", f"recipe={recipe(tmp_path)}", "own.cases=7", "--dry-run"])
    assert found.exit_code == 0
    assert "own: data" in found.stdout
    assert "'cases': 7" in found.stdout
    assert CliRunner().invoke(app, ["compress"]).exit_code == 2
    assert Stage("data", "x", {}).settings == {}
