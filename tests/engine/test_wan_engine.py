"""A Shot to a Take with every kind of Wan: equal to diffusers' pipelines, in every mode, resumable, with what it left out said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import wan_folders
from kinowatt.clip import Clip
from kinowatt.engine import load as loading
from kinowatt.engine.conditioning import to_signal
from kinowatt.engine.engine import Engine, Progress, Take
from kinowatt.engine.load import load
from kinowatt.engine.memory import Layout
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError
from kinowatt.media.likeness import psnr_dB
from kinowatt.models import precision, specs
from kinowatt.shot import END, START, Anchor, Shot, connect, extend, remix

SIZE, FRAMES, STEPS = (96, 64), 9, 4

pytestmark = pytest.mark.usefixtures("quietly", "one_thread")


@pytest.fixture(scope="module")
def exact() -> Iterator[None]:
    """Engines in float32, as diffusers' pipelines are by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "short", lambda device: torch.float32)
        yield


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory, exact: None) -> Callable[[str], Engine]:
    """An engine of each kind, made once."""
    made: dict[str, Engine] = {}

    def of(kind: str) -> Engine:
        if kind not in made:
            path = wan_folders.write(kind, tmp_path_factory.mktemp("wan") / kind)
            made[kind] = load(str(path), "cpu")  # type: ignore[assignment]
        return made[kind]

    return of


def photo(seed: int = 0, size: tuple[int, int] = SIZE) -> Clip:
    """One smooth picture."""
    x, y = np.meshgrid(np.linspace(0, 3, size[0]), np.linspace(0, 2, size[1]))
    rows = [np.sin(x * (1 + c) + seed) * np.cos(y + c * seed) * 100 + 128 for c in range(3)]
    return Clip(np.stack(rows)[None].astype(np.uint8), fps=16.0)


def pil(clip: Clip) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(clip.frames_TCHW[0].transpose(1, 2, 0)))


def shot_of(engine: Engine, **more: Any) -> Shot:
    given: dict[str, Any] = {"size": SIZE, "seconds": FRAMES / engine.model.spec.fps, "seed": 5, "steps": STEPS, "guidance": 4.0}
    return Shot("a cat walks on grass, slowly.", negative="blurry", model=str(engine.model.spec.folder), **(given | more))


def noise_of(engine: Engine, shot: Shot) -> torch.Tensor:
    """What the engine draws for a shot's seed."""
    _, rows, columns = engine.model.codec.stride
    assert shot.size is not None
    shape = (1, engine.model.codec.channels, (FRAMES - 1) // 4 + 1, shot.size[1] // rows, shot.size[0] // columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(shot.seed))


def likeness_dB(take: Take, frames_THW3: np.ndarray, first: int = 0, last: int = FRAMES) -> float:
    ours = take.clip.frames_TCHW[first:last].transpose(0, 2, 3, 1).astype(np.float64)
    error = np.mean((ours - frames_THW3[first:last] * 255.0) ** 2)
    return float(10 * np.log10(255.0**2 / error))


def psnr(a: Take, b: Take) -> float:
    return psnr_dB(a.clip.frames_TCHW, b.clip.frames_TCHW)


@pytest.mark.parametrize("kind", ["t2v", "ti2v", "t2v-a14b"])
def test_a_text_becomes_what_diffusers_makes_of_it(kind: str, camera: Callable[[str], Engine]) -> None:
    engine = camera(kind)
    shot = shot_of(engine, steps=8)
    take = engine.generate(shot)
    call: dict[str, Any] = {"prompt": shot.prompt, "negative_prompt": shot.negative, "num_inference_steps": 8, "guidance_scale": 4.0}
    want = wan_folders.theirs(engine.model.spec.folder, noise_of(engine, shot), width=96, height=64, num_frames=FRAMES, **call)
    assert take.clip.frames_TCHW.std() > 10, "a picture, not a grey"
    assert likeness_dB(take, want) >= 50
    assert take.runtime == "torch float32"
    assert not any("unknown" in w or "Euler" in w for w in take.warnings)


def test_each_expert_has_its_own_guidance_unless_one_is_asked_for(camera: Callable[[str], Engine]) -> None:
    engine = camera("t2v-a14b")
    assert engine.model.spec.guidance_low is not None
    shot = shot_of(engine, guidance=None)
    take = engine.generate(shot)
    spec = engine.model.spec
    call: dict[str, Any] = {"prompt": shot.prompt, "negative_prompt": shot.negative, "num_inference_steps": STEPS}
    call |= {"guidance_scale": spec.guidance, "guidance_scale_2": spec.guidance_low, "width": 96, "height": 64, "num_frames": FRAMES}
    assert likeness_dB(take, wan_folders.theirs(spec.folder, noise_of(engine, shot), **call)) >= 50
    assert psnr(take, engine.generate(shot_of(engine, guidance=spec.guidance))) < 60, "asked for, it counts for both"


@pytest.mark.parametrize("kind", ["i2v", "i2v-a14b", "ti2v", "flf2v"])
def test_an_image_goes_on_as_in_diffusers(kind: str, camera: Callable[[str], Engine]) -> None:
    engine = camera(kind)
    first, last = photo(), photo(2)
    anchors = (Anchor(first, START), Anchor(last, END)) if kind == "flf2v" else (Anchor(first, START),)
    shot = shot_of(engine, anchors=anchors)
    take = engine.generate(shot)
    call: dict[str, Any] = {"prompt": shot.prompt, "negative_prompt": shot.negative, "num_inference_steps": STEPS, "guidance_scale": 4.0}
    call |= {"width": 96, "height": 64, "num_frames": FRAMES}
    given = {"image": pil(first), "last": pil(last) if kind == "flf2v" else None}
    want = wan_folders.theirs(engine.model.spec.folder, noise_of(engine, shot), **given, **call)
    # Given frames are put back as they were; diffusers leaves them to the codec.
    assert likeness_dB(take, want, 1, FRAMES - 1) >= 50
    assert np.array_equal(take.clip.frames_TCHW[0], first.frames_TCHW[0])
    assert kind != "flf2v" or np.array_equal(take.clip.frames_TCHW[-1], last.frames_TCHW[0])


def test_an_image_model_asks_for_its_image(camera: Callable[[str], Engine]) -> None:
    engine = camera("i2v")
    with pytest.raises(ShotError, match="goes on from an image"):
        engine.generate(shot_of(engine))
    many = shot_of(engine, anchors=(Anchor(Clip(np.repeat(photo().frames_TCHW, 5, 0), fps=16.0), START),))
    assert any("5 frames are given" in w for w in engine.generate(many).warnings)


def test_every_mode_of_anchors_runs_and_says_what_was_not_trained(camera: Callable[[str], Engine]) -> None:
    engine = camera("t2v")
    clip = Clip(np.concatenate([photo(s).frames_TCHW for s in range(9)]), fps=16.0)
    base = shot_of(engine)
    longer = replace(base, seconds=17 / 16)
    for shot in (extend(longer, clip), extend(longer, clip, backward=True), connect(replace(base, seconds=29 / 16), clip, clip)):
        take = engine.generate(shot)
        assert any("was not trained on the mode" in w for w in take.warnings)
        assert any("Euler" in w for w in take.warnings) is False, "given frames stay; the others have one level"
        first = 0 if shot.anchors[0].at == START else take.clip.frames - clip.frames
        assert np.array_equal(take.clip.frames_TCHW[first : first + clip.frames], clip.frames_TCHW)
    known = engine.runtime.codec.encode(to_signal(clip.frames_TCHW)).numpy()
    soft, free = (engine.generate(s).latents_1CFHW for s in (remix(base, clip, strength=0.7), base))
    assert np.abs(soft - known).mean() < 0.5 * np.abs(free - known).mean(), "an edit holds on to what it edits"
    mixed = engine.generate(replace(base, anchors=(Anchor(photo(), START, 0.5),)))
    assert mixed.clip.frames == FRAMES


@pytest.mark.parametrize("kind", ["t2v", "t2v-a14b"])
def test_a_take_that_was_broken_off_ends_as_if_it_had_not_been(kind: str, camera: Callable[[str], Engine]) -> None:
    engine = camera(kind)
    shot, states = shot_of(engine, steps=6, guidance=None), []

    def keep(progress: Progress) -> None:
        if progress.state is not None:
            states.append(progress.state)

    whole = engine.generate(shot, keep)
    for state in (states[0], states[3]):
        again = engine.generate(shot, resume=state)
        assert np.array_equal(again.clip.frames_TCHW, whole.clip.frames_TCHW)
    assert states[3].memory.keys() == {"levels", "clean", "before"}


def test_savings_change_the_take_and_are_said(camera: Callable[[str], Engine], exact: None) -> None:
    engine = camera("t2v")
    shot = shot_of(engine, steps=8)
    plain = engine.generate(shot)
    folder = str(engine.model.spec.folder)
    cached = load(folder, "cpu", Ways(step_cache=0.9)).generate(shot)
    assert any(w.startswith("step cache 0.9: ") and "% of blocks were not computed" in w for w in cached.warnings)
    windowed = load(folder, "cpu", Ways(window=(1, 2, 2))).generate(shot)
    assert any(w.startswith("window 1x2x2: ") for w in windowed.warnings)
    for other in (cached, windowed):
        assert 5 < psnr(other, plain) < 100
    assert load(folder, "cpu").generate(shot).clip.frames_TCHW.tobytes() == plain.clip.frames_TCHW.tobytes()


def test_a_folder_has_the_defaults_of_its_kind(camera: Callable[[str], Engine]) -> None:
    folders = {kind: camera(kind).model.spec.folder for kind in ("t2v", "ti2v", "i2v", "i2v-a14b")}
    found = {kind: specs.find(str(folder)) for kind, folder in folders.items()}
    assert (found["t2v"].fps, found["ti2v"].fps, found["ti2v"].grid) == (16.0, 24.0, 32)
    assert found["i2v"].needs_image
    assert not found["ti2v"].needs_image
    assert found["i2v-a14b"].guidance_low == 3.5
    assert all(not spec.trained_sizes for spec in found.values()), "of a folder that is no known model nothing is claimed"


@pytest.mark.parametrize(
    "layout", [Layout(0.0, resident=1, split=True, text_on_cpu=True), Layout(0.0, swap=True), Layout(0.0, tile=(6, 8))]
)
def test_however_it_is_laid_out_the_take_is_the_same(
    layout: Layout, camera: Callable[[str], Engine], exact: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU a plan changes nothing but the order of work: what a GPU with little memory would do."""
    engine = camera("t2v-a14b")
    shot = shot_of(engine, steps=3)
    monkeypatch.setattr(loading, "_layout", lambda *_: layout)
    take = load(str(engine.model.spec.folder), "cpu").generate(shot)
    assert psnr(take, engine.generate(shot)) > (25 if layout.tile else 70)
