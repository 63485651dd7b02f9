"""The comparison of methods for wrong labels: tasks, runs, grids of them, tables, verdicts and a figure."""

from acestimator.comparison.figure import draw
from acestimator.comparison.grid import Cell, cells, finished, run_grid
from acestimator.comparison.results import Comparison, failures, gap_closed, not_possible, relative_seconds
from acestimator.comparison.runs import available
from acestimator.comparison.tasks import Task, load, make_task
from acestimator.comparison.verdicts import verdicts

__all__ = [
    "Cell",
    "Comparison",
    "Task",
    "available",
    "cells",
    "draw",
    "failures",
    "finished",
    "gap_closed",
    "load",
    "make_task",
    "not_possible",
    "relative_seconds",
    "run_grid",
    "verdicts",
]
