"""Test number one: a Gaussian clip whose velocity is known exactly. Every mode must give the right conditional distribution."""

from __future__ import annotations

import pytest
import torch

from kinowatt.engine import noise, sample
from kinowatt.models.protocols import Conditioning

FRAMES, SAMPLES = 6, 60_000
FREE, GIVEN = 1.0, 0.0


def gaussian_clip() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (F,) and covariance (F, F): neighbours in time are alike."""
    f = torch.arange(FRAMES, dtype=torch.float64)
    return 0.5 * torch.sin(f), 0.6 * torch.exp(-(((f[:, None] - f) / 2.0) ** 2)) + 0.1 * torch.eye(FRAMES, dtype=torch.float64)


class ExactVelocity:
    """E[noise - clean | x] for x = (1 - t) clean + t noise with a level t per frame; text is not used."""

    def __init__(self) -> None:
        self.mean, self.cov = gaussian_clip()

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        t = level_BF[0]
        keep = torch.diag(1 - t)
        spread = keep @ self.cov @ keep + torch.diag(t**2)
        back = torch.diag(t) - self.cov @ keep  # Cov(noise - clean, x)
        x = x_BCFHW[:, 0, :, 0, 0]
        v = (back @ torch.linalg.solve(spread, (x - (1 - t) * self.mean).T)).T - self.mean
        return v[:, None, :, None, None]


MODES = {
    "text": [FREE] * 6,
    "start": [GIVEN] * 2 + [FREE] * 4,
    "end": [FREE] * 4 + [GIVEN] * 2,
    "both ends": [GIVEN] + [FREE] * 4 + [GIVEN],
    "key frames": [FREE, GIVEN, FREE, FREE, GIVEN, FREE],
    "all but one": [GIVEN] * 3 + [FREE] + [GIVEN] * 2,
}


def run(ceiling: list[float], lag: float, solver: str = "heun", steps: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    mean, cov = gaussian_clip()
    ceiling_BF = torch.tensor(ceiling, dtype=torch.float64).expand(SAMPLES, -1)
    # One clip is known for all samples, so that the conditional moments can be compared.
    known = mean + torch.linalg.cholesky(cov) @ torch.randn(FRAMES, generator=generator, dtype=torch.float64)
    known_BCFHW = known.expand(SAMPLES, 1, -1)[..., None, None]
    half = torch.randn(SAMPLES // 2, 1, FRAMES, 1, 1, generator=generator, dtype=torch.float64)
    start = torch.cat([half, -half])  # antithetic: the error that is left is the solver's, not the dice's
    nothing = torch.zeros(SAMPLES, 0, 1)
    cond = Conditioning(nothing, nothing, known_BCFHW, ceiling_BF)
    x = sample.denoise(ExactVelocity(), cond, start, noise.schedule(steps, FRAMES, lag=lag).double(), solver=solver)
    return x[:, 0, :, 0, 0], known


@pytest.mark.parametrize("lag", [0.0, 0.7], ids=["flat", "lagged"])
@pytest.mark.parametrize("mode", MODES)
def test_moments_of_the_conditional(mode: str, lag: float) -> None:
    ceiling = MODES[mode]
    x, known = run(ceiling, lag)
    given = torch.tensor(ceiling) == GIVEN
    free = ~given
    assert torch.equal(x[:, given], known[given].expand(SAMPLES, -1)), "given frames must come back exactly"
    mean, cov = gaussian_clip()
    gain = cov[free][:, given] @ torch.linalg.inv(cov[given][:, given])
    want_mean = mean[free] + gain @ (known[given] - mean[given])
    want_cov = cov[free][:, free] - gain @ cov[given][:, free]
    assert (x[:, free].mean(0) - want_mean).abs().max() <= 0.006
    assert (torch.cov(x[:, free].T).reshape(want_cov.shape) - want_cov).abs().max() <= 0.022


def test_an_edit_never_leaves_its_ceiling() -> None:
    """Ceiling 0.3: the result lies between the known clip and the free distribution, nearer the known one."""
    soft, known = run([0.3] * FRAMES, 0.0)
    free, _ = run([FREE] * FRAMES, 0.0)
    assert (soft - known).pow(2).mean() < 0.5 * (free - known).pow(2).mean()
    assert (soft - known).pow(2).mean() > 0.01


def test_a_given_clip_costs_no_pass() -> None:
    calls = []

    class Counting(ExactVelocity):
        def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
            calls.append(level_BF)
            return super().__call__(x_BCFHW, level_BF, text_BLD)

    known = torch.ones(1, 1, FRAMES, 1, 1, dtype=torch.float64)
    cond = Conditioning(torch.zeros(1, 0, 1), torch.zeros(1, 0, 1), known, torch.zeros(1, FRAMES, dtype=torch.float64))
    assert torch.equal(sample.denoise(Counting(), cond, torch.randn_like(known), noise.schedule(10, FRAMES)), known)
    assert not calls


def test_guidance_is_linear_and_skipped_at_one() -> None:
    class FromText:
        calls = 0

        def __call__(self, x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            FromText.calls += len(x)
            return text[:, 0, 0].reshape(-1, 1, 1, 1, 1).expand_as(x)

    x, level = torch.zeros(1, 1, 2, 1, 1), torch.ones(1, 2)
    cond = Conditioning(torch.full((1, 1, 1), 3.0), torch.ones(1, 1, 1), x, level)
    assert sample.Guided(FromText(), cond, 2.0)(x, level, 0).unique().tolist() == [5.0]
    assert FromText.calls == 2
    assert sample.Guided(FromText(), cond, 1.0)(x, level, 0).unique().tolist() == [3.0]
    assert FromText.calls == 3
    kept = sample.Guided(FromText(), cond, 2.0, every=3)
    assert [kept(x, level, step).unique().tolist() for step in range(4)] == [[5.0]] * 4, (
        "the term does not change, so keeping it changes nothing"
    )
    assert FromText.calls == 3 + 2 + 1 + 1 + 2


def test_the_noisiest_levels_are_not_guided() -> None:
    def from_text(x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return text[:, 0, 0].reshape(-1, 1, 1, 1, 1).expand_as(x)

    x, given = torch.zeros(1, 1, 2, 1, 1), torch.tensor([[0.0, 1.0]])
    cond = Conditioning(torch.full((1, 1, 1), 3.0), torch.ones(1, 1, 1), x, given)
    guided = sample.Guided(from_text, cond, 2.0, below=0.9)
    assert [guided(x, given * level, 0).unique().tolist() for level in (1.0, 0.91, 0.9, 0.1)] == [[3.0], [3.0], [5.0], [5.0]]
    # One step from pure noise: down to what the text alone says.
    rows = noise.schedule(1, 2, shift=1.0)
    ends = [sample.denoise(from_text, cond, x, rows, guidance=2.0, guided_below=below)[0, 0, 1].item() for below in (0.9, 1.0)]
    assert ends == [-3.0, -5.0]


def test_a_schedule_that_is_planned_anew_ends_clean() -> None:
    rows = noise.schedule(20, 3, shift=2.0)
    assert torch.allclose(noise.replanned(rows, 5, 15, shift=2.0), rows, atol=1e-6), "as many steps as before: the same ones"
    fewer = noise.replanned(rows, 5, 4, shift=2.0)
    assert len(fewer) == 5 + 4 + 1
    assert torch.equal(fewer[:6], rows[:6])
    assert torch.all(fewer[-1] == 0)
    assert torch.all(fewer[1:] < fewer[:-1])
    lagged = noise.replanned(noise.schedule(10, 3, lag=1.0), 5, 3)
    assert torch.equal(lagged[5], noise.schedule(10, 3, lag=1.0)[5])
    assert torch.all(lagged[-1] == 0)


def test_denoising_follows_a_plan_that_changes() -> None:
    taken = []

    class Constant:
        def __call__(self, x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            taken.append(float(level[0, 0]))
            return torch.ones_like(x)

    def replan(done: int, rows: torch.Tensor) -> torch.Tensor:
        return noise.replanned(rows, done, 2) if done == 3 else rows

    start = torch.full((1, 1, 2, 1, 1), 1.0)
    cond = Conditioning(torch.zeros(1, 0, 1), torch.zeros(1, 0, 1), torch.zeros_like(start), torch.ones(1, 2))
    seen: list[tuple[int, int]] = []
    end = sample.denoise(
        Constant(), cond, start, noise.schedule(10, 2), replan=replan, on_step=lambda done, of, *_: seen.append((done, of))
    )
    assert float(end.abs().max()) == pytest.approx(0.0, abs=1e-6), "a straight way ends at the same place, however it is divided"
    assert len(taken) == 5
    assert seen[-1] == (5, 5)


def test_schedules() -> None:
    flat = noise.schedule(4, 3, shift=3.0)
    assert flat.shape == (5, 3)
    assert torch.all(flat[0] == 1)
    assert torch.all(flat[-1] == 0)
    assert torch.all(flat[1:] <= flat[:-1])
    lag = noise.schedule(10, 3, lag=1.0)
    assert torch.all(lag[5] == torch.tensor([0.0, 0.5, 1.0]))
    with pytest.raises(ValueError, match="euler, heun, unipc"):
        run([FREE] * FRAMES, 0.0, solver="dpm")
