"""A network that guides itself takes one pass where its own guidance is asked for, and two elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kinowatt.engine import plan
from kinowatt.engine.runtime import inputs_of
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.spec import AWAY
from kinowatt.models.specs import SPARK
from kinowatt.models.steering import STEERING_CHANNELS
from kinowatt.shot import Shot


def test_only_its_own_guidance_without_a_negative_is_one_pass() -> None:
    spec = replace(SPARK, guidance=5.0, one_pass=5.0)
    assert plan.fill(Shot("a red ball"), spec).one_pass
    assert plan.fill(Shot("a red ball"), spec).strength == 1.0
    assert plan.fill(Shot("a red ball"), spec).shot.guidance == 5.0, "the label says what was asked for"
    for strength, shot in ((0.6, Shot("a red ball", guidance=3.0)), (1.4, Shot("a red ball", negative="fog"))):
        assert plan.fill(shot, spec).one_pass, "the network is asked for a guided velocity at every strength"
        assert plan.fill(shot, spec).strength == pytest.approx(strength)
    plain = replace(spec, one_pass=None)
    assert not plan.fill(Shot("a red ball"), plain).one_pass
    assert plan.fill(Shot("a red ball", guidance=3.0, negative="fog"), plain).strength == 3.0


def test_a_prompt_of_which_nothing_is_understood_is_no_words_and_one_pass() -> None:
    plain = replace(SPARK, guidance=3.0, one_pass=None)
    nothing = plan.fill(Shot("flumph opera"), plain)
    assert (nothing.tokens, nothing.strength) == ((), 1.0)
    assert plan.fill(Shot("a red flumph"), plain).tokens != ()
    assert plan.fill(Shot("a red flumph"), plain).strength == 3.0
    assert plan.fill(Shot("flumph opera", mood="calm"), plain).strength == 3.0
    assert plan.fill(Shot("flumph opera", negative="fog"), plain).strength == 3.0
    assert plan.fill(Shot("flumph opera", seconds=4.0, storyboard=((1.0, "a red ball"),)), plain).strength == 3.0


def test_every_strength_is_that_of_two_passes_for_a_network_that_learnt_well() -> None:
    """With p and u the velocities of words and of none, its own are p' = u + 5 (p - u) and u."""
    p, u, n = torch.randn(3, 1, 48, 1, 2, 2).unbind(0)
    own = {"p": u + 5.0 * (p - u), "u": u, "n": u + 5.0 * (n - u)}
    spec = replace(SPARK, one_pass=5.0)

    def guided(words: str, against: str, strength: float) -> torch.Tensor:
        return own[against] + strength * (own[words] - own[against])

    for guidance in (1.0, 3.0, 5.0, 8.0):
        torch.testing.assert_close(guided("p", "u", spec.strength(guidance)), u + guidance * (p - u))
    away = guided("p", "n", spec.strength(5.0, negative=True))
    torch.testing.assert_close(away, own["p"] + 5.0 * AWAY * (p - n))


def test_the_switch_is_the_last_channel_of_steering_whatever_else_is_inputs_of() -> None:
    dit = VideoDiT(replace(DITS["xs"], layers=1, heads=1))
    x, switch = torch.randn(1, 48, 2, 4, 4), 48 + STEERING_CHANNELS - 1
    off, on = inputs_of(x, dit, False), inputs_of(x, dit, True)
    assert off.shape == on.shape == (1, dit.config.in_channels, 2, 4, 4)
    assert not off[:, 48:].any()
    assert bool((on[:, switch] == 1).all())
    assert torch.equal((on != off).any(0).flatten(1).any(1).nonzero().flatten(), torch.tensor([switch]))
    told = torch.cat([x, torch.randn(1, dit.config.in_channels - 48, 2, 4, 4)], 1)
    assert torch.equal(inputs_of(told, dit, False), told)
    on = inputs_of(told, dit, True)
    assert torch.equal(on[:, :switch], told[:, :switch])
    assert torch.equal(on[:, switch + 1 :], told[:, switch + 1 :])
