"""Reads question-answer data in the item format of Drive-KD (arXiv 2601.21288, ``Colamentos2023/Drive-KD``), strictly.

An item is ``{"messages": [user, assistant, ...], "images": [path, ...], "question_type": "perception"}``, with one
``<image>`` in the questions per path; objects are written ``<c1,CAM_FRONT,0.4678,0.6772>`` (normalised x, y). Published
files hold values beyond 1 and list the cameras of a scene in different orders, so cameras go by name, and a place outside
the picture is reported instead of used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from simdrive.agents.language.questions import TOPICS, Topic
from simdrive.errors import ParameterError, SimdriveError
from simdrive.types import Bytes

MARK = "<image>"
ROOTS = ("data", "items", "samples", "dataset", "records")
TYPE_FIELDS = ("question_type", "type", "capability")
# Short forms of the types; longer words count by the stem they hold ("logical_reasoning", "percep").
ALIASES: dict[str, Topic] = {
    "p": "perception", "per": "perception", "perceive": "perception", "r": "reasoning", "infer": "reasoning",
    "pl": "planning", "d": "planning", "decision": "planning",
}  # fmt: skip
STEMS: dict[str, Topic] = {"percep": "perception", "reason": "reasoning", "plan": "planning"}

_TAG = re.compile(r"<\s*(c[0-9]+)\s*,([^<>]{0,200})>")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{0,12})?")
_CAMERA = re.compile(r"(?<![A-Z0-9_])(?:[A-Za-z0-9+.-]*__)?(CAM(?:_[A-Z0-9]+)+?)(?=__|[^A-Z0-9_]|$)")


@dataclass(frozen=True)
class ObjectTag:
    """An object that a text points at: its place in the picture of one camera, both 0 to 1 from the top left."""

    label: str
    camera: str
    x: float
    y: float


@dataclass(frozen=True)
class KdItem:
    """One item, checked: questions still hold their image marks, object tags only those whose place is in the picture."""

    number: int  # place in the file, from 0
    turns: tuple[tuple[str, str], ...]  # (question, answer)
    images: tuple[Path, ...]
    cameras: tuple[str, ...]  # by the names in the paths; empty where there is none
    question_type: Topic
    tags: tuple[ObjectTag, ...]
    system: str = ""

    @property
    def question(self) -> str:
        """The first question without its image marks."""
        return self.turns[0][0].replace(MARK, "")

    def pictures(self) -> tuple[Bytes, ...]:
        """Return the images as uint8 ``[H, W, 3]``.

        Raises:
            SimdriveError: if one is damaged.
        """
        return tuple(_picture(path, self.number) for path in self.images)


@dataclass(frozen=True)
class Fault:
    """What is wrong with an item: an error makes it useless, a doubt only costs the object tag it is about."""

    number: int
    severity: Literal["error", "doubt"]
    message: str


@dataclass(frozen=True)
class KdFile:
    """A file as far as it can be used, and everything that is wrong with it."""

    items: tuple[KdItem, ...]
    faults: tuple[Fault, ...]
    skipped: int  # items of unknown type that were to be left out
    total: int

    def types(self) -> dict[str, int]:
        """Return how many items each type has."""
        counts = Counter(item.question_type for item in self.items)
        return {topic: counts[topic] for topic in TOPICS}

    def cameras(self) -> dict[str, int]:
        """Return how many images each camera has; ``-`` is a path without a camera's name."""
        counts = Counter(camera or "-" for item in self.items for camera in item.cameras)
        return dict(sorted(counts.items()))


def check_items(path: Path, unknown: str = "error", decode: bool = True) -> KdFile:
    """Read a file and list all its faults.

    Args:
        path: JSON file; images are found relative to it.
        unknown: items of unknown type are an ``error``, or ``skip``.
        decode: open every image, too.

    Raises:
        SimdriveError: if the file as a whole cannot be read.
        ParameterError: if ``unknown`` is neither.
    """
    if unknown not in ("error", "skip"):
        raise ParameterError(f"unknown must be error or skip, got {unknown!r}")
    items, faults, skipped, total = [], [], 0, 0
    for number, entry in enumerate(_entries(path)):
        total += 1
        if isinstance(entry, Mapping) and unknown == "skip" and _topic(_type_of(entry)) is None:
            skipped += 1
            continue
        try:
            item, doubts = _item(number, entry, path.parent)
            if decode:
                item.pictures()
        except _ItemError as error:
            faults.append(Fault(number, "error", str(error)))
            continue
        items.append(item)
        faults += doubts
    return KdFile(tuple(items), tuple(faults), skipped, total)


def read_items(path: Path, unknown: str = "error") -> Iterator[KdItem]:
    """Yield the items of a file, for training; images are opened when they are asked for.

    Raises:
        SimdriveError: at the first item that cannot be used.
    """
    found = check_items(path, unknown, decode=False)
    for fault in found.faults:
        if fault.severity == "error":
            raise SimdriveError(f"{path}: {fault.message}; 'simdrive data check {path}' lists all faults")
    return iter(found.items)


class _ItemError(SimdriveError):
    """An item cannot be used."""


def _entries(path: Path) -> list[Any]:
    try:
        blob = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SimdriveError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SimdriveError(f"{path} cannot be read: {error}") from error
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise SimdriveError(f"{path} is no JSON, or is cut off: {error}; copy or export it again") from error
    if isinstance(blob, Mapping):
        blob = next((blob[name] for name in ROOTS if isinstance(blob.get(name), list)), None)
    if not isinstance(blob, list):
        raise SimdriveError(
            f"{path} holds no items: its root must be a list, or an object with a list {', '.join(ROOTS)}"
        )
    return blob


def _item(number: int, entry: Any, folder: Path) -> tuple[KdItem, list[Fault]]:
    if not isinstance(entry, Mapping):
        raise _ItemError(f"item {number} is {type(entry).__name__}, not an object")
    given = _type_of(entry)
    topic = _topic(given)
    if topic is None:
        raise _ItemError(
            f"item {number} has the unknown question_type {given!r:.80}; known are {', '.join(TOPICS)} and their short "
            "forms; unknown=skip leaves such items out"
        )
    system, turns = _turns(number, entry)
    images = _images(number, entry, folder)
    marks = sum(question.count(MARK) for question, _ in turns)
    if marks != len(images):
        raise _ItemError(
            f"item {number} has {marks} {MARK} marks for {len(images)} images; both numbers must be the same"
        )
    cameras = tuple(_camera_of(path) for path in images)
    tags, doubts = _tags(number, turns, cameras)
    return KdItem(number, turns, images, cameras, topic, tags, system), doubts


def _type_of(entry: Mapping[str, Any]) -> Any:
    return next((entry[name] for name in TYPE_FIELDS if name in entry), None)


def _topic(given: Any) -> Topic | None:
    if not isinstance(given, str):
        return None
    word = given.strip().lower().replace("-", "_").replace(" ", "_")
    return ALIASES.get(word) or next((topic for stem, topic in STEMS.items() if stem in word), None)


def _turns(number: int, entry: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    messages = entry.get("messages")
    if messages is None and "question" in entry:
        messages = [
            {"role": "user", "content": entry["question"]},
            {"role": "assistant", "content": entry.get("answer")},
        ]
    if not isinstance(messages, list) or not messages:
        raise _ItemError(f"item {number} has no list of messages")
    said: list[tuple[str, str]] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(role, str) or not isinstance(content, str):
            raise _ItemError(f"item {number} has a message without role or content in text")
        said.append((role.strip().lower(), content))
    system = said.pop(0)[1] if said[0][0] == "system" else ""
    if not said or len(said) % 2 or [role for role, _ in said] != ["user", "assistant"] * (len(said) // 2):
        raise _ItemError(
            f"item {number}: messages must be user and assistant in turn, got {[role for role, _ in said]!r:.120}"
        )
    if any(MARK in text for text in (system, *(text for role, text in said if role == "assistant"))):
        raise _ItemError(f"item {number} has {MARK} marks outside its questions")
    texts = [text for _, text in said]
    return system, tuple(zip(texts[::2], texts[1::2], strict=True))


def _images(number: int, entry: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    names = entry.get("images", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise _ItemError(f"item {number}: images must be a list of paths")
    paths = tuple(folder / name for name in names)
    for path in paths:
        try:
            there = path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            there = False
        if not there:
            raise _ItemError(
                f"item {number}: image {str(path)!r:.300} does not exist; paths count from the folder of the file"
            )
    return paths


def _camera_of(path: Path) -> str:
    found = [name for part in path.parts for name in _CAMERA.findall(part)]
    return found[-1] if found else ""


def _tags(
    number: int, turns: tuple[tuple[str, str], ...], cameras: tuple[str, ...]
) -> tuple[tuple[ObjectTag, ...], list[Fault]]:
    tags: dict[ObjectTag, None] = {}
    doubts: dict[str, None] = {}
    shown = set(cameras)
    for match in (match for turn in turns for text in turn for match in _TAG.finditer(text)):
        parts = [part.strip() for part in match[2].split(",")]
        if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts[1:]):
            doubts[f"{match[0]} is not <label,camera,x,y>"] = None
            continue
        tag = ObjectTag(match[1], parts[0], float(parts[1]), float(parts[2]))
        if not (0.0 <= tag.x <= 1.0 and 0.0 <= tag.y <= 1.0):
            doubts[f"{match[0]} lies outside its picture: x and y must be 0 to 1"] = None
        elif "" not in shown and tag.camera not in shown:
            doubts[f"{match[0]} names a camera without an image here ({', '.join(sorted(shown)) or 'none'})"] = None
        else:
            tags[tag] = None
    return tuple(tags), [Fault(number, "doubt", f"item {number}: {text}") for text in doubts]


def _picture(path: Path, number: int) -> Bytes:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _ItemError(f"item {number}: image {path} is damaged ({error})") from error
