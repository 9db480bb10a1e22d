"""Way-points in text: what is one and what is not, what plan they mean, and what is lost on the way there and back."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scenes import Actor, observe

from simdrive.agents.heard import answer_form, heard
from simdrive.agents.language.waypath import ego_plan, plans_of_waypoints
from simdrive.agents.language.waypoints import (
    AXES,
    WaypointForm,
    texts_of_waypoints,
    waypoint_form,
    waypoints_from,
    waypoints_of,
)
from simdrive.agents.spoken import Spoken
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.sim.plans import PLAN_TIMES, plan_errors
from simdrive.types import Float, TokenUsage

FORM = WaypointForm(points=3)
TWO = WaypointForm(interval_s=1.0, points=2)


def read(text: str, form: WaypointForm = FORM) -> list[list[float]] | None:
    points, good = waypoints_from([text], form)
    return points[0].tolist() if good[0] else None


@pytest.mark.parametrize(
    "text",
    [
        "[(5, 0.5), (10.0, 1), (15.00, 1.50)]", "[[5,0.5],[10,1],[15,1.5]]", "Trajectory: [( 5 , .5 ),(10.,1) , (+15,1.5) ]\n",
        "at first [(1, 1), (2, 2), (3, 3)], no:\n[(5, 0.5), (10, 1), (15, 1.5)]",
    ],
)  # fmt: skip
def test_lists_are_read_and_left_becomes_minus_right(text: str) -> None:
    assert read(text) == [[5.0, -0.5], [10.0, -1.0], [15.0, -1.5]]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "[(5, 0), (10, 0)]", "[(5, 0), (10, 0), (15, 0), (20, 0)]", "[(5, 0), (10, 0), (15, 0)",
        "(5, 0), (10, 0), (15, 0)", "[(5, 0), (10, 0), (15, 0)] then stop", "[(5, 0), (10, 0), (nan, 0)]",
        "[(5, 0), (10, 0), (1e1, 0)]", "[(5, 0), (10, 0), (15, 0, 0)]", "[(5, 0), [10, 0], (15, 0)]", "[(5 0), (10 0), (15 0)]",
        "[(5, 0), (10, 0), (15, 0),]", "[(5, 0) (10, 0) (15, 0)]", "[(٥, 0), (10, 0), (15, 0)]", "[(5, 0), (10, 0), (15, 0)]]",
        "[(5, 0), (10, 0), (99, 0)]",  # 178 m/s
        "[(5, 0), (4, 0), (3, 0)]", "[(-2, 0), (-4, 0), (-6, 0)]",  # backwards
        "[(5, 0), (5.2, 4), (5.2, 8)]", "[(0, 3), (0, 6), (0, 9)]",  # sideways
    ],
)  # fmt: skip
def test_anything_else_is_unparsable(text: str) -> None:
    assert read(text) is None


def test_rounding_backwards_is_standing() -> None:
    points = read("[(2.0, 0), (1.9, 0), (1.8, 0)]")
    assert points is not None
    plan = ego_plan(np.array(points), FORM.times_s, 4.0, 0.0)
    assert (np.diff(plan[:, 1]) >= 0.0).all()
    assert plan[-1, 1] == pytest.approx(2.0)


@given(st.text(), st.sampled_from(tuple(AXES)))
def test_no_text_is_too_strange_to_read(text: str, axes: str) -> None:
    points, _ = waypoints_from([text], WaypointForm(axes=axes))
    assert np.isfinite(points).all()


@settings(deadline=None)  # kernels load on first use
@given(st.text("[](),.0123456789 -+", max_size=60))
def test_no_list_is_too_strange_to_drive(text: str) -> None:
    answer = heard(observe([], speed=8.0), [text], TokenUsage.zeros(1), form=TWO)
    assert not plan_errors(answer.plan).any()


POINT = st.tuples(st.floats(-999, 999), st.floats(-999, 999))


@settings(deadline=None)
@example([(1.0, 1.0), (0.0, 26.0)], 0.0)  # a long step after a short one at an angle: a spline swings out by kilometres
@given(st.lists(POINT, min_size=2, max_size=2), st.floats(0.0, 40.0))
def test_whatever_is_accepted_can_be_followed(pairs: list[tuple[float, float]], speed: float) -> None:
    text = f"[{', '.join(f'({x:.2f}, {y:.2f})' for x, y in pairs)}]"
    points, good = waypoints_from([text], TWO)
    plan = plans_of_waypoints(points, observe([], speed=speed), TWO)
    assert not plan_errors(plan).any()
    if good[0]:
        length = np.hypot(*np.diff(plan[0, :, 1:3], axis=0).T).sum()
        assert length < 2 * 60.0 + 3.0 * plan[0, -1, 4] + 30.0


@given(
    st.lists(st.tuples(st.floats(0.0, 8.0), st.floats(-1.0, 1.0)), min_size=3, max_size=3), st.sampled_from(tuple(AXES))
)
def test_points_are_read_back_as_they_were_said(steps: list[tuple[float, float]], axes: str) -> None:
    form = WaypointForm(points=3, axes=axes)
    points = np.cumsum(np.array([(x, y if x > 4.0 else 0.0) for x, y in steps]), axis=0).round(2)[None]
    text = texts_of_waypoints(points, form)
    back, good = waypoints_from(text, form)
    assert good.all()
    assert back == pytest.approx(points, abs=1e-9)


def test_axes_say_what_the_numbers_are() -> None:
    point = np.array([[[10.0, 2.0], [20.0, 4.0]]])  # ahead and to the right
    said = {axes: texts_of_waypoints(point, WaypointForm(1.0, 2, axes))[0].split("), ")[0] for axes in AXES}
    assert said == {
        "forward_left": "[(10.00, -2.00", "forward_right": "[(10.00, 2.00",
        "left_forward": "[(-2.00, 10.00", "right_forward": "[(2.00, 10.00",
    }  # fmt: skip


def arc(speed: float, acceleration: float, curvature: float, shift: float) -> Float:
    """Return a smooth plan of the car at (100, 0): constant acceleration down to standing, a bend, a lane change."""
    t = np.arange(0.0, 5.01, 0.1)
    stop = speed / -acceleration if acceleration < 0.0 else 99.0
    until = np.minimum(t, stop)
    s = until * (speed + 0.5 * acceleration * until)
    v = np.maximum(speed + acceleration * until, 0.0)
    if acceleration < 0.0:
        v = np.where(t >= stop, 0.0, v)
    # Cosine lane change over 40 m or 2.5 s on top of a circle, as an integral of headings on a fine grid.
    over = max(40.0, 2.5 * speed)
    fine = np.linspace(0.0, max(s[-1], 1.0), 4001)
    heading = curvature * fine + shift * np.pi / (2.0 * over) * np.sin(np.clip(fine / over, 0.0, 1.0) * np.pi)
    gap = np.diff(fine, prepend=0.0)
    x, y = np.cumsum(np.cos(heading) * gap), np.cumsum(np.sin(heading) * gap)
    h = np.interp(s, fine, heading)
    return np.stack([t, 100.0 + np.interp(s, fine, x), np.interp(s, fine, y), h, v], axis=1)


@settings(deadline=None)
@example(4.0, -0.75, 1.0, 0.0)  # the last step is just below a metre
@given(st.floats(4.0, 25.0), st.floats(-3.0, 2.0), st.floats(-1.0, 1.0), st.floats(-3.5, 3.5))
def test_smooth_plans_come_back_within_five_centimetres(
    speed: float, acceleration: float, lateral: float, shift: float
) -> None:
    plan = arc(speed, acceleration, lateral / speed**2, shift * min(speed / 15.0, 1.0))
    batch, form = observe([], speed=speed), WaypointForm()
    points, good = waypoints_from(texts_of_waypoints(waypoints_of(plan[None], batch, form), form), form)
    assert good.all()
    back = plans_of_waypoints(points, batch, form)[0]
    known = back[:, 0] <= form.horizon_s
    # Points are said to a centimetre, which is 0.02 rad over the last metre of a stop.
    for column, most in ((1, 0.05), (2, 0.05), (3, 0.05), (4, 0.6)):
        wanted = np.interp(back[known, 0], plan[:, 0], plan[:, column])
        at_points = np.isclose(back[known, 0] % form.interval_s, 0.0)
        error = np.abs(back[known, column] - wanted)
        assert error[at_points].max() < most
        # Between two points a stop is not known to better than its place.
        assert error.max() < (most if acceleration >= 0.0 or speed + 3.0 * acceleration > 0.0 else 4.0 * most)


def test_standing_keeps_heading_and_has_no_speed() -> None:
    batch = observe([], speed=0.0)
    plan = plans_of_waypoints(np.zeros((1, 3, 2)), batch, FORM)[0]
    assert plan[:, 1:] == pytest.approx(np.tile([100.0, 0.0, 0.0, 0.0], (len(plan), 1)))
    stops = read("[(4.0, -0.5), (6.0, -1.0), (6.0, -1.0)]")
    assert stops is not None
    plan = ego_plan(np.array(stops), FORM.times_s, 8.0, 0.0)
    assert plan[4:, 4] == pytest.approx(0.0)
    assert plan[4:, 3] == pytest.approx(plan[4, 3])
    assert plan[4, 3] > 0.1


def test_speed_starts_at_the_present_one_and_follows_the_points() -> None:
    steady = np.array([[5.0, 0.0], [10.0, 0.0], [15.0, 0.0]])
    assert ego_plan(steady, FORM.times_s, 10.0, 0.0)[:, 4] == pytest.approx(10.0)
    # 8 m/s2: 10 t - 4 t^2
    braking = np.array([[4.0, 0.0], [6.0, 0.0], [6.25, 0.0]])
    plan = ego_plan(braking, FORM.times_s, 10.0, 0.0)
    assert plan[0, 4] == pytest.approx(10.0)
    assert plan[2, 4] == pytest.approx(6.0, abs=0.3)
    assert plan[1, 1] == pytest.approx(10 * 0.25 - 4 * 0.25**2, abs=0.1)


def test_after_the_last_point_the_plan_goes_on_beside_its_route() -> None:
    batch = observe([], speed=10.0)
    points = np.array([[[5.0, 0.2], [10.0, 0.6], [15.0, 1.0]]])
    plan = plans_of_waypoints(points, batch, FORM)[0]
    assert plan[:, 0] == pytest.approx(PLAN_TIMES)
    assert plan[6:, 4] == pytest.approx(plan[6, 4])
    assert np.diff(plan[6:, 1]) == pytest.approx(0.25 * plan[6, 4], rel=1e-3)
    assert plan[-1, 3] == pytest.approx(0.0, abs=1e-2)  # along the road again
    assert 1.0 < plan[-1, 2] < 1.7


def test_the_world_turns_with_the_ego() -> None:
    batch = observe([], speed=10.0)
    batch.ego[0, 2] = np.pi / 2.0  # facing +y: right is -x
    plan = plans_of_waypoints(np.array([[[5.0, 0.0], [10.0, 0.5], [15.0, 1.0]]]), batch, FORM)[0]
    assert plan[6, 1:3] == pytest.approx([99.0, 15.0])
    assert plan[0, 3] == pytest.approx(np.pi / 2.0)


def test_unparsable_rows_are_counted_and_the_rest_drives() -> None:
    batch = observe([[Actor(50.0)], [Actor(50.0)]], speed=10.0, slots=[0, 1])
    answer = heard(batch, ["I would brake.", "[(5, 0), (10, 0), (15, 0)]"], TokenUsage.zeros(2), form=FORM)
    assert answer.error == ("unparsable", None)
    assert answer.plan[1, 6, 1] == pytest.approx(115.0)


def test_the_expert_heard_through_waypoints_does_what_the_expert_does() -> None:
    batch = observe([Actor(ahead_m=25.0, speed_mps=0.0)], speed=15.0)
    driver = Spoken(name="expert_waypoints", answer_form="waypoints")
    meant, back = driver._driver.plan(batch).plan[0], driver.plan(batch)
    assert back.error == (None,)
    known = back.plan[0, :, 0] <= 3.0
    times = back.plan[0, known, 0]
    assert meant[:, 4].min() < 5.0
    assert np.abs(back.plan[0, known, 1] - np.interp(times, meant[:, 0], meant[:, 1])).max() < 0.3
    assert np.abs(back.plan[0, known, 4] - np.interp(times, meant[:, 0], meant[:, 4])).max() < 1.0


def test_the_briefing_tells_the_form_it_is_read_by() -> None:
    told = WaypointForm(0.25, 8, "right_forward").briefing()
    assert "exactly 8 points" in told
    assert "up to 2 seconds" in told
    assert "x is how far to the right and y is how far ahead" in told
    example = told[told.index("[(") : told.index(", ...")] + "]"
    assert read(example, WaypointForm(0.5, 3, "right_forward")) == [[2.45, 0.0], [4.8, 0.07], [7.0, 0.2]]
    full = WaypointForm(1.0, 2).briefing()
    assert "..." not in full


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UnknownNameError, match="forward_left"):
        waypoint_form({"axes": "foward_left"})
    with pytest.raises(UnknownNameError, match="field of waypoints 'interval'"):
        waypoint_form({"interval": 0.5})
    with pytest.raises(ParameterError, match="0.1 to 2 s"):
        waypoint_form({"interval_s": 0})
    with pytest.raises(ParameterError, match="at least 1 s"):
        waypoint_form({"interval_s": 0.1, "points": 3})
    with pytest.raises(ParameterError, match="whole number from 2 to 64"):
        waypoint_form({"points": 1})
    for wrong in ({"points": 2.5}, {"points": True}, {"interval_s": "half"}, {"axes": 3}):
        with pytest.raises(ParameterError, match="of way-points must be a"):
            waypoint_form(wrong)
    with pytest.raises(UnknownNameError, match="answer_form"):
        answer_form("points", None)
    with pytest.raises(ParameterError, match="answer_form: waypoints"):
        answer_form("targets", {"points": 6})
    with pytest.raises(ParameterError, match="take fewer points"):
        waypoints_of(arc(10.0, 0.0, 0.0, 0.0)[None], observe([]), WaypointForm(points=20))
