"""Frames to files: H.264 in MP4, or GIF; whole or absent."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from simdrive.errors import ParameterError
from simdrive.eval.files import write_atomically
from simdrive.report.hud import COLOURS
from simdrive.types import Bytes


def write_video(path: Path | str, frames: Iterable[Bytes], fps: float, starts: Sequence[int] = ()) -> int:
    """Write frames ``[H, W, 3]`` uint8 of one even size as H.264 (yuv420p, streamable); return how many.

    The file appears when it is complete. One encoder thread: the bytes do not depend on the machine's cores.

    Args:
        path: the file.
        frames: in order.
        fps: frames per second.
        starts: for videos that are read frame by frame: the first frame of each part. These and every second frame stand
            by themselves, and no frame needs a later one.

    Raises:
        ParameterError: if there is no frame, or a frame has another shape or an odd size.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0

    def write(temporary: Path) -> None:
        nonlocal count
        count = _encode(temporary, _checked(frames), fps, starts)

    write_atomically(path, write)
    return count


def _encode(path: Path, frames: Iterator[Bytes], fps: float, starts: Sequence[int]) -> int:
    first = next(frames)
    options = ["-threads", "1", "-preset", "veryfast", "-crf", "22", "-movflags", "+faststart"]
    if starts:
        moments = ",".join(f"{max(frame - 0.5, 0.0) / fps:.6f}" for frame in starts)
        options += ["-g", "2", "-bf", "0", "-force_key_frames", moments]
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-f", "mp4"]
    writer = imageio_ffmpeg.write_frames(
        str(path), (first.shape[1], first.shape[0]), fps=fps, codec="libx264", pix_fmt_out="yuv420p",
        macro_block_size=2, quality=None, ffmpeg_log_level="error", output_params=options + exact,
    )  # fmt: skip
    writer.send(None)
    count = 0
    try:
        for frame in itertools.chain([first], frames):
            writer.send(np.ascontiguousarray(frame))
            count += 1
    finally:
        writer.close()
    return count


def _checked(frames: Iterable[Bytes]) -> Iterator[Bytes]:
    shape: tuple[int, ...] | None = None
    for frame in frames:
        if (
            frame.ndim != 3
            or frame.shape[2] != 3
            or frame.dtype != np.uint8
            or frame.shape[0] % 2
            or frame.shape[1] % 2
        ):
            raise ParameterError(f"frames must be uint8 [H, W, 3] with even H and W, got {frame.dtype} {frame.shape}")
        if shape is not None and frame.shape != shape:
            raise ParameterError(f"all frames of a video need one size, got {shape} and {frame.shape}")
        shape = frame.shape
        yield frame
    if shape is None:
        raise ParameterError("a video needs at least one frame")


def write_gif(path: Path | str, frames: Iterable[Bytes], fps: float) -> int:
    """Write frames as an endless GIF with one palette for all of them; return how many.

    Raises:
        ParameterError: as :func:`write_video`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in _checked(frames)]
    width, height = images[0].size
    some = images[:: max(len(images) // 6, 1)]
    sheet = Image.new("RGB", (width, height * len(some)))
    for place, image in enumerate(some):
        sheet.paste(image, (0, height * place))
    palette = _palette(sheet)
    flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]

    def write(temporary: Path) -> None:
        flat[0].save(temporary, format="GIF", save_all=True, append_images=flat[1:], duration=round(1000 / fps), loop=0)

    write_atomically(path, write)
    return len(flat)


def _palette(sheet: Image.Image) -> Image.Image:
    """Return a picture whose palette holds the most frequent colours of ``sheet`` and all colours of the strip."""
    frequent = sheet.quantize(256 - len(COLOURS), Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in COLOURS for part in colour), *frequent])
    return palette


def check_name(out: Path) -> None:
    """Check that a video's name says what to write.

    Raises:
        ParameterError: if it ends in neither ``.mp4`` nor ``.gif``.
    """
    if out.suffix not in (".mp4", ".gif"):
        raise ParameterError(f"out must end in .mp4 or .gif, got {out.as_posix()!r}")
