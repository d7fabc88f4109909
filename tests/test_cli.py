"""The command line: every mode on every kind of file, and bad input in one sentence with nothing half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from kinowatt.clip import Clip
from kinowatt.media import provenance, video

Ran = Any  # exit code, out, err (conftest.py)
Run = Callable[..., Ran]
QUICK = ("--size", "64x48", "--steps", "2", "--seed", "1", "--runtime", "torch")


def footage(frames: int, width: int, height: int, fps: float = 16.0) -> Clip:
    """A slope with a square that moves: smooth enough to survive a codec."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack([np.stack([60 + 120 * x, 40 + 150 * y, 180 - 100 * x * (t + 1) / frames]) for t in range(frames)])
    return Clip(pixels.astype(np.uint8), fps=fps)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """4K, portrait with sound, variable rate, one frame, and a photograph that lies on its side."""
    folder = tmp_path_factory.mktemp("files")
    paths = {name: folder / f"{name}.mp4" for name in ("uhd", "portrait", "single", "plain")}
    video.write_video(paths["uhd"], footage(6, 3840, 2160, 30.0), {})
    video.write_video(paths["single"], footage(1, 90, 70), {})
    video.write_video(paths["plain"], footage(24, 128, 96, 24.0), {})
    with av.open(str(paths["portrait"]), "w") as file:  # with sound, and times that jump
        stream: Any = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 108, 192, "yuv420p"
        sound: Any = file.add_stream("aac", rate=8000)
        stream.codec_context.time_base = Fraction(1, 30)
        for t, pixels in zip([0, 1, 2, 6, 7, 8, 9, 20, 21, 22, 23, 24], footage(12, 108, 192).frames_TCHW, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        tone.rate = 8000
        file.mux(sound.encode(tone))
        file.mux(sound.encode())
    paths["photo"] = folder / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(footage(1, 400, 300).frames_TCHW[0].transpose(1, 2, 0)).save(paths["photo"], exif=exif)
    return paths


def made(ran: Ran, out: Path) -> tuple[Clip, dict[str, Any]]:
    assert ran.code == 0, ran.err
    return video.read_video(out), provenance.read_label(out)


def test_a_sentence_becomes_a_video_with_its_label(kinowatt: Run, small_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    ran = kinowatt("generate", "a red ball, 雪地, and a flumph", "-o", out, "--model", small_model, "--seconds", "0.5", *QUICK, "--sheet")
    clip, label = made(ran, out)
    assert (clip.width, clip.height, clip.frames, clip.fps) == (64, 48, 9, 16.0)
    assert label["shot"]["prompt"] == "a red ball, 雪地, and a flumph"
    assert label["shot"]["seed"] == 1
    assert label["energy"]["total_Wh"] > 0
    assert {"denoise", "decode"} <= set(label["energy"]["phases"])
    assert "not understood: flumph" in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-sheet.png", "a.mp4"]
    said = kinowatt("label", out)
    assert said.code == 0
    assert "Wh" in said.out


def test_the_same_seed_makes_the_same_frames(kinowatt: Run, small_model: Path, tmp_path: Path) -> None:
    clips = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        words = ("generate", "a ball", "-o", tmp_path / f"{name}.mp4", "--model", small_model, "--seconds", "0.25", *QUICK, "--seed", seed)
        clips.append(made(kinowatt(*words), tmp_path / f"{name}.mp4")[0].frames_TCHW)
    np.testing.assert_array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])


def test_json_says_everything_once(kinowatt: Run, small_model: Path, tmp_path: Path) -> None:
    ran = kinowatt("generate", "a blue cube", "-o", tmp_path / "a.png", "--model", small_model, *QUICK, "--json")
    told = json.loads(ran.out)
    assert told["frames"] == 1
    assert told["understood"] == ["blue", "cube"]
    assert told["energy"]["gpu_J"] is None or told["energy"]["gpu_J"] > 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (64, 48)


ANCHORED = [
    ("image at start", ("--image", "photo@start")),
    ("image at end", ("--image", "photo@end")),
    ("images at both ends", ("--image", "photo@start", "--image", "photo@end")),
    ("key frames", ("--image", "photo@0.5s", "--image", "photo@1.25s")),
    ("footage at start", ("--video", "uhd@start")),
    ("footage at end", ("--video", "portrait@end")),
    ("footage inside", ("--video", "plain@0.75s")),
    ("an edit", ("--video", "portrait", "--strength", "0.5")),
]


@pytest.mark.parametrize(("mode", "words"), ANCHORED, ids=[m for m, _ in ANCHORED])
def test_anchors(kinowatt: Run, small_model: Path, files: dict[str, Path], tmp_path: Path, mode: str, words: tuple[str, ...]) -> None:
    named = [str(files[w.split("@")[0]]) + w[len(w.split("@")[0]) :] if w.split("@")[0] in files else w for w in words]
    out = tmp_path / "a.mp4"
    given = () if mode == "an edit" else ("--seconds", "2")
    clip, label = made(kinowatt("generate", "a ball", "-o", out, "--model", small_model, *given, *QUICK, *named), out)
    assert clip.frames == 33 if given else clip.frames > 9
    assert len(label["shot"]["anchors"]) == words.count("--image") + words.count("--video")
    assert mode == "an edit" or label["shot"]["anchors"][0]["strength"] == 1.0


@pytest.mark.parametrize("name", ["uhd", "portrait", "single", "plain", "photo"])
@pytest.mark.parametrize("way", ["forward", "backward", "loop", "connect", "remix"])
def test_bridges_keep_what_is_given(kinowatt: Run, small_model: Path, files: dict[str, Path], tmp_path: Path, name: str, way: str) -> None:
    out, source = tmp_path / "a.mp4", files[name]
    verb = {
        "forward": ("extend", source),
        "backward": ("extend", source, "--backward"),
        "loop": ("loop", source),
        "connect": ("connect", source, files["plain"]),
        "remix": ("remix", source, "a green cone"),
    }[way]
    clip, _ = made(kinowatt(*verb, "-o", out, "--model", small_model, "--seconds", "1", *QUICK), out)
    if way == "remix":
        return
    from kinowatt.media.image import fit

    given = fit(video.read_video(source), 64, 48, 16.0)[0].frames_TCHW
    kept = clip.frames_TCHW[-len(given) :] if way == "backward" else clip.frames_TCHW[: len(given)]
    error = np.square((kept.astype(float) - given.astype(float)) / 255).mean()
    assert -10 * np.log10(error) >= 40, "pasted exactly; only H.264 lies between"
    assert clip.frames > len(given)


def test_what_goes_on_is_told_as_the_clip_was(kinowatt: Run, small_model: Path, tmp_path: Path) -> None:
    """Without a prompt the clip's own label gives it: its last text into the future, its first into the past."""
    given = ("--model", small_model, "--seconds", "1", *QUICK)
    free = ("--model", small_model, "--seconds", "1", "--size", "64x48", "--steps", "2", "--runtime", "torch")
    day, night, told = tmp_path / "day.mp4", tmp_path / "night.mp4", tmp_path / "told.mp4"
    for out, texts in ((day, ("noon by the sea",)), (night, ("a night",)), (told, ("noon by the sea", "a night", "--at", "0.5s"))):
        made(kinowatt("generate", *texts, "-o", out, *given), out)
    for verb, text in [
        (("extend", day), "noon by the sea"),
        (("extend", told), "a night"),
        (("extend", told, "--backward"), "noon by the sea"),
        (("loop", day), "noon by the sea"),
        (("connect", told, night), "a night"),
        (("connect", day, night), "one scene turns into the other"),
        (("extend", day, "--prompt", "a red ball"), "a red ball"),
    ]:
        ran = kinowatt(*verb, "-o", tmp_path / "a.mp4", *free)
        label = made(ran, tmp_path / "a.mp4")[1]["shot"]
        assert label["prompt"] == text
        assert label["seed"] == 1, "from the same noise comes more of the same place"
        assert ("label says" in ran.err) == (text in ("noon by the sea", "a night"))
    ran = kinowatt("extend", day, "-o", tmp_path / "a.mp4", "--seed", 5, *free)
    assert made(ran, tmp_path / "a.mp4")[1]["shot"]["seed"] == 5
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_sentence(kinowatt("extend", day, "--prompt", "", "-o", empty / "b.mp4", *given), empty, "empty")


def assert_one_sentence(ran: Ran, folder: Path, *words: str) -> None:
    """Exit code 2, one line, and nothing written."""
    assert ran.code == 2, ran
    lines = [line for line in ran.err.splitlines() if line.strip()]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("kinowatt: ")
    for word in words:
        assert word in lines[0]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("",), "empty"),
        (("   ",), "empty"),
        (("ball " * 20_000,), "32000"),
        (("a ball", "--size", "7x7"), "at least 16"),
        (("a ball", "--size", "65x48"), "odd"),
        (("a ball", "--size", "64"), "width x height"),
        (("a ball", "--size", "99999x99999"), "too large"),
        (("a ball", "--seconds", "0"), "0 seconds"),
        (("a ball", "--seconds", "10000"), "10000 seconds"),
        (("a ball", "--seconds", "nan"), "seconds"),
        (("a ball", "--steps", "0"), "steps"),
        (("a ball", "--guidance", "-1"), "guidance"),
        (("a ball", "--seed", "-1"), "seed"),
        (("a ball", "--camera", "teleport"), "teleport"),
        (("a ball", "--zone", "Atlantis"), "Atlantis"),
        (("a ball", "--model", "sora-9"), "sora-9"),
        (("a ball", "--device", "tpu"), "tpu"),
        (("a ball", "--runtime", "abacus"), "abacus"),
        (("a ball", "--image", "none.jpg"), "does not exist"),
        (("a ball", "--strength", "0", "--video", "VIDEO"), "strength"),
        (("a ball", "--image", "PHOTO@9s"), "after the end"),
        (("a ball", "--image", "PHOTO@soon"), "soon"),
    ],
)
def test_bad_requests(kinowatt: Run, small_model: Path, files: dict[str, Path], tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    given = [w.replace("PHOTO", str(files["photo"])).replace("VIDEO", str(files["plain"])) for w in words]
    model = () if "--model" in words else ("--model", small_model)
    assert_one_sentence(kinowatt("generate", "-o", tmp_path / "a.mp4", *model, "--", *given[:1]) if len(given) == 1 else
                 kinowatt("generate", *given, "-o", tmp_path / "a.mp4", *model), tmp_path, said)  # fmt: skip


@pytest.mark.parametrize("name", ["broken.jpg", "words.mp4", "words.png"])
def test_broken_files(kinowatt: Run, small_model: Path, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / "in" / name, tmp_path / "out"
    source.parent.mkdir()
    out.mkdir()
    source.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(50) if name.endswith("jpg") else b"once upon a time " * 50)
    option = "--video" if name.endswith("mp4") else "--image"
    assert_one_sentence(kinowatt("generate", "a ball", option, source, "-o", out / "a.mp4", "--model", small_model), out, name)
    assert_one_sentence(kinowatt("extend", source, "-o", out / "a.mp4", "--model", small_model), out, name)


def test_places_that_cannot_be_written(kinowatt: Run, small_model: Path, tmp_path: Path) -> None:
    ask = ("generate", "a ball", "--model", small_model)
    assert_one_sentence(kinowatt(*ask, "-o", tmp_path / "no" / "a.mp4"), tmp_path, "does not exist")
    assert_one_sentence(kinowatt(*ask, "-o", tmp_path), tmp_path, "is a folder")
    assert_one_sentence(kinowatt(*ask, "-o", tmp_path / "a.avi"), tmp_path, ".mp4")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        assert_one_sentence(kinowatt(*ask, "-o", tmp_path / "a.mp4"), tmp_path, "cannot be written")


@pytest.mark.parametrize("harm", ["cut", "words", "missing", "swapped"])
def test_damaged_weights(kinowatt: Run, small_model: Path, tmp_path: Path, harm: str) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    out.mkdir()
    for source in small_model.iterdir():
        (model / source.name).write_bytes(source.read_bytes())
    path = model / "codec.safetensors"
    if harm == "missing":
        path.unlink()
    else:
        harmed = {"cut": path.read_bytes()[:5000], "words": b"hello", "swapped": (model / "denoiser.safetensors").read_bytes()}[harm]
        path.write_bytes(harmed)
    assert_one_sentence(
        kinowatt("generate", "a ball", "--model", model, "-o", out / "a.mp4", *QUICK), out, "model" if harm == "swapped" else "codec"
    )


def test_without_egl_the_world_says_what_to_install(kinowatt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    def fail(**settings: object) -> None:
        raise Exception("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", fail)
    assert_one_sentence(kinowatt("world", "--preview", tmp_path / "s.png"), tmp_path, "libegl1")


def test_a_fault_of_ours_is_exit_code_1(kinowatt: Run, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("kinowatt.cli.take.write_labelled", fail)
    ran = kinowatt("generate", "a ball", "-o", tmp_path / "a.mp4", "--model", small_model, "--seconds", "0.2", *QUICK)
    assert ran.code == 1
    assert "fault of ours" in ran.err
    # A take of more than two seconds may leave its latents, to go on from; a video never.
    assert {p.name for p in tmp_path.iterdir()} <= {"a.mp4.latents.safetensors"}
