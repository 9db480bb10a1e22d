"""The player of a report: which cases it takes, what its numbers are, and that no text of a model becomes markup."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from player_kit import TEXTS, duel, log_of
from run_fixtures import CONFIG, plan, planned
from straight_worlds import straight_road
from test_report_page import page_of

from simdrive.eval.store import RunStore
from simdrive.eval.work import _map_arrays
from simdrive.report.evidence import Group, gather, groups_of
from simdrive.report.ground import lanes_near, thinned
from simdrive.report.player import player_of, safe_json, tints
from simdrive.report.same_case import Side, shared_cases, telling
from simdrive.report.strips import limits, moments, request_bars, seconds, window_ms
from simdrive.report.svg import COLOURS
from simdrive.report.tracks import deltas, readings, runs, track

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(2)</script>",
    '\u2028]]>{{ 7*7 }} & "quoted" \'\\',
)


def data_of(text: str) -> dict[str, Any]:
    """Return the JSON block of a page."""
    start = text.index('id="player-data">') + len('id="player-data">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


def rash_and_careful() -> list[Any]:
    return [log_of(entry) for entry in planned() if entry.row in (3, 9)]


def group(agent: int, failures: dict[str, float], setting: int = 0) -> Group:
    """A group whose episodes of the named cases fail (1), do not (0) or are not scored (NaN)."""
    rows = [
        {"key": f"{name}-{agent}-{setting}", "case_key": name, "scenario": name[0], "seed": 0, "run": 0, "valid": True,
         "end": "goal", "failure": value, "min_ttc_s": 1.0}
        for name, value in failures.items()
    ]  # fmt: skip
    names = f"agent {agent}", f"setting {setting}", f"setting {setting}"
    return Group(*names, agent, setting, len(rows), pd.DataFrame(rows), np.zeros(0), 0, 0, 0, {})


def test_columns_are_differences_without_the_zeros_at_their_end() -> None:
    assert deltas(np.array([1.0, 1.5, 1.2, 1.2, 1.2]), 0.01) == [100, 50, -30]
    assert deltas(np.array([2.0, 2.0]), 1.0) == [2]
    assert deltas(np.zeros(3), 1.0) == [0]
    assert runs(np.array([True, True, False, True])) == [0, 2, 3, 4]
    assert runs(np.zeros(3, np.bool_)) == []


def test_thinned_keeps_what_bends() -> None:
    line = np.array([[0.0, 0.0], [1.0, 0.04], [2.0, 0.0], [2.0, 3.0]])
    assert thinned(line, 0.1).tolist() == [[0.0, 0.0], [2.0, 0.0], [2.0, 3.0]]
    assert thinned(line, 0.01).tolist() == line.tolist()


def test_cases_that_tell_drivers_apart_come_first_and_scenarios_take_turns() -> None:
    base = group(0, {"a1": 0.0, "a2": 0.0, "b1": 1.0, "b2": 0.0, "c1": math.nan, "d1": 1.0})
    other = group(1, {"a1": 1.0, "a2": 1.0, "b1": 1.0, "b2": 1.0, "c1": math.nan})
    found = shared_cases([base, other])
    assert [case.case_key for case in found] == ["a1", "b2", "a2", "b1", "c1"]  # nobody shares d1
    assert found[0].why == "Fails: agent 1, setting 0. Does not: agent 0, setting 0."
    assert found[3].why == "All that are scored fail."
    assert found[4].sides[0].failed is None
    assert [case.case_key for case in shared_cases([base, other], most=2)] == ["a1", "b2"]
    assert shared_cases([base]) == []
    assert shared_cases([]) == []


def test_blocked_episodes_count_as_not_scored() -> None:
    base, other = group(0, {"a1": 0.0}), group(1, {"a1": 1.0})
    other.episodes.loc[0, "end"] = "blocked"
    assert shared_cases([base, other])[0].sides[1].failed is None


def test_four_sides_at_most_new_agents_before_new_outcomes() -> None:
    def side(agent: int, setting: int, failed: bool) -> Side:
        return Side(f"{agent}{setting}", 0, f"agent {agent}", "", agent, setting, failed)

    grid = [side(agent, setting, failed=setting > 1) for agent in (0, 1) for setting in (0, 1, 2, 3)]
    assert [each.key for each in telling(grid)] == ["00", "02", "10", "12"]
    assert [each.key for each in telling(grid[:2])] == ["00", "01"]
    assert tints(grid[:1] + grid[4:6]) == [COLOURS[0], COLOURS[1], COLOURS[2]]


def test_readings_and_moments_of_the_duel() -> None:
    careful, rash = rash_and_careful()
    assert readings(careful)["speed"][20] == pytest.approx(5.0)
    # Rear of the parked car at 33 m, front of the ego at 2.5 m: 30.5 m at 10 m/s, then 0 at the contact.
    assert readings(rash)["ttc"][:2] == pytest.approx([3.05, 2.95])
    assert readings(rash)["ttc"][-1] == 0.0
    assert np.isnan(readings(careful)["ttc"][-1])  # it stands
    assert np.isnan(readings(careful)["age"][3])
    assert readings(careful)["age"][4] == pytest.approx(400.0)
    # 2.5 (t - 1)^2 first passes 1 m in the row of 1.7 s; 3.05 - t falls below 1.5 s in that of 1.6 s.
    found = [(moment.t_ms, moment.why, moment.side) for moment in moments([careful, rash])]
    assert (300, "hazard in sight", None) in found
    assert (1700, "ways part by 1 m", None) in found
    assert (1600, "TTC below 1.5 s", 1) in found
    assert (3000, "contact", 1) in found
    assert found == sorted(found, key=lambda each: each[0])
    assert moments([careful, careful])[0].why == "hazard in sight"
    assert window_ms([careful, rash]) == (0, 3000)
    assert seconds((0, 3000))[2] == (pytest.approx(100.0 / 3), "1")


def test_track_of_the_duel() -> None:
    found = track(log_of(planned()[3]), (0.0, 0.0))
    assert len(found["actors"]) == 3  # who is 300 m away is left out
    ego, parked, _ = found["actors"]
    assert ego["x"][:3] == [0, 100, 100]
    assert (parked["x"], parked["y"], parked["hazard"], parked["here"]) == ([3550], [0], True, [0, 31])
    assert found["t"][:2] == [0, 100]
    assert (found["requests"]["used"], found["requests"]["text"]) == ([400.0, 1400.0, 2400.0], list(TEXTS))
    assert np.cumsum(found["plan"])[[3, 4, 14]].tolist() == [-1, 0, 1]
    x, y = found["plans"][1]
    assert np.cumsum(x).tolist() == [1000 + 500 * k for k in range(9)]  # 10 m/s, every half second, four seconds
    assert set(y) == {0}


def test_long_answers_are_cut() -> None:
    log = log_of(planned()[3], texts=("x" * 5000,))
    assert track(log, (0.0, 0.0))["requests"]["text"] == ["x" * 600 + " …"]


def test_request_bars_by_hand() -> None:
    svg, rows = request_bars(log_of(planned()[3]), (0, 3000))
    assert rows == 1
    # 0 to 0.4 s of 3 s on a width of 1000.
    assert 'class="run" d="M0 2H133.3v7H0z' in svg
    assert 'class="used" d="M133.3 0v10' in svg
    assert "wait" not in svg
    assert request_bars(log_of(planned()[3], texts=()), (0, 3000)) == ("", 0)


def test_limits_are_round_and_hold_zero() -> None:
    assert limits("speed", np.array([3.0, 9.7, np.nan])) == (0.0, 10.0)
    assert limits("acceleration", np.array([-4.6, 1.0])) == (-5.0, 5.0)
    assert limits("ttc", np.array([np.nan])) == (0.0, 10.0)
    assert limits("steering", np.zeros(2)) == (-1.0, 1.0)
    low, high = limits("speed", np.array([-2.0, 5.0]))
    assert low <= -2.0
    assert high >= 5.0


def test_lanes_come_from_the_map_of_the_run(tmp_path: Path) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan())
    store.write_map("road", _map_arrays(straight_road()))
    found = lanes_near(store, "road", np.array([[10.0, 0.0], [50.0, 0.0]]), (10.0, 0.0))
    assert len(found) == 2
    # Lane 0 is 4 m wide at y = 0 and 600 m long; positions count from x = 10 m, in centimetres.
    assert found[0][:4] == [[-1000, 60000], [-200], [-1000, 60000], [200]]
    assert lanes_near(store, "road", np.array([[0.0, 900.0]]), (0.0, 0.0)) == []
    assert lanes_near(store, "absent", np.zeros((1, 2)), (0.0, 0.0)) == []


def test_report_shows_the_cases(tmp_path: Path) -> None:
    duel(tmp_path / "run")
    _, page, text = page_of(tmp_path / "run", tmp_path)
    data = data_of(text)
    assert len(data["cases"]) == 3
    assert [side["ending"] for side in data["cases"][0]["sides"]] == [
        "TIME LIMIT after 3.0 s", "CONTACT with car at 10.0 m/s",
    ]  # fmt: skip
    assert data["cases"][0]["begin"] == 300
    assert "Fails: rash, constant 400 ms. Does not: careful, constant 400 ms." in page.text
    assert "holds no map of this case" in page.text
    assert [each["data-testid"] for each in page.all("canvas")] == ["above"] * 6
    assert page_of(tmp_path / "run", tmp_path)[2] == text


def test_texts_of_models_cannot_inject_markup(tmp_path: Path) -> None:
    duel(tmp_path / "run", texts=HOSTILE)
    _, page, text = page_of(tmp_path / "run", tmp_path)
    assert [each.get("type") for each in page.all("script")] == ["application/json", None]
    assert not page.all("img")
    block = text[text.index('id="player-data">') + len('id="player-data">') :].split("</script>")[0]
    assert not set("<>&\u2028") & set(block)
    assert data_of(text)["cases"][0]["sides"][0]["requests"]["text"] == list(HOSTILE)
    assert safe_json({"agent": "<b>"}) == '{"agent":"\\u003cb\\u003e"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        safe_json({"speed": math.nan})


def test_section_says_why_it_is_absent(tmp_path: Path) -> None:
    def absent(run: Path) -> str:
        _, page, text = page_of(run, tmp_path)
        assert "player-data" not in text.replace('getElementById("player-data")', "")
        assert [each["data-testid"] for each in page.all("p") if "data-testid" in each][-1] == "player-absent"
        return page.text

    RunStore.create_or_open(tmp_path / "none", CONFIG, plan())
    assert "nothing to lay side by side" in absent(tmp_path / "none")
    duel(tmp_path / "one", agents=("careful",))
    assert "No case is done by two agents" in absent(tmp_path / "one")


def test_one_group_and_pages_too_large(tmp_path: Path) -> None:
    duel(tmp_path / "run")
    evidence = gather([tmp_path / "run"])
    groups = groups_of(evidence)
    alone = player_of(evidence, [each for each in groups if each.agent == "rash" and len(each.episodes)])
    assert (alone.cases, alone.reason) == ((), "One agent drove under one setting: there is nobody to lay beside it.")
    full = player_of(evidence, groups)
    assert (len(full.cases), full.left_out) == (3, 0)
    some = player_of(evidence, groups, most_bytes=len(full.data))
    assert 0 < len(some.cases) < 3
    assert some.left_out == 3 - len(some.cases)
    assert "too long for this page" in player_of(evidence, groups, most_bytes=100).reason


def test_run_without_requests_has_a_player(tmp_path: Path) -> None:
    duel(tmp_path / "run", texts=())
    _, page, text = page_of(tmp_path / "run", tmp_path)
    assert data_of(text)["cases"][0]["sides"][0]["requests"]["seen"] == []
    assert page.text.count("no request") >= 2
