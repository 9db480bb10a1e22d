"""What is seen, who decides, what to do: exact answers to hand-made scenes."""

import numpy as np
from scenes import Actor, observe

from simdrive.agents.language.questions import (
    ASKED,
    DRIVING,
    PHRASINGS,
    answers,
    driving_question,
    every_word,
    triad_question,
)
from simdrive.agents.language.sights import sights
from simdrive.agents.language.targets import Targets
from simdrive.sim.state import Shape
from simdrive.types import CameraSpec

CAMERAS = (CameraSpec("narrow", 256, 64, 50.0), CameraSpec("wide", 256, 64, 120.0))


def said(actors: list[Actor], change: list[float], speed: float = 15.0, side: float = 0.0):  # type: ignore[no-untyped-def]
    batch = observe(actors, speed=speed)
    return answers(batch, sights(batch, CAMERAS), Targets(np.array([change]), np.array([[side, side]])))


def test_an_empty_road() -> None:
    found = said([], [0, 0, 0])
    assert (found.perception, found.reasoning, found.planning) == (
        ["nothing"],
        ["nothing"],
        ["keep straight for nothing"],
    )
    assert found.drive == ["speed 0 0 0 side 0m 0m"]


def test_a_braking_car_ahead() -> None:
    found = said([Actor(24.6, speed_mps=10.0, acceleration=-4.0)], [-4, -8, -12])
    assert found.perception == ["car lane 20 brakes"]
    assert found.reasoning == ["car lane brakes"]
    assert found.planning == ["brake-hard straight for car"]
    assert found.styled("reason_plan") == ["car lane brakes ; speed -4 -8 -12 side 0m 0m"]
    assert found.styled("full")[0].count(" ; ") == 3


def test_a_pedestrian_crosses_from_the_right() -> None:
    # heading -90 degrees: walks to the left, towards the lane
    walker = Actor(23.0, 4.0, 1.5, -np.pi / 2, shape=Shape.PEDESTRIAN, length_m=0.5, width_m=0.6)
    found = said([walker], [-6, -10, -15])
    assert found.perception == ["pedestrian right 20 crosses"]
    assert found.reasoning == ["pedestrian right crosses"]


def test_who_is_not_seen_is_not_said() -> None:
    assert said([Actor(20.0, speed_mps=0.0, seen=False)], [0, 0, 0]).perception == ["nothing"]
    behind = Actor(-15.0, speed_mps=20.0)
    assert said([behind], [0, 0, 0]).perception == ["nothing"]
    tiny = Actor(300.0, speed_mps=0.0, shape=Shape.DEBRIS, width_m=0.5)
    assert said([tiny], [0, 0, 0]).perception == ["nothing"]


def test_the_next_lane_does_not_matter_until_somebody_comes_over() -> None:
    beside = Actor(15.0, 3.5, 12.0)
    assert said([beside], [0, 0, 0]).perception == ["nothing"]
    coming = Actor(15.0, 3.5, 12.0, lateral_mps=-1.2)
    assert said([coming], [-2, -3, -3]).reasoning == ["car right enters"]


def test_the_nearest_comes_first_and_at_most_three_are_named() -> None:
    queue = [Actor(20.0 + 12.0 * k, speed_mps=5.0) for k in range(5)]
    found = said(queue, [-3, -5, -9]).perception[0].split(" , ")
    assert len(found) == 3
    assert found[0].startswith("car lane 15")


def test_prompts_say_what_the_car_knows_of_itself() -> None:
    batch = observe([], speed=12.3, cruise=15.0)
    assert driving_question(batch)[0].startswith("at 12.5 of 15 side 0m follow ; ")
    for style, wordings in DRIVING.items():
        assert {driving_question(batch, style, k)[0].split(" ; ")[1][:-2] for k in range(PHRASINGS)} == set(wordings)
    assert triad_question(batch, "reasoning", 1)[0].endswith(f"{ASKED['reasoning'][1]} ?")


def test_every_word_of_an_answer_is_known_to_the_tokenizer() -> None:
    known = {word for line in every_word() for word in line.split()}
    actors = [Actor(20.0, speed_mps=0.0), Actor(15.0, 3.5, 12.0, lateral_mps=-1.2), Actor(60.0, speed_mps=-10.0)]
    found = said(actors, [-4, -8, -12], side=1.5)
    texts = [*found.styled("full"), *driving_question(observe([]))]
    assert {word for text in texts for word in text.split()} <= known
