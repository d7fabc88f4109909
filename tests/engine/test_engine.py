"""The engine: known frames stay, warnings are said, memory errors are ours, and both runtimes agree."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.energy.meter import Meter
from kinowatt.engine import conditioning, engine
from kinowatt.engine.bridge import bridge
from kinowatt.engine.engine import Engine
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.runtime import OpenVinoRuntime
from kinowatt.engine.ways import Ways
from kinowatt.errors import DeviceError, ShotError
from kinowatt.shot import END, OUTSIDE, START, Anchor, Shot, connect, extend, loop, remix


@pytest.fixture(scope="module")
def camera(small_model: Path) -> Engine:
    return load(str(small_model), "cpu", Ways("torch"))


def footage(frames: int = 12, width: int = 64, height: int = 48, seed: int = 0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 255, (frames, 3, height, width), dtype=np.uint8), fps=16.0)


def shot(**fields: object) -> Shot:
    return Shot("a red ball", **({"size": (64, 48), "steps": 2, "seed": 3, "seconds": 2.0} | fields))  # type: ignore[arg-type]


def test_given_frames_come_back_exactly(camera: Engine) -> None:
    a, b = footage(seed=1), footage(seed=2)
    taken = camera.generate(connect(shot(), a, b)).clip.frames_TCHW
    np.testing.assert_array_equal(taken[:9], a.frames_TCHW[-9:])
    np.testing.assert_array_equal(taken[-9:], b.frames_TCHW[:9])
    looped = camera.generate(loop(shot(), a)).clip.frames_TCHW
    np.testing.assert_array_equal(looped[:9], a.frames_TCHW[-9:])
    np.testing.assert_array_equal(looped[-9:], a.frames_TCHW[:9])
    past = camera.generate(extend(shot(), a, backward=True)).clip.frames_TCHW
    np.testing.assert_array_equal(past[-9:], a.frames_TCHW[:9])
    inside = camera.generate(shot(anchors=(Anchor(footage(1), 1.0),))).clip.frames_TCHW
    np.testing.assert_array_equal(inside[16:17], footage(1).frames_TCHW)


def test_an_edit_may_change_everything(camera: Engine) -> None:
    source = footage(33)
    weak, firm = (camera.generate(remix(shot(), source, strength=s)).clip.frames_TCHW for s in (0.1, 0.95))
    assert not np.array_equal(weak, source.frames_TCHW)
    assert not np.array_equal(weak, firm)


def test_an_anchor_changes_what_is_not_anchored(camera: Engine) -> None:
    free = camera.generate(shot()).clip.frames_TCHW
    held = camera.generate(shot(anchors=(Anchor(footage(1), START), Anchor(footage(1, seed=5), END)))).clip.frames_TCHW
    assert not np.array_equal(free[16], held[16])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": (96, 96)}, "beyond that"),
        ({"size": (512, 512)}, "enlarged to 512x512"),
        ({"seconds": 6.0}, "may drift"),
        ({"anchors": (Anchor(footage(40), 0.0, 0.5),)}, None),
    ],
)
def test_what_a_model_was_not_trained_on_is_said(camera: Engine, fields: dict[str, object], said: str | None) -> None:
    warnings = camera.plan(shot(**fields)).warnings
    assert (said is None) or any(said in w for w in warnings), warnings


def test_large_sizes_are_enlarged_and_given_frames_stay_sharp(camera: Engine) -> None:
    photo = footage(1, 640, 384)
    take = camera.generate(shot(size=(640, 384), anchors=(Anchor(photo, START),), steps=1, seconds=0.5))
    assert take.clip.frames_TCHW.shape == (9, 3, 384, 640)
    np.testing.assert_array_equal(take.clip.frames_TCHW[0], photo.frames_TCHW[0])
    assert take.latents_1CFHW is not None
    assert take.latents_1CFHW.shape[3:] == (13, 21)  # 330x198 in a canvas of 336x208: at most 256*256 pixels of its aspect
    with pytest.raises(ShotError, match="too narrow"):
        camera.plan(shot(size=(6000, 16)))


def test_a_whole_minute_can_be_planned(camera: Engine) -> None:
    assert camera.plan(shot(seconds=60.0)).frames == 961
    longer = bridge(shot(seconds=60.0), [footage(33)], "forward", camera.model.spec)
    assert camera.plan(longer.shot).frames == 969


def test_a_broken_off_take_ends_as_the_whole_one(camera: Engine) -> None:
    wanted = shot(steps=4, anchors=(Anchor(footage(5), END),))
    states, looks = [], []

    def keep(progress: engine.Progress) -> None:
        if progress.state is not None and progress.look is not None:
            states.append(progress.state)
            looks.append(progress.look())

    whole = camera.generate(wanted, keep)
    assert [s.done for s in states] == [1, 2, 3, 4]
    assert {look.shape for look in looks} == {(3, 48, 64)}
    assert {look.dtype for look in looks} == {np.dtype(np.uint8)}
    for state in (states[1], states[-1]):
        seen: list[engine.Progress] = []
        resumed = camera.generate(wanted, seen.append, resume=state)
        np.testing.assert_array_equal(resumed.clip.frames_TCHW, whole.clip.frames_TCHW)
        assert [p.done for p in seen if p.state] == list(range(state.done + 1, 5))
    with pytest.raises(ShotError, match="another shot"):
        camera.generate(shot(seconds=1.0, steps=4), resume=states[0])


def test_a_clip_goes_on_from_its_latents(camera: Engine) -> None:
    first = camera.generate(shot(size=(64, 40)))  # in a canvas of 64x48
    assert first.latents_1CFHW is not None
    more = camera.generate(extend(shot(size=(64, 40), seed=4), first.clip, latents_CFHW=first.latents_1CFHW[0]))
    assert more.latents_1CFHW is not None
    np.testing.assert_array_equal(more.latents_1CFHW[:, :, 1:3], first.latents_1CFHW[:, :, -2:])
    np.testing.assert_array_equal(more.clip.frames_TCHW[:9], first.clip.frames_TCHW[-9:])
    # The same as one long decoding: nothing is encoded anew but one frame, which is not decoded.
    stitched = np.concatenate([first.latents_1CFHW, more.latents_1CFHW[:, :, 3:]], 2)
    with torch.inference_mode():
        whole = conditioning.to_frames(camera.model.codec.decode(torch.from_numpy(stitched)))
    # Frames between latents are drawn along what moves (test_between.py).
    off = np.abs(whole[36::4, :, 4:44].astype(int) - more.clip.frames_TCHW[12::4])
    assert off.max() <= 1


def test_a_reference_outside_of_time_changes_the_clip_and_is_warned_of_where_it_is_new(camera: Engine) -> None:
    given = shot(anchors=(Anchor(footage(12), OUTSIDE),))
    take = camera.generate(given)
    assert take.clip.frames == 33
    assert not np.array_equal(take.clip.frames_TCHW, camera.generate(shot()).clip.frames_TCHW)
    assert not any("'reference'" in w for w in take.warnings)
    untrained = replace(camera.model.spec, trained_modes=frozenset({"text"}))
    assert any("'reference'" in w for w in fill(given, untrained).warnings)


def test_a_model_of_ones_own_is_not_called_spark(camera: Engine) -> None:
    assert not any("spark" in w for w in camera.plan(shot()).warnings)


def test_no_known_word_is_said(camera: Engine) -> None:
    assert any("understood no word" in w for w in camera.plan(Shot("flumph opera", size=(64, 48))).warnings)


def test_the_size_follows_the_footage(camera: Engine) -> None:
    assert camera.plan(shot(size=None)).shot.size == (256, 256)
    assert camera.plan(shot(size=None, anchors=(Anchor(footage(1, 192, 108)),))).shot.size == (320, 192)
    assert camera.plan(shot(size=None, anchors=(Anchor(footage(1, 108, 192)),))).shot.size == (192, 320)


def test_the_bill_has_the_phases(camera: Engine) -> None:
    meter = Meter(zone="FR")
    seen = []
    take = camera.generate(shot(), lambda progress: seen.append((progress.phase, progress.done)), meter)
    assert {"text", "encode", "denoise", "decode"} <= set(take.bill.phases)
    assert take.bill.energy.wall_s == pytest.approx(sum(p.wall_s for p in take.bill.phases.values()))
    assert take.bill.intensity.zone == "FRA"
    assert ("denoise", 2) in seen
    assert seen[-1] == ("decode", 33)


def test_too_little_memory_is_a_fault_of_the_device(camera: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("oom")

    monkeypatch.setattr(camera.runtime, "denoiser", fail)
    with pytest.raises(DeviceError, match="does not fit into memory"):
        camera.generate(shot())


def test_an_anchor_after_the_end_is_refused(camera: Engine) -> None:
    with pytest.raises(ShotError, match="after the end"):
        camera.generate(shot(anchors=(Anchor(footage(1), 7.0),)))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("openvino.tools.ovc.convert_impl as theirs; print(theirs.tm.__name__)", "openvino.tools.ovc.telemetry_stub"),
        ("huggingface_hub.constants as theirs; print(theirs.HF_HUB_DISABLE_TELEMETRY)", "True"),
    ],
)
def test_nothing_is_reported_to_the_makers_of_libraries(asked: str, said: str) -> None:
    """In a process of its own, for what was imported once stays."""
    pytest.importorskip(asked.split(".")[0])
    own = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    ran = subprocess.run([sys.executable, "-c", f"import kinowatt, {asked}"], capture_output=True, text=True, check=True, env=own)
    assert ran.stdout.strip() == said


def test_a_decoder_is_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("KINOWATT_CACHE", str(tmp_path))
    runtime = load("spark", "cpu", Ways("openvino")).runtime
    assert isinstance(runtime, OpenVinoRuntime)
    assert torch.cat(list(runtime.decode_stream(torch.zeros(1, 48, 3, 2, 2))), 2).shape == (1, 3, 9, 32, 32)
    assert [kind for _, _, kind in runtime._networks((1, 48, 3, 2, 2), (8, 160), (1, 2))] == ["dit", "dit"]
    assert not list(tmp_path.rglob("decoder-*"))


def test_openvino_agrees_with_torch(camera: Engine, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("KINOWATT_CACHE", str(tmp_path))
    other = load(str(small_model), "cpu", Ways("openvino"))
    assert other.runtime.name.startswith("openvino")
    x, level, text = torch.randn(2, 48, 9, 3, 4), torch.rand(2, 9), torch.randn(2, 40, camera.model.text.config.width)
    with torch.inference_mode():
        ours, theirs = camera.runtime.denoiser(x, level, text), other.runtime.denoiser(x, level, text)
        assert float((ours - theirs).norm() / ours.norm()) < 0.07  # bfloat16: 4 to 6e-2, by the random weights
        for latents in (x[:1], x[:1, :, :4], x[:1, :, :1]):
            a, b = (torch.cat(list(r.decode_stream(latents)), 2) for r in (camera.runtime, other.runtime))
            assert a.shape == b.shape == (1, 3, 4 * latents.shape[2] - 3, 48, 64)
            assert torch.equal(a, b), "torch decodes for both"
    assert not list(Path(tmp_path).rglob(".*")), "nothing half-written in the cache"
