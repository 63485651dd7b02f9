r"""
A method of your own: symmetric cross-entropy
=============================================

This page adds a method to the package from the outside: symmetric cross-entropy (Wang et al., ICCV 2019). The whole
method is two small classes and one line. It is then compared with plain cross-entropy, on digits of which a fifth have
wrong labels. :doc:`The page on other methods </peers>` explains what else a method can have.
"""

# %%
# The loss
# --------
#
# Let :math:`p` be the network's probabilities for a sample, :math:`y` its observed label, and :math:`q` the vector
# with 1 at :math:`y` and 0 elsewhere. Cross-entropy is :math:`-\sum_k q_k \log p_k = -\log p_y`. The paper adds
# *reverse* cross-entropy, in which the two change places:
#
# .. math:: a \Bigl(-\sum_k q_k \log p_k\Bigr) + b \Bigl(-\sum_k p_k \log q_k\Bigr).
#
# The second term needs the logarithm of zero. The paper puts a negative number :math:`A` in its place. Only the label
# has :math:`\log q_y = 0`, so the second term is :math:`-A\,(1 - p_y)`. The paper's numbers for CIFAR-10 are
# :math:`a = 0.1`, :math:`b = 1` and :math:`A = -4`.
#
# The method
# ----------
#
# The *objective* has the loss: one number for each sample of a batch. The *method* takes the parameters, checks them,
# and makes the objective. The last line gives the method its name.

import torch
from torch.nn.functional import cross_entropy

from acestimator.objectives import Objective
from acestimator.peers import METHODS, Method


class SymmetricCrossEntropyLoss(Objective):
    def __init__(self, a, b, A):
        self.a, self.b, self.A = a, b, A

    def loss(self, logits, labels, index):
        p_label = torch.softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
        return self.a * cross_entropy(logits, labels, reduction="none") - self.b * self.A * (1 - p_label)


class SymmetricCrossEntropy(Method):
    def __init__(self, a=0.1, b=1.0, A=-4.0):
        if not (a >= 0 and b >= 0 and A < 0):
            raise ValueError(f"a, b and A are {a!r}, {b!r} and {A!r}, expected a and b of at least 0, and A below 0.")
        self.a, self.b, self.A = a, b, A

    def objective(self, generator):
        return SymmetricCrossEntropyLoss(self.a, self.b, self.A)


METHODS["symmetric_cross_entropy"] = SymmetricCrossEntropy

# %%
# An objective can be called without a training. The formula has a sum over the categories, and the code has none. The
# two agree:

logits = 3 * torch.randn(5, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
labels = torch.arange(5)
log_q = torch.full((5, 10), -4.0, dtype=torch.float64).scatter(1, labels[:, None], 0.0)
reverse = -(torch.softmax(logits, dim=1) * log_q).sum(dim=1)
by_formula = 0.1 * cross_entropy(logits, labels, reduction="none") + reverse
ours = SymmetricCrossEntropyLoss(a=0.1, b=1.0, A=-4.0).loss(logits, labels, torch.arange(5))
print(f"largest difference: {(ours - by_formula).abs().max():.0e}")

# %%
# A fit
# -----
#
# The method has a name, so :class:`~acestimator.BaselineClassifier` can train it. The network, the batches and the
# schedule are those of every other method. ``params`` are the arguments of the method's ``__init__``.

from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from acestimator import BaselineClassifier
from acestimator.noise import corrupt, symmetric

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
observed = corrupt(y_train, symmetric(10, 0.2), random_state=0)
is_wrong = observed != y_train

models = {
    "cross-entropy": BaselineClassifier("cross_entropy", random_state=0),
    "symmetric, a = 0.1": BaselineClassifier("symmetric_cross_entropy", random_state=0),
    "symmetric, a = 0.01": BaselineClassifier("symmetric_cross_entropy", params={"a": 0.01}, random_state=0),
}
for name, model in models.items():
    model.fit(X_train, observed)
    accuracy, auroc = model.score(X_test, y_test), roc_auc_score(is_wrong, model.mislabel_scores_)
    print(f"{name:20s} accuracy {accuracy:.3f}, AUROC of the suspects {auroc:.3f}")

# %%
# The paper's :math:`a` is better than plain cross-entropy here, and a smaller one is better still. This was seen on the
# test set, so it says what :math:`a` does, and not which one to take.
#
# What the second term does
# -------------------------
#
# The derivative explains it. In the logits, cross-entropy has the gradient :math:`p - q`, and :math:`1 - p_y` has
# :math:`p_y (p - q)`. Together these are
#
# .. math:: (a - b A\, p_y)\,(p - q),
#
# the gradient of cross-entropy, times a factor. The factor is :math:`a - b A` for a label that the network believes in,
# and only :math:`a` for a label that it does not: 4.1 and 0.1 with the paper's numbers. So wrong labels pull weakly,
# until they are learnt. The objective finds its gradient by autograd; this compares it with the formula.

from acestimator.objectives import Block

(step,) = Block(epoch=0, first_step=0, index=torch.arange(5), labels=labels, sizes=[5], lr_scales=[1.0]).steps()
by_autograd, losses = SymmetricCrossEntropyLoss(a=0.1, b=1.0, A=-4.0).gradient(logits, step)
p = torch.softmax(logits, dim=1)
q = torch.nn.functional.one_hot(labels, 10)
closed_form = (0.1 + 4 * p.gather(1, labels[:, None])) * (p - q)
print(f"largest difference: {(by_autograd - closed_form).abs().max():.0e}")

# %%
# The left panel has the accuracy on the *observed* labels during training. The dotted line is the share of right
# labels: a network that ends above it has learnt wrong labels by heart. The right panel has the scores of the training
# labels, of the fit with the paper's :math:`a`. The method has no ``reading``, so a score is the cross-entropy of the
# label.

import matplotlib.pyplot as plt

from acestimator import ScoreHistogramDisplay

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for name, model in models.items():
    left.plot([record["epoch"] for record in model.history_], [record["accuracy"] for record in model.history_])
    left.annotate(name, (60, model.history_[-1]["accuracy"]), xytext=(-2, 3), textcoords="offset points", ha="right")
left.axhline(1 - is_wrong.mean(), color="0.5", linestyle=":")
left.set(xlabel="epoch", ylabel="accuracy on the observed labels", ylim=(0.6, 1.0))
clf = models["symmetric, a = 0.1"]
ScoreHistogramDisplay.from_estimator(clf, ax=right)

# %%
# The suspects
# ------------
#
# A fit leaves the same as with the package's own methods: scores, probabilities, suggested labels, and a table of the
# labels.

issues = clf.label_issues().sort_values("label_quality")
print(issues.head())
print(f"wrong among the 100 first: {is_wrong[issues.index[:100]].sum()}")

# %%
# A parameter out of range stops the fit before any training, with the method's own message:

try:
    BaselineClassifier("symmetric_cross_entropy", params={"A": 4.0}).fit(X_train, observed)
except ValueError as error:
    print(error)

# %%
# Where next
# ----------
#
# * Sample weights, a ``checkpoint``, pipelines and ``cross_val_score`` ask nothing more of the method.
# * A method may also remember something of every sample, train several times, or score the labels itself. The section
#   :ref:`a-method-of-your-own` has an example of each.
# * The same section shows how the method takes part in the comparison of all methods.
