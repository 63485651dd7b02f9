"""The sandbox: the paper's theory, run. Used from a checkout; nothing in acestimator imports it."""
