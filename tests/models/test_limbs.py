"""Towers, blades, ropes and beams are told where the world has them, from tracks, poses and cameras alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from kinowatt import language
from kinowatt.models import limbs as thin
from kinowatt.models.blocking import LOOKS, POSE, Blocking, looks
from kinowatt.models.limbs import HOOK, Limbs, hooks
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.models.spots import Stands, Views, places
from kinowatt.train.latents import mirrored_cameras
from kinowatt.worlds.toybox import blocking, camera, layout, light, physics, pose, scene
from kinowatt.worlds.toybox.physics import Motion

FRAMES = 33


def filmed(event: str, seed: int, *, mirrored: bool = False, **fields: object) -> tuple[Motion, Blocking, Views]:
    """A scene of the world as its director would tell it, every fourth frame."""
    made = scene.sample(seed, event=event, **fields)  # type: ignore[arg-type]
    motion = physics.simulate(made, FRAMES, 16.0).every(4)
    path = camera.plan(made, physics.simulate(made, FRAMES, 16.0), 1.0)
    rows = path.rows_T44[::4].astype(np.float32)
    tracks, poses = blocking.tracks(motion, rows, path.distance_m), pose.poses(motion, rows, mirrored=mirrored)
    shines = np.array(light.main_light(made), np.float32)
    if mirrored:
        tracks, rows, shines = blocking.mirrored_tracks(tracks), mirrored_cameras(rows[None])[0], shines * [-1, 1, 1]
    said = torch.tensor([looks(t.kind, t.color, t.material, t.striped) for t in motion.things])
    focus = torch.tensor([path.distance_m])
    views = Views(torch.from_numpy(rows)[None], focus, torch.from_numpy(shines)[None].float())
    told = Blocking(torch.from_numpy(tracks)[None], said[None], torch.from_numpy(poses)[None])
    found = hooks(told, views.rows_BF44, focus) if event == "pendulum" else None
    return motion, dataclasses.replace(told, hooks_BKH=found), views


def of(told: Blocking, views: Views, frame: int) -> Limbs:
    return Limbs(told.of(frame, 1), Stands(told.of(frame, 1), views.frame(frame)))


def test_constants_are_the_worlds() -> None:
    assert (thin.TOWER_M, thin.ROPE_M, thin.HOOK_M) == (physics.TOWER_M, layout.ROPE_M, layout.HOOK_M)
    assert thin.BLADE_M[1] - thin.BLADE_M[0] == physics.ROTOR_M


@pytest.mark.parametrize("mirrored", [False, True])
def test_towers_and_blades_stand_where_the_world_has_them(mirrored: bool) -> None:
    for seed in range(3):
        motion, told, views = filmed("turbine", seed, mirrored=mirrored, shot="wide", move="static")
        for frame in (0, 5):
            limbs = of(told, views, frame)
            assert len(limbs.b) == 4 * len(motion.things)
            solids = motion.solids_TN16[frame]
            owner = (solids[:, 11] // 16).astype(int) - 1
            flip = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
            for k in range(len(motion.things)):
                own = solids[owner == k]
                mine = limbs.slot // thin.PER_THING == k
                tower = limbs.ends[mine & (limbs.kind == 0)][0].mean(0)
                assert np.allclose(tower, own[0, :3] * flip, atol=0.4), "its middle"
                middles = limbs.ends[mine & (limbs.kind == 1)].mean(1).numpy()
                for blade in own[3:, :3] * flip:
                    assert np.linalg.norm(middles - blade, axis=1).min() < 0.35


@pytest.mark.parametrize("mirrored", [False, True])
def test_ropes_end_where_the_world_has_its_hooks(mirrored: bool) -> None:
    off = []
    for seed in range(6):
        motion, told, views = filmed("pendulum", seed, mirrored=mirrored)
        assert told.hooks_BKH is not None
        count = len(motion.things)
        true = np.array([[(i - (count - 1) / 2) * (-1.0 if mirrored else 1.0), 0.0, layout.HOOK_M] for i in range(count)])
        off += np.linalg.norm(told.hooks_BKH[0, :, :3].numpy() - true, axis=1).tolist()
        limbs = of(told, views, 3)
        rope, beam = (limbs.ends[limbs.kind == kind] for kind in (2, 3))
        assert torch.allclose(rope[:, 1], told.hooks_BKH[0, :, :3])
        assert torch.allclose(beam.mean(1), told.hooks_BKH[0, :, :3], atol=1e-5)
        assert float(((rope[:, 0] - rope[:, 1]).norm(dim=1) - layout.ROPE_M).abs().max()) < 0.6, "as long as a rope less the thing itself"
    assert np.median(off) < 0.06
    assert max(off) < 0.5


def test_what_nobody_tells_has_no_limbs() -> None:
    _, told, views = filmed("turbine", 0, shot="wide")
    assert set(of(dataclasses.replace(told, poses_BKFP=None), views, 0).kind.tolist()) == {0}, "a tower, for how blades stand is not known"
    _, told, views = filmed("pendulum", 0)
    assert not len(of(dataclasses.replace(told, hooks_BKH=None), views, 0).b)
    assert not len(of(dataclasses.replace(told, hooks_BKH=torch.zeros(1, told.looks_BKL.shape[1], HOOK)), views, 0).b)
    assert not len(of(told.only(torch.zeros(1)), views, 0).b)


def rope(rows_44: torch.Tensor, hook: tuple[float, float, float], size: float = 0.1) -> tuple[Blocking, Views]:
    """A ball where the camera looks, hung from a hook."""
    said = torch.zeros(1, 1, LOOKS)
    said[0, 0] = torch.tensor(looks("ball", "red", "matte", False))
    tracks = torch.tensor([0.0, 0.0, size, 0.0, size, 0.0]).expand(1, 1, 1, 6)
    told = Blocking(tracks, said, torch.zeros(1, 1, 1, POSE), torch.tensor([[[*hook, 1.0, 0.0]]]))
    return told, Views(rows_44[None, None], torch.tensor([4.0]), torch.tensor([[0.6, 0.0, 0.8]]))


LEVEL = torch.tensor(
    [[0.0, -4.0, 0.65, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
)  # a camera that looks along y


def test_a_rope_is_a_line_in_the_picture_as_thick_as_it_is_far() -> None:
    told, views = rope(LEVEL, (0.0, 0.0, 2.15))
    limbs, side = of(told, views, 0), 64
    near, beside = limbs.beside(places(side, side)[None], side)
    _, covers = limbs.spans(beside[limbs.kind == 2][0])
    covers = covers.unflatten(0, (side, side)) * (near[limbs.kind == 2][0] > 0).unflatten(0, (side, side))
    columns = covers.sum(0)
    assert columns[[31, 32]].sum() > 0.95 * columns.sum(), "in the middle of the picture"
    # It is .04 m wide, 4 m away, before a lens of 2 half heights: .64 pixels.
    rows = covers.sum(1)[10:20]
    torch.testing.assert_close(rows, torch.full_like(rows, 0.64), atol=0.05, rtol=0.0)
    assert not covers[32:].any(), "not below the ball"


def test_what_is_behind_the_camera_is_cut_off() -> None:
    lines = torch.tensor([[[0.0, 0.0, -1.0], [4.0, 0.0, 3.0]], [[0.0, 0.0, -1.0], [0.0, 0.0, -3.0]]])
    kept, there = thin._before(lines, torch.full((2,), 0.5))
    assert there.tolist() == [True, False]
    assert kept[0].tolist() == [[1.5, 0.0, 0.5], [4.0, 0.0, 3.0]]
    told, views = rope(LEVEL, (0.0, -10.0, 2.15))
    near, _ = of(told, views, 0).beside(places(16, 16)[None], 16)
    assert not (near[1] > 0).any(), "a beam behind it"


@torch.no_grad()
def test_painters_paint_limbs_and_their_shadows_before_the_place() -> None:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=32), language.VOCABULARY).eval()
    torch.nn.init.normal_(paints.limbs.outward.weight)
    for network in (paints.things, paints.shadows):
        network.outward.bias[-1] = -100.0
    told, views = rope(LEVEL, (0.0, 0.0, 2.15))
    side = 48
    at, ground, words = places(side, side)[None], torch.zeros(1, side**2, 3), torch.zeros(1, 32)
    changed = (paints.before(ground, words, told, views, at, side) != 0).any(2)[0]
    above = changed & (at[0, :, 1] > 0.1)
    assert 40 < int(above.sum()) < 600
    none = paints.before(ground, words, dataclasses.replace(told, hooks_BKH=None), views, at, side)
    assert not none.any()
    stands = Stands(told, views)
    fallen = Limbs(told, stands, fallen=True)
    assert float(fallen.ends[..., 2].abs().max()) < 1e-5, "on the ground"
    rise = 0.8 / 0.6
    (true,) = stands.size.tolist()
    start = 0.65 + true
    assert fallen.ends[fallen.kind == 2][0, :, 0].tolist() == pytest.approx([-start / rise, -2.15 / rise], abs=1e-4)
    lying, _ = fallen.beside(at, side)
    dark = changed & (at[0, :, 1] < -0.1)
    assert bool((lying > 0).any(0)[dark].all())
    assert math.isfinite(float(paints.before(ground, words, told, views, at, side).sum()))


def test_a_turbine_is_as_large_as_its_ellipse_says_however_far_a_camera_is_said_to_be() -> None:
    """A picture says nothing of metres: words that put the camera at a third of the distance have turbines of a third of the size."""
    _, told, views = filmed("turbine", 1, shot="wide", move="static")
    near = views.rows_BF44.clone()
    near[..., 0, :3] /= 3.0
    small = Views(near, views.focus_B / 3.0, views.lights_B3)
    one, other = of(told, views, 0), of(told, small, 0)
    torch.testing.assert_close(other.picture, one.picture, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(3.0 * other.thick, one.thick, atol=1e-4, rtol=1e-3)
