"""Step caching: what all blocks but the first add to the tokens is kept over steps while what the first one adds changes little.

A loss by choice, without training. The first block as a sign of how much the others would change: first-block cache of ParaAttention
(github.com/chengzeyi/ParaAttention), after TeaCache (Liu et al. 2024, arXiv 2411.19108).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kinowatt.models.dit import VideoDiT
from kinowatt.models.layers import Context


@dataclass(frozen=True, eq=False)
class _Kept:
    """Of the last step that was computed: what the first block added (B, L, D), and what all others did."""

    first_BLD: torch.Tensor
    rest_BLD: torch.Tensor


class StepCache:
    """A network that leaves out blocks, for one take; it stands where the network does.

    The first block always runs. If, in every clip of the batch, what it adds differs by less than `threshold` (mean absolute difference
    over mean size, in the frames that still move) from what it added at the last computed step, then the others are not run: what they
    added then is added again. The difference is to the last computed step, so small changes add up. The first and the last step are
    always computed. It holds 2 * B * L * D numbers.
    """

    def __init__(self, dit: VideoDiT, threshold: float) -> None:
        assert threshold >= 0
        self.dit, self.threshold = dit, threshold
        self.blocks = self.skipped = 0  # counted once for each clip of a batch
        self.others: Sequence[StepCache] = ()
        self.agree: Callable[[bool], bool] = bool  # where several processes share a pass: whether all of them say yes
        self._kept: _Kept | None = None
        self._last_level = float("inf")  # until a schedule is given, every step may be the last

    def begin(self, schedule_SF: torch.Tensor) -> None:
        """Get ready for a take: nothing is known of it yet. `schedule_SF`: see `noise.schedule`."""
        self._kept, self.blocks, self.skipped = None, 0, 0
        self.replan(schedule_SF)

    def replan(self, schedule_SF: torch.Tensor) -> None:
        """The schedule has changed on the way, and with it the last step."""
        self._last_level = float(schedule_SF[-2].max())

    def forget(self) -> None:
        """What was kept no longer holds: the frames of a rolling window have moved on, or another network works now."""
        self._kept = None

    def contexts(self, text_BLD: torch.Tensor, image_BLD: torch.Tensor | None = None) -> list[Context]:
        """As the network's."""
        return self.dit.contexts(text_BLD, image_BLD)

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor | Sequence[Context]) -> torch.Tensor:
        """Velocity (B, C, F, H, W), as the network's. In a batch, clips with text come before those without (see `sample.Guided`)."""
        for cache in self.others:
            cache.forget()
        flow = self.dit.enter(x_BCFHW, level_BF, text_BLD)
        after_first = self.dit.block(0, flow.x_BLD, flow)
        added = after_first - flow.x_BLD
        batch, rest = len(added), range(1, len(self.dit.blocks))
        self.blocks += batch * len(self.dit.blocks)
        if float(level_BF.max()) > self._last_level and self.agree(self._near(added, level_BF[:, :: self.dit.config.patch[0]])):
            assert self._kept is not None
            self.skipped += batch * len(rest)
            return self.dit.leave(after_first + self._kept.rest_BLD[:batch], flow)
        x = after_first
        for i in rest:
            x = self.dit.block(i, x, flow)
        self._kept = _Kept(added, x - after_first)
        return self.dit.leave(x, flow)

    def _near(self, added_BLD: torch.Tensor, level_BF: torch.Tensor) -> bool:
        """Whether each clip's first block adds about what it did at the last computed step.

        A batch with clips that were not in the last computed one is never near: guidance would amplify what lies between their ages.
        """
        kept = self._kept
        if kept is None or len(kept.first_BLD) < len(added_BLD) or kept.first_BLD.shape[1:] != added_BLD.shape[1:]:
            return False
        moves_BF = level_BF > 0  # given and finished frames do not move, whatever is computed for them
        before_BLD = kept.first_BLD[: len(added_BLD)]
        change_B, size_B = (
            (t.abs().unflatten(1, (moves_BF.shape[1], -1)).sum((2, 3), dtype=torch.float32) * moves_BF).sum(1)
            for t in (added_BLD - before_BLD, before_BLD)
        )
        return bool((change_B < self.threshold * size_B).all())


def step_caches(dits: Sequence[VideoDiT], threshold: float) -> list[StepCache]:
    """One for each network of a model, of which one works at a time: as it does, the others give their memory back."""
    made = [StepCache(dit, threshold) for dit in dits]
    for cache in made:
        cache.others = [other for other in made if other is not cache]
    return made
