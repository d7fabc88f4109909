"""A step cache leaves out what changes little, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from kinowatt.engine import noise, sample
from kinowatt.engine.step_cache import StepCache, step_caches
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.protocols import Conditioning, Denoiser

CONFIG = DiTConfig(heads=2, head_dim=16, ffn_dim=48, layers=4, text_dim=24, in_channels=4, out_channels=4, freq_dim=32)
STEPS = 8


def network(seed: int = 0) -> VideoDiT:
    torch.manual_seed(seed)
    dit = VideoDiT(CONFIG).eval().requires_grad_(False)
    for parameter in dit.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return dit


def conditioning(given: int = 0, frames: int = 3) -> Conditioning:
    torch.manual_seed(3)
    ceiling = torch.ones(1, frames)
    ceiling[:, :given] = 0.0
    known = torch.randn(1, 4, frames, 4, 6) * (ceiling == 0)[:, None, :, None, None]
    return Conditioning(torch.randn(1, 9, 24), torch.randn(1, 9, 24), known, ceiling)


def take(
    denoiser: Denoiser, cond: Conditioning, guidance: float = 5.0, every: int = 1, solver: str = "euler", lag: float = 0.0
) -> torch.Tensor:
    start = torch.randn(cond.known_BCFHW.shape, generator=torch.Generator().manual_seed(4))
    schedule = noise.schedule(STEPS, cond.ceiling_BF.shape[1], shift=2.0, lag=lag)
    return sample.denoise(denoiser, cond, start, schedule, guidance=guidance, cache=every, solver=solver)


def cached(dit: VideoDiT, threshold: float, lag: float = 0.0, frames: int = 3) -> StepCache:
    cache = StepCache(dit, threshold)
    cache.begin(noise.schedule(STEPS, frames, shift=2.0, lag=lag))
    return cache


class Counted:
    """A network's blocks, and how often each ran."""

    def __init__(self, dit: VideoDiT) -> None:
        self.runs = [0] * len(dit.blocks)
        for i, block in enumerate(dit.blocks):
            block.register_forward_hook(lambda module, inputs, out, i=i: self._count(i))

    def _count(self, i: int) -> None:
        self.runs[i] += 1


@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("every", [1, 3])
def test_at_threshold_zero_it_is_the_network(solver: str, every: int) -> None:
    dit, cond = network(), conditioning()
    cache = cached(dit, 0.0)
    assert torch.equal(take(cache, cond, every=every, solver=solver), take(dit, cond, every=every, solver=solver))
    assert cache.skipped == 0


def test_at_any_threshold_the_first_and_the_last_step_are_computed() -> None:
    dit, cond = network(), conditioning()
    counted, cache = Counted(dit), cached(dit, 1e9)
    take(cache, cond)
    assert counted.runs == [STEPS, 2, 2, 2]
    assert cache.blocks == 2 * 4 * STEPS  # two clips in a batch
    assert cache.skipped == 2 * 3 * (STEPS - 2)


def test_between_it_is_near_in_proportion_and_the_same_each_time() -> None:
    dit, cond = network(), conditioning()
    exact = take(dit, cond)
    errors, skipped = [], []
    for threshold in (0.02, 0.1, 0.5):
        cache = cached(dit, threshold)
        got = take(cache, cond)
        errors.append(float((got - exact).norm() / exact.norm()))
        skipped.append(cache.skipped)
        again = cached(dit, threshold)
        assert torch.equal(take(again, cond), got)
    assert sorted(skipped) == skipped
    assert 0 < skipped[1] < skipped[2]
    assert sorted(errors) == errors
    assert errors[-1] < 0.5


def test_what_was_kept_is_never_another_takes() -> None:
    dit, cond = network(), conditioning()
    cache = cached(dit, 0.5)
    first = take(cache, cond)
    cache.begin(noise.schedule(STEPS, 3, shift=2.0))
    assert torch.equal(take(cache, cond), first)
    assert cache.blocks == 2 * 4 * STEPS  # of this take alone


def test_only_frames_that_move_are_compared() -> None:
    """With one of three frames given, the two others decide; a change in the given one is not seen."""
    dit = network()
    cache = cached(dit, 0.05)
    x, text = torch.randn(1, 4, 3, 4, 6), torch.randn(1, 9, 24)
    cache(x, torch.tensor([[0.0, 0.9, 0.9]]), text)
    shaken = x.clone()
    shaken[:, :, 0] = torch.randn(1, 4, 4, 6) * 5
    # The first block's attention sees all frames, so the others change too; without it they do not.
    for linear in (dit.blocks[0].attn1.to_out[0],):  # type: ignore[union-attr, index]
        linear.weight.zero_()  # type: ignore[union-attr, operator]
    cache.forget()
    cache(x, torch.tensor([[0.0, 0.9, 0.9]]), text)
    cache(shaken, torch.tensor([[0.0, 0.9, 0.9]]), text)
    assert cache.skipped == 3
    cache(shaken, torch.tensor([[0.9, 0.9, 0.9]]), text)
    assert cache.skipped == 3


@pytest.mark.parametrize("given", [1, 3])
def test_given_frames_are_kept_exactly(given: int) -> None:
    dit, cond = network(), conditioning(given, 4)
    cache = cached(dit, 0.5, frames=4)
    got = take(cache, cond)
    assert cache.skipped > 0
    assert torch.equal(got[:, :, :given], cond.known_BCFHW[:, :, :given])


def test_frames_with_a_lag_are_near() -> None:
    dit, cond = network(), conditioning(frames=4)
    exact, cache = take(dit, cond, lag=0.5), cached(dit, 0.1, lag=0.5, frames=4)
    got = take(cache, cond, lag=0.5)
    assert cache.skipped > 0
    assert float((got - exact).norm() / exact.norm()) < 0.1


def test_each_clip_of_a_batch_must_be_near() -> None:
    dit = network()
    x, text, level = torch.randn(2, 4, 3, 4, 6), torch.randn(2, 9, 24), torch.full((2, 3), 0.9)
    cache = cached(dit, 0.05)
    cache(x, level, text)
    moved = x.clone()
    moved[1] = torch.randn(4, 3, 4, 6)
    cache(moved, level, text)
    assert cache.skipped == 0
    cache(moved, level, text)
    assert cache.skipped == 2 * 3


def test_clips_are_not_mixed_where_guidance_is_kept() -> None:
    """With every second pass alone, it takes the part of the clip with text; a later pair is computed anew."""
    dit = network()
    x, text, level = torch.randn(1, 4, 3, 4, 6).expand(2, -1, -1, -1, -1), torch.randn(2, 9, 24), torch.full((2, 3), 0.9)
    cache = cached(dit, 0.05)
    both = cache(x, level, text)
    one = cache(x[:1], level[:1], text[:1])
    assert cache.skipped == 3
    assert (one - both[:1]).abs().max() < 1e-5
    cache.forget()
    cache(x[:1], level[:1], text[:1])
    both_again = cache(x, level, text)
    assert cache.skipped == 3
    assert (both_again - both).abs().max() < 1e-5


def test_contexts_are_as_good_as_text() -> None:
    dit, cond = network(), conditioning()
    cache = cached(dit, 0.5)
    want = take(cache, cond)
    other = cached(dit, 0.5)
    got = take(lambda x, level, text: other(x, level, other.contexts(text)), cond)
    assert other.skipped == cache.skipped > 0
    assert (got - want).abs().max() < 1e-4


def test_two_networks_share_nothing() -> None:
    high, low, cond = network(0), network(1), conditioning()
    schedule = noise.schedule(STEPS, 3, shift=2.0)
    caches = step_caches([high, low], 1e9)
    for cache in caches:
        cache.begin(schedule)
    counts = [Counted(high), Counted(low)]
    take(lambda x, level, text: caches[0 if level.max() >= 0.6 else 1](x, level, text), cond)
    at_high = int((schedule[:-1, 0] >= 0.6).sum())
    assert counts[0].runs == [at_high, 1, 1, 1]
    assert counts[1].runs == [STEPS - at_high, 2, 2, 2]  # its first, and the last of all
    assert [cache._kept is None for cache in caches] == [True, False]


def test_several_processes_must_agree() -> None:
    """Each sees tokens of its own; if one left out blocks in which another waits for it, both would hang."""
    dit, cond = network(), conditioning()
    asked: list[bool] = []
    cache = cached(dit, 1e9)
    cache.agree = lambda near: asked.append(near) or False  # type: ignore[func-returns-value]
    assert torch.equal(take(cache, cond), take(dit, cond))
    assert asked == [False] + [True] * (STEPS - 2)  # at every step but the last, whatever the answer
    assert cache.skipped == 0


def test_a_new_schedule_moves_the_last_step() -> None:
    dit, cond = network(), conditioning()
    schedule = noise.schedule(STEPS, 3)
    cache = StepCache(dit, 1e9)
    cache.begin(schedule)
    shorter = noise.replanned(schedule, 3, 2)
    cache.replan(shorter)
    counted = Counted(dit)
    for now, _ in pairwise(shorter):
        cache(cond.known_BCFHW, now[None], cond.text_BLD)
    assert counted.runs == [5, 2, 2, 2]


def test_without_a_schedule_nothing_is_left_out() -> None:
    cache = StepCache(network(), 1e9)
    for _ in range(3):
        cache(torch.zeros(1, 4, 3, 4, 6), torch.ones(1, 3), torch.zeros(1, 9, 24))
    assert cache.skipped == 0
