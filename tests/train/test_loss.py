"""Random ceilings cover every mode, and losses count what they should."""

from __future__ import annotations

import torch

from kinowatt.train import loss


def test_every_mode_of_the_design_is_drawn() -> None:
    generator = torch.Generator().manual_seed(1)
    ceiling, lag = loss.random_ceilings(2000, 9, generator)
    free = (ceiling == 1).all(1)
    given = ceiling == 0
    assert (ceiling.max(1).values > 0).all(), "a clip with nothing to learn"
    assert 0.3 < float((free & (lag == 0)).float().mean()) < 0.5  # text
    assert float((lag > 0).float().mean()) > 0.015
    assert int((given[:, 0] & ~given[:, -1]).sum()) > 200  # start
    assert int((~given[:, 0] & given[:, -1]).sum()) > 100  # end
    assert int((given[:, 0] & given[:, -1]).sum()) > 100  # both ends
    assert int(((ceiling > 0) & (ceiling < 1)).all(1).sum()) > 80  # edit
    past = (ceiling[:, 0] > 0) & (ceiling[:, 0] <= loss.HISTORY) & (ceiling[:, -1] == 1)
    assert int(past.sum()) > 80  # going on from a past that is not quite to be trusted


def test_one_frame_is_always_free() -> None:
    ceiling, lag = loss.random_ceilings(8, 1, torch.Generator().manual_seed(0))
    assert ceiling.tolist() == [[1.0]] * 8
    assert not lag.any()


def test_velocity_loss_is_zero_for_the_true_velocity_and_ignores_given_frames() -> None:
    clean = torch.zeros(16, 2, 5, 3, 3)
    at = loss.noised(clean, 2.0, torch.Generator().manual_seed(3))

    def exact(x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        up = level[:, None, :, None, None]
        # Clean is zero, so x = level * noise; where a frame is given the answer may be anything.
        return torch.where(up > 0, x / up.clamp(min=1e-6), torch.full_like(x, 1e6))

    assert float(loss.velocity_loss(exact, at, torch.zeros(16, 1, 1))) < 1e-8

    def wrong(x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return exact(x, level, text) + 1.0

    value = float(loss.velocity_loss(wrong, at, torch.zeros(16, 1, 1)))
    assert abs(value - 1.0) < 1e-4


def test_clips_with_a_backdrop_come_from_it_on_a_straight_way_where_nothing_is_given() -> None:
    torch.manual_seed(0)
    clean, under = torch.randn(2, 400, 8, 5, 4, 4)
    begins = torch.where(torch.arange(400) < 300, 0.6, 1.0)
    at = loss.noised(clean, 5.0, torch.Generator().manual_seed(3), under=(under, begins))
    level = at.level_BF[:, None, :, None, None]
    # Whatever lies under it, a step along the true velocity ends where the clip is clean.
    torch.testing.assert_close(at.x_BCFHW - level * at.velocity_BCFHW, clean, atol=1e-5, rtol=1e-5)
    apart = at.velocity_BCFHW + clean  # noise alone, or with a share of what the backdrop is off
    off = (under - clean) * (0.4 / 0.6)
    likeness = ((apart * off).sum((1, 3, 4)) / off.square().sum((1, 3, 4))).round()  # (B, F)
    from_it = at.level_BF[(likeness == 1) & (at.level_BF > 0)]
    assert len(from_it) > 300
    assert float(from_it.max()) <= 0.6 + 1e-5
    assert float(at.level_BF[300:].max()) > 0.9, "where none is shown, from noise"
    whole = (at.level_BF[:300] == at.level_BF[:300, :1]).all(1) & (at.level_BF[:300, 0] > 0.6)
    assert int(whole.sum()) > 0, "and edits keep their own levels"
    given = (at.level_BF[:300] == 0).any(1)
    assert float(at.level_BF[:300][given].max()) > 0.9, "as what goes on from footage does"


def test_reconstruction_weighs_subjects() -> None:
    true = torch.zeros(1, 3, 5, 8, 8)
    subject = torch.zeros(1, 5, 8, 8)
    subject[..., :2] = 1
    on, off = true.clone(), true.clone()
    on[..., 0] += 0.5
    off[..., 7] += 0.5
    assert float(loss.reconstruction_loss(true, true, subject)) == 0
    assert float(loss.reconstruction_loss(on, true, subject)) > 2 * float(loss.reconstruction_loss(off, true, subject))
