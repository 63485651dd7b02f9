"""The comparison of methods for wrong labels: tasks, runs, grids of them, and the report."""

from acestimator.comparison.grid import Cell, cells, finished, run_grid
from acestimator.comparison.report import Comparison, verdicts
from acestimator.comparison.runs import available
from acestimator.comparison.tasks import Task, load, make_task

__all__ = ["Cell", "Comparison", "Task", "available", "cells", "finished", "load", "make_task", "run_grid", "verdicts"]
