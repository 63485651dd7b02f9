"""The sandbox: the paper's theory, run. Used from a checkout; nothing in acestimator imports it.

What belongs where:

- `claim`, `observed` and `population` have what every room speaks of: a claim's verdict, the probabilities of the
  labels (Definition 1), and finitely many inputs with their expected loss.
- `paper` has what the paper states, each claim with its assumptions: labelling processes, the closed form of the
  constants, both theorems, Table 1, and where Theorem 2 fails.
- `facts` has the five facts that the paper does not state.
- `trained` has what the project's own table and estimator learn from labels of a known process.
- `claims` tries everything, and `figures` draws it; ``python -m theory`` does both.

A room imports from those above it in this list, and from no other.
"""
