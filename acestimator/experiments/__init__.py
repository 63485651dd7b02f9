"""The paper's experiments: its tables and figures as data, and the runner that fills them."""

from acestimator.experiments.figures import draw_dropped, draw_suspects
from acestimator.experiments.report import as_markdown, as_text
from acestimator.experiments.runner import finished, jobs, run_jobs, select
from acestimator.experiments.runs import Job, Options, run_job
from acestimator.experiments.tables import TABLES, Entry, Run, Table

__all__ = [
    "TABLES",
    "Entry",
    "Job",
    "Options",
    "Run",
    "Table",
    "as_markdown",
    "as_text",
    "draw_dropped",
    "draw_suspects",
    "finished",
    "jobs",
    "run_job",
    "run_jobs",
    "select",
]
