r"""
Comparing models on noisy labels
================================

``cross_val_score`` tests models on labels of the same kind as they are trained on. Where a part of these is wrong, its
scores are not accuracies. This page compares five models on such a table, says what their scores mean and when they
mislead, and ends with the list of labels to check.
"""

# %%
# A table with wrong labels
# -------------------------
#
# Measurements of 569 tumours, as a data frame, with labels by name. A fifth of the labels is replaced by the other
# one. ``truth`` is what nobody has; it is used below to see how far the scores can be trusted.

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from acestimator.noise import corrupt, symmetric

table = load_breast_cancer(as_frame=True)
X, names = table.data, table.target_names
truth = pd.Series(names[table.target])
observed = names[corrupt(table.target, symmetric(2, 0.2), random_state=0)]
print(f"{(observed != truth).mean():.1%} of {len(X)} labels are wrong")

# %%
# Five models
# -----------
#
# * A network, trained plainly.
# * The same network by ELR, early-learning regularisation: one of the methods that
#   :class:`~acestimator.BaselineClassifier` has for comparison.
# * The same network by AutoCleansing.
# * Gradient-boosted trees, which many would take first for a table.
# * These trees once more, on cleansed labels: :class:`~acestimator.CleanedClassifier` fits AutoCleansing first, and
#   then any classifier without the labels that it holds to be wrong.
#
# All of them are scikit-learn classifiers.

from sklearn.ensemble import HistGradientBoostingClassifier

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier

trees = HistGradientBoostingClassifier(random_state=0)
models = {
    "plain network": BaselineClassifier("cross_entropy", random_state=0),
    "ELR": BaselineClassifier("elr", random_state=0),
    "AutoCleansing": AutoCleansingClassifier(random_state=0),
    "boosted trees": trees,
    "cleansed trees": CleanedClassifier(trees, random_state=0),
}

# %%
# Scores against the labels at hand
# ---------------------------------

from sklearn.model_selection import StratifiedKFold, cross_val_score

folds = StratifiedKFold(3, shuffle=True, random_state=0)
for name, model in models.items():
    scores = cross_val_score(model, X, observed, cv=folds)
    print(f"{name:15s} {scores.mean():.3f} ± {scores.std():.3f}")

# %%
# These numbers look poor, and they would for a perfect model, too: a fifth of the labels that it is tested on is
# wrong. If every label is replaced with the same probability r, whatever the sample, a model of accuracy a scores
#
# .. math:: s = a\,(1 - r) + (1 - a)\,r
#
# on two classes. So
#
# * the best score to be had is :math:`1 - r`, here about .8;
# * differences shrink by the factor :math:`1 - 2r`, here .6, and chance does not: models that differ by a point need
#   more samples to be told apart;
# * the order of the models is the right one, but for chance. Models, settings and pipelines can be chosen by such
#   scores.
#
# Scores against labels that are right
# ------------------------------------
#
# If some labels have been checked, a scorer can look at these alone. It is called with the part of X that was held out,
# and the index of the data frame says which rows these are. Here 150 rows, drawn at random, were checked.
#
# Draw them at random. The labels that a model suspects are those that it disagrees with, and are no sample to judge it
# by.

from sklearn.model_selection import cross_validate

checked = truth.sample(150, random_state=0)


def checked_accuracy(model, X_part, y_part):
    rows = X_part.index.intersection(checked.index)
    return np.mean(model.predict(X_part.loc[rows]) == checked[rows])


def true_accuracy(model, X_part, y_part):  # nobody has this one
    return np.mean(model.predict(X_part) == truth[X_part.index])


scorers = {"observed": "accuracy", "checked": checked_accuracy, "true": true_accuracy}


def compare(labels):
    rows = {}
    for name, model in models.items():
        scores = cross_validate(model, X, labels, cv=folds, scoring=scorers)
        rows[name] = {key: scores[f"test_{key}"].mean() for key in scorers}
    return pd.DataFrame(rows).T


uniform = compare(observed)
print(uniform.round(3))

# %%
# 150 labels give an accuracy of .95 with a standard error of :math:`\sqrt{.95 \cdot .05 / 150}`, or 1.8 points. That is
# enough to tell the models that learn the wrong labels from those that do not, and not to rank the latter.
#
# Errors that are not uniform
# ---------------------------
#
# All of that was for wrong labels that are alike everywhere. Now let 35 % of the malignant tumours be taken for
# benign ones, and none the other way round.

one_sided_labels = names[corrupt(table.target, np.array([[0.65, 0.35], [0.0, 1.0]]), random_state=0)]
one_sided = compare(one_sided_labels)
print(f"{(one_sided_labels != truth).mean():.1%} of the labels are wrong")
print(one_sided.round(3))

# %%
# A model that makes the same mistakes as the labels is now rewarded for them. The figure sets the scores against the
# true accuracies. The line is the formula above, with the share of wrong labels as r, and ends at the perfect model.
# The bars are two standard errors of a score, which it has because of the labels alone,
# :math:`2 \sqrt{r (1 - r) / 569}`.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, title, scores, labels in (
    (axes[0], "wrong labels alike everywhere", uniform, observed),
    (axes[1], "wrong labels in one class", one_sided, one_sided_labels),
):
    rate = np.mean(labels != truth)
    accuracy = np.array([0.75, 1.0])
    ax.plot(accuracy * (1 - rate) + (1 - accuracy) * rate, accuracy, color="0.6", zorder=0)
    bar = 2 * np.sqrt(rate * (1 - rate) / len(labels))
    for (name, row), marker in zip(scores.iterrows(), "osD^v", strict=True):
        ax.errorbar(row["observed"], row["true"], xerr=bar, fmt=marker, elinewidth=0.8, label=name)
    ax.set(title=title, xlabel="score against the observed labels")
axes[0].set_ylabel("true accuracy")
axes[1].legend(loc="lower right", fontsize="small")

# %%
# On the left the points are at the line, but for chance. On the right those of the models that learn wrong labels leave
# it: their scores are closer to the others' than they should be, and none of this can be seen in the scores. There is
# no way around a few checked labels. In this run AutoCleansing gains a point on plain training, and ELR six.
#
# Searching settings
# ------------------
#
# A search compares by the same scores, and takes the same scorers. Members of a pipeline have their settings under
# their names, the classifier inside :class:`~acestimator.CleanedClassifier` under ``estimator__``.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer

# The scorer gets the data frame with its index, whatever the steps of the pipeline make of it.
pipeline = make_pipeline(PowerTransformer(), CleanedClassifier(LogisticRegression(), random_state=0))
grid = {
    "cleanedclassifier__strategy": ["relabel", "weight"],
    "cleanedclassifier__estimator__C": [0.01, 1.0],
}
search = GridSearchCV(pipeline, grid, cv=folds, scoring=checked_accuracy).fit(X, observed)
print(search.best_params_)
print(f"{search.best_score_:.3f} against the checked labels")

# %%
# A fit of AutoCleansing goes into each of these, though its own settings are the same in all. Where that takes too
# long, search on the ``suggested_labels_`` of one fit. It has seen the rows that are held out: choose by such scores,
# and do not report them.
#
# The labels to check
# -------------------
#
# ``label_issues`` is a table of all training labels, with cleanlab's columns, the labels that it suggests, and how
# likely it is that the given ones are wrong. Its rows are numbered in the order of X; ``set_index(X.index)`` gives them
# X's index, where that is another one.

cleaned = models["cleansed trees"].fit(X, observed)
issues = cleaned.label_issues().sort_values("label_quality")
print(issues.head(8))

# %%
# Somebody who checks a hundred labels finds most wrong ones at the top of the list.

is_wrong = (observed != truth).to_numpy()
first = issues.index[:100]
print(f"wrong among 100 at random:     {100 * is_wrong.mean():.0f}")
print(f"wrong among the 100 first:     {is_wrong[first].sum()}")
print(f"labels that the table flags:   {issues['is_label_issue'].sum()}")
print(f"wrong labels, in truth:        {is_wrong.sum()}")
