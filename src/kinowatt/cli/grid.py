"""The verbs of the grid: weather in this house's own way, and what a network makes of it."""

from __future__ import annotations

import typer

from kinowatt.cli import grid_study, grid_weather

grid_app = typer.Typer(no_args_is_help=True, help="Weather as a video, and what a network makes of it.")
grid_app.command("nowcast")(grid_weather.nowcast_verb)
grid_app.command("score")(grid_weather.score_verb)
grid_app.command("study")(grid_study.study_verb)
