"""The sandbox: the paper's theory, run. Used from a checkout; nothing in acestimator imports it.

What belongs where:

- `paper` has what the paper states: the labelling processes (`transitions`), what they make of the true logits
  (`closed_form`: Definition 1 and the constants of Theorem 1), the theorems and Table 1, and where Theorem 2 fails
  (`counterexamples`). Each claim is checked with its assumptions.
- `facts` has the five facts that the paper does not state.
- `trained` has what the project's own table and estimator learn from labels of a known process.
- `claims` tries everything; ``python -m theory`` prints it, and draws `figures`.
"""
