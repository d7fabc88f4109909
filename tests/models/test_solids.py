"""A box around each thing is where the world has it, as large, and turned alike; lines pass through it as geometry says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt.models import solids
from kinowatt.models.blocking import Blocking, looks
from kinowatt.models.solids import MEETS, PASSES, Solids
from kinowatt.models.spots import Stands, Views, places
from kinowatt.worlds.toybox import Toybox, blocking, layout, light, pose
from kinowatt.worlds.toybox.scene import Subject

SIDE = 64
BOX, BALL, TUBE = 0, 3, 6  # where what is told of each begins


def filmed(seed: int, **over: Any) -> tuple[Stands, np.ndarray]:
    """One frame of a scene as its director would tell it, and its instance ids (H, W), in the order of its things."""
    sample = Toybox().sample(seed, size=(SIDE, SIDE), frames=5, fps=16.0, every=4, **over)
    motion = sample.motion.every(4)
    tracks, poses = blocking.tracks(motion, sample.camera_T44, sample.focus_m), pose.poses(motion, sample.camera_T44)
    said = torch.tensor([looks(t.kind, t.color, t.material, t.striped) for t in motion.things])
    told = Blocking(torch.from_numpy(tracks)[None], said[None], torch.from_numpy(poses)[None])
    shines = torch.tensor([light.main_light(sample.scene)])
    views = Views(torch.from_numpy(sample.camera_T44)[None].float(), torch.tensor([float(sample.focus_m)]), shines)
    return Stands(told.of(0, 1), views.frame(0)), sample.ids_THW[0]


def upright(kind: str = "cube") -> Stands:
    """One thing half a metre large in the middle of the picture of a level camera four metres away, its sides along the picture's."""
    tracks = torch.tensor([0.0, 0.0, 0.25, 0.0, 0.25, 0.0]).view(1, 1, 1, 6)
    poses = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 6)
    rows = torch.tensor([[0.0, -4.0, 1.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    views = Views(rows[None, None], torch.tensor([4.0]), torch.tensor([[0.0, -0.6, 0.8]]))
    return Stands(Blocking(tracks, torch.tensor([[looks(kind, "red", "matte", False)]]), poses), views)


def test_the_sides_are_the_worlds() -> None:
    for kind, halves in solids.HALVES.items():
        true = np.array(layout.DOMINO_M if kind == "domino" else layout.half_sizes(kind, 0.4))
        assert np.allclose(halves, true / true.max(), atol=1e-3), kind


@pytest.mark.parametrize("kind", ["cube", "ball", "cylinder"])
def test_a_box_covers_what_the_world_draws_there(kind: str) -> None:
    """Over six scenes, each pixel: the solid that the kind is, by what is told of lines alone."""
    both = either = 0
    for seed in range(6):
        stands, ids_HW = filmed(seed, event="still", subjects=(Subject(kind, "red", "matte", 0.5),), weather="clear", shot="medium")
        made = Solids(stands)
        whose = torch.arange(len(stands.b)).repeat_interleave(SIDE * SIDE)
        told = made.meets(stands.rays(places(SIDE, SIDE).repeat(len(stands.b), 1), whose), whose)
        inside = {"cube": told[:, BOX], "ball": told[:, BALL], "cylinder": told[:, [BOX, TUBE]].amin(1)}[kind] > 0
        mine = inside.view(len(stands.b), SIDE, SIDE).any(0).numpy()
        both, either = both + int((mine & (ids_HW > 0)).sum()), either + int((mine | (ids_HW > 0)).sum())
    assert either > 500
    assert both > 0.85 * either, f"{kind}: {both / either:.2f}"


def test_a_line_through_the_middle_enters_at_the_near_side_and_leaves_at_the_far_one() -> None:
    made = Solids(upright())
    assert made.halves[0].tolist() == pytest.approx([0.5] * 3, rel=0.02)
    told = made.meets(torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.5]]), torch.zeros(2, dtype=torch.int64))
    assert told.shape == (2, MEETS)
    through, past = told
    assert float(through[BOX]) == pytest.approx(math.tanh(2.0), abs=1e-3), "two half sides long"
    assert float(through[BALL]) == pytest.approx(math.tanh(1.0), abs=1e-3)
    near, far, side = through[PASSES : PASSES + 9].split(3)
    assert near.tolist() == pytest.approx([0.0, -1.0, 0.0], abs=0.01)
    assert far.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=0.01)
    assert side.tolist() == [0.0, -1.0, 0.0]
    assert through[-3:].tolist() == pytest.approx([0.6] * 3, abs=0.02), "all of them face the camera, and the light as much as it does"
    assert bool((past[[BOX, BALL]] < 0).all())
    assert bool(told.isfinite().all())


def test_shadows_are_where_the_way_to_the_light_is_barred() -> None:
    made = Solids(upright("ball"))
    n = torch.zeros(3, dtype=torch.int64)
    ground = torch.tensor([[0.0, 0.75, 0.0], [0.0, 0.0, 0.0], [3.0, 0.75, 0.0]])
    told = made.passes(ground, made.light[n], n)
    assert told.shape == (3, PASSES)
    assert (told[:, BALL] > 0).tolist() == [True, False, False]


def test_of_what_is_of_several_solids_nothing_is_told() -> None:
    made = Solids(upright("turbine"))
    n = torch.zeros(1, dtype=torch.int64)
    assert not made.meets(torch.tensor([[0.0, 1.0, 0.0]]), n).any()
    assert not made.passes(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]), n).any()
