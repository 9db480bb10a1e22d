"""Side by side: who and which case, one clock, panes that stay as their episode ended, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from logs import make_log, with_fields
from run_fixtures import CONFIG, plan, planned, tables_of
from straight_worlds import straight_world
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.store import RunStore
from simdrive.report.hud import BAD, Caption
from simdrive.report.matchup import Seat, chosen, matchups, seats_of
from simdrive.report.panes import LARGE, SMALL_BOARD, Board, Pane, board_frames, split_labels
from simdrive.report.video import CARD_S, Layout
from simdrive.types import EpisodeLog

TINY = Board(
    pane=Layout(camera=(128, 72), bird_width=54, strip_height=30, supersample=1, compact=True, headed=False),
    head=20, banner=14, gap=2, text=(10, 8),
)  # fmt: skip
ZERO, LATE = "constant 0 ms", "constant 400 ms"


def driving(rows: int, **overrides: Any) -> EpisodeLog:
    """Ego at 10 m/s on lane 1 of the straight road, a standing car 25 m ahead."""
    lanes = np.ones((rows, 2), np.int32)
    return make_log(rows, x0=100.0, y=4.0, others=[{"x": 125.0, "y": 4.0}], **({"lane": lanes} | overrides))


def panes(*logs: EpisodeLog) -> list[Pane]:
    return [Pane(log, Caption(f"driver {k}", f"constant {k} ms, streaming")) for k, log in enumerate(logs)]


def frames_of(*logs: EpisodeLog, window_us: tuple[int, int] | None = None) -> list[np.ndarray]:
    return list(board_frames(panes(*logs), straight_world(), fps=10, board=TINY, window_us=window_us))


def test_boards_are_no_wider_than_a_screen() -> None:
    assert LARGE.size(2) == (1920, 610)
    assert LARGE.size(4) == LARGE.size(3) == (1920, 1176)
    assert SMALL_BOARD.size(2)[0] <= 1080
    assert LARGE.places(4) == [(0, 52), (964, 52), (0, 618), (964, 618)]
    for board in (LARGE, SMALL_BOARD, TINY):
        for count in (2, 3, 4):
            assert not any(side % 2 for side in board.size(count))


def test_an_episode_that_is_over_stays_dimmed_while_the_clock_goes_on() -> None:
    frames = frames_of(driving(6, contact_with=1), driving(10))
    assert {frame.shape for frame in frames} == {(136, 366, 3)}
    assert len(frames) == 10 + round(10 * CARD_S)
    left = [frame[20:, :182].tobytes() for frame in frames]
    assert left[4] != left[5] == left[6] == left[-1]  # it ends at 0.5 s
    assert frames[5][34:106, :182].mean() < 0.6 * frames[4][34:106, :182].mean()
    assert tuple(frames[5][35, 1]) == BAD != tuple(frames[4][35, 1])
    right = [frame[20:, 184:].tobytes() for frame in frames]
    assert len(set(right[:10])) == 10
    assert right[9] == right[-1]
    assert len({frame[:20].tobytes() for frame in frames}) == 10  # the clock


def test_a_window_cuts_all_panes_alike() -> None:
    whole = frames_of(driving(6), driving(10))
    part = frames_of(driving(6), driving(10), window_us=(300_000, 700_000))
    assert [frame.tobytes() for frame in part] == [frame.tobytes() for frame in whole[3:8]]


def test_three_panes_leave_a_place_for_the_parameters() -> None:
    frame = frames_of(driving(3), driving(3), driving(3))[0]
    assert frame.shape == (254, 366, 3)
    assert (frame[138:, 184:] != frame[-1, -1]).any()  # gap_m 20


def test_two_to_four_episodes_of_one_case() -> None:
    with pytest.raises(ParameterError, match="two to 4"):
        frames_of(driving(3))
    other = with_fields(driving(3), case=planned(1)[0].case)
    with pytest.raises(ParameterError, match="one case"):
        frames_of(driving(3), other)


def test_labels_lose_what_they_share() -> None:
    labels = ["constant delay_ms=0, streaming, follow_plan", "constant delay_ms=400, streaming, follow_plan"]
    assert split_labels(labels) == ("streaming, follow_plan", ["constant delay_ms=0", "constant delay_ms=400"])
    assert split_labels(labels[:1] * 2) == (labels[0], ["", ""])


def test_seats_are_agents_or_agents_at_settings() -> None:
    both = [Seat("careful", ZERO), Seat("careful", LATE)]
    assert seats_of(plan(1), ["careful"]) == both
    assert seats_of(plan(1), ["rash@400", "careful@0"]) == [Seat("rash", LATE), both[0]]
    assert seats_of(plan(1), [f"rash@{LATE}", "rash@400", "careful @ 0"]) == [Seat("rash", LATE), both[0]]


@pytest.mark.parametrize(
    ("names", "error", "told"),
    [
        (["carefull", "rash"], UnknownNameError, "Did you mean 'careful'"),
        (["carefull@0", "rash"], UnknownNameError, "unknown agent 'carefull'"),
        (["careful@40", "rash"], UnknownNameError, "constant 400 ms"),
        (["careful@", "rash"], UnknownNameError, "unknown setting"),
        (["careful@0"], ParameterError, "at least two, got careful@constant 0 ms"),
    ],
)
def test_unknown_seats_are_refused(names: list[str], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        seats_of(plan(1), names)


def test_more_than_four_are_refused() -> None:
    third = plan(1).assign(latency="constant 800 ms")
    with pytest.raises(ParameterError, match=r"up to 4, got 6 .*AGENT@SETTING"):
        seats_of(pd.concat([plan(1), third]), ["careful", "rash"])


def episodes(*rows: tuple[str, str, float, str, float]) -> pd.DataFrame:
    names = ["case_key", "agent", "failure", "end", "min_ttc_s"]
    frame = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    return frame.assign(key=[f"{row[1]}-{row[0]}" for row in rows], latency="x", camera="", corruption="")


NAN = float("nan")
TABLE = episodes(
    ("both-survive", "a", 0.0, "goal", 1.0), ("both-survive", "b", 0.0, "goal", 0.5),
    ("split-late", "a", 0.0, "goal", 3.0), ("split-late", "b", 1.0, "time_limit", 2.0),
    ("only-a-case", "a", 0.0, "goal", 1.0),
    ("unavoidable", "a", NAN, "contact", 0.0), ("unavoidable", "b", NAN, "goal", 0.4),
    ("both-fail-it", "a", 1.0, "contact", 0.0), ("both-fail-it", "b", 1.0, "contact", 0.0),
    ("split-early", "a", 1.0, "contact", 0.0), ("split-early", "b", 0.0, "goal", NAN),
)  # fmt: skip
SEATS = [Seat("a", "x"), Seat("b", "x")]


def test_cases_that_one_survives_and_another_does_not_come_first() -> None:
    found = matchups(TABLE, SEATS)
    order = ["split-early", "split-late", "unavoidable", "both-fail-it", "both-survive"]
    assert [matchup.case_key for matchup in found] == order
    assert found[0].keys == ("a-split-early", "b-split-early")
    assert found[0].verdicts == ("fails", "survives")
    assert found[2].verdicts == ("unscored", "unscored")
    turned = matchups(TABLE, SEATS[::-1])
    assert turned[0].keys == ("b-split-early", "a-split-early")


def test_without_scores_contacts_still_tell() -> None:
    plain = TABLE.drop(columns=["failure", "min_ttc_s"])
    assert [m.case_key for m in matchups(plain, SEATS)][:2] == ["unavoidable", "split-early"]


def test_choosing_a_case() -> None:
    found = matchups(TABLE, SEATS)
    assert chosen(found, TABLE, None, 2).case_key == "split-late"
    assert chosen(found, TABLE, "b-unavoidable", 1).case_key == "unavoidable"
    assert chosen(found, TABLE, "both-fai", 1).case_key == "both-fail-it"
    for key, nth, told in (
        (None, 6, "between 1 and 5"),
        ("nothing!", 1, "no finished episode"),
        ("both-", 1, "no finished episode"),
        ("only-a-case", 1, "only by a@x"),
    ):
        with pytest.raises(ParameterError, match=told):
            chosen(found, TABLE, key, nth)
    with pytest.raises(ParameterError, match=r"finished cases: a@x 1, b@x 0"):
        matchups(TABLE[TABLE["case_key"] == "only-a-case"], SEATS)


def command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["record", *words])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    monkeypatch.setattr("simdrive.scenarios.sampling.build_case", lambda case: straight_world())
    return store.path


def test_command_writes_one_video_of_two_stored_episodes(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "pair.gif"
    code, told = command(f"run={run}", "side_by_side=[careful@0,rash@400]", f"out={out}", "fps=2", "--json")
    assert code == 0, told
    facts = json.loads(told[told.index("{") :])
    assert [entry["key"] for entry in facts["episodes"]] == [planned(1)[0].key, planned(1)[3].key]
    assert [entry["verdict"] for entry in facts["episodes"]] == ["survives", "fails"]
    assert facts["shared_cases"] == facts["nth"] == 1
    width, height = SMALL_BOARD.size(2)
    assert iio.imread(out).shape[1:] == (height, width, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["side_by_side=careful"], "must be a list such as"),
        (["side_by_side=[]"], "must be a list such as"),
        (["side_by_side=[careful,brave]"], "unknown agent 'brave'"),
        (["side_by_side=[careful,rash]", "nth=2"], "nth must be between 1 and 1"),
        (["side_by_side=[careful,rash]", "nth=x"], "nth must be a whole number"),
        (["side_by_side=[careful,rash]", "agent=idm"], "agent is settled by the stored episode"),
        (["side_by_side=[careful,rash]", "key=0123456789"], "no finished episode"),
        (["key=x", "nth=2"], "nth goes with side_by_side"),
    ],
)
def test_command_explains_bad_words(run: Path, words: list[str], told: str) -> None:
    code, output = command(f"run={run}", *words)
    assert (code, told in output) == (2, True), output


def test_command_needs_a_run() -> None:
    code, told = command("side_by_side=[idm,expert]")
    assert (code, "give run=FOLDER" in told) == (2, True), told
