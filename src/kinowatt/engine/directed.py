"""What a model's director tells before a clip is drawn: what stands where (models/director.py), and its poser, how it is turned
(models/poser.py), part by part where the clip is long.

What an observer sees in footage that is given (models/observer.py) is known to the director, and so is, of a long clip, what it has told
of the part before. How things in footage are turned nobody sees: there no poses are told. Legend: K things, F latent frames of the clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kinowatt.engine.conditioning import Known
from kinowatt.engine.plan import Plan
from kinowatt.engine.standing import cameras, mixed
from kinowatt.models.blocking import LOOKS, MOST, POSE, TRACK, Blocking, in_picture
from kinowatt.models.director import FRAMES, GUIDANCE, ROW, SLOTS, Director
from kinowatt.models.observer import Observer, joined
from kinowatt.models.poser import Poser
from kinowatt.models.spec import ModelSpec
from kinowatt.shot import OUTSIDE, CameraKey
from kinowatt.worlds.toybox.blocking import EDGE, way

SEEDED, POSED = 2**32, 2**33  # beside the numbers of parts, for the director's own noise, and the poser's
GOING_ON = 1.5  # guidance where things are known: words count less beside what is seen (LOG.md)
AGAIN = 3  # frames of a part that were told with the part before
AWAY = (2.0 * EDGE, 2.0 * EDGE, 0.01, 0.0, 0.01, 0.0)  # the track of what is not to be seen


def direct(
    plan: Plan, path: Sequence[CameraKey], director: Director, poser: Poser | None, observer: Observer | None, known: Known, spec: ModelSpec
) -> Blocking | None:
    """The blocking of a clip, latent frame by latent frame. The camera of the key frames or, where there are none, of the words is given.

    None where nothing is to be told: clips without words or footage, and edits, whose footage is to be redrawn; nor, without an observer,
    where there is footage. There the words alone speak.
    """
    count = known.ceiling_1F.shape[1] - known.outside
    given_F = known.ceiling_1F[0, :count] == 0.0
    footage = any(a.at != OUTSIDE for a in plan.shot.anchors)
    if not (plan.tokens or plan.scenes or footage) or (footage and (observer is None or not given_F.any())):
        return None
    stage = _Stage(plan, path, director, None if footage else poser, spec, count)
    if observer is not None and footage:
        stage.see(observer, known.latents_1CFHW[:, :, :count].float().cpu(), given_F)
    for part, begin in enumerate(parts(given_F)):
        stage.tell(begin, part)
    return Blocking(stage.tracks_KFT[None], stage.looks_KL[None], None if stage.poser is None else stage.poses_KFP[None])


def parts(given_F: torch.Tensor) -> list[int]:
    """The frames at which the parts of a clip begin, in the order in which they are told: from the side on that is given.

    A clip shorter than a part is its first or last frames where those are given, else its middle, as things may enter and leave.
    """
    count, backward = len(given_F), bool(given_F[-1] & ~given_F[0])
    if count <= FRAMES:
        return [0 if given_F[0] else count - FRAMES if backward else (count - FRAMES) // 2]
    begins = [*range(0, count - FRAMES, FRAMES - AGAIN), count - FRAMES]
    return begins[::-1] if backward else begins


class _Stage:
    """What is told of a clip so far."""

    def __init__(self, plan: Plan, path: Sequence[CameraKey], director: Director, poser: Poser | None, spec: ModelSpec, count: int) -> None:
        self.plan, self.director, self.poser, self.count = plan, director, poser, count
        seen = cameras(plan, path, spec)
        self.rows_F44, self.focus = seen.rows_BF44[0].numpy(), float(seen.focus_B)
        self.aspect = plan.canvas_width / plan.canvas_height
        self.tracks_KFT = torch.tensor(AWAY).expand(MOST, count, TRACK).clone()
        self.looks_KL, self.poses_KFP = torch.zeros(MOST, LOOKS), torch.zeros(MOST, count, POSE)
        self.known_KF, self.told_KF, self.posed_KF = (torch.zeros(MOST, count, dtype=torch.bool) for _ in range(3))

    def see(self, observer: Observer, latents_1CFHW: torch.Tensor, given_F: torch.Tensor) -> None:
        """Find the things of frames that are given."""
        found = observer.find(latents_1CFHW[:, :, given_F])[0]
        frames = iter(found)
        blocking, self.known_KF = joined([next(frames) if given else None for given in given_F.tolist()], self._tokens(0))
        self.told_KF = self.known_KF.clone()
        self.tracks_KFT = torch.where(self.known_KF[..., None], blocking.tracks_BKFT[0], self.tracks_KFT)
        self.looks_KL = blocking.looks_BKL[0]

    def tell(self, begin: int, part: int) -> None:
        """Draw what is not known of the frames from one on."""
        window = torch.arange(begin, begin + FRAMES)
        inside = (window >= 0) & (window < self.count)
        at = window.clamp(0, self.count - 1)
        there_K = self.looks_KL[:, 0] > 0
        is_known = torch.zeros(1, SLOTS, FRAMES + 1, dtype=torch.bool)
        is_known[0, 0] = True
        is_known[0, 1:, :FRAMES] = self.known_KF[:, at] & inside
        is_known[0, 1:, FRAMES] = there_K & is_known[0, 1:, :FRAMES].any(1)
        camera = torch.from_numpy(way(self.rows_F44[at.numpy()], self.focus))[None]
        rows = self.director.rows(camera, Blocking(self.tracks_KFT[None, :, at], self.looks_KL[None]))
        number = SEEDED + part
        noise = torch.randn(1, SLOTS, ROW, generator=torch.Generator().manual_seed(mixed(self.plan.shot.seed, number)))
        ids, aspect = self.director.text.ids([self._tokens(begin + FRAMES - 1)]), torch.tensor([self.aspect])
        guidance = GOING_ON if bool(is_known[:, 1:].any()) else GUIDANCE
        _, drawn = self.director.read(self.director.draw(ids, aspect, noise, rows, is_known, guidance=guidance))
        # What is seen in no frame that is known is gone; nothing comes from nowhere, unless another scene begins.
        stays_K = is_known[0, 1:, :FRAMES].any(1)
        change = 0 if part == 0 else self._change(begin, begin + FRAMES)
        enters_K = ~there_K & (change is not None)
        new_KF = stays_K[:, None] & ~self.told_KF[:, at] & inside
        new_KF |= enters_K[:, None] & (drawn.looks_BKL[0, :, :1] > 0) & (window >= (change or 0)) & inside
        own = at[inside]
        self.tracks_KFT[:, own] = torch.where(new_KF[..., None], drawn.tracks_BKFT[0], self.tracks_KFT[:, at])[:, inside]
        self.looks_KL = torch.where(enters_K[:, None], drawn.looks_BKL[0], self.looks_KL)
        self.told_KF[:, own] = True
        seen_KF = in_picture(Blocking(self.tracks_KFT[None], self.looks_KL[None]), self.aspect)[0]
        self.known_KF[:, own] |= seen_KF[:, own]
        if self.poser is not None:
            self._turn(self.poser, at, inside, camera, number)

    def _turn(self, poser: Poser, at: torch.Tensor, inside: torch.Tensor, camera: torch.Tensor, number: int) -> None:
        """Draw how things are turned in frames of which that is not known."""
        blocking = Blocking(self.tracks_KFT[None, :, at], self.looks_KL[None])
        ids = poser.text.ids([self._tokens(int(at[-1]))])
        noise = torch.randn(1, MOST, FRAMES, POSE, generator=torch.Generator().manual_seed(mixed(self.plan.shot.seed, POSED + number)))
        known = self.posed_KF[:, at] & inside
        drawn = poser.draw(poser.stage(ids, camera, blocking), noise, self.poses_KFP[None, :, at], known[None])
        own = at[inside]
        self.poses_KFP[:, own] = drawn[0][:, inside]
        self.posed_KF[:, own] = self.looks_KL[:, :1] > 0

    def _tokens(self, frame: int) -> tuple[str, ...]:
        """The words that count at a frame."""
        return next((tokens for at, tokens in reversed(self.plan.scenes) if at <= frame), self.plan.tokens)

    def _change(self, begin: int, end: int) -> int | None:
        """Where in these frames another text begins."""
        return next((at for at, _ in self.plan.scenes if begin <= at < end), None)
