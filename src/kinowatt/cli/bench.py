"""The verb of comparison: kinowatt beside its peers, on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kinowatt.cli.words import Json, check_writable, say

bench_app = typer.Typer(no_args_is_help=True, help="kinowatt beside its peers, on this machine.")


@bench_app.callback()
def _bench() -> None:
    """kinowatt beside its peers, on this machine."""


@bench_app.command("peers")
def peers_verb(
    preset: Annotated[str, typer.Option(help="smoke, tiny (for a CPU), wan2.1-1.3b-480p or wan2.2-ti2v-5b-704p (for a GPU)")] = "tiny",
    device: Annotated[str, typer.Option("--device", help="cpu or cuda")] = "cpu",
    rounds: Annotated[int, typer.Option(help="takes of each, in turn", min=1, max=100)] = 3,
    steps: Annotated[int | None, typer.Option(help="denoising steps; default: the preset's", min=1, max=1000)] = None,
    only: Annotated[list[str] | None, typer.Option(help="a contestant, beside diffusers as a user runs it; may be given again")] = None,
    work: Annotated[Path, typer.Option(help="where random weights and clips are kept")] = Path("runs/bench"),
    out: Annotated[Path | None, typer.Option("-o", "--out", help="the table to write (Markdown)")] = None,
    append: Annotated[bool, typer.Option("--append", help="put the table below what is there")] = False,
    as_json: Json = False,
) -> None:
    """Compare with diffusers: the same random weights, seeds and steps; seconds, joules, memory, PSNR and ratios. No network is needed."""
    from kinowatt.bench import peers
    from kinowatt.bench.folders import PRESETS

    if out is not None:
        check_writable(out)
    rows = peers.compare(preset, device, rounds, steps, only or (), work, lambda line: say.print(line, markup=False))
    text = peers.table(rows, preset, device, steps or PRESETS[preset].steps)
    if out is not None:
        before = out.read_text(encoding="utf-8") + "\n" if append and out.is_file() else "# kinowatt beside diffusers\n\n"
        out.write_text(before + text, encoding="utf-8")
    print(json.dumps(peers.to_json(rows), indent=1) if as_json else text, end="")
