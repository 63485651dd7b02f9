"""The sandbox: the paper's theory, run. Used from a checkout; nothing in acestimator imports it.

`transitions` holds the labelling processes, and `closed_form` what they make of the true logits: the observed
probabilities of Definition 1 and the constants of Theorem 1. `theorem1`, `theorem2` and `table1` are the paper's
claims, each checked with its assumptions; `counterexamples` has what happens to Theorem 2 without them.

`learned`, `single_labels`, `joint` and `softmax_world` train the project's own table and estimator on labels of a known
process. `identifiability`, `least_squares`, `group_recovery`, `robust_loss` and `table_dynamics` are five facts that
the paper does not state. `claims` tries everything; ``python -m theory`` prints it, and draws `figures`.
"""
