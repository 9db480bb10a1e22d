"""Pages of docs/ as data: their code blocks, the commands in them, their links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language, empty for blocks without any."""
    return [body for found, body in _FENCE.findall(text_of(page)) if found == language]


def write_files(page: Path, folder: Path) -> list[str]:
    """Write every python and yaml block that names its file in its first line; return the names."""
    names = []
    for body in [*blocks(page, "python"), *blocks(page, "yaml")]:
        named = re.match(r"""(?:#|\"\"\") ?(\w+\.(?:py|yaml))\b""", body)
        if named:
            (folder / named[1]).write_text(body, encoding="utf-8")
            names.append(named[1])
    return names


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words behind ``simdrive`` of every command in the plain blocks of a page, placeholders left out."""
    for body in blocks(page, ""):
        for line in body.replace("\\\n", " ").splitlines():
            if line.startswith("simdrive ") and "..." not in line.partition("#")[0]:
                yield shlex.split(line, comments=True)[1:]


def links(page: Path) -> list[str]:
    """Return the targets of links and pictures that are no addresses, blocks of code left out."""
    plain = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text_of(page)))
    return [target for target in _LINK.findall(plain) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get: lower case, hyphens for spaces, signs dropped."""
    heads = re.findall(r"^#+ (.*)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}
