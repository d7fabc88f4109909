"""Video in and out, through FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from kinowatt.clip import Clip, join
from kinowatt.errors import MediaError, OutputError
from kinowatt.media.image import STILL_FPS, aside, fit_frame, folder_aside, read_image

MEMORY_BYTES = 2**30  # what decoded footage may take; larger footage is made smaller while it is read
LONGEST_PX = 1920
FASTEST_FPS = 60.0
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MP4 = {"movflags": "faststart"}  # without use_metadata_tags: only the standard keys are written, and those survive a remux
CRF = "12"  # at 16 the luma of given frames came back at 39 dB; at 12 above 40 (LOG.md)


def _open(path: Path) -> Any:
    """A file for reading; tags that are not UTF-8 must not keep anybody from its picture."""
    return av.open(str(path), metadata_errors="replace")


def read_video(path: Path) -> Clip:
    """Footage at a constant rate, upright, RGB; pictures are clips of one frame. Never more than 1 GiB: beyond, it is read smaller.

    Variable frame rates are put on a constant grid by the frames' own times. MediaError if it cannot be read.
    """
    if not path.exists():
        raise MediaError(f"{path} does not exist")
    if path.suffix.lower() in PICTURES:
        return read_image(path)
    try:
        with _open(path) as file:
            if not file.streams.video:
                raise MediaError(f"{path} holds no video; give an MP4, MOV, WebM or MKV with a picture")
            return _decode(path, file)
    except av.error.FFmpegError as e:
        raise MediaError(f"{path} is not a video that can be read ({e.strerror}); MP4, MOV, WebM and MKV would work") from e


def _decode(path: Path, file: Any) -> Clip:
    stream = file.streams.video[0]
    stream.thread_type = "AUTO"
    fps = min(float(stream.average_rate or stream.guessed_rate or STILL_FPS), FASTEST_FPS)
    seconds = float(stream.duration * stream.time_base) if stream.duration else (file.duration or 0) / 1e6
    expected = max(stream.frames, math.ceil(seconds * fps), 1)
    scale = min(
        1.0,
        LONGEST_PX / max(stream.width, stream.height, 1),
        math.sqrt(MEMORY_BYTES / (3 * expected * max(stream.width * stream.height, 1))),
    )
    frames: list[np.ndarray] = []
    for index, frame_HWC in _on_grid(file.decode(stream), fps):
        if len(frames) * (frames[0].nbytes if frames else 0) > 2 * MEMORY_BYTES:
            raise MediaError(f"{path} is longer than its header says and does not fit into memory; cut it first")
        while len(frames) < index:  # a gap in the times: the last frame stands
            frames.append(frames[-1])
        h, w = frame_HWC.shape[:2]
        frames.append(fit_frame(frame_HWC, max(round(w * scale), 1), max(round(h * scale), 1)).transpose(2, 0, 1))
    if not frames:
        raise MediaError(f"{path} holds no frame that can be decoded")
    return Clip(np.stack(frames), fps=fps if len(frames) > 1 else STILL_FPS)


def _on_grid(frames: Iterator[Any], fps: float) -> Iterator[tuple[int, np.ndarray]]:
    """Upright frames with their place on a grid of constant rate; of several for one place the first is taken."""
    first, expected = None, 0
    for frame in frames:
        time = frame.time if frame.time is not None else expected / fps
        first = time if first is None else first
        index = round((time - first) * fps)
        if index < expected:
            continue
        upright = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
        yield index, np.ascontiguousarray(upright)
        expected = index + 1


def write_video(path: Path, clip: Clip, metadata: Mapping[str, str]) -> None:
    """Write H.264 (yuv420p, BT.709) in MP4 with metadata, aside first, then renamed. OutputError if that fails.

    Sides must be even: `engine.fill` refuses others.
    """
    assert clip.fps is not None
    part = aside(path)
    try:
        with av.open(str(part), "w", format="mp4", options=MP4) as file:
            for key, value in metadata.items():
                file.metadata[key] = value
            stream: Any = file.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
            stream.options = {"crf": CRF, "preset": "medium"}
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
            context.color_range = 1
            for frame_CHW in clip.frames_TCHW:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0)), format="rgb24")
                file.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            file.mux(stream.encode())
        part.replace(path)
    except (av.error.FFmpegError, OSError) as e:
        raise OutputError(f"{path} cannot be written: {e.strerror or e}") from e
    finally:
        part.unlink(missing_ok=True)


def write_joined(path: Path, parts: Sequence[Clip | Path], metadata: Mapping[str, str]) -> None:
    """Write parts of one size and rate behind each other. Files of ours (a Path) are taken over as they are compressed, bit by bit.

    So footage that is extended again and again is compressed once. A file that another encoder has made is decoded and compressed anew,
    with all others. OutputError if it cannot be written.
    """
    clips = [part for part in parts if isinstance(part, Clip)]
    if len(clips) == len(parts):
        write_video(path, join(clips), metadata)
        return
    with folder_aside(path) as folder:
        files = [part if isinstance(part, Path) else folder / f"{i}.mp4" for i, part in enumerate(parts)]
        for file, part in zip(files, parts, strict=True):
            if isinstance(part, Clip):
                write_video(file, part, {})
        if len({_stream_header(file) for file in files}) == 1:
            remux(path, files, metadata)
            return
    write_video(path, join([part if isinstance(part, Clip) else read_video(part) for part in parts]), metadata)


def _stream_header(path: Path) -> tuple[Any, ...]:
    """What must be equal for two files' packets to stand in one stream."""
    with _open(path) as file:
        stream = file.streams.video[0]
        return bytes(stream.codec_context.extradata or b""), stream.time_base, stream.average_rate, stream.width, stream.height


def remux(path: Path, files: Sequence[Path], metadata: Mapping[str, str]) -> None:
    """Write files' packets, as they are, behind each other, with metadata; aside first, then renamed. OutputError if that fails."""
    part, offset = aside(path), 0
    try:
        with av.open(str(part), "w", format="mp4", options=MP4) as out:
            for key, value in metadata.items():
                out.metadata[key] = value
            stream: Any = None
            for name in files:
                with _open(name) as file:
                    source: Any = file.streams.video[0]
                    stream = stream or out.add_stream_from_template(source)
                    packets = [packet for packet in file.demux(source) if packet.dts is not None]
                    for packet in packets:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        out.mux(packet)
                    offset += round(len(packets) / (source.average_rate * source.time_base))
        part.replace(path)
    except (av.error.FFmpegError, OSError) as e:
        raise OutputError(f"{path} cannot be written: {e.strerror or e}") from e
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Footage:
    """What a file's picture is, whatever container it stands in."""

    sha256: str  # of the decoder's header and then all packets, in decoding order
    frames: int
    width: int  # pixels
    height: int
    fps: float
    steady: bool  # every frame stands at its place of a constant rate
    tracks: int  # of sound, subtitles and further pictures


def footage(path: Path, fps: float | None = None) -> Footage:
    """The footage of a file, read without decoding it; `fps` is the rate that its times are held against, by default the file's own.

    Compressed pictures go unchanged from one container to another, so their hash outlives a remux. MediaError if it cannot be read.
    """
    digest, times_s = hashlib.sha256(), []
    try:
        with _open(path) as file:
            if not file.streams.video:
                raise MediaError(f"{path} holds no video; give an MP4, MOV, WebM or MKV with a picture")
            stream: Any = file.streams.video[0]
            rate = fps or float(stream.average_rate or STILL_FPS)
            if stream.codec_context is None:
                raise MediaError(f"{path} is compressed in a way that is not known here")
            digest.update(bytes(stream.codec_context.extradata or b""))
            for packet in file.demux(stream):
                if packet.size:
                    digest.update(bytes(packet))
                    times_s.append(float((packet.pts or 0) * packet.time_base))
            size, tracks = (stream.width, stream.height), len(file.streams) - 1
    except av.error.FFmpegError as e:
        raise MediaError(f"{path} is not a video that can be read ({e.strerror})") from e
    times_s.sort()
    steady = all(abs(t - times_s[0] - i / rate) < 0.5 / rate for i, t in enumerate(times_s))
    return Footage(digest.hexdigest(), len(times_s), *size, rate, steady, tracks)


def read_metadata(path: Path) -> dict[str, str]:
    """The tags of a media file. MediaError if it cannot be read."""
    if not path.exists():
        raise MediaError(f"{path} does not exist")
    try:
        with _open(path) as file:
            return dict(file.metadata)
    except av.error.FFmpegError as e:
        raise MediaError(f"{path} is not a media file that can be read ({e.strerror})") from e
