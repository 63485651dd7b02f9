"""Runs of many trainings, kept as JSON lines: for comparisons, experiments and benchmarks alone."""
