"""Parts of benchmarks/suite.py: data sets, which cells there are, what is measured of one, and the verdicts."""
