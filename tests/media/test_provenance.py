"""The label: signed, outliving a remux, and a change of anything is found out."""

import base64
import hashlib
import json
import multiprocessing
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kinowatt.clip import Clip
from kinowatt.errors import KinowattError, MediaError, OutputError
from kinowatt.media import provenance, signing
from kinowatt.media.provenance import read_label, verify, write_labelled, write_labelled_image
from kinowatt.media.video import read_metadata, read_video, remux, write_video
from kinowatt.shot import Shot

BILL = {"wall_s": 2.5, "gpu_J": 36.0, "modelled_J": None, "total_Wh": 0.01, "carbon_gCO2e": 0.0044, "zone": "world", "phases": {}}
SHOT = Shot('a red ball, 紅球 "bounces"\n= twice; \\ on sand', seed=7, steps=8)
FACTS = {"weights_sha256": "ab" * 32, "runtime": "torch", "warnings": []}
FFMPEG = shutil.which("ffmpeg")


def noise(frames: int = 24, seed: int = 0) -> Clip:
    """Footage that does not compress away: smooth noise that moves."""
    rng = np.random.default_rng(seed)
    field = rng.integers(0, 255, (3, 96, 96), dtype=np.uint8)
    return Clip(np.stack([np.roll(field, 3 * t, 2)[:, :64, :64] for t in range(frames)]), fps=16.0)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """This test is a machine of its own; calling the fixture goes to another one."""

    def go(name: str) -> None:
        monkeypatch.setenv(signing.HOME_VARIABLE, str(tmp_path / "machines" / name))

    go("first")
    return go


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled clip, made once, with its machine beside it."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(signing.HOME_VARIABLE, str(folder / "home"))
        write_labelled(folder / "a.mp4", [noise()], SHOT, BILL, FACTS)
    return folder / "a.mp4"


@pytest.fixture
def clip(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that clip, on the machine that made it."""
    monkeypatch.setenv(signing.HOME_VARIABLE, str(made.parent / "home"))
    return Path(shutil.copy(made, tmp_path / "a.mp4"))


def relabel(source: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The footage of a clip with a changed label, packed anew and without manifest, as a forger would."""
    tags = read_metadata(source)
    label = json.loads(tags[provenance.TAG])
    change(label)
    remux(target, [source], {**tags, provenance.TAG: signing.canonical(label)})
    return target


def test_an_untouched_clip(clip: Path) -> None:
    label = read_label(clip)
    assert label["shot"]["prompt"] == SHOT.prompt
    assert label["energy"] == BILL
    assert label["clip"] == {"frames": 24, "width": 64, "height": 64, "fps": 16.0, "seconds": 1.5, "made_frames": 24}
    assert label["weights_sha256"] == FACTS["weights_sha256"]
    found = verify(clip)
    assert (found.signature, found.ours, found.footage, found.manifest.state) == ("valid", True, "unchanged", "valid")
    assert found.clean
    assert found.manifest.claim is not None
    assert found.manifest.claim["energy"] == BILL, "the bill stands in the manifest too"
    assert found.sentences()[0].startswith("signed by this machine's certificate")
    assert json.loads(json.dumps(found.to_json()))["clean"] is True
    assert [p.name for p in clip.parent.iterdir()] == ["a.mp4"]
    tags = read_metadata(clip)
    assert tags["title"] == 'a red ball, 紅球 "bounces" = twice; \\ on sand'
    assert tags["comment"] == "Made by a generative model (kinowatt, spark); 0.01 Wh, 0.0044 g CO2e"
    assert read_video(clip).frames == 24


def test_c2pa_says_that_a_model_made_it(clip: Path) -> None:
    import c2pa

    with c2pa.Reader(clip) as reader:
        report = json.loads(reader.json())
    assert report["validation_state"] == "Valid", "for others too, who do not know the certificate"
    manifest = report["manifests"][report["active_manifest"]]
    assert manifest["claim_generator_info"][0]["name"] == "kinowatt"
    actions = next(a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))["data"]["actions"]
    assert actions[0]["action"] == "c2pa.created"
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_the_bill_is_read_after_the_footage_is_written(tmp_path: Path) -> None:
    seen: list[int] = []

    def bill() -> dict[str, Any]:
        seen.extend(p.stat().st_size for p in tmp_path.rglob("encoded.mp4"))
        return BILL

    written = write_labelled(tmp_path / "a.mp4", [noise()], SHOT, bill, FACTS)
    assert seen
    assert seen[0] > 1000
    assert read_label(tmp_path / "a.mp4") == json.loads(signing.canonical(written))


@pytest.mark.skipif(FFMPEG is None, reason="needs the ffmpeg program")
@pytest.mark.parametrize("way", [("b.mp4",), ("b.mov",), ("b.mkv",), ("b.mkv", "c.mp4"), ("b.mov", "c.mkv", "d.mp4")])
def test_the_label_survives_ffmpeg_copy(clip: Path, way: tuple[str, ...]) -> None:
    last = clip
    for name in way:
        target = clip.parent / name
        subprocess.run([str(FFMPEG), "-v", "error", "-i", str(last), "-c", "copy", str(target)], check=True)
        last = target
    assert read_label(last) == read_label(clip)
    found = verify(last)
    assert found.intact
    assert not found.clean
    assert found.manifest.state == "absent"
    assert "rewritten the file" in " ".join(found.sentences())


def test_the_label_survives_a_remux_by_library(clip: Path) -> None:
    remux(clip.parent / "b.mp4", [clip], read_metadata(clip))
    found = verify(clip.parent / "b.mp4")
    assert found.intact
    assert found.ours
    assert found.manifest.state == "absent"


def test_a_changed_byte_of_the_picture(clip: Path) -> None:
    content = bytearray(clip.read_bytes())
    at = content.rindex(b"mdat") + 5000
    content[at] ^= 1
    clip.write_bytes(content)
    found = verify(clip)
    assert found.signature == "valid"
    assert found.footage == "changed"
    assert found.manifest.state == "invalid"
    assert "assertion.bmffHash.mismatch" in found.manifest.codes
    assert not found.intact
    assert any(s.startswith("the footage was changed after it was signed") for s in found.sentences())
    remux(clip.parent / "b.mp4", [clip], read_metadata(clip))  # packing it anew hides nothing
    assert verify(clip.parent / "b.mp4").footage == "changed"


@pytest.mark.parametrize(
    "change",
    [
        lambda label: label["energy"].update(total_Wh=0.001),
        lambda label: label["shot"].update(model="another"),
        lambda label: label.update(more=1),
        lambda label: label["clip"].update(frames=2400),
        lambda label: label["signature"].update(value=base64.b64encode(bytes(64)).decode()),
        lambda label: label["signature"].update(alg="none"),
        lambda label: label["signature"].update(more=1),
        lambda label: label["signature"].update(value=7),
        lambda label: label["signature"].update(certificates=[]),
        lambda label: label.update(signature="yes"),
    ],
)
def test_an_edited_label(clip: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    found = verify(relabel(clip, clip.parent / "b.mp4", change))
    assert found.signature == "invalid"
    assert not found.intact
    assert found.sentences()[0] == "the label was changed after it was signed"


def test_a_label_in_other_words_is_not_the_signed_one(clip: Path) -> None:
    """Two readers may take a key that stands twice differently; what is not written canonically was written by another hand."""
    tags = read_metadata(clip)
    doubled = tags[provenance.TAG].replace('"energy":{', '"energy":{"total_Wh":99.0,', 1)
    assert json.loads(doubled) == json.loads(tags[provenance.TAG])
    remux(clip.parent / "b.mp4", [clip], {**tags, provenance.TAG: doubled})
    assert verify(clip.parent / "b.mp4").signature == "invalid"


def test_a_label_moved_to_another_clip(clip: Path) -> None:
    write_video(clip.parent / "other.mp4", noise(seed=1), {})
    remux(clip.parent / "b.mp4", [clip.parent / "other.mp4"], read_metadata(clip))
    found = verify(clip.parent / "b.mp4")
    assert (found.signature, found.footage) == ("valid", "changed")
    assert "taken from another clip" in " ".join(found.sentences())


def test_a_slower_clip_is_another_clip(clip: Path) -> None:
    with av.open(str(clip)) as file, av.open(str(clip.parent / "slow.mp4"), "w") as out:
        source: Any = file.streams.video[0]
        stream: Any = out.add_stream_from_template(source)
        out.metadata.update(file.metadata)
        for packet in [p for p in file.demux(source) if p.size]:
            packet.pts, packet.dts, packet.stream = 2 * packet.pts, 2 * packet.dts, stream
            out.mux(packet)
    assert verify(clip.parent / "slow.mp4").footage == "changed"


def test_sound_that_was_added_is_said(clip: Path) -> None:
    with av.open(str(clip)) as file, av.open(str(clip.parent / "loud.mp4"), "w") as out:
        source: Any = file.streams.video[0]
        stream: Any = out.add_stream_from_template(source)
        sound: Any = out.add_stream("aac", rate=44100)
        out.metadata.update(file.metadata)
        for packet in [p for p in file.demux(source) if p.size]:
            packet.stream = stream
            out.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        out.mux([*sound.encode(frame), *sound.encode()])
    found = verify(clip.parent / "loud.mp4")
    assert (found.footage, found.tracks) == ("unchanged", 1)
    assert not found.intact
    assert "sound" in " ".join(found.sentences())


def test_another_machine_does_not_know_the_signer(clip: Path, machine: Callable[[str], None]) -> None:
    ours = verify(clip)
    machine("second")
    found = verify(clip)
    assert found.clean, "unchanged, by whomever"
    assert not found.ours
    assert found.fingerprint == ours.fingerprint
    assert "does not know" in found.sentences()[0]
    signing.identity()
    assert not verify(clip).ours


def test_a_forger_can_sign_only_as_somebody_else(clip: Path, machine: Callable[[str], None]) -> None:
    honest = verify(clip)
    maker = read_label(clip)["signature"]["certificates"]
    machine("forger")
    forger = signing.identity()

    def forge(label: dict[str, Any]) -> None:
        del label["signature"]
        label["energy"]["total_Wh"] = 0.0001
        label["signature"] = signing.signed(label, forger)["signature"]

    found = verify(relabel(clip, clip.parent / "b.mp4", forge))
    assert found.signature == "valid"
    assert found.fingerprint == forger.fingerprint != honest.fingerprint
    for stolen in (maker, [maker[0], base64.b64encode(forger.certificates[1]).decode()]):

        def pretend(label: dict[str, Any], stolen: list[str] = stolen) -> None:
            forge(label)
            label["signature"]["certificates"] = stolen

        assert verify(relabel(clip, clip.parent / "c.mp4", pretend)).signature == "invalid"


def test_a_manifest_by_another_hand_is_not_valid(clip: Path, machine: Callable[[str], None]) -> None:
    """The honest label, a new title, and the forger's own manifest over all of it."""
    tags = {**read_metadata(clip), "title": "a real ball"}
    remux(clip.parent / "b.mp4", [clip], tags)
    claim = {"label_sha256": hashlib.sha256(tags[provenance.TAG].encode()).hexdigest()}
    maker = signing.identity()
    machine("forger")
    signing.attach_manifest(clip.parent / "b.mp4", clip.parent / "c.mp4", signing.identity(), claim)
    found = verify(clip.parent / "c.mp4")
    assert found.signature == "valid"
    assert found.manifest.state == "invalid"
    assert "signingCredential.untrusted" in found.manifest.codes
    signing.attach_manifest(clip.parent / "b.mp4", clip.parent / "d.mp4", maker, {"label_sha256": "00"})
    assert verify(clip.parent / "d.mp4").manifest.codes == ("kinowatt.label.mismatch",)


def test_a_label_without_signature(clip: Path) -> None:
    found = verify(relabel(clip, clip.parent / "b.mp4", lambda label: label.pop("signature")))
    assert found.signature == "absent"
    assert not found.intact
    assert found.sentences()[0].startswith("the label is not signed (no reason is given)")


def test_labels_of_older_versions_are_read(tmp_path: Path) -> None:
    label = {"version": "0.1.0", "shot": {"prompt": "x"}, "energy": BILL}
    with av.open(str(tmp_path / "old.mp4"), "w", options={"movflags": "use_metadata_tags"}) as file:
        file.metadata["kinowatt"] = json.dumps(label)
        stream: Any = file.add_stream("libx264", rate=16)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        file.mux([*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode()])
    assert read_label(tmp_path / "old.mp4") == label
    found = verify(tmp_path / "old.mp4")
    assert (found.signature, found.footage, found.manifest.state) == ("absent", "unknown", "absent")
    assert found.sentences()


def test_files_without_or_with_a_broken_label(clip: Path) -> None:
    write_video(clip.parent / "b.mp4", noise(2), {"copyright": "(c) somebody"})
    assert verify(clip.parent / "b.mp4").sentences() == ["there is no kinowatt label"]
    with pytest.raises(MediaError, match="no kinowatt label"):
        read_label(clip.parent / "b.mp4")
    for broken in ('{"kinowatt_label"', '{"kinowatt_label":2,"shot":1,"energy":{}}', '["kinowatt_label"]', '"kinowatt_label"' + "[" * 9000):
        write_video(clip.parent / "c.mp4", noise(2), {"copyright": broken})
        assert verify(clip.parent / "c.mp4").sentences() == ["the label was damaged"]
        with pytest.raises(MediaError, match="is damaged"):
            read_label(clip.parent / "c.mp4")


def test_a_file_cut_short(clip: Path) -> None:
    content = clip.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        clip.write_bytes(content[: int(len(content) * share)])
        try:
            found = verify(clip)
        except MediaError:
            continue
        assert not found.intact


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_no_byte_of_a_file_can_be_changed_unseen(clip: Path, name: str) -> None:
    """Whatever single byte is changed, in the picture, the tags, the manifest, its padding or the seal: unreadable, or said."""
    path = clip.parent / name
    if name == "a.png":
        write_labelled_image(path, noise(1).frames_TCHW[0], SHOT, BILL, FACTS)
    content, rng = path.read_bytes(), random.Random(20)
    places = [*range(48), *(rng.randrange(len(content)) for _ in range(60)), *range(len(content) - 88, len(content), 4)]
    box = content.find(bytes.fromhex("d8fec3d61b0e483c92975828877ec481"))  # C2PA's identifier: its box holds padding
    places += range(box, box + 4000, 100) if box > 0 else []
    said = 0
    for at in places:
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :])
        try:
            found = verify(path)
        except MediaError:
            continue
        assert not found.clean, f"byte {at} was changed and nothing is said"
        said += 1
    assert name == "a.png" or said > 100
    path.write_bytes(content)
    assert verify(path).clean


def test_tags_in_another_encoding_keep_nobody_from_the_picture(clip: Path) -> None:
    content = clip.read_bytes()
    clip.write_bytes(content.replace(b"Made by a", b"Made b\xff a"))
    assert read_video(clip).frames == 24
    assert verify(clip).manifest.state == "invalid"


def test_pictures_are_labelled_too(tmp_path: Path) -> None:
    path, frame = tmp_path / "a.png", noise(1).frames_TCHW[0]
    write_labelled_image(path, frame, SHOT, lambda: BILL, FACTS)
    np.testing.assert_array_equal(np.asarray(Image.open(path)).transpose(2, 0, 1), frame)
    assert read_label(path)["energy"] == BILL
    found = verify(path)
    assert found.clean
    assert found.ours
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.png"]
    with Image.open(path) as picture:  # another tool saves it, text and all
        text = PngInfo()
        for keyword, words in picture.info.items():
            text.add_itxt(keyword, words)
        picture.save(tmp_path / "again.png", pnginfo=text)
        changed = np.asarray(picture).copy()
        changed[5, 5, 0] ^= 1
        Image.fromarray(changed).save(tmp_path / "changed.png", pnginfo=text)
    assert verify(tmp_path / "again.png").intact
    assert verify(tmp_path / "changed.png").footage == "changed"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"a red ball", b"a RED ball"))
    with pytest.raises(MediaError):
        verify(path)
    with pytest.raises(OutputError, match=r"\.png"):
        write_labelled_image(tmp_path / "a.jpg", frame, SHOT, BILL, FACTS)


def test_where_no_certificate_can_be_kept_the_label_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(signing.HOME_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(OutputError, match=signing.HOME_VARIABLE):
        signing.identity()
    label = write_labelled(tmp_path / "a.mp4", [noise(2)], SHOT, BILL, FACTS)
    assert label["signature"] is None
    assert str(tmp_path) not in json.dumps(label), "paths are nobody's business"
    found = verify(tmp_path / "a.mp4")
    assert (found.signature, found.footage, found.manifest.state) == ("absent", "unchanged", "absent")
    assert "could keep no certificate" in found.sentences()[0]


def test_a_manifest_that_fails_costs_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path, *_: object) -> None:
        target.write_bytes(b"half a file")
        raise OutputError("no")

    monkeypatch.setattr(signing, "attach_manifest", fail)
    write_labelled(tmp_path / "a.mp4", [noise(2)], SHOT, BILL, FACTS)
    found = verify(tmp_path / "a.mp4")
    assert found.intact
    assert "without a C2PA manifest (the C2PA library failed" in found.sentences()[-1]


def test_nothing_is_half_written(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise KinowattError("the meter is gone")

    with pytest.raises(KinowattError, match="meter"):
        write_labelled(tmp_path / "a.mp4", [noise(2)], SHOT, fail, FACTS)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_labelled(tmp_path / "folder.mp4", [noise(2)], SHOT, BILL, FACTS)
    assert [p.name for p in tmp_path.glob("*.mp4")] == ["folder.mp4"]
    assert not list(tmp_path.glob(".*"))


def test_parts_are_joined_and_signed_as_one(clip: Path) -> None:
    write_labelled(clip.parent / "b.mp4", [clip, noise(8, seed=2)], SHOT, BILL, FACTS, made_frames=8)
    about = read_label(clip.parent / "b.mp4")["clip"]
    assert (about["frames"], about["made_frames"]) == (32, 8)
    assert verify(clip.parent / "b.mp4").clean


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    first = signing.identity(tmp_path)
    assert stat.S_IMODE((tmp_path / "signer" / signing.KEY).stat().st_mode) == 0o600
    assert signing.identity(tmp_path).fingerprint == first.fingerprint
    assert signing.known(tmp_path / "elsewhere") is None
    (tmp_path / "signer" / signing.KEY).write_text("nonsense")
    with pytest.raises(OutputError, match="is damaged"):
        signing.identity(tmp_path)


def _fingerprint(folder: Path, results: Any) -> None:
    results.put(signing.identity(folder).fingerprint)


def test_processes_that_begin_at_once_get_one_certificate(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    crowd = [spawn.Process(target=_fingerprint, args=(tmp_path, results)) for _ in range(3)]
    for process in crowd:
        process.start()
    found = {results.get(timeout=60) for _ in crowd}
    for process in crowd:
        process.join()
    assert len(found) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["signer"]


def test_a_race_for_the_certificate_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process is first after this one has looked, and before it renames."""
    issue = signing._issue

    def late() -> Any:
        monkeypatch.setattr(signing, "_issue", issue)
        signing.identity(tmp_path)
        return issue()

    monkeypatch.setattr(signing, "_issue", late)
    ours = signing.identity(tmp_path)
    assert ours.fingerprint == signing.identity(tmp_path).fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["signer"]
