"""Key frames become a smooth path through them; bad files are refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from kinowatt.engine.camera_path import rays_of, rows_of
from kinowatt.errors import ShotError
from kinowatt.media import camera_path
from kinowatt.models.steering import RAY_CHANNELS
from kinowatt.shot import Camera, CameraKey

KEYS = (
    CameraKey(0.0, (0, -4, 1), (0, 0, 0.3), 35),
    CameraKey(1.0, (4, 0, 2), (0, 0, 0.3), 70),
    CameraKey(2.0, (4, 3, 2), (0, 0, 0.3), 70),
)


def test_the_path_goes_through_its_keys_and_nowhere_beyond_them() -> None:
    rows, focus_m = rows_of(KEYS, 49, 16.0)
    assert focus_m == pytest.approx(np.sqrt(16 + 0.49))
    for key in KEYS:
        at = rows[round(key.at_s * 16)]
        assert at[0] == pytest.approx([*key.position, key.focal_mm / 12], abs=1e-5)
        ahead = np.subtract(key.look_at, key.position)
        assert at[3, :3] == pytest.approx(ahead / np.linalg.norm(ahead), abs=1e-5)
    places = rows[:, 0, :3]
    assert places.min(0) == pytest.approx([0, -4, 1], abs=1e-5)
    assert places.max(0) == pytest.approx([4, 3, 2], abs=1e-5)
    assert np.abs(np.diff(places[:33], 2, axis=0)).max() < 0.1, "no kinks"
    assert (places[33:] == places[33]).all(), "after the last key it stands still"
    basis = rows[:, 1:, :3]
    assert np.abs(basis @ basis.transpose(0, 2, 1) - np.eye(3)).max() < 1e-5


def test_steering_has_no_path_outside_of_time() -> None:
    channels = rays_of(KEYS, 33, 16.0, (6, 10), 4, outside=2)
    assert channels.shape == (1, RAY_CHANNELS, 11, 6, 10)
    assert not channels[:, :, 9:].any()
    assert bool((channels[:, 6, :9] == 1).all())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "is not JSON"),
        ("[]", "has no key frames"),
        ('{"keys": []}', "has no key frames"),
        ('{"keys": [3]}', "is not an object"),
        ('{"keys": [{"at_s": 0, "position": [0, 0], "look_at": [0, 1, 0]}]}', "needs position as three numbers"),
        ('{"keys": [{"at_s": "x", "position": [0, 0, 1], "look_at": [0, 1, 0]}]}', "needs at_s as a number"),
        ('{"keys": [{"at_s": 0, "position": [0, 0, 1], "look_at": [0, 1, 0], "roll": 3}]}', "has 'roll'"),
        ('{"keys": [{"at_s": 0, "position": [0, 0, 1], "look_at": [0, 0, 3]}]}', "straight up or down"),
        ('{"keys": [{"at_s": 0, "position": [0, 0, 1], "look_at": [0, 3, 1], "focal_mm": 2}]}', "lens of 2 mm"),
        ('{"keys": [{"at_s": -1, "position": [0, 0, 1], "look_at": [0, 3, 1]}]}', "second >= 0"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "path.json"
    file.write_text(text)
    with pytest.raises(ShotError, match=said):
        camera_path.read(file)


def test_a_good_file_is_read_and_order_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text(json.dumps({"keys": [dataclasses.asdict(k) for k in KEYS]}))
    assert camera_path.read(file) == KEYS
    with pytest.raises(ShotError, match="one after the other"):
        Camera(path=(KEYS[1], KEYS[0]))
    with pytest.raises(ShotError, match="cannot read"):
        camera_path.read(tmp_path / "none.json")
