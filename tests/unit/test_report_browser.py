"""The report in a real browser: it plays, scrubs and filters, complains about nothing and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from chromium_kit import Page, browser, chromium
from player_kit import TEXTS, duel

from simdrive.report.page import write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine; apt-get install chromium"),
]

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>"
CLOCK = "document.querySelector('[data-testid=clock]').textContent"
SCRUB = "document.querySelector('[data-testid=scrub]')"


def reading(name: str, side: int) -> str:
    return f"document.querySelector('.case:not([hidden]) [data-testid={name}-{side}]').textContent"


def said(side: int) -> str:
    return f"document.querySelectorAll('.case:not([hidden]) [data-testid=said]')[{side}].textContent"


def inked(side: int) -> str:
    """Tell how many colours the view from above holds."""
    return (
        f"(() => {{ const c = document.querySelectorAll('.case:not([hidden]) canvas')[{side}];"
        "const p = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
        "return new Set(p).size; })()"
    )


def scrub(page: Page, seconds: float) -> None:
    page.run(f"{SCRUB}.value = '{seconds}'; {SCRUB}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def clip(path: Path) -> None:
    """Write three seconds of video."""
    path.parent.mkdir(exist_ok=True)
    options = ["-preset", "ultrafast", "-movflags", "+faststart"]
    writer = imageio_ffmpeg.write_frames(
        str(path), (64, 48), fps=10, codec="libx264", macro_block_size=2, output_params=options
    )
    writer.send(None)
    for row in range(31):
        writer.send(np.full((48, 64, 3), 8 * row, np.uint8))
    writer.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    store = duel(folder / "run", texts=(TEXTS[0], HOSTILE, TEXTS[2]))
    clip(store.path / "videos" / f"{store.plan['key'][9]}.mp4")
    write_report([store.path], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium()
    assert program is not None
    with browser(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(page: Page, report: Path) -> Iterator[Page]:
    """The report, freshly loaded; whatever a test does, nothing may be complained about or asked for."""
    page.errors.clear()
    page.requests.clear()
    page.open(report)
    yield page
    assert page.errors == []
    assert {url.split(":", 1)[0] for url in page.requests} <= {"about", "file", "data"}
    assert page.run("document.title").startswith("INCOMPLETE")


def test_slider_moves_everything(opened: Page) -> None:
    assert opened.run(CLOCK) == "0.3 s"  # where the hazard comes into sight
    scrub(opened, 2.5)
    assert opened.run(CLOCK) == "2.5 s"
    assert opened.run(reading("speed", 0)) == "2.5"
    assert opened.run(reading("speed", 1)) == "10.0"
    assert opened.run(reading("ttc", 1)) == "0.6"  # 3.05 - 2.5
    assert opened.run(reading("age", 0)) == "500"
    assert opened.run(said(0)) == TEXTS[2]
    assert opened.run(inked(0)) > 3
    cursor = opened.run("parseFloat(document.querySelector('.case:not([hidden]) .cursor').style.left)")
    assert cursor == pytest.approx(100 * 2.5 / 3, abs=0.1)
    stale = opened.run("document.querySelectorAll('.case:not([hidden]) [data-stale]')[0].style.left")
    assert float(stale.rstrip("%")) == pytest.approx(100 * 2 / 3, abs=0.1)


def test_text_of_the_model_is_shown_and_stays_text(opened: Page) -> None:
    scrub(opened, 0.2)
    assert opened.run(said(1)) == ""
    scrub(opened, 1.39)
    assert opened.run(said(1)) == TEXTS[0]
    scrub(opened, 1.41)
    assert opened.run(said(1)) == HOSTILE
    assert opened.run("document.querySelectorAll('#same img, #same b').length") == 0


def test_keys(opened: Page) -> None:
    opened.run("document.querySelector('[data-testid=player]').focus()")
    opened.key("ArrowRight", 39)
    assert opened.run(CLOCK) == "0.4 s"
    opened.key("ArrowRight", 39, shift=True)
    assert opened.run(CLOCK) == "1.4 s"
    opened.key("ArrowLeft", 37)
    assert opened.run(CLOCK) == "1.3 s"
    opened.run(f"{SCRUB}.focus()")
    opened.key("ArrowRight", 39)
    assert opened.run(CLOCK) == "1.4 s"
    top = opened.run("scrollY")
    opened.key(" ", 32)
    assert opened.run("document.querySelector('[data-testid=play]').textContent") == "pause"
    opened.key(" ", 32)
    assert opened.run("document.querySelector('[data-testid=play]').textContent") == "play"
    assert opened.run("scrollY") == top


def test_plays_to_the_end(opened: Page) -> None:
    scrub(opened, 2.8)
    opened.click("[data-testid=play]")
    opened.wait(f"{CLOCK} === '3.0 s'")
    opened.wait("document.querySelector('[data-testid=play]').textContent === 'play'")
    assert opened.run(reading("speed", 0)) == "0.0"


def test_clip_of_the_gallery_seeks_along(opened: Page) -> None:
    assert opened.run("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.42E01E\"')") != ""
    film = "document.querySelector('.case:not([hidden]) [data-testid=film]')"
    opened.wait(f"{film} !== null && {film}.readyState >= 2")
    scrub(opened, 1.7)
    opened.wait(f"!{film}.seeking")
    assert opened.run(f"{film}.currentTime") == pytest.approx(1.7, abs=0.02)


def test_jumps_cases_and_links(opened: Page, report: Path) -> None:
    jump = "[...document.querySelectorAll('.case:not([hidden]) [data-testid=jump]')]"
    opened.run(f"{jump}.find((node) => node.textContent.includes('ways part')).click()")
    assert opened.run(CLOCK) == "1.7 s"
    opened.click("[data-testid=case-2]")
    assert opened.run("document.querySelector('[data-testid=of-2]').hidden") is False
    assert opened.run("document.querySelectorAll('.case:not([hidden])').length") == 1
    key = opened.run("JSON.parse(document.getElementById('player-data').textContent).cases[1].key")
    opened.open(report, fragment=f"#case={key}&t=2.1")
    assert opened.run("document.querySelector('[data-testid=of-1]').hidden") is False
    assert opened.run(CLOCK) == "2.1 s"


def test_filter_reaches_the_player(opened: Page) -> None:
    opened.click("[data-testid=agent-1]")
    assert opened.run("document.querySelector('[data-testid=filter]').hidden") is False
    off = opened.run(
        "[...document.querySelectorAll('.case:not([hidden]) .side')].map((n) => n.classList.contains('off'))"
    )
    assert off == [True, False]
    opened.click("[data-testid=clear]")
    assert opened.run("document.querySelectorAll('.off').length") == 0


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (390, 2)])
def test_fits_the_window(opened: Page, width: int, columns: int) -> None:
    opened.resize(width, 844)
    assert opened.run("document.documentElement.scrollWidth") <= width
    tops = opened.run(
        "[...document.querySelectorAll('.case:not([hidden]) canvas')].map((n) => n.getBoundingClientRect().x)"
    )
    assert len(set(tops)) == columns
    assert opened.run("document.querySelector('.case:not([hidden]) .strips').getBoundingClientRect().right") <= width
