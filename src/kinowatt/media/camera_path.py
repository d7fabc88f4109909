"""A camera path from a JSON file: key frames of where the camera stands, what it looks at, and its focal length.

{"keys": [{"at_s": 0, "position": [0, -4, 1], "look_at": [0, 0, 0.3], "focal_mm": 35},
          {"at_s": 2, "position": [4, 0, 2], "look_at": [0, 0, 0.3], "focal_mm": 50}]}
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from kinowatt.errors import ShotError
from kinowatt.shot import CameraKey

MOST_BYTES = 1 << 20
NUMBERS = {"at_s": 1, "position": 3, "look_at": 3, "focal_mm": 1}


def read(path: Path) -> tuple[CameraKey, ...]:
    """The key frames of a file, in the order of time. ShotError if it is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ShotError(f"{path} is too large for a camera path; it holds a few key frames")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ShotError(f"cannot read the camera path {path}: {error.strerror}") from error
    except ValueError as error:
        raise ShotError(f"{path} is not JSON ({error})") from error
    return parsed(found, str(path))


def parsed(found: Any, said: str = "the camera path") -> tuple[CameraKey, ...]:
    """Key frames of parsed JSON. ShotError."""
    rows = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ShotError(f'{said} has no key frames; write {{"keys": [{{"at_s": 0, "position": [0, -4, 1], "look_at": [0, 0, 0.3]}}, ...]}}')
    return tuple(_key(row, i, said) for i, row in enumerate(rows, 1))


def _key(row: Any, number: int, said: str) -> CameraKey:
    if not isinstance(row, dict):
        raise ShotError(f"{said}: key frame {number} is not an object with at_s, position and look_at")
    if unknown := set(row) - set(NUMBERS):
        raise ShotError(f"{said}: key frame {number} has {min(unknown)!r}; known are {', '.join(NUMBERS)}")
    values: dict[str, Any] = {"focal_mm": 35.0} | row
    for name, count in NUMBERS.items():
        value: Any = values.get(name)
        parts = value if isinstance(value, list) else [value]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in parts)
        if not numbers or len(parts) != count or (count > 1) != isinstance(value, list):
            raise ShotError(f"{said}: key frame {number} needs {name} as {'a number' if count == 1 else 'three numbers'}")
        values[name] = tuple(map(float, parts)) if count > 1 else float(parts[0])
    return CameraKey(**values)
