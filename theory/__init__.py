"""The sandbox: the paper's theory, run. Used from a checkout; nothing in acestimator imports it.

`transitions` holds the labelling processes, and `closed_form` what they make of the true logits: the observed
probabilities of Definition 1 and the constants of Theorem 1. `theorem1`, `theorem2` and `table1` are the paper's
claims: each is checked with its assumptions, and has counterexamples for what happens without them.
"""
