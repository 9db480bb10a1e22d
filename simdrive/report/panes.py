"""Several drivers on one case, side by side on one clock: a head, and for each a banner, its pictures and its strip."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from simdrive.corrupt.corruption import Corruption
from simdrive.errors import ParameterError
from simdrive.report.encode import check_name, write_gif, write_video
from simdrive.report.hud import BACKGROUND, FAINT, INK, Caption, fitting, font, outcome, outcome_colour, title
from simdrive.report.replay import frame_times
from simdrive.report.video import CARD_S, Layout, end_card, frames_at
from simdrive.sim.spec import WorldSpec
from simdrive.types import Bytes, EpisodeLog, Long

MOST_PANES = 4
_BORDER = 4  # pixels around the pictures of an episode that is over


@dataclass(frozen=True)
class Pane:
    """One driver's episode of the case."""

    log: EpisodeLog
    caption: Caption
    corruption: Corruption | None = None


@dataclass(frozen=True)
class Board:
    """Sizes in pixels: a head over one row of two panes, or two rows; each pane a banner over pictures and strip."""

    pane: Layout
    head: int
    banner: int
    gap: int
    text: tuple[int, int]  # font sizes of names and of what goes with them

    def places(self, count: int) -> list[tuple[int, int]]:
        """Return the left upper corner of each pane, two beside each other."""
        width, height = self.pane.size
        pitch = width + self.gap, height + self.banner + self.gap
        return [((k % 2) * pitch[0], self.head + (k // 2) * pitch[1]) for k in range(count)]

    def size(self, count: int) -> tuple[int, int]:
        """Return width and height of a picture with so many panes."""
        width, height = self.pane.size
        rows = -(-count // 2)
        return 2 * width + self.gap, self.head + rows * (height + self.banner) + (rows - 1) * self.gap


LARGE = Board(
    pane=Layout(bird_width=284, strip_height=130, headed=False), head=52, banner=44, gap=8, text=(24, 15)
)  # 1920 pixels wide
SMALL_BOARD = Board(
    pane=Layout(camera=(364, 208), bird_width=156, strip_height=48, compact=True, headed=False),
    head=28, banner=24, gap=4, text=(15, 11),
)  # fmt: skip


def board_frames(
    panes: Sequence[Pane], spec: WorldSpec, *, fps: float, board: Board, window_us: tuple[int, int] | None = None
) -> Iterator[Bytes]:
    """Yield the frames ``[H, W, 3]`` of two to four episodes of one case.

    An episode that is over stays as it ended, dimmed, under its outcome; the last one to end sets the length.

    Args:
        panes: who drove, in reading order.
        spec: the world of the case.
        fps: frames per second.
        board: sizes.
        window_us: from and to when; None = everything.

    Raises:
        ParameterError: if there are fewer than two or more than four panes, the cases differ, or ``fps`` or the
            window is out of range.
    """
    _check(panes)
    longest = max((pane.log for pane in panes), key=lambda log: int(log.t_us[-1]))
    times = frame_times(longest, fps, *(window_us or (None, None)))
    shared, own = split_labels([pane.caption.latency for pane in panes])
    captions = [Caption(pane.caption.agent, label) for pane, label in zip(panes, own, strict=True)]
    streams = [_pane(pane, caption, spec, times, board) for pane, caption in zip(panes, captions, strict=True)]
    blank = _ground(panes[0].log, shared, len(panes), board)
    frame = blank
    for t_us, pictures in zip(times.tolist(), zip(*streams, strict=True), strict=True):
        frame = _composed(blank, pictures, t_us, board)
        yield frame
    if int(times[-1]) == int(longest.t_us[-1]):
        yield from itertools.repeat(frame, round(CARD_S * fps))


def _check(panes: Sequence[Pane]) -> None:
    if not 2 <= len(panes) <= MOST_PANES:
        raise ParameterError(f"side by side goes with two to {MOST_PANES} episodes, got {len(panes)}")
    cases = {pane.log.case.key for pane in panes}
    if len(cases) > 1:
        raise ParameterError(f"side by side needs episodes of one case, got {len(cases)} cases: {', '.join(cases)}")


def split_labels(labels: Sequence[str]) -> tuple[str, list[str]]:
    """Return the comma-separated parts that all labels share, and what is left of each."""
    parts = [label.split(", ") for label in labels]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return ", ".join(shared), [", ".join(part for part in each if part not in shared) for each in parts]


def _pane(pane: Pane, caption: Caption, spec: WorldSpec, times_us: Long, board: Board) -> Iterator[Bytes]:
    """Yield a pane's pictures, one per time: driving, then the outcome for as long as the others take."""
    end_us = int(pane.log.t_us[-1])
    live = times_us[times_us < end_us]
    over = len(times_us) - len(live)
    shown = np.append(live, end_us) if over else live
    frames = frames_at(pane.log, spec, shown, caption=caption, layout=board.pane, corruption=pane.corruption)
    banner = _banner(caption, None, board)
    for frame in itertools.islice(frames, len(live)):
        yield np.concatenate([banner, frame])
    if over:
        card = _framed(end_card(next(frames), pane.log, board.pane), pane.log, board.pane)
        yield from itertools.repeat(np.concatenate([_banner(caption, pane.log, board), card]), over)


def _banner(caption: Caption, ended: EpisodeLog | None, board: Board) -> Bytes:
    """Return the line over a pane: who drives, and how it ended once it has."""
    width, height = board.pane.size[0], board.banner
    large, small = board.text
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    pad, middle, right = large // 2, height / 2, width - large // 2
    if ended is not None:
        words = outcome(ended)
        if ended.contact is not None:
            words += f"  ·  {ended.contact.t_us / 1e6:.1f} s"  # other outcomes say when by themselves
        left = right - font(small).getlength(words) - 2 * pad
        draw.rounded_rectangle((left, 4, right, height - 5), 4, fill=outcome_colour(ended))
        draw.text(((left + right) / 2, middle), words, BACKGROUND, font(small), "mm")
        right = int(left) - pad
    name = fitting(caption.agent, large, (right - pad) * (0.6 if caption.latency else 1.0))
    draw.text((pad, middle), name, INK, font(large), "lm")
    start = 2 * pad + font(large).getlength(name)
    draw.text((start, middle), fitting(caption.latency, small, right - start), FAINT, font(small), "lm")
    return np.asarray(image)


def _framed(card: Bytes, log: EpisodeLog, layout: Layout) -> Bytes:
    """Return a card with a border in the colour of the outcome around its pictures."""
    image = Image.fromarray(card)
    box = (0, 0, layout.size[0] - 1, layout.camera[1] - 1)
    ImageDraw.Draw(image).rectangle(box, outline=outcome_colour(log), width=_BORDER)
    return np.asarray(image)


def _ground(log: EpisodeLog, shared: str, count: int, board: Board) -> Bytes:
    """Return the picture without panes and clock: the case in the head, its parameters where a pane is free."""
    width, height = board.size(count)
    large, small = board.text
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    pad = large // 2
    draw.text((pad, board.head / 2), title(log), INK, font(large + 2), "lm")
    start = 3 * pad + font(large + 2).getlength(title(log))
    note = "  ·  ".join(part for part in (f"case {log.case.key[:8]}", f"seed {log.case.seed}", shared) if part)
    draw.text((start, board.head / 2), fitting(note, small, width - start - 8 * large), FAINT, font(small), "lm")
    if count % 2:
        left, top = board.places(count + 1)[-1]
        room = board.pane.size[0] - 4 * pad
        for line, (name, value) in enumerate(_parameters(log, (height - top) // (2 * small) - 2)):
            words = fitting(f"{name}   {value}", small, room)
            draw.text((left + 2 * pad, top + 2 * pad + 2 * small * line), words, FAINT, font(small), "lt")
    return np.asarray(image)


def _parameters(log: EpisodeLog, most: int) -> list[tuple[str, str]]:
    return [(name, f"{v:.4g}" if isinstance(v, float) else str(v)) for name, v in log.case.params[: max(most, 0)]]


def _composed(blank: Bytes, pictures: Sequence[Bytes], t_us: int, board: Board) -> Bytes:
    frame = blank.copy()
    for (left, top), picture in zip(board.places(len(pictures)), pictures, strict=True):
        frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    large = board.text[0]
    clock = Image.fromarray(frame[: board.head, -7 * large :])
    words = f"{t_us / 1e6:.1f} s"
    ImageDraw.Draw(clock).text((clock.width - large // 2, board.head / 2), words, INK, font(large + 2), "rm")
    frame[: board.head, -7 * large :] = np.asarray(clock)
    return frame


def record_panes(
    panes: Sequence[Pane],
    spec: WorldSpec,
    out: Path | str,
    *,
    fps: float,
    window_us: tuple[int, int] | None = None,
) -> int:
    """Write the video of several episodes of one case, ``.mp4`` or small ``.gif``; return how many frames it has.

    Raises:
        ParameterError: if the name ends otherwise, or as :func:`board_frames`.
    """
    out = Path(out)
    check_name(out)
    gif = out.suffix == ".gif"
    frames = board_frames(panes, spec, fps=fps, board=SMALL_BOARD if gif else LARGE, window_us=window_us)
    return (write_gif if gif else write_video)(out, frames, fps)
