"""A network that guides itself takes one pass where its own guidance is asked for, and two elsewhere."""

from __future__ import annotations

from dataclasses import replace

import torch

from kinowatt.engine import plan
from kinowatt.engine.runtime import inputs_of
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.specs import SPARK
from kinowatt.shot import Shot


def test_only_its_own_guidance_without_a_negative_is_one_pass() -> None:
    spec = replace(SPARK, guidance=5.0, one_pass=5.0)
    assert plan.fill(Shot("a red ball"), spec).one_pass
    assert plan.fill(Shot("a red ball"), spec).strength == 1.0
    assert plan.fill(Shot("a red ball"), spec).shot.guidance == 5.0, "the label says what was asked for"
    for shot in (Shot("a red ball", guidance=3.0), Shot("a red ball", negative="fog")):
        assert not plan.fill(shot, spec).one_pass
    assert plan.fill(Shot("a red ball", guidance=3.0), spec).strength == 3.0
    assert not plan.fill(Shot("a red ball"), replace(spec, one_pass=None)).one_pass


def test_the_switch_is_the_last_channel_whatever_else_is_inputs_of() -> None:
    dit = VideoDiT(replace(DITS["xs"], layers=1, heads=1))
    x = torch.randn(1, 48, 2, 4, 4)
    off, on = inputs_of(x, dit, False), inputs_of(x, dit, True)
    assert off.shape == on.shape == (1, 56, 2, 4, 4)
    assert not off[:, 48:].any()
    assert torch.equal(on[:, :55], off[:, :55])
    assert bool((on[:, 55] == 1).all())
    path = torch.cat([x, torch.randn(1, 8, 2, 4, 4)], 1)
    assert torch.equal(inputs_of(path, dit, False), path)
    assert torch.equal(inputs_of(path, dit, True)[:, :55], path[:, :55])
