"""What the denoiser learns from: blocks of clips as latents, made once and held in memory.

Every clip is there twice, as it is and mirrored, with a close look at one of its things as a reference outside of time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from kinowatt import language
from kinowatt.clip import Clip
from kinowatt.engine.conditioning import to_signal
from kinowatt.engine.standing import Cameras
from kinowatt.errors import WeightsError
from kinowatt.media.image import fit
from kinowatt.models import vae, weights
from kinowatt.models.blocking import COLORS, GROUPS, LOOKS, MOST, POSE, TRACK, Blocking, looks
from kinowatt.models.falls import ASIDE, CLOCK
from kinowatt.models.limbs import hooks
from kinowatt.models.spots import Views
from kinowatt.models.steering import ray_maps
from kinowatt.models.text import TextEncoder
from kinowatt.train.data import HELD_OUT, Block, Bucket, bucket_of, render_block, rendered, wording
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import EXAM_BLOCKS, in_time
from kinowatt.worlds.toybox import blocking, pose
from kinowatt.worlds.toybox.seen import Seen, mirrored
from kinowatt.worlds.toybox.splits import kept_apart

Size = tuple[int, int, int]  # latent frames, rows, columns
HALF = 2  # clips are rendered at so much less than their size
KEPT = ("latents", "looks", "cameras", "focus", "lights", "falls", "tracks", "poses", "things", "ways")
NAMING = ("count", "size", "pattern", "material", "color", "kind")  # slots of the lexicon that tell of things
FLIPPED = np.array([-1, 1, 1], np.float32)  # of places in the world flipped left to right
FALLING = np.array([1, 1, 1, 1, 1, -1, 1], np.float32)  # of what falls there
LATENT_S = vae.STRIDE / 16.0  # between latents, in clips of 16 frames a second
SQUARE_M = 1.25  # a side of those of the toybox's floors
FEWER_SHARE = 0.6  # of captions that a director hears in part
PAINTED_SHARE = 0.2  # of clips of which a director hears that all things have one colour
UNKNOWN_SHARE = 0.15  # of captions with words that the lexicon does not know


@torch.inference_mode()
def latent_block(folder: Path, block: int, bucket: Bucket) -> Path:
    """Render one block as far as its latents hold it, fold it to bfloat16, and keep it; returns the file's path.

    Latents are means of 4x4 pixels of every fourth frame, so half of the size and a quarter of the frames are enough: a tenth of the work.
    """
    path = folder / f"latents-{bucket.width}x{bucket.height}x{bucket.frames}-{block:07d}.safetensors"
    if path.exists():
        return path
    made = render_block(block, (bucket.width // HALF, bucket.height // HALF), bucket.frames, vae.STRIDE)

    def coded(frames_FCHW: np.ndarray) -> torch.Tensor:
        return vae.encode_held(to_signal(frames_FCHW), vae.SMALL // HALF).bfloat16()

    clips = [coded(c[..., ::turn]) for turn in (1, -1) for c in made.frames_NTCHW]
    close = [close_look(made, n) for n in range(len(made.seen))]
    looks = [coded(look[..., ::turn]) for turn in (1, -1) for look in close]
    cameras = torch.from_numpy(np.concatenate([made.cameras_NT44, mirrored_cameras(made.cameras_NT44)]))
    focus = torch.from_numpy(made.focus_N).repeat(2)
    assert made.lights_N3 is not None
    assert made.falls_NN is not None
    lights = torch.from_numpy(np.concatenate([made.lights_N3, made.lights_N3 * FLIPPED]))
    falls = torch.from_numpy(np.concatenate([made.falls_NN, made.falls_NN * FALLING]))
    drawn = {"latents": torch.cat(clips), "looks": torch.cat(looks)}
    tensors = drawn | {"cameras": cameras, "focus": focus, "lights": lights, "falls": falls} | directed(made)
    seen = [s.to_json() for s in made.seen] + [mirrored(s).to_json() for s in made.seen]
    weights.save(path, tensors, {"seen": seen})
    return path


def directed(block: Block) -> dict[str, torch.Tensor]:
    """What a director would have told of each clip, as it is and mirrored: `tracks` (2N, MOST, F, TRACK) and `poses` (2N, MOST, F, POSE) of
    its things, `things` (2N, MOST, LOOKS), which those are, and `ways` (2N, F, TRACK) of the camera."""
    count, frames = block.cameras_NT44.shape[:2]
    tracks = np.zeros((count, MOST, frames, TRACK), np.float32)
    poses = np.zeros((2, count, MOST, frames, POSE), np.float32)
    things = np.zeros((count, MOST, LOOKS), np.float32)
    for n, (motion, seen) in enumerate(zip(block.motions, block.seen, strict=True)):
        order = blocking.in_order(motion.things, seen.things)[:MOST]
        tracks[n, : len(order)] = blocking.tracks(motion, block.cameras_NT44[n], float(block.focus_N[n]))[order]
        for turn in range(2):
            poses[turn, n, : len(order)] = pose.poses(motion, block.cameras_NT44[n], mirrored=bool(turn))[order]
        named = [motion.things[k] for k in order]
        things[n, : len(order)] = [looks(t.kind, t.color, t.material, t.striped) for t in named]
    ways = np.stack([blocking.way(rows, float(f)) for rows, f in zip(block.cameras_NT44, block.focus_N, strict=True)])
    both = {
        "tracks": (tracks, blocking.mirrored_tracks(tracks)),
        "poses": (poses[0], poses[1]),
        "things": (things, things),
        "ways": (ways, blocking.mirrored_way(ways)),
    }
    return {name: torch.from_numpy(np.concatenate(pair)) for name, pair in both.items()}


def close_look(block: Block, n: int) -> np.ndarray:
    """One frame (1, C, H, W) of clip n cut to the first thing that is seen, enlarged to the clip's size; the whole frame if none is."""
    ids_THW = block.ids_NTHW[n]
    _, height, width = ids_THW.shape
    t = int((ids_THW > 0).sum((1, 2)).argmax())
    frame_CHW = block.frames_NTCHW[n, t]
    found = np.bincount(ids_THW[t].ravel(), minlength=2)[1:]
    if not found.any():
        return frame_CHW[None]
    rows, columns = np.nonzero(ids_THW[t] == 1 + found.argmax())
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    # As much of the frame as the thing takes, and half as much again around it.
    share = min(1.5 * max((np.ptp(rows) + 1) / height, (np.ptp(columns) + 1) / width), 1.0)
    h, w = max(int(height * share), 8), max(int(width * share), 8)
    y, x = (int(np.clip(m - s / 2, 0, most - s)) for m, s, most in zip(middle, (h, w), (height, width), strict=True))
    return fit(Clip(np.ascontiguousarray(frame_CHW[None, :, y : y + h, x : x + w]), fps=16.0), width, height)[0].frames_TCHW


def mirrored_cameras(cameras_NT44: np.ndarray) -> np.ndarray:
    """Cameras of the world flipped left to right (x to -x), which shows the picture mirrored; right turns with its picture."""
    flipped = cameras_NT44.copy()
    flipped[..., :3] *= FLIPPED
    flipped[:, :, 1, :3] *= -1.0
    return flipped


def latent_blocks(folder: Path, blocks: Sequence[int], buckets: Sequence[Bucket], workers: int) -> Iterator[Path]:
    """Latent files as they come, by as many processes; 0: in this one, where an accelerator renders."""
    return rendered(latent_block, [(folder, b, bucket_of(b, buckets)) for b in blocks], workers)


@dataclass(frozen=True, eq=False)
class Draw:
    """A batch of one size: clean latents (B, C, F, H, W), token rows (B, L) of their captions, those that are told, ray maps
    (B, 7, F, H, W), close looks (B, C, 1, H, W), from where the clips are seen, where most light comes from (B, 3), what falls
    (B, F, FALL), what stands where, and of which clips (B) that is told."""

    clean_BCFHW: torch.Tensor
    words_BL: torch.Tensor
    rows_BL: torch.Tensor
    rays_BCFHW: torch.Tensor
    looks_BCFHW: torch.Tensor
    cameras: Cameras
    lights_B3: torch.Tensor
    falls_BFN: torch.Tensor
    blocking: Blocking
    told_B: torch.Tensor

    @property
    def views(self) -> Views:
        """From where it is seen, what lights it, and what falls."""
        return Views(self.cameras.rows_BF44, self.cameras.focus_B, self.lights_B3, self.falls_BFN)


@dataclass(frozen=True, eq=False)
class Told:
    """What a director tells, and of what: token rows (B, L), cameras' ways (B, F, TRACK), blocking, widths over heights (B)."""

    rows_BL: torch.Tensor
    ways_BFT: torch.Tensor
    blocking: Blocking
    aspect_B: torch.Tensor


@dataclass(eq=False)
class _Shelf:
    """All clips of one size."""

    latents: torch.Tensor
    looks: torch.Tensor
    cameras: torch.Tensor
    focus: torch.Tensor
    lights: torch.Tensor
    falls: torch.Tensor
    tracks: torch.Tensor
    poses: torch.Tensor
    things: torch.Tensor
    ways: torch.Tensor
    seen: list[Seen]
    hooks: torch.Tensor = field(init=False)  # from what things hang, where they do

    def __post_init__(self) -> None:
        hang = torch.tensor([seen.event == "pendulum" for seen in self.seen])
        self.hooks = hooks(Blocking(self.tracks, self.things), self.cameras, self.focus) * hang[:, None, None]


def _noisy(tokens: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Tokens with, now and then, some words that mean nothing: captions have none, prompts have, and they should change nothing."""
    r = random.Random(seed)
    out = list(tokens)
    for _ in range(r.randint(1, 3) if r.random() < UNKNOWN_SHARE else 0):
        out.insert(r.randint(0, len(out)), f"~{r.random()}")
    return tuple(out)


def _fewer(tokens: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Tokens without, now and then, some of those that name no thing: people say less than captions do, and mean no more things by it."""
    r = random.Random(f"fewer {seed}")
    share = r.random() if r.random() < FEWER_SHARE else 0.0
    return tuple(token for token in tokens if token.partition("=")[0] in NAMING or r.random() >= share)


class LatentStore:
    """All latents of a run in memory, by size. Without a text encoder there are pictures alone. WeightsError for files of before."""

    def __init__(self, paths: Sequence[Path], text: TextEncoder | None) -> None:
        self._text = text
        parts: dict[Size, list[tuple[dict[str, torch.Tensor], list[Seen]]]] = {}
        for path in sorted(paths):
            tensors, config = weights.load(path)
            if any(name not in tensors for name in KEPT):
                raise WeightsError(f"{path} was made by an older kinowatt; delete {path.parent}, and training makes all of it anew")
            _, _, *size = tensors["latents"].shape
            seen = [Seen.from_json(row) for row in config["seen"]]
            floors = [n for n in range(len(seen) // 2, len(seen)) if seen[n].fields.get("ground") == "checker"]  # that are mirrored
            tensors["cameras"][floors] = stepped_aside(tensors["cameras"][floors])
            tensors["falls"][floors, ASIDE] = SQUARE_M
            parts.setdefault((size[0], size[1], size[2]), []).append((tensors, seen))
        self._shelves = {
            size: _Shelf(
                **{k: torch.cat([t[k] for t, _ in found]) for k in KEPT},
                seen=[s for _, seen in found for s in seen],
            )
            for size, found in parts.items()
        }
        self.clips = sum(len(shelf.seen) for shelf in self._shelves.values())

    def draw(self, batch: int, generator: torch.Generator, split: str = "train", window: int | None = None) -> Draw:
        """Random clips of one size, or as many latent frames from anywhere in them, each with a caption in words of its own."""
        shelf, pick = self._shelf(batch, generator, 1)
        rows = self._rows([shelf.seen[i] for i in pick.tolist()], generator, split)
        _, _, frames, height, width = shelf.latents.shape
        count = min(window or frames, frames)
        at = torch.randint(frames - count + 1, (batch,), generator=generator)[:, None] + torch.arange(count)
        latents = shelf.latents[pick[:, None], :, at].transpose(1, 2)
        # A path is told relative to where the window begins.
        cameras = Cameras(shelf.cameras[pick[:, None], at], shelf.focus[pick])
        each = zip(cameras.rows_BF44, cameras.focus_B.tolist(), strict=True)
        rays = torch.stack([ray_maps(rows_F44, focus_m, height, width, stride=1) for rows_F44, focus_m in each])
        tracks, poses = (of[pick[:, None], :, at].transpose(1, 2) for of in (shelf.tracks, shelf.poses))
        stand = Blocking(tracks, shelf.things[pick], poses, shelf.hooks[pick])
        falls = shelf.falls[pick, None].repeat(1, count, 1)
        falls[..., CLOCK] += LATENT_S * at
        told_B = torch.ones(batch, dtype=torch.bool)
        return Draw(latents, rows, rows, rays, shelf.looks[pick], cameras, shelf.lights[pick], falls, stand, told_B)

    def told(self, batch: int, generator: torch.Generator, frames: int, split: str = "train") -> Told:
        """What a director would tell of random clips of one size, of as many latent frames from anywhere in them.

        Where no clip has so many, all stands still after a clip's end: a rehearsal (recipe "tiny") learns nothing of use anyway.
        """
        shelf, pick = self._shelf(batch, generator, frames)
        some, paint = torch.rand(batch, generator=generator) < PAINTED_SHARE, torch.randint(len(COLORS), (batch,), generator=generator)
        seen, things = [shelf.seen[i] for i in pick.tolist()], shelf.things[pick]
        for n, colour in enumerate(torch.where(some, paint, -1).tolist()):
            if colour >= 0 and (painted := repainted(seen[n], COLORS[colour])):
                seen[n], things[n] = painted, in_color(things[n], colour)
        rows = self._rows(seen, generator, split, fewer=True)
        begin = torch.randint(max(shelf.tracks.shape[2] - frames, 0) + 1, (batch,), generator=generator)
        at = (begin[:, None] + torch.arange(frames)).clamp(max=shelf.tracks.shape[2] - 1)
        tracks, poses = (of[pick[:, None], :, at].transpose(1, 2) for of in (shelf.tracks, shelf.poses))
        ways = recentred(shelf.ways[pick[:, None], at])
        aspect = torch.full((batch,), shelf.latents.shape[4] / shelf.latents.shape[3])
        return Told(rows, ways, Blocking(tracks, things, poses), aspect)

    def pictures(self, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, Blocking]:
        """Single frames of random clips of one size, as latents (B, C, 1, H, W), and what stands in them."""
        shelf, pick = self._shelf(batch, generator, 1)
        at = torch.randint(shelf.tracks.shape[2], (batch,), generator=generator)
        return shelf.latents[pick, :, at][:, :, None], Blocking(shelf.tracks[pick, :, at][:, :, None], shelf.things[pick])

    def of_things(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All cameras' ways and all things' tracks, frame by frame (N, TRACK)."""
        shelves = self._shelves.values()
        tracks = [shelf.tracks[shelf.things[..., 0] > 0] for shelf in shelves]
        return torch.cat([shelf.ways.flatten(0, 1) for shelf in shelves]), torch.cat([t.flatten(0, 1) for t in tracks])

    def _rows(self, seen: Sequence[Seen], generator: torch.Generator, split: str, *, fewer: bool = False) -> torch.Tensor:
        """The token rows of a new caption of each clip."""
        words = torch.randint(2**31, (len(seen),), generator=generator).tolist()
        captions = [wording(one, word, split) for one, word in zip(seen, words, strict=True)]
        tokens = [language.read(caption).tokens for caption in captions]
        if fewer:
            tokens = [_fewer(said, word) for said, word in zip(tokens, words, strict=True)]
        assert self._text is not None
        return self._text.ids([_noisy(said, word) for said, word in zip(tokens, words, strict=True)])

    def _shelf(self, batch: int, generator: torch.Generator, least: int) -> tuple[_Shelf, torch.Tensor]:
        """A size of at least so many latent frames, where there is one, and clips of it."""
        sizes = [size for size in self._shelves if size[0] >= least] or list(self._shelves)
        share = torch.tensor([float(len(self._shelves[s].seen)) for s in sizes])
        shelf = self._shelves[sizes[int(torch.multinomial(share, 1, generator=generator))]]
        return shelf, torch.randint(len(shelf.seen), (batch,), generator=generator)


def stores(recipe: Recipe, cache: Path, deadline: float, text: TextEncoder | None) -> tuple[LatentStore, LatentStore]:
    """What is held out, and what is learnt from as far as it is made in time."""

    def store(numbers: range, deadline: float) -> LatentStore:
        made = latent_blocks(cache / "latents", numbers, recipe.buckets, recipe.workers)
        return LatentStore(in_time(made, deadline), text)

    return store(range(HELD_OUT, HELD_OUT + EXAM_BLOCKS), math.inf), store(range(recipe.latent_blocks), deadline)


def stepped_aside(cameras_NT44: torch.Tensor) -> torch.Tensor:
    """Cameras one square beside: a mirrored floor of squares has the dark ones where the light ones were."""
    return torch.cat([cameras_NT44[:, :, :1] + torch.tensor([SQUARE_M, 0.0, 0.0, 0.0]), cameras_NT44[:, :, 1:]], 2)


def repainted(seen: Seen, color: str) -> Seen | None:
    """What a clip would show if all that has a colour had this one: random scenes hardly ever have two things of one colour, prompts do.

    None where nothing would be two of one colour, or a pair of attributes that training is kept from would come about.
    """
    coloured = [thing for thing in seen.things if thing.color]
    if len(coloured) < 2 or any(kept_apart(thing.kind, color) for thing in coloured):
        return None
    return replace(seen, things=tuple(replace(thing, color=color) if thing.color else thing for thing in seen.things))


def in_color(things_KL: torch.Tensor, colour: int) -> torch.Tensor:
    """Looks of which those that have a colour have this one."""
    looks, (of_color, *_) = things_KL.clone(), GROUPS
    own = looks[:, 1:][:, of_color]
    own.copy_(own.sum(-1, keepdim=True) * F.one_hot(torch.tensor(colour), len(COLORS)))
    return looks


def recentred(ways_BFT: torch.Tensor) -> torch.Tensor:
    """Ways as seen from their first cameras."""
    first = ways_BFT[:, :1]
    cos, sin = first[..., 3].cos(), first[..., 3].sin()
    x, y = (ways_BFT[..., i] - first[..., i] for i in (0, 1))
    told = [cos * x + sin * y, cos * y - sin * x, ways_BFT[..., 2], ways_BFT[..., 3] - first[..., 3], ways_BFT[..., 4], ways_BFT[..., 5]]
    return torch.stack(told, -1)
