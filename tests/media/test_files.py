"""Files in and out: orientation, rates, damage, labels."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from kinowatt.clip import Clip
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.carbon import intensity
from kinowatt.errors import MediaError, OutputError
from kinowatt.media import image, provenance, video
from kinowatt.media.sheet import contact_sheet
from kinowatt.media.video import read_metadata, read_video, write_joined, write_video
from kinowatt.shot import Anchor, Camera, Shot


def moving(frames: int = 9, width: int = 64, height: int = 48) -> Clip:
    """A bright square that moves to the right over a slope."""
    pixels = np.zeros((frames, 3, height, width), np.uint8)
    pixels[:, 1] = np.linspace(30, 120, width)[None, None]
    for t in range(frames):
        pixels[t, 0, 16:32, 4 * t : 4 * t + 16] = 230
    return Clip(pixels, fps=16.0)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square((a.astype(float) - b.astype(float)) / 255).mean()))


def test_a_video_comes_back_with_its_label(tmp_path: Path) -> None:
    clip, path = moving(), tmp_path / "a.mp4"
    shot = Shot("a red ball, 紅球", seed=7, anchors=(Anchor(clip.cut(0, 1)),), camera=Camera(move="orbit-left"))
    bill = EnergyBill(Energy(1.5, cpu_modelled_J=7.25), intensity("FR"))
    provenance.write_labelled(path, [clip], shot, bill.to_json(), {"runtime": "torch"})
    back = video.read_video(path)
    assert (back.frames, back.width, back.height, back.fps) == (9, 64, 48, 16.0)
    assert psnr(back.frames_TCHW, clip.frames_TCHW) > 27  # chroma has half the resolution, and the square is saturated
    label = provenance.read_label(path)
    assert label["shot"]["prompt"] == "a red ball, 紅球"
    assert label["shot"]["camera"] == {"move": "orbit-left"}
    assert EnergyBill.from_json(label["energy"]) == bill
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_file_without_label_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video.write_video(path, moving(), {})
    with pytest.raises(MediaError, match="no kinowatt label"):
        provenance.read_label(path)


def test_variable_frame_rate_is_put_on_a_grid(tmp_path: Path) -> None:
    path, clip = tmp_path / "v.mkv", moving(9)
    times = [0, 1, 2, 3, 8, 9, 10, 11, 12]  # the fourth frame stands for five ticks
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 16)
        for t, pixels in zip(times, clip.frames_TCHW, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 16)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    back = video.read_video(path)
    assert back.fps is not None
    assert back.seconds == pytest.approx(13 / 16, abs=0.1)
    step = back.fps / 16
    held = back.frames_TCHW[round(7 * step)]
    assert psnr(held, clip.frames_TCHW[3]) > psnr(held, clip.frames_TCHW[4])


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 45:] = 255  # bright at the right
    exif = Image.Exif()
    exif[0x0112] = 6  # must be turned clockwise by 90 degrees to be upright
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    clip = image.read_image(path)
    assert (clip.width, clip.height, clip.frames) == (40, 60, 1)
    assert clip.frames_TCHW[0, :, 50:].mean() > 200 > 50 > clip.frames_TCHW[0, :, :40].mean()
    assert video.read_video(path).frames == 1


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    path = tmp_path / "t.png"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(path)
    assert image.read_image(path).frames_TCHW.min() == 255


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a.png", "a.mov"])
@pytest.mark.parametrize(
    "content", [b"", b"just some words\n" * 100, b"\x00\x00\x00\x18ftypmp42" + bytes(500), b"\xff\xd8\xff\xe0" + bytes(300)]
)
def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as refused:
        video.read_video(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_files_and_sound_alone(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        video.read_video(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="does not exist"):
        image.read_image(tmp_path / "none.png")
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        file.mux(stream.encode(frame))
    with pytest.raises(MediaError, match="holds no video"):
        video.read_video(path)


def test_fitting_cuts_the_sides_and_says_so() -> None:
    clip, note = image.fit(moving(9, 64, 48), 32, 32)
    assert (clip.width, clip.height, clip.frames) == (32, 32, 9)
    assert note is not None
    assert "25%" in note
    same, silent = image.fit(moving(), 64, 48, 8.0)
    assert silent is None
    assert same.frames == 4
    assert same.fps == 8.0


def test_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        video.write_video(tmp_path / "folder.mp4", moving(), {})
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        video.write_video(tmp_path / "file" / "a.mp4", moving(), {})
    with pytest.raises(OutputError, match="cannot be written"):
        image.write_image(tmp_path / "a.nonsense", moving().frames_TCHW[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.mp4"]


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_contact_sheet_holds_every_row(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"s.{kind}"
    contact_sheet(path, [("one", moving()), ("two, which goes on for a while " * 9, moving(1))])
    with Image.open(path) as sheet:
        assert sheet.width == 6 * 68 - 4
        assert sheet.height > 2 * 48


def test_joining_copies_what_is_ours_and_compresses_what_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (Clip(rng.integers(0, 255, (9, 3, 64, 64), dtype=np.uint8), fps=16.0) for _ in range(2))
    write_video(tmp_path / "a.mp4", a, {})
    write_joined(tmp_path / "out.mp4", [tmp_path / "a.mp4", b, tmp_path / "a.mp4"], {"title": "three parts"})
    joined, old = read_video(tmp_path / "out.mp4"), read_video(tmp_path / "a.mp4")
    assert (joined.frames, joined.fps) == (27, 16.0)
    np.testing.assert_array_equal(joined.frames_TCHW[:9], old.frames_TCHW)
    np.testing.assert_array_equal(joined.frames_TCHW[18:], old.frames_TCHW)
    assert read_metadata(tmp_path / "out.mp4")["title"] == "three parts"
    with av.open(str(tmp_path / "foreign.mp4"), "w") as file:  # another encoder's stream header
        stream = file.add_stream("mpeg4", rate=16)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for frame in a.frames_TCHW:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.transpose(1, 2, 0)), format="rgb24")))
        file.mux(stream.encode())
    write_joined(tmp_path / "mixed.mp4", [tmp_path / "foreign.mp4", b], {})
    assert read_video(tmp_path / "mixed.mp4").frames == 18
    assert {p.name for p in tmp_path.iterdir()} == {"a.mp4", "out.mp4", "foreign.mp4", "mixed.mp4"}, "nothing is left beside them"


@pytest.mark.parametrize("side", range(3, 200, 7))
def test_no_size_is_cut_outside_the_frame(side: int) -> None:
    for other in range(3, 200, 11):
        for size in ((96, 160), (160, 96), (128, 128)):
            assert image.fit_frame(np.zeros((side, other, 3), np.uint8), *size).shape == (size[1], size[0], 3)
