"""The label: what was asked, what made it, and what it cost; signed, inside the file, and outliving a remux.

A label is JSON in one of the file's standard tags, signed together with a hash of the footage: both go unchanged from MP4 to MOV or
Matroska and back. A C2PA manifest, and at the end of an MP4 a seal, both signed with the same key, cover the file byte by byte; a remux
ends them. Which tag outlives what was tried with ffmpeg 5.1: MOV keeps title, artist, album, comment, copyright and genre alone, and of
a tag beyond 64 KiB only a piece, so that a label with a prompt as long as that is lost there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kinowatt
from kinowatt.clip import Clip
from kinowatt.errors import KinowattError, MediaError, OutputError
from kinowatt.media import signing
from kinowatt.media.image import folder_aside, is_png, pixels_sha256, read_image, read_text, write_image
from kinowatt.media.signing import Manifest
from kinowatt.media.video import footage, read_metadata, remux, write_joined
from kinowatt.shot import Shot

TAG = "copyright"  # the tag that no player shows, none sorts by, and every container keeps
TAGS_BEFORE = ("kinowatt",)  # where older labels stand
PNG_KEYWORDS = {TAG: "kinowatt", "title": "Title", "comment": "Comment"}
FORMAT = 2  # of the label; 1 was not signed
NO_CERTIFICATE = "the machine that made it could keep no certificate"
NO_MANIFEST = "the C2PA library failed on the machine that made it"
VALID, INVALID, ABSENT = "valid", "invalid", "absent"
UNCHANGED, CHANGED, UNKNOWN = "unchanged", "changed", "unknown"

Energy = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
log = logging.getLogger("kinowatt.provenance")


def shot_to_json(shot: Shot) -> dict[str, Any]:
    """A shot as JSON; footage stands as its shape, place and hash."""
    return {
        "prompt": shot.prompt,
        "negative": shot.negative,
        "model": shot.model,
        "seconds": shot.seconds,
        "size": shot.size,
        "seed": shot.seed,
        "steps": shot.steps,
        "guidance": shot.guidance,
        "cache": shot.cache,
        **({} if shot.enlarge is None else {"enlarge": shot.enlarge}),
        "budget": {k: v for k, v in vars(shot.budget).items() if v is not None},
        "light": shot.light,
        "mood": shot.mood,
        **({"storyboard": [list(scene) for scene in shot.storyboard]} if shot.storyboard else {}),
        "camera": {k: v for k, v in asdict(shot.camera).items() if v not in (None, ())},
        "anchors": [
            {
                "at": a.at,
                "strength": a.strength,
                "frames": a.clip.frames,
                "size": (a.clip.width, a.clip.height),
                "sha256": hashlib.sha256(a.clip.frames_TCHW.tobytes()).hexdigest(),
            }
            for a in shot.anchors
        ],
    }


def write_labelled(
    path: Path, parts: Sequence[Clip | Path], shot: Shot, energy: Energy, facts: Mapping[str, Any], made_frames: int | None = None
) -> dict[str, Any]:
    """Write parts behind each other (see `write_joined`) as an MP4 with a signed label and a C2PA manifest; the label is returned.

    `energy` is a bill's JSON, or a function that gives it: that one is called once the footage is compressed, so that the label says
    what the compression has cost too. `made_frames` is how many frames are new where others were given (default: all); what was spent
    is held against those. Where no certificate can be kept the label is written without signature and manifest, and says so under
    `unsigned_because`; a manifest that fails is said under `no_manifest_because`. OutputError if the file cannot be written.
    """
    with folder_aside(path) as folder:
        encoded = folder / "encoded.mp4"
        write_joined(encoded, parts, {})
        seen = footage(encoded)
        clip = {"frames": seen.frames, "width": seen.width, "height": seen.height, "fps": round(seen.fps, 6)}
        clip["seconds"] = round(seen.frames / seen.fps, 6)
        clip["made_frames"] = seen.frames if made_frames is None else made_frames
        label = {**_label(shot, energy, facts), "clip": clip, "packets_sha256": seen.sha256}
        return _publish(path, folder, label, lambda part, tags: remux(part, [encoded], tags))


def write_labelled_image(path: Path, frame_CHW: np.ndarray, shot: Shot, energy: Energy, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write a frame (3, H, W) uint8 as a PNG with a signed label over its pixels, and a C2PA manifest; see `write_labelled`."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path} cannot carry a label; name a .png file")
    height, width = (int(side) for side in frame_CHW.shape[1:])
    clip = {"frames": 1, "width": width, "height": height, "fps": None, "seconds": None, "made_frames": 1}
    with folder_aside(path) as folder:
        label = {**_label(shot, energy, facts), "clip": clip, "pixels_sha256": pixels_sha256(frame_CHW)}

        def write(part: Path, tags: Mapping[str, str]) -> None:
            write_image(part, frame_CHW, {PNG_KEYWORDS[tag]: text for tag, text in tags.items()})

        return _publish(path, folder, label, write)


def _label(shot: Shot, energy: Energy, facts: Mapping[str, Any]) -> dict[str, Any]:
    import c2pa  # noqa: F401  # what signing does once per process is done before the bill is read, so that it is in it

    _own_identity()
    bill = energy() if callable(energy) else energy
    return {**facts, "kinowatt_label": FORMAT, "version": kinowatt.__version__, "shot": shot_to_json(shot), "energy": dict(bill)}


def _publish(path: Path, folder: Path, label: Mapping[str, Any], write: Callable[[Path, Mapping[str, str]], None]) -> dict[str, Any]:
    """Sign the label, write the file with it, give it its manifest, and rename it to `path`."""
    plain, final = folder / f"plain{path.suffix}", folder / f"final{path.suffix}"
    by, why = _own_identity()
    done = {**label, "manifest": None, "signature": None, **why} if by is None else signing.signed({**label, "manifest": "c2pa"}, by)
    write(plain, _tags(done))
    try:
        if by is not None:
            signing.attach_manifest(plain, final, by, _claim(done))
    except OutputError as e:
        log.warning("the file has no C2PA manifest: %s", e)
        final.unlink(missing_ok=True)
        assert by is not None
        done = signing.signed({**label, "manifest": None, "no_manifest_because": NO_MANIFEST}, by)
        write(plain, _tags(done))  # fails in its own words where the disk is full
    try:
        (final if final.exists() else plain).replace(path)
    except OSError as e:
        raise OutputError(f"{path} cannot be written: {e.strerror or e}") from e
    return done


def _own_identity() -> tuple[signing.Identity | None, dict[str, str]]:
    """This machine's certificate, or what the label says instead: hours of work are not thrown away for a certificate."""
    try:
        return signing.identity(), {}
    except KinowattError as e:
        log.warning("the label is not signed: %s", e)
        return None, {"unsigned_because": NO_CERTIFICATE}


def _claim(label: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says: the label's figures, and which label it is."""
    said = {k: label[k] for k in ("energy", "clip", "packets_sha256", "pixels_sha256", "weights_sha256") if k in label}
    return {**said, "model": label["shot"]["model"], "label_sha256": hashlib.sha256(signing.canonical(label).encode()).hexdigest()}


def _tags(label: Mapping[str, Any]) -> dict[str, str]:
    """The label as JSON, and a title and comment that any player shows."""
    energy, shot = label["energy"], label["shot"]
    said = "energy not measured"
    if energy.get("total_Wh") is not None and energy.get("carbon_gCO2e") is not None:
        said = f"{energy['total_Wh']:.4g} Wh, {energy['carbon_gCO2e']:.3g} g CO2e"
    title = "".join(c if c.isprintable() else " " for c in shot["prompt"])[:200]
    comment = f"Made by a generative model (kinowatt, {shot['model']}); {said}"
    return {TAG: signing.canonical(label), "title": " ".join(title.split()), "comment": comment}


def read_label(path: Path) -> dict[str, Any]:
    """The label of a clip or picture, not verified. MediaError if it has none."""
    text = _label_text(path)
    if text is None:
        raise MediaError(f"{path} carries no kinowatt label; it was made elsewhere, or a tool has removed its metadata")
    label = _parsed(text)
    if label is None:
        raise MediaError(f"the kinowatt label of {path} is damaged")
    return label


def _label_text(path: Path) -> str | None:
    """The JSON among a file's tags. MediaError if the file cannot be read."""
    if is_png(path):
        return read_text(path).get(PNG_KEYWORDS[TAG])
    tags = {key.lower(): value for key, value in read_metadata(path).items()}
    if '"kinowatt_label"' in tags.get(TAG, ""):  # else it is somebody's notice of copyright
        return tags[TAG]
    return next((tags[key] for key in TAGS_BEFORE if key in tags), None)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        label: dict[str, Any] = json.loads(text)
        return {**label, "shot": {**label["shot"]}, "energy": {**label["energy"]}}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


@dataclass(frozen=True)
class Verdict:
    """What was found out about a file. `label` is None where there is none, or none that can be read."""

    label: Mapping[str, Any] | None
    signature: str  # "valid", "invalid" or "absent"
    fingerprint: str | None  # SHA-256 of the certificate behind a valid signature
    ours: bool  # that certificate is this machine's
    footage: str  # "unchanged", "changed" since it was signed, or "unknown"
    tracks: int  # of sound or further pictures, which no label covers
    manifest: Manifest  # C2PA
    damaged: bool = False  # there is a label that cannot be read

    @property
    def intact(self) -> bool:
        """The label and the footage are as they were signed, by whomever; the file around them may be another since."""
        return self.signature == VALID and self.footage == UNCHANGED and not self.tracks and self.manifest.state != INVALID

    @property
    def clean(self) -> bool:
        """The whole file is as it was written."""
        return self.intact and self.manifest.state == VALID

    def sentences(self) -> list[str]:
        """What is said to people."""
        if self.label is None:
            return ["the label was damaged" if self.damaged else "there is no kinowatt label", *self._about_manifest()]
        said = [self._about_signature()]
        if self.footage == CHANGED:
            said.append("the footage was changed after it was signed, or this label was taken from another clip")
        elif self.footage == UNKNOWN:
            said.append("the label does not say which footage it belongs to")
        elif self.signature == VALID:
            said.append("the footage is as it was made")
        if self.tracks:
            said.append("sound or further pictures were added, which the label does not cover")
        return said + self._about_manifest()

    def _about_signature(self) -> str:
        assert self.label is not None
        if self.signature == INVALID:
            return "the label was changed after it was signed"
        if self.signature == ABSENT:
            return f"the label is not signed ({_why(self.label, 'unsigned_because')}), so nothing shows that its figures were measured"
        digits = signing.short(self.fingerprint or "")
        if self.ours:
            return f"signed by this machine's certificate, {digits}"
        return f"signed by a certificate that this machine does not know, {digits}; compare it with the maker's own"

    def _about_manifest(self) -> list[str]:
        if self.manifest.state == VALID:
            return ["its C2PA manifest is valid: the file is as it was written"]
        if self.manifest.state == INVALID:
            return [f"the file was changed after it was signed (C2PA: {', '.join(self.manifest.codes)})"]
        if self.label is None:
            return []
        if self.label.get("manifest"):
            return ["its C2PA manifest is gone: another tool has rewritten the file since"]
        return [f"it was written without a C2PA manifest ({_why(self.label, 'no_manifest_because')})"]

    def to_json(self) -> dict[str, Any]:
        """The verdict for programs; the label is not in it."""
        return {
            "clean": self.clean,
            "intact": self.intact,
            "signature": self.signature,
            "fingerprint": self.fingerprint,
            "this_machine": self.ours,
            "footage": self.footage,
            "c2pa": self.manifest.state,
            "c2pa_codes": list(self.manifest.codes),
            "sentences": self.sentences(),
        }


def _why(label: Mapping[str, Any], key: str) -> str:
    """A label's own reason, cut short: whoever made the file may have written anything there."""
    return "".join(c for c in str(label.get(key) or "no reason is given")[:100] if c.isprintable())


def verify(path: Path) -> Verdict:
    """Who signed a clip or picture, and whether it was changed since. MediaError if it cannot be read at all."""
    text = _label_text(path)
    own = signing.known()
    label = None if text is None else _parsed(text)
    if text is None or label is None:
        return Verdict(None, ABSENT, None, False, UNKNOWN, 0, signing.read_manifest(path, own), damaged=text is not None)
    by = signing.signer(label) if text == _canonical_or_none(label) else None  # written otherwise, it was written by another hand
    signature = VALID if by else INVALID if label.get("signature") else ABSENT
    state, tracks = _footage_state(path, label)
    manifest = signing.read_manifest(path, by or own)
    if manifest.state == VALID and (manifest.claim or {}).get("label_sha256") != hashlib.sha256(text.encode()).hexdigest():
        manifest = Manifest(INVALID, ("kinowatt.label.mismatch",), manifest.claim)
    ours = by is not None and own is not None and by.certificates == own.certificates
    return Verdict(label, signature, by.fingerprint if by else None, ours, state, tracks, manifest)


def _canonical_or_none(label: Mapping[str, Any]) -> str | None:
    with contextlib.suppress(ValueError, RecursionError):
        return signing.canonical(label)
    return None


def _footage_state(path: Path, label: Mapping[str, Any]) -> tuple[str, int]:
    """Whether the footage is the label's own, and how many other tracks stand beside it."""
    clip = label.get("clip")
    clip = clip if isinstance(clip, Mapping) else {}
    try:
        if "pixels_sha256" in label and is_png(path):
            frame = read_image(path).frames_TCHW[0]
            same = label["pixels_sha256"] == pixels_sha256(frame) and frame.shape[1:] == (clip.get("height"), clip.get("width"))
            return UNCHANGED if same else CHANGED, 0
        if "packets_sha256" not in label:
            return UNKNOWN, 0
        fps = clip.get("fps")
        if not isinstance(fps, (int, float)) or fps <= 0:
            return CHANGED, 0
        seen = footage(path, float(fps))
    except (MediaError, OSError):
        return CHANGED, 0
    same = (seen.sha256, seen.frames, seen.width, seen.height) == (
        label["packets_sha256"],
        *(clip.get(k) for k in ("frames", "width", "height")),
    )
    return UNCHANGED if same and seen.steady else CHANGED, seen.tracks
