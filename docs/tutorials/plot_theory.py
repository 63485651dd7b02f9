r"""
The theory, run
===============

Why should constants per training sample take up wrong labels, and leave the network right? The paper answers with two
theorems. This page builds labelling processes with known true logits, computes what the constants should be, learns
them, and goes to the places where the theorems stop. It uses the folder ``theory/`` of a checkout; the proofs are in
:doc:`/theory`.
"""

# %%
# A labelling process
# -------------------
#
# A sample has true logits :math:`m^*`, one for each of :math:`K^*` true categories, and its true category is drawn
# from their softmax. A matrix ``pi`` then turns it into the label that is observed: ``pi[k, i]`` is the probability
# that true category k is labelled i. The model knows :math:`K` categories; there may be more true ones.
#
# Here are three categories. Cats (0) and dogs (1) are taken for each other now and then, birds (2) never; and wolves
# (3), which the model does not know, are mostly labelled dogs.

import numpy as np

from theory.observed import observed_probability
from theory.paper.closed_form import optimal_alpha
from theory.paper.transitions import outside, single_symmetric

pi = outside(3, [[0.1, 0.9, 0.0]], within=single_symmetric(3, 0, 1, rate=0.3))
print(pi)

# %%
# Definition 1 of the paper gives the probabilities of the observed labels, :math:`Q(i|x) = \sum_k \pi_{ki}
# \mathrm{softmax}(m^*)_k`, and Theorem 1 the constants that make the model agree with them at its *true* logits:
# :math:`\alpha^*_i = \ln \sum_k \pi_{ki} e^{m^*_k} - m^*_i`.

m = np.array([[2.0, 0.0, -1.0, -2.0], [0.0, 0.0, 0.0, 3.0]])  # a picture of a cat, and one of a wolf
q, alpha = observed_probability(pi, m), optimal_alpha(pi, m)
for name, row in (("Q", q), ("alpha*", alpha)):
    print(name, np.round(row, 3).tolist())

# %%
# The cat's constants lower its own label and raise the dog's, for that is how it is mislabelled; the bird's constant is
# zero. The wolf's raise the dog's most of all.
#
# Constants that are learned
# --------------------------
#
# :class:`~acestimator.AlphaTable` is the table that the estimator trains. Hold the logits at the true ones, draw a
# hundred thousand labels of each picture, and descend.

import torch

from acestimator import AlphaTable
from theory.paper.closed_form import to_gauge
from theory.trained.learned import draw_counts

counts = draw_counts(pi, m, 100_000, np.random.default_rng(0))
frequencies = torch.from_numpy(counts / counts.sum(axis=1, keepdims=True))
logits, index = torch.from_numpy(m[:, :3].copy()), torch.arange(2)

table = AlphaTable(2, 3, lr=2.0, dtype=torch.float64)
for _ in range(2000):
    table.step(index, torch.softmax(logits + table.rows(index), dim=1) - frequencies)

learned = to_gauge(table.dense().numpy(), "partition", m)
print("learned ", np.round(learned, 3).tolist())
print("expected", np.round(alpha, 3).tolist())

# %%
# Softmax does not see a number added to a whole row, so that constants are learned up to one. ``to_gauge`` adds the
# number that makes rows comparable: the *partition gauge* is that of the closed form.
#
# How near they come is known, too. With n labels of each input the error is :math:`\sqrt{(K - 1) / n}`, in the norm
# that weights a label by its probability: slope -1/2 on logarithmic axes.

import matplotlib.pyplot as plt

from theory import figures
from theory.trained.learned import sampling_error

result = sampling_error()
figures.convergence(result, plt.subplots(layout="constrained")[1])
print(result)

# %%
# Theorem 1: why the network may stay right
# -----------------------------------------
#
# With these constants the gradient of the expected loss is zero at the true parameters :math:`\theta^*`. Without
# them it is not, and plain cross-entropy goes elsewhere. A linear model of three features and four categories, 15 of
# whose 60 inputs are labelled by random processes:

from theory.facts.identifiability import contaminated
from theory.paper.theorem1 import bias, theorem1
from theory.population import linear_gradient

population, theta = contaminated(60, 3, 4, n_contaminated=15, random_state=0)
print(theorem1(population, theta))
plain = linear_gradient(population, theta)
print(f"largest entry of the gradient without constants: {plain.largest:.3f}")
share = bias(population, theta).relative
print(f"minimiser of plain cross-entropy: off by {share:.0%} of |theta*|")

# %%
# Theorem 2: what a constant says
# -------------------------------
#
# The constant of the true label is at most that of a false one (2.1); under symmetric noise it is at most zero (2.2).
# Each claim has conditions, and each condition is needed: drop one, and there is a counterexample.

from theory.paper.counterexamples import COUNTEREXAMPLES
from theory.paper.theorem2 import symmetric_case
from theory.paper.transitions import symmetric

normal = np.random.RandomState(0).normal(size=(1000, 5))
print(symmetric_case(symmetric(5, 0.4), normal, normal.argmax(axis=1)))
print()
print(COUNTEREXAMPLES["2.2, first constant zero"])

# %%
# That one is about the gauge. The paper pins the first constant of a row to zero, and there the sign is lost, though
# everything is as the paper asks. In the partition gauge, in which the estimator reports ``alpha_``, it holds.
#
# Where the theorem stops
# -----------------------
#
# Theorem 1 says that the true parameters are *a* zero of the gradient. They are not the only one: any theta has
# constants that fit Q exactly, :math:`\alpha = \ln Q - m_\theta` up to the gauge.

from theory.facts.identifiability import feasible_alpha

for name, point in (("theta*", theta), ("zero", 0 * theta), ("anything", 5 * np.cos(theta))):
    fitting = feasible_alpha(population, population.x @ point)
    gradient = linear_gradient(population, point, fitting)
    size = np.linalg.norm(fitting)
    print(f"{name:10s} gradient {gradient.largest:.0e}, constants of size {size:.1f}")

# %%
# What picks one of them is the penalty on the constants, or, without one, the way that training takes. Descend in theta
# and alpha together, and see where it ends.

from theory.trained.joint import descend_jointly

print(f"plain cross-entropy: {bias(population, theta).distance:.3f} from theta*")
for penalty in (None, ("l2", 0.01), ("group", 0.1), ("group", 0.01)):
    end = descend_jointly(population, 0 * theta, penalty=penalty, tolerance=1e-8)
    name = "no penalty" if penalty is None else f"{penalty[0]} {penalty[1]}"
    distance = np.linalg.norm(end.theta - theta)
    print(f"{name:19s}  {distance:.3f} from theta*, after {end.n_steps} steps")

# %%
# The l2 penalty ends near the least-squares fit of :math:`\ln Q`: better than plain cross-entropy, and not the truth.
# The group penalty, :math:`\lambda \sum_n \lVert \alpha_n \rVert`, wants few rows to be other than zero, as is the case
# where few inputs are contaminated, and finds :math:`\theta^*` itself as its strength falls. There is a limit to it:
# the share of contaminated inputs at which it breaks, which falls with the number of features.

from theory.facts.group_recovery import phase_transition

figures.recovery(phase_transition(), plt.subplots(layout="constrained")[1])

# %%
# One label per sample
# --------------------
#
# All of this was about the population, Q being known. Real data has a single label of each sample. Minimised over its
# row of constants, the loss of a sample then is a function of its logits alone: with the group penalty, cross-entropy
# whose gradient is cut to length :math:`\lambda`; a robust loss.

from theory.facts.robust_loss import profile

outputs = np.random.RandomState(0).normal(size=(5, 4)) * 2
one_label = np.eye(4)[[0, 1, 2, 3, 0]]
plain = torch.softmax(torch.from_numpy(outputs), dim=1).numpy() - one_label
capped = profile(outputs, one_label, "group", 0.5)
print("plain ", np.linalg.norm(plain, axis=1).round(3))
print("capped", np.linalg.norm(capped.gradient, axis=1).round(3))

# %%
# A robust loss with a fixed cap is not consistent for :math:`\theta^*`, and so the table is not, at its optimum. What
# the table adds is that it never gets there at once: constants begin at zero, move a step a visit, and remember. In
# the experiments of :doc:`/theory` that made training last, where a network with the capped loss learned the wrong
# labels in the end; stopped at the best moment, which takes clean labels to know, the capped loss was the better one.
#
# Here is a fit of the estimator in the paper's way, the paper's Figure 2 from real numbers: the constants of the five
# wrong labels take the pull that bends the other network.

# sphinx_gallery_thumbnail_number = 3
figures.concept(figures.concept_fit(), plt.subplots(layout="constrained")[1])

# %%
# All claims at once
# ------------------
#
# ``python -m theory``, in a checkout, tries every claim on drawn cases and prints one table: claim, assumptions, cases,
# worst margin, and whether it holds or, with which counterexample, fails.
