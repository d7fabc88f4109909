"""Make the newest trained spark the one that ships: copy its files and write their hashes into specs.py.

python runs/ship.py [runs/checkpoints/spark]
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from kinowatt.models import specs, weights

FILES = tuple(f"{name}.safetensors" for name in ("codec", "denoiser", "director", "interpolator", "observer", "painter", "poser"))


def main() -> None:
    """Copy, hash, write."""
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/checkpoints/spark")
    specs.SPARK.folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(source / name, specs.SPARK.folder / name)
    hashes = "".join(f'        "{name}": "{weights.sha256(specs.SPARK.folder / name)}",\n' for name in FILES)
    page = Path(specs.__file__)
    text = page.read_text()
    changed = re.sub(r"(name=\"spark\",.*?sha256=)\{.*?\}", lambda m: m.group(1) + "{\n" + hashes + "    }", text, count=1, flags=re.DOTALL)
    page.write_text(changed)
    print(hashes)


if __name__ == "__main__":
    main()
