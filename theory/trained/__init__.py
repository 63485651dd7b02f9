"""What the project's own table and estimator learn from labels of a known process, against the theory."""
