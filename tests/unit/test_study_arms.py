"""Arms of an ablation over training seeds."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.compress.recipe import load_recipe
from simdrive.errors import ParameterError
from simdrive.eval.studies.arms import against, arms_of, read_arms

RATES = {"supervised": (0.30, 0.40, 0.35), "full": (0.25, 0.30, 0.32), "kl": (0.30, 0.40)}


def folders(root: Path) -> list[str]:
    for arm, rates in RATES.items():
        for seed, rate in enumerate(rates):
            best = root / str(seed) / arm / "best"
            best.mkdir(parents=True)
            scores = {
                "answers": {"perception": {"exact": 0.5}, "reasoning": {"exact": 0.6}, "planning": {"exact": 0.4},
                            "plan": {"speed_error_mps": [1.0, 2.0, 3.0]}},
                "driving": {"failure_rate": rate},
            }  # fmt: skip
            (best / "card.json").write_text(json.dumps({"weight_hash": f"{arm}{seed}", "scores": scores}))
    return [str(root / str(seed)) for seed in range(3)]


def test_differences_are_paired_by_training_seed(tmp_path: Path) -> None:
    arms = {arm.name: arm for arm in arms_of(read_arms(folders(tmp_path), {}), "supervised")}
    assert list(arms) == ["supervised", "full", "kl"]
    assert arms["supervised"].against is None
    found = arms["full"].against
    assert found is not None
    differences = np.array([-0.05, -0.10, -0.03])
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(0.95)
    assert (found.seeds, found.mean) == (3, pytest.approx(-0.06))
    assert (found.low, found.high, found.p_value) == pytest.approx((low, high, test.pvalue))
    error = differences.std(ddof=1) / 3**0.5
    assert found.detectable == pytest.approx((stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * error)
    same = arms["kl"].against
    assert same is not None
    assert (same.seeds, same.mean) == (2, 0.0)
    assert np.isnan(same.p_value)


def test_failures_of_given_runs_take_the_place_of_those_of_the_cards(tmp_path: Path) -> None:
    given = {f"{arm}{seed}": 0.01 * seed for arm, rates in RATES.items() for seed in range(len(rates))}
    found = read_arms(folders(tmp_path), given)
    assert {one.failure_rate for one in found if one.place.endswith("/2")} == {0.02}
    del given["full1"]
    with pytest.raises(ParameterError, match="1/full"):
        read_arms([str(tmp_path / str(seed)) for seed in range(3)], given)


def test_one_seed_tells_nothing(tmp_path: Path) -> None:
    found = read_arms(folders(tmp_path)[:1], {})
    assert against(found[:1], found[1:2]) is None


def test_the_command_and_what_it_refuses(tmp_path: Path) -> None:
    of = ",".join(folders(tmp_path))
    done = CliRunner().invoke(app, ["study", "arms", f"of=[{of}]", f"out={tmp_path / 'out'}", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["arms"][1]["name"] == "full"
    text = (tmp_path / "out" / "arms.txt").read_text()
    assert "-6.0 [-15.0, +3.0]" in text
    assert "35.0 ± 5.0" in text
    for words, said in (
        ([], "of=\\[...\\] is needed"),
        ([f"of=[{of}]", "base=nothing"], "supervised"),
        ([f"of=[{tmp_path}/none]"], "no trained model"),
    ):
        refused = CliRunner().invoke(app, ["study", "arms", *words, f"out={tmp_path / 'out'}"])
        assert refused.exit_code == 2
        assert said.replace("\\", "") in refused.output.replace("\n", " ")


def test_the_recipes_of_the_ablation_hold_every_arm() -> None:
    given = {"student": "student", "teacher": "teacher", "data": "data", "seed": 3}
    stages = load_recipe("ablation", given=given)
    assert [stage.name for stage in stages[:3]] == [stage.name for stage in load_recipe("ablation_main", given=given)]
    assert len(stages) == 12
    schedules = {json.dumps(stage.settings["train"], sort_keys=True) for stage in stages if stage.name != "equal_time"}
    assert len(schedules) == 1  # the same for all
    assert all(stage.settings["train"]["seed"] == 3 for stage in stages)
