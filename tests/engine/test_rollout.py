"""The rolling window: every step moves what it must, a Gaussian clip keeps its moments, and nothing grows with the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning, cost, rollout
from kinowatt.engine import state as states
from kinowatt.engine.budget import Pace
from kinowatt.engine.engine import Engine, Progress
from kinowatt.engine.load import load
from kinowatt.engine.plan import Roll, fill, roll_of
from kinowatt.engine.rollout import Rolling, Scenes
from kinowatt.engine.solvers import Euler, Heun
from kinowatt.engine.standing import PLAIN
from kinowatt.engine.state import State
from kinowatt.engine.ways import Ways
from kinowatt.errors import BudgetError, ShotError, WeightsError
from kinowatt.media.provenance import read_label
from kinowatt.media.video import read_video
from kinowatt.models.specs import SPARK
from kinowatt.shot import END, OUTSIDE, START, Anchor, Budget, Shot, extend, remix
from peak import peak_bytes

SAMPLES, MEAN = 20_000, 0.5


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 12, 13, 20, 50])
@pytest.mark.parametrize("seconds", [0.5, 3.0, 20.0])
def test_the_window_holds_all_that_moves(steps: int, seconds: float) -> None:
    roll = roll_of(int(seconds * 4) * 4 + 1, steps, SPARK)
    taken = [0] * roll.frames
    for step in range(roll.total):
        begin, part = roll.begin(step), roll.part(step)
        assert begin <= part.start < part.stop <= begin + roll.window <= roll.frames
        assert part.start == roll.clean(step), "all before it is clean, and nothing behind it is"
        assert roll.clean(step + 1) in (part.start, part.stop)
        assert 0 <= roll.begin(step + 1) - begin <= roll.clean(step + 1) - roll.clean(step)
        for f in part:
            taken[f] += 1
    assert taken == [steps] * roll.frames
    assert (roll.clean(0), roll.clean(roll.total - 1) < roll.frames, roll.clean(roll.total)) == (0, True, roll.frames)
    assert [f for f in range(1, roll.frames) if not roll.splits(f)] == sorted({roll.part(s).start for s in range(roll.total)} - {0})


def covariance(frames: int) -> torch.Tensor:
    """Of a clip whose statistics are the same at all times."""
    f = torch.arange(frames, dtype=torch.float64)
    return 0.6 * torch.exp(-(((f[:, None] - f) / 2.0) ** 2)) + 0.1 * torch.eye(frames, dtype=torch.float64)


def exact_velocity(x_1CFHW: torch.Tensor, level_1F: torch.Tensor, step: int) -> torch.Tensor:
    """E[noise - clean | x] of such a clip, for a window that stands anywhere in it; samples lie in H."""
    t, x = level_1F[0], x_1CFHW[0, 0, :, :, 0]
    keep, cov = torch.diag(1 - t), covariance(len(t))
    back = torch.diag(t) - cov @ keep
    v = back @ torch.linalg.solve(keep @ cov @ keep + torch.diag(t**2), x - (1 - t)[:, None] * MEAN) - MEAN
    return v[None, None, ..., None]


def antithetic(part: int, begin: int) -> torch.Tensor:
    half = torch.randn(1, 1, 6, SAMPLES // 2, 1, generator=torch.Generator().manual_seed(part), dtype=torch.float64)
    return torch.cat([half, -half], 3)


def plain(seed: int, shape_1CWHW: tuple[int, ...]) -> rollout.Noise:
    return lambda part, begin: PLAIN(shape_1CWHW, seed, begin, part)


def rolled(roll: Roll, known: dict[int, float] | None = None) -> torch.Tensor:
    """Samples (F, S) of a whole clip."""
    shape = (1, 1, 1, SAMPLES, 1)
    given = {f: (torch.full(shape, value, dtype=torch.float64), 0.0) for f, value in (known or {}).items()}
    rolling = Rolling(roll, given, antithetic, 1.0)
    rolling.history = 0.0  # what is shown as it is leads exactly
    made: list[torch.Tensor] = []
    while rolling.done < roll.total:
        made += rolling.step(Heun(), Scenes([0], [exact_velocity]))
    return torch.cat(made, 2)[0, 0, :, :, 0]


def test_moments_are_right_as_far_as_the_window_reaches() -> None:
    roll = Roll(frames=12, window=6, stride=3, steps=28)
    x = rolled(roll)
    assert x.shape == (12, SAMPLES)
    reach = roll.window - roll.stride + 1
    off = torch.cov(x) - covariance(12)
    near = (torch.arange(12)[:, None] - torch.arange(12)).abs() < reach
    assert (x.mean(1) - MEAN).abs().max() <= 0.006
    assert off[near].abs().max() <= 0.022


def test_what_is_given_comes_back_exactly_and_leads_what_is_near() -> None:
    roll = Roll(frames=16, window=6, stride=4, steps=28)
    x = rolled(roll, {0: 2.0, 1: 2.0, 9: -1.5, 15: 2.0})
    for frame, value in ((0, 2.0), (1, 2.0), (9, -1.5), (15, 2.0)):
        assert torch.equal(x[frame], torch.full_like(x[frame], value))
    cov = covariance(4)  # the next two are made while the window holds the start
    gain = cov[2:, :2] @ torch.linalg.inv(cov[:2, :2])
    assert (x[2:4].mean(1) - (MEAN + gain @ torch.full((2,), 1.5, dtype=torch.float64))).abs().max() <= 0.006
    assert (torch.cov(x[2:4]) - (cov[2:, 2:] - gain @ cov[:2, 2:])).abs().max() <= 0.022
    # A later one is seen once the window has come to it: from there on it leads, though not as if it had always been known.
    assert x[8].mean() < 0.0 > x[10].mean()
    assert x[14].mean() > 1.0


def towards(value: float, calls: list[float]) -> Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]:
    """The exact velocity of a world that holds one value and nothing else."""

    def velocity(x: torch.Tensor, level: torch.Tensor, step: int) -> torch.Tensor:
        calls.append(value)
        return (x - value) / level[:, None, :, None, None].clamp_min(1e-9)

    return velocity


def test_each_frame_is_drawn_under_the_text_of_its_time() -> None:
    roll, calls = Roll(frames=30, window=9, stride=6, steps=12), list[float]()
    scenes = Scenes([0, 10, 21], [towards(v, calls) for v in (1.0, 2.0, 3.0)])
    rolling, made = Rolling(roll, {}, plain(3, (1, 1, 9, 2, 2)), 2.0), list[torch.Tensor]()
    while rolling.done < roll.total:
        made += rolling.step(Euler(), scenes)
    values = torch.cat(made, 2)[0, 0, :, 0, 0]
    torch.testing.assert_close(values, torch.tensor([1.0] * 10 + [2.0] * 11 + [3.0] * 9))
    assert len(calls) == roll.total + 1 * roll.steps, "two passes only where frames of two scenes move"


def test_history_is_shown_a_little_noisy_and_what_is_given_as_it_is() -> None:
    roll, noise = Roll(frames=8, window=4, stride=2, steps=20), plain(3, (1, 1, 4, 50, 50))
    given = torch.full((1, 1, 1, 50, 50), 7.0)
    rolling, seen, made = Rolling(roll, {3: (given, 0.0)}, noise, 1.0), [], list[torch.Tensor]()

    def velocity(x: torch.Tensor, level: torch.Tensor, step: int) -> torch.Tensor:
        seen.append((x, level[0]))
        return (x - 5.0) / level[:, None, :, None, None].clamp_min(1e-9)

    while rolling.done < roll.total:
        made += rolling.step(Euler(), Scenes([0], [velocity]))
    assert all(float((m - (7.0 if f == 3 else 5.0)).abs().max()) < 1e-5 for f, m in enumerate(made)), "its noise is shown, not kept"
    for step, (x, level) in enumerate(seen):
        moves = 1.0 - step % 20 / 20
        if step < 20:
            torch.testing.assert_close(level, torch.tensor([moves, moves, moves, 0.0]))
        elif step < 40:  # frames 2 to 5
            torch.testing.assert_close(level, torch.tensor([min(rollout.HISTORY, moves), 0.0, moves, moves]))
            assert torch.equal(x[:, :, 1:2], given)
            assert float((x[0, 0, 0] - 5.0 * (1 - level[0])).std()) == pytest.approx(float(level[0]), rel=0.05)
    own, other = noise(0, 0)[:, :, 2:], noise(1, 2)[:, :, :2]  # of frames 2 and 3
    assert float((own * other).mean().abs()) < 0.1, "its own noise would tell what it was made of"


def test_noise_of_a_part_is_its_own() -> None:
    shape = (1, 2, 3, 3, 3)
    a, b = plain(1, shape), plain(2, shape)
    assert torch.equal(a(7, 0), a(7, 0))
    assert not torch.equal(a(7, 0), a(8, 0))
    assert not torch.equal(a(7, 0), b(7, 0))


@pytest.fixture(scope="module")
def camera(small_model: Path) -> Engine:
    return load(str(small_model), "cpu", Ways("torch"))


def shot(**fields: Any) -> Shot:
    return Shot("a red ball", **({"size": (64, 48), "steps": 2, "seed": 3, "seconds": 5.0} | fields))


def footage(frames: int = 12, seed: int = 0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 255, (frames, 3, 48, 64), dtype=np.uint8), fps=16.0)


def test_a_long_clip_lies_on_disk_and_a_seed_means_the_same_one(camera: Engine) -> None:
    first, again, other = (camera.generate(shot(size=(64, 40), seed=s)) for s in (3, 3, 4))  # in a canvas of 64x48
    assert isinstance(first.clip.frames_TCHW, np.memmap)
    assert first.clip.frames_TCHW.shape == (81, 3, 40, 64)
    assert first.latents_1CFHW is not None
    assert first.latents_1CFHW.shape[:3] == (1, 48, 21)
    np.testing.assert_array_equal(first.clip.frames_TCHW, again.clip.frames_TCHW)
    assert not np.array_equal(first.clip.frames_TCHW, other.clip.frames_TCHW)
    with torch.inference_mode():
        decoded = conditioning.to_frames(camera.model.codec.decode(torch.from_numpy(first.latents_1CFHW)))
    # Frames between latents are drawn along what moves (test_between.py).
    assert np.abs(decoded[::4, :, 4:44].astype(int) - first.clip.frames_TCHW[::4]).max() <= 1, "as if decoded in one piece"


def test_given_frames_come_back_wherever_they_stand(camera: Engine) -> None:
    parts = [Anchor(footage(9, 1), START), Anchor(footage(6, 2), 2.5), Anchor(footage(1, 3), 3.8), Anchor(footage(9, 4), END)]
    frames = camera.generate(shot(anchors=tuple(parts))).clip.frames_TCHW
    for start, anchor in zip((0, 40, 61, 72), parts, strict=True):
        np.testing.assert_array_equal(frames[start : start + anchor.clip.frames], anchor.clip.frames_TCHW)
    free = camera.generate(shot()).clip.frames_TCHW
    assert not np.array_equal(frames[38], free[38]), "they lead what is near"
    source = footage(81)
    weak, firm = (camera.generate(remix(shot(), source, strength=s)).clip.frames_TCHW for s in (0.1, 0.95))
    assert not np.array_equal(weak, firm)


def test_time_goes_on_from_latents(camera: Engine) -> None:
    first = camera.generate(shot(size=(64, 40), seconds=2.0))
    assert first.latents_1CFHW is not None
    more = camera.generate(extend(shot(size=(64, 40), seed=4), first.clip, latents_CFHW=first.latents_1CFHW[0]))
    assert more.latents_1CFHW is not None
    stitched = np.concatenate([first.latents_1CFHW, more.latents_1CFHW[:, :, 3:]], 2)
    with torch.inference_mode():
        whole = conditioning.to_frames(camera.model.codec.decode(torch.from_numpy(stitched)))
    assert np.abs(whole[36::4, :, 4:44].astype(int) - more.clip.frames_TCHW[12::4]).max() <= 1
    np.testing.assert_array_equal(more.clip.frames_TCHW[:9], first.clip.frames_TCHW[-9:])


def test_what_stands_outside_of_time_is_seen(camera: Engine) -> None:
    seen = camera.generate(shot(anchors=(Anchor(footage(), OUTSIDE),))).clip.frames_TCHW
    assert seen.shape[0] == 81
    assert not np.array_equal(seen, camera.generate(shot()).clip.frames_TCHW)
    with pytest.raises(ShotError, match="leave out its strength"):
        camera.generate(shot(anchors=(Anchor(footage(), OUTSIDE, 0.5),)))


def test_a_clip_that_was_broken_off_ends_as_the_whole_one(camera: Engine, tmp_path: Path) -> None:
    wanted = shot(anchors=(Anchor(footage(5), END),), storyboard=((2.0, "a blue cube at night"),))
    whole = camera.generate(wanted)
    total = camera.plan(wanted).roll.total  # type: ignore[union-attr]

    class Killed(BaseException):
        pass

    for at in (1, 3, total // 2, total):
        aside = tmp_path / f"{at}"

        def keep(progress: Progress, at: int = at, aside: Path = aside) -> None:
            if progress.state is not None and progress.done <= at:
                states.save(aside.with_suffix(".safetensors"), progress.state, "these")
            if progress.done == min(at + 2, total):  # what was made after the state was saved is made again
                raise Killed

        with pytest.raises(Killed):
            camera.generate(wanted, keep, aside=aside)
        state = states.load(aside.with_suffix(".safetensors"), "these")
        assert state.done == at
        seen: list[int] = []
        ended = camera.generate(wanted, lambda p, seen=seen: seen.append(p.done), resume=state, aside=aside)
        np.testing.assert_array_equal(ended.clip.frames_TCHW, whole.clip.frames_TCHW)
        np.testing.assert_array_equal(ended.latents_1CFHW, whole.latents_1CFHW)
        assert seen == list(range(at, total + 1))
    with pytest.raises(ShotError, match="another shot"):
        camera.generate(shot(seconds=6.0), resume=state, aside=aside)
    with pytest.raises(WeightsError, match="is gone"):
        camera.generate(wanted, resume=state, aside=tmp_path / "elsewhere")


@pytest.mark.usefixtures("one_thread")
def test_memory_does_not_grow_with_the_clip(camera: Engine) -> None:
    few, many = (peak_bytes(lambda s=s: camera.generate(shot(seconds=s, guidance=1.0, steps=1))) for s in (5.0, 30.0))
    assert many < 1.03 * few, "where cameras and things are is told for the whole clip: 6 kB a second"


def test_looks_and_steps_are_told(camera: Engine) -> None:
    seen: list[Progress] = []
    take = camera.generate(shot(), seen.append)
    roll = camera.plan(shot()).roll
    assert roll is not None
    assert [(p.phase, p.done, p.of) for p in seen] == [("denoise", i, roll.total) for i in range(roll.total + 1)]
    looks = [p.look() for p in seen if p.look]
    assert {look.shape for look in looks} == {(3, 48, 64)}
    np.testing.assert_array_equal(looks[-1], take.clip.frames_TCHW[-1])
    assert take.bill.phases["decode"].wall_s > 0


def test_a_budget_that_is_used_up_ends_the_clip(camera: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def left(self: Pace, done: int) -> int:
        asked.append(done)
        if done == 3:
            raise BudgetError("enough")
        return 100

    monkeypatch.setattr(Pace, "left", left)
    with pytest.raises(BudgetError, match="enough"):
        camera.generate(shot(budget=Budget(Wh=1000.0)))
    assert asked == [0, 1, 2, 3]


def test_what_rolls_and_what_is_said_of_it() -> None:
    assert fill(Shot("a red ball", seconds=2.0), SPARK).roll is None
    long = fill(Shot("a red ball", seconds=600.0, cache=3), SPARK)
    assert long.roll == Roll(frames=2401, window=9, stride=6, steps=SPARK.steps)
    assert long.shot.cache == 1
    assert any("may drift" in w for w in long.warnings)
    board = fill(Shot("a red ball at noon", seconds=10.0, storyboard=((4.0, "a blue cube"), (6.1, "the opera"))), SPARK)
    assert [at for at, _ in board.scenes] == [16, 25]
    assert "opera" in " ".join(board.reading.not_understood)
    assert {"red", "blue"} <= set(" ".join(board.reading.understood).split())
    brief = fill(Shot("a red ball", seconds=2.0, storyboard=((1.0, "a blue cube"),)), SPARK)
    assert brief.roll is not None
    assert brief.roll.window == 9


@pytest.mark.parametrize(
    ("board", "why"),
    [
        (((3.0, "a"), (3.0, "b")), "goes on in time"),
        (((0.0, "a"),), "after second 0"),
        (((12.0, "a"),), "after the end"),
        (((1.0, " "),), "empty"),
    ],
)
def test_storyboards_that_cannot_be(board: Sequence[tuple[float, str]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fill(Shot("a ball", seconds=10.0, storyboard=tuple(board)), SPARK)


def test_models_that_cannot_roll_say_so() -> None:
    whole = SimpleNamespace(**{**vars(SPARK), "trained_modes": frozenset({"text"})})
    with pytest.raises(ShotError, match="at most 60 seconds"):
        fill(Shot("a ball", seconds=90.0), whole)  # type: ignore[arg-type]
    with pytest.raises(ShotError, match="one text"):
        fill(Shot("a ball", seconds=2.0, storyboard=((1.0, "a cube"),)), whole)  # type: ignore[arg-type]


def test_work_grows_with_the_clip_and_not_with_its_square(camera: Engine) -> None:
    minute, two = (cost.work(camera.plan(shot(seconds=s)), camera.anatomy) for s in (60.0, 120.0))
    assert two.denoise_FLOP / minute.denoise_FLOP == pytest.approx(2.0, rel=0.02)
    assert minute.steps == camera.plan(shot(seconds=60.0)).roll.total  # type: ignore[union-attr]
    board = cost.work(camera.plan(shot(seconds=60.0, storyboard=((20.0, "a cube"),))), camera.anatomy)
    assert minute.denoise_FLOP < board.denoise_FLOP < 1.05 * minute.denoise_FLOP


def test_ctrl_c_and_on_from_there(kinowatt: Callable[..., Any], small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["generate", "a red ball", "--at", "3s", "a blue cube", "--model", small_model, "--runtime", "torch", "--size", "64x48"]
    words += ["--seconds", "5", "--steps", "2", "--seed", "3"]
    whole, broken = tmp_path / "whole.mp4", tmp_path / "broken.mp4"
    assert kinowatt(*words, "-o", whole).code == 0
    assert read_label(whole)["shot"]["seconds"] == pytest.approx(81 / 16)
    assert [p.name for p in tmp_path.iterdir()] == ["whole.mp4"]
    monkeypatch.setattr("kinowatt.cli.take.SAVE_EVERY_S", 0.0)
    save = states.save

    def stop(path: Path, state: State, sha256: str) -> None:
        save(path, state, sha256)
        if state.done == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(states, "save", stop)
        stopped = kinowatt(*words, "-o", broken)
    kept = tmp_path / "broken.mp4.latents.safetensors"
    assert stopped.code == 130
    assert "goes on" in stopped.err
    assert not broken.exists()
    assert kept.exists()
    assert kinowatt(*words, "-o", broken, "--resume", kept).code == 0
    # Frames are equal bit by bit (see above) unless arithmetic rounds otherwise; one last bit makes the encoder's file differ by 1 to 1.5
    # of 255 on these noisy pictures, another seed by 55.
    assert np.abs(read_video(broken).frames_TCHW.astype(int) - read_video(whole).frames_TCHW).mean() < 5.0
    assert {p.name for p in tmp_path.iterdir()} == {"whole.mp4", "broken.mp4"}
