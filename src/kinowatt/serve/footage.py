"""Footage of a job: what its sources are, and the latents that let time go on from a clip. Used by workers; knows torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sqlalchemy import select

from kinowatt.clip import Clip
from kinowatt.engine.engine import Take
from kinowatt.errors import MediaError
from kinowatt.media.image import read_image
from kinowatt.media.video import read_video
from kinowatt.models import weights
from kinowatt.serve import references
from kinowatt.serve.database import Database
from kinowatt.serve.orders import Order, Source
from kinowatt.serve.store import LATENTS, VIDEO, Store
from kinowatt.serve.tables import COMPLETED, Video


class Footage:
    """Where the footage of one order lies."""

    def __init__(self, database: Database, store: Store, order: Order) -> None:
        self.database, self.store, self.order = database, store, order

    def file(self, source: Source) -> Path | None:
        """The file of a video of ours, which is in our encoding."""
        if source.kind != "video":
            return None
        return self.store.video(source.id) / str(self._parent(source.id).output) / VIDEO

    def clip(self, source: Source) -> Clip:
        """Footage of a source. MediaError if it is gone or cannot be read."""
        if source.kind == "video":
            return read_video(self.file(source) or Path())
        path = self.store.file(source.id)
        if not path.exists():
            raise MediaError("a reference of this job was deleted before the job began")
        try:
            return read_image(path) if references.look(path).is_image else read_video(path)
        except MediaError as error:  # its path is nobody's business but ours
            raise MediaError(str(error).replace(str(path), "a reference of this job")) from error

    def _parent(self, id: str) -> Video:
        with self.database.read() as session:
            parent = session.scalar(select(Video).where(Video.id == id, Video.status == COMPLETED, Video.deleted.is_(False)))
        if parent is None:
            raise MediaError(f"the video {id}, which this job works on, was deleted before the job began")
        return parent

    def latents(self, weights_sha256: str) -> np.ndarray | None:
        """What the parent's last frames were decoded from, if the same weights made it."""
        source = self.order.sources[0]
        if source.kind != "video":
            return None
        parent = self._parent(source.id)
        path = self.store.video(source.id) / str(parent.output) / LATENTS
        if (parent.facts or {}).get("weights_sha256") != weights_sha256 or not path.exists():
            return None
        tensors, _ = weights.load(path)
        return tensors["latents"].float().numpy()

    def save_latents(self, path: Path, take: Take) -> None:
        """Keep the latents that end the result, so that time can go on from them."""
        own = take.latents_1CFHW
        assert own is not None
        latents = own[0]
        if self.order.mode == "forward":
            anchor = next((a for a in take.shot.anchors if a.latents_CFHW is not None), None)
            if anchor is None or anchor.latents_CFHW is None:
                return  # the parent has none, so the whole has none either: next time its pixels are encoded
            latents = np.concatenate([anchor.latents_CFHW, latents[:, (anchor.clip.frames - 1) // 4 + 1 :]], 1)
        elif self.order.mode in ("backward", "connect"):
            parent = self.order.sources[-1]
            if parent.kind == "video":
                old = self.store.video(parent.id) / str(self._parent(parent.id).output) / LATENTS
                if old.exists():
                    path.write_bytes(old.read_bytes())
            return
        elif self.order.mode == "loop":
            return
        weights.save(path, {"latents": torch.from_numpy(latents).half()}, {})
