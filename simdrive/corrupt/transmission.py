"""What the way from the sensor to the model does: fewer colours, bit errors, compression.

Bit errors and compression go through real codecs: JPEG of libjpeg (Pillow), H.265 of libx265 (ffmpeg).
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence

import numpy as np
from PIL import Image

from simdrive.corrupt.draws import Draws, each_frame
from simdrive.errors import SimdriveError
from simdrive.types import Bytes

COLOUR_BITS = (4, 3, 2, 1, 1)  # per channel; the last of luminance alone
WRONG_BITS = (2.0, 4.0, 8.0, 16.0, 32.0)  # mean number per frame
JPEG_QUALITY = 90
QP = (27, 32, 37, 42, 47)  # quantisation parameter of H.265: each about halves the bits of the one before
_SMALLEST_PX, _MULTIPLE_PX = 64, 8  # that libx265 takes without cropping
_TIMEOUT_S = 120
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


@each_frame
def colour_quant(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Keep the leading ``5 - severity`` bits of each channel; at severity 5 one bit of luminance."""
    if severity == 5:
        luma = np.rint((frame * _LUMA).sum(axis=2, keepdims=True)).astype(np.uint8)
        frame = np.repeat(luma, 3, axis=2)
    mask = np.uint8(256 - (256 >> COLOUR_BITS[severity - 1]))
    return frame & mask


@each_frame
def bit_error(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Flip bits of the frame's JPEG stream: blocks after an error shift or change colour until the row's restart mark.

    The number of flips is Poisson; a worse stream has the flips of a milder one and more.
    """
    stream = bytearray(_jpeg(frame))
    rng = draws.moving()
    counts = rng.poisson(np.diff((0.0, *WRONG_BITS)))
    flips = rng.uniform(size=(int(counts.sum()), 2))[: int(counts[:severity].sum())]
    begin = stream.index(b"\xff\xda")
    begin += 2 + int.from_bytes(stream[begin + 2 : begin + 4], "big")
    data = np.frombuffer(stream, np.uint8).copy()
    coded = _coded(data, begin)
    for place, bit in flips:
        at = coded[int(place * len(coded))]
        data[at] ^= np.uint8(1 << int(bit * 8))
        if data[at] == 0xFF:  # would read as a mark
            data[at] = 0xFE
    with Image.open(io.BytesIO(data.tobytes())) as image:
        return np.asarray(image.convert("RGB"))


def _jpeg(frame: Bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0, restart_marker_rows=1)
    return out.getvalue()


def _coded(data: Bytes, begin: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the places of coded bytes: neither marks nor stuffing."""
    mark = data == 0xFF
    after = np.concatenate([[False], mark[:-1]])
    plain = ~(mark | after)
    plain[:begin] = False
    return np.flatnonzero(plain)


def h265(frames: Bytes, severity: int, draws: Sequence[Draws]) -> Bytes:
    """Compress with H.265 at a constant quantisation parameter, every frame by itself (intra).

    So a frame does not depend on which others an agent happened to look at.

    Raises:
        SimdriveError: if the ffmpeg program fails or lacks libx265.
    """
    if not len(frames):
        return frames
    height, width = frames.shape[1:3]
    down, right = _padding(height), _padding(width)
    padded = np.pad(frames, [(0, 0), (0, down), (0, right), (0, 0)], mode="edge")
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    size = f"{padded.shape[2]}x{padded.shape[1]}"
    # One thread, no rate control, no look-ahead: the same frame gives the same bits wherever it stands.
    options = f"qp={QP[severity - 1]}:keyint=1:bframes=0:scenecut=0:pools=none:frame-threads=1:wpp=0:info=0:log-level=0"
    coded = _ffmpeg(
        [*raw, "-s", size, "-r", "10", "-i", "-", "-c:v", "libx265", "-preset", "fast", "-x265-params", options,
         "-pix_fmt", "yuv420p", "-f", "hevc", "-"],
        np.ascontiguousarray(padded).tobytes(),
    )  # fmt: skip
    decoded = _ffmpeg(["-threads", "1", "-f", "hevc", "-i", "-", "-fps_mode", "passthrough", *raw, "-"], coded)
    if len(decoded) != padded.size:
        raise SimdriveError(f"ffmpeg returned {len(decoded)} bytes for {len(frames)} frames of {size}")
    return np.frombuffer(decoded, np.uint8).reshape(padded.shape)[:, :height, :width].copy()


def _padding(size: int) -> int:
    return max(_SMALLEST_PX, -(-size // _MULTIPLE_PX) * _MULTIPLE_PX) - size


def _ffmpeg(arguments: Sequence[str], given: bytes) -> bytes:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SimdriveError(f"corruption h265 needs the ffmpeg program: {error}") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SimdriveError(f"corruption h265 needs an ffmpeg with libx265; it said: {' '.join(last)}")
    return done.stdout
