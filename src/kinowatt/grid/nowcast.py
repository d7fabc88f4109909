"""Nowcasts of sunlight: the past of a field goes on, as many times as wanted, by the model skies on the engine's one rule.

A scenario generator for some hours, no weather forecast: beyond about six hours skill needs numerical weather prediction.
Legend: M members, L frames to come, H W cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from kinowatt.clip import Channel
from kinowatt.engine import sample
from kinowatt.engine.noise import schedule
from kinowatt.errors import GridError
from kinowatt.grid import baselines
from kinowatt.grid.fields import Ensemble, Field
from kinowatt.grid.history import LOW_SUN, MOST, History, history, months
from kinowatt.models import precision
from kinowatt.models import skies_model as skies
from kinowatt.models.dit import VideoDiT
from kinowatt.models.protocols import Conditioning
from kinowatt.worlds.sun import Panels, sky

STEPS = 10
BATCH = 64  # members at a time
MOST_MEMBERS = 1000
HOURS_PER_FRAME = 0.5  # of the model
MOST_CELLS = 64 * 64
LEAST_ANALOGS = 1000  # frames of the history to choose from: about two months
# Of the shipped weights, per lead: the region's mean index that came, from the one that the members had (`region_of`, 120 windows of the
# training days of 2012, 25 members each; chosen on the validation days, see LOG.md).
REGION = ((0.073, 0.897), (0.114, 0.847), (0.127, 0.824), (0.127, 0.827), (0.124, 0.826), (0.095, 0.840))


@dataclass(frozen=True, eq=False)
class Model:
    """skies, loaded, the device that it runs on, and per lead the line (offset, slope) that corrects its region's mean, if one is known."""

    dit: VideoDiT
    device: torch.device
    region: tuple[tuple[float, float], ...] | None = None

    def members(self, window: skies.Window, count: int, seed: int, steps: int = STEPS) -> np.ndarray:
        """Indices (M, L, H, W) of the frames to come of one window. Member i is the same for every count > i."""
        window, out = window.to(self.device), []
        cond = skies.conditioning(window)
        shape = cond.known_BCFHW.shape
        for begin in range(0, count, BATCH):
            numbers = range(begin, min(begin + BATCH, count))
            noise = [torch.randn(shape[1:], generator=torch.Generator().manual_seed(seed * MOST_MEMBERS + i)) for i in numbers]
            many = skies.Window(*(v.expand(len(noise), *v.shape[1:]) for v in (window.index, window.elevation, window.day, window.mask)))
            conds = (cond.text_BLD, cond.text_null_BLD, cond.known_BCFHW, cond.ceiling_BF)
            wide = Conditioning(*(v.expand(len(noise), *v.shape[1:]) for v in conds))
            with precision.autocast(self.device):
                made = sample.denoise(
                    skies.Skies(self.dit, many), wide, torch.stack(noise).to(self.device), schedule(steps, shape[2]), solver="euler"
                )
            out.append(skies.index_of(made.float(), many)[:, skies.PAST :].clamp_max(MOST).cpu())
        return torch.cat(out).numpy()

    def corrected(self, made_MLHW: np.ndarray, lit_LHW: np.ndarray) -> np.ndarray:
        """Members with the region's mean, over all of them and where it is `lit`, moved to where it came to lie on the training days.

        All members and cells of a lead move alike, so that their spread and the field stay.
        """
        if self.region is None:
            return made_MLHW
        cells_L = lit_LHW.sum((1, 2))
        mean_L = (made_MLHW * lit_LHW).sum((2, 3)).mean(0) / np.maximum(cells_L, 1)
        offset_L, slope_L = np.array(self.region, dtype=np.float32).T
        move_L = offset_L + (slope_L - 1.0) * mean_L
        return np.where(lit_LHW, np.clip(made_MLHW + move_L[:, None, None], 0.0, MOST), made_MLHW)


def load(path: Path | None = None, device: str = "cpu") -> Model:
    """The shipped skies, or weights of one's own. WeightsError."""
    dit, _ = skies.load(path)
    return Model(dit.to(device), torch.device(device), REGION if path is None else None)


def region_of(model: Model, past: History, cases: np.ndarray, members: int, seed: int = 0) -> tuple[tuple[float, float], ...]:
    """Per lead the line (offset, slope) from the members' regional mean to what came: least squares over frames that taught the model."""
    bare, mask = replace(model, region=None), past.field.mask_HW
    made = np.stack([forecast(bare, past, now, members, seed)[:, :, mask].mean((0, 2)) for now in cases.tolist()])
    came = np.stack([past.index[now + 1 : now + 1 + skies.LEADS][:, mask].mean(1) for now in cases.tolist()])
    lines = [np.polyfit(made[:, lead], came[:, lead], 1) for lead in range(skies.LEADS)]
    return tuple((float(offset), float(slope)) for slope, offset in lines)


def window_of(past: History, now: int, elevation_LHW: np.ndarray) -> skies.Window:
    """The frames up to `now` and the sun of those to come, as the model takes them."""
    frames, mask = slice(now - skies.PAST + 1, now + 1), past.field.mask_HW
    to_come = (elevation_LHW > LOW_SUN) & mask
    index = np.concatenate([past.index[frames], np.zeros_like(elevation_LHW)])
    elevation, day = np.concatenate([past.elevation[frames], elevation_LHW]), np.concatenate([past.day[frames], to_come])
    parts = [torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32))[None] for a in (index, elevation, day, mask)]
    return skies.Window(*parts)


def forecast(model: Model, past: History, now: int, members: int, seed: int = 0) -> np.ndarray:
    """Members (M, LEADS, H, W) of the index after a frame that has its future's sun in the history: for scores."""
    ahead = slice(now + 1, now + 1 + skies.LEADS)
    return model.corrected(model.members(window_of(past, now, past.elevation[ahead]), members, seed), past.day[ahead])


def nowcast(
    field: Field, at: np.datetime64, hours: float, members: int, *, fit: Field | None = None, seed: int = 0, model: Model | None = None
) -> Ensemble:
    """An ensemble of the `hours` after the time `at`, in the field's own unit and as clear-sky index.

    Nothing of the field after `at` is used. What a clear sky gives, and what followed skies like the present one, is learned from `fit`,
    or from the field up to `at`. Members are in turn of skies and of such analogs (together they score best, see LOG.md); of skies alone
    where the history is short or the present is night, which is noted. GridError for a time outside of the field, a horizon beyond the
    model, or a number of members that is none.
    """
    leads, now = _leads(field, hours), _now(field, at)
    if not 1 <= members <= MOST_MEMBERS:
        raise GridError(f"{members} members cannot be made; ask for 1 to {MOST_MEMBERS}")
    if field.mask_HW.size > MOST_CELLS:
        raise GridError(f"a lattice of {field.mask_HW.size} cells is too large for skies; cut it to at most {MOST_CELLS} cells")
    seen = field.cut(0, now + 1)
    taught = history(fit if fit is not None else seen)
    past = history(seen, taught.gain) if fit is not None else taught
    step = np.timedelta64(round(field.hours_per_frame * 3600e9), "ns")
    times = field.times[now] + step * np.arange(1, skies.LEADS + 1)
    panels = (field.panels or Panels()) if past.channel.name == "capacity_factor" else None
    elevation, clear = sky(times, field.lat_HW, field.lon_HW, panels)
    if past.channel.name == "clear_sky_index":
        clear = np.ones_like(clear)
    clear = np.minimum(clear * past.gain[months(times)][:, None, None], past.most)
    index, how = _members(model or load(), taught, past, now, elevation, members, seed)
    index = index[:, :leads]
    index = np.where((elevation[:leads] > LOW_SUN) & field.mask_HW, index, 0.0)
    values = np.clip(index * clear[:leads], 0.0, past.most)
    channels = (past.channel, Channel("clear_sky_index", "1"))
    both = values[:, :, None] if past.channel == channels[1] else np.stack([values, index], 2)
    note = f"Nowcast from {str(field.times[now])[:16]} UTC; {members} members {how}; a scenario generator, not a weather forecast."
    return Ensemble(
        both.astype(np.float32),
        channels[: both.shape[2]],
        times[:leads],
        field.hours_per_frame,
        field.lat_HW,
        field.lon_HW,
        field.mask_HW,
        (*field.notes, note),
        field.panels,
    )


def _members(
    model: Model, taught: History, past: History, now: int, elevation: np.ndarray, members: int, seed: int
) -> tuple[np.ndarray, str]:
    """Indices (M, LEADS, H, W), and how they were made."""
    window, mask = window_of(past, now, elevation), past.field.mask_HW
    if not past.day[now][mask].all():
        return model.members(window, members, seed), "of skies alone, as it is night"
    lit = (elevation > LOW_SUN) & mask
    if taught.field.mask_HW.shape != mask.shape or len(baselines.usable(taught, skies.LEADS)) < LEAST_ANALOGS:
        made = model.corrected(model.members(window, members, seed), lit)
        return made, "of skies alone, as the history is short or of another lattice"
    made = model.corrected(model.members(window, (members + 1) // 2, seed), lit)
    like = baselines.analogs(baselines.library(taught, skies.LEADS), past, now, members)
    return baselines.blend(made, like, members), "of skies and of analogs in turn"


def _now(field: Field, at: np.datetime64) -> int:
    """The last frame at or before a time. GridError."""
    now, step = int(np.searchsorted(field.times, at, side="right")) - 1, np.timedelta64(round(field.hours_per_frame * 3600e9), "ns")
    if now < 0 or at >= field.times[-1] + step:
        first, last = str(field.times[0])[:16], str(field.times[-1])[:16]
        raise GridError(f"{str(at)[:16]} UTC lies outside the weather, which runs from {first} to {last} UTC; choose a time in it")
    if now < skies.PAST - 1 or field.times[now] - field.times[now - skies.PAST + 1] != (skies.PAST - 1) * step:
        raise GridError(f"a nowcast needs {skies.PAST} frames without a gap up to {str(at)[:16]} UTC; choose a later time")
    return now


def _leads(field: Field, hours: float) -> int:
    """Frames to come. GridError."""
    if abs(field.hours_per_frame - HOURS_PER_FRAME) > 1e-3:
        raise GridError(f"skies works on frames of 30 minutes, and this weather has {60 * field.hours_per_frame:g}; resample it first")
    most = skies.LEADS * HOURS_PER_FRAME
    if not HOURS_PER_FRAME <= hours <= most:
        raise GridError(f"a horizon of {hours:g} h cannot be nowcast; skies was trained for 0.5 to {most:g} h")
    return round(hours / HOURS_PER_FRAME)
