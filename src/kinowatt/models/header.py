"""The configuration in the header of a safetensors file of ours. No torch here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from kinowatt.errors import WeightsError


def config(path: Path) -> dict[str, Any]:
    """What stands beside the tensors of a file; empty if nothing does. WeightsError if it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get("config", "{}"))
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise WeightsError(f"{path} has no readable config in its header ({error}); restore or retrain it") from error
    return found


def unreadable(path: Path, error: Exception) -> WeightsError:
    """What to raise for a file that safetensors refuses."""
    said = str(error).splitlines()[0]
    return WeightsError(f"{path} cannot be read: it is damaged or not a readable safetensors file ({said}); restore it")
