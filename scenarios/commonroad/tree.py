"""Reads XML into a tree that knows its lines, so that every complaint names file, line and element.

Documents that declare a type or an entity are refused: nothing is expanded, nothing else is ever opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat  # nosec: declarations of types and entities are refused below

from simdrive.errors import ParameterError

_LARGEST_BYTES = 200_000_000
_DEEPEST = 60


@dataclass
class Node:
    """One element."""

    tag: str  # without namespace prefix
    attributes: dict[str, str]
    line: int
    file: str
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def refuse(self, what: str) -> NoReturn:
        """Raise the error that something is wrong with this element.

        Raises:
            ParameterError: always, naming file, line and element.
        """
        raise ParameterError(f"{self.file}, line {self.line}, <{self.tag}>: {what}")

    def all(self, *tags: str) -> Iterator[Node]:
        """Yield the children with one of the tags."""
        return (child for child in self.children if child.tag in tags)

    def find(self, tag: str) -> Node | None:
        """Return the first child with a tag, None if there is none."""
        return next(self.all(tag), None)

    def need(self, tag: str) -> Node:
        """Return the first child with a tag.

        Raises:
            ParameterError: if there is none.
        """
        child = self.find(tag)
        if child is None:
            self.refuse(f"has no element <{tag}>, which the format asks for here")
        return child

    def number(self) -> float:
        """Return the text as a finite number.

        Raises:
            ParameterError: if it is none.
        """
        return self._number(self.text.strip(), "holds")

    def attribute(self, name: str) -> str:
        """Return an attribute.

        Raises:
            ParameterError: if it is missing or empty.
        """
        value = self.attributes.get(name, "").strip()
        if not value:
            self.refuse(f"has no attribute {name!r}, which the format asks for here")
        return value

    def attribute_number(self, name: str) -> float:
        """Return an attribute as a finite number.

        Raises:
            ParameterError: if it is missing or no number.
        """
        return self._number(self.attribute(name), f"{name} is")

    def _number(self, text: str, what: str) -> float:
        try:
            value = float(text)
        except ValueError:
            self.refuse(f"{what} {text[:40]!r}; a number is needed")
        if not math.isfinite(value):
            self.refuse(f"{what} {text[:40]!r}; a finite number is needed")
        return value

    def positive(self, highest: float) -> float:
        """Return the text as a number in (0, highest].

        Raises:
            ParameterError: if it is none.
        """
        value = self.number()
        if not 0.0 < value <= highest:
            self.refuse(f"holds {value:g}, which is impossible here; allowed: above 0, at most {highest:g}")
        return value


class _Builder:
    def __init__(self, file: str) -> None:
        self.file, self.stack = file, list[Node]()
        self.root: Node | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.data
        self.parser.StartDoctypeDeclHandler = self.declared
        self.parser.EntityDeclHandler = self.declared

    def start(self, name: str, attributes: dict[str, str]) -> None:
        node = Node(name.rpartition(":")[2], attributes, self.parser.CurrentLineNumber, self.file)
        if len(self.stack) >= _DEEPEST:
            node.refuse(f"lies more than {_DEEPEST} elements deep; no file of the format does")
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.root = node
        self.stack.append(node)

    def end(self, _: str) -> None:
        self.stack.pop()

    def data(self, text: str) -> None:
        if self.stack:
            self.stack[-1].text += text

    def declared(self, *_: object) -> None:
        raise ParameterError(
            f"{self.file}, line {self.parser.CurrentLineNumber}, <!DOCTYPE>: declares a document type or an entity; "
            "these can open other files and are refused. Remove the declaration"
        )


def parse_xml(data: bytes, file: str) -> Node:
    """Return the root element of a document; ``file`` is how complaints call it.

    Raises:
        ParameterError: if it is no well-formed XML, declares a document type, or is too large.
    """
    if len(data) > _LARGEST_BYTES:
        raise ParameterError(f"{file}: holds {len(data)} bytes; at most {_LARGEST_BYTES} are read")
    builder = _Builder(file)
    try:
        builder.parser.Parse(data, True)
    except expat.ExpatError as error:
        inside = f"<{builder.stack[-1].tag}>" if builder.stack else "outside all elements"
        message = expat.errors.messages.get(error.code, "")
        reason = expat.ErrorString(error.code) or message or str(error)
        raise ParameterError(f"{file}, line {error.lineno}, {inside}: not well-formed XML: {reason}") from error
    except (ValueError, LookupError) as error:  # encodings that expat cannot read
        raise ParameterError(f"{file}, line 1, <?xml?>: cannot be read: {error}") from error
    if builder.root is None:
        raise ParameterError(f"{file}: holds no element")
    return builder.root


def read_xml(path: Path) -> Node:
    """Return the root element of a file.

    Raises:
        ParameterError: if it cannot be read, or as ``parse_xml``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_xml(data, str(path))
