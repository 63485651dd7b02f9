r"""
A first fit on noisy labels
===========================

A fifth of the labels of the handwritten digits are replaced at random. A network is then trained on them twice,
plainly and by AutoCleansing, and the labels that the second training holds to be wrong are looked at.
"""

# %%
# Digits with wrong labels
# ------------------------
#
# 1,257 images of 8 x 8 pixels are for training, 540 for testing. The labels of the training images are passed
# through a transition matrix ``pi``, where ``pi[k, i]`` is the probability of label i for an image of category k. Here
# each label is replaced with probability 0.2, by any of the nine others alike. The test labels stay right.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from acestimator.noise import corrupt, symmetric

X, y = load_digits(return_X_y=True)
split = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
X_train, X_test, y_train, y_test = split
observed = corrupt(y_train, symmetric(10, 0.2), random_state=0)

# %%
# From here on the models see ``observed`` alone. ``is_wrong`` is what they are asked to find; in real data nobody
# has it, and it is used below only to mark the answers.

is_wrong = observed != y_train
print(f"{is_wrong.sum()} of {len(observed)} labels are wrong: {is_wrong.mean():.1%}")

# %%
# Two pipelines
# -------------
#
# :class:`~acestimator.AutoCleansingClassifier` is a scikit-learn classifier and goes to the end of a pipeline like
# any other. The step before it drops the pixels that are blank in every image. No scaler is needed: the classifier
# standardises its inputs itself.
#
# With ``alpha_lr=0`` nothing of the method is left, neither judges nor constants: plain training of the same network,
# with batches of the same size. It is the model to compare with.

from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline

from acestimator import AutoCleansingClassifier

plain_clf = AutoCleansingClassifier(alpha_lr=0, random_state=0)
plain = make_pipeline(VarianceThreshold(), plain_clf)
cleansing = make_pipeline(VarianceThreshold(), AutoCleansingClassifier(random_state=0))

# %%
# Cross-validation, against the labels at hand
# --------------------------------------------
#
# ``cross_val_score`` compares the predictions with the labels that it is given, and a fifth of these are wrong. So
# it gives a low score to both models, and would give a low one to a perfect model.

from sklearn.model_selection import cross_val_score

noisy_scores = {}
for name, model in (("plain", plain), ("cleansing", cleansing)):
    noisy_scores[name] = cross_val_score(model, X_train, observed, cv=3).mean()
    print(f"{name:10s} {noisy_scores[name]:.3f} against the observed labels")

# %%
# For this kind of noise the price is known. A model of true accuracy :math:`a`, tested on labels of which a share
# :math:`r` was replaced by one of the :math:`K - 1` others, agrees with them at the rate
#
# .. math:: a\,(1 - r) + (1 - a)\,\frac{r}{K - 1},
#
# which is :math:`1 - r` for a perfect model. It grows with :math:`a` as long as :math:`r < 1 - 1/K`: under
# symmetric noise, noisy scores still put models in the right order on average. Under noise that depends on the
# category or on the sample they need not.

rate = is_wrong.mean()
print(f"the best score to be had against these labels is about {1 - rate:.3f}")

# %%
# The same models, against right labels
# -------------------------------------
#
# To know how good a model is one needs labels that are right, if only a few. Here the test set has them.

clean_scores = {}
for name, model in (("plain", plain), ("cleansing", cleansing)):
    clean_scores[name] = model.fit(X_train, observed).score(X_test, y_test)
    print(f"{name:10s} {clean_scores[name]:.3f} against the right labels")

# %%
# The models are the same as before but for a larger training set, and the formula takes the second table to the
# first, up to that and to chance.

for name, accuracy in clean_scores.items():
    expected = accuracy * (1 - rate) + (1 - accuracy) * rate / 9
    seen = noisy_scores[name]
    print(f"{name:10s} {expected:.3f} expected against noisy labels, {seen:.3f} seen")

# %%
# The suspects
# ------------
#
# The fit has also scored each training sample. ``mislabel_scores_`` are the log-odds that the label is wrong. Networks
# that have not seen the label have said so, and the one that predicts, before it could learn the label by heart. The
# pictures show the samples of the highest scores.
#
# The classifier is the last step of the pipeline. It scored the samples in their order, so the raw images may be
# shown, whatever the steps before it made of them.

# sphinx_gallery_thumbnail_number = 1
from acestimator import SuspectsDisplay

clf = cleansing[-1]
SuspectsDisplay.from_estimator(clf, X_train, observed, image_shape=(8, 8))

# %%
# How many of the wrong labels are among them? If somebody had told us the number of wrong labels, and we looked
# through that many samples from the top of the list:

order = np.argsort(-clf.mislabel_scores_, kind="stable")
n_wrong = is_wrong.sum()
n_found = is_wrong[order[:n_wrong]].sum()
print(f"{n_found} of the {n_wrong} wrong labels are among the {n_wrong} most suspicious")

# %%
# Without a number
# ----------------
#
# Nobody tells us. ``mislabel_proba_`` turns the scores into probabilities that a label is wrong. Their mean is the
# estimated noise rate, ``noise_rate_``, and ``noise_rate_interval_`` says from where to where it may be.

from acestimator import ScoreHistogramDisplay

ScoreHistogramDisplay.from_estimator(clf)

# %%
# At zero a label is as likely wrong as right. Most samples stand on the left, below zero: their labels are likelier
# right. Those on the right are likelier wrong. The counts are on a logarithmic scale.

flagged = clf.mislabel_proba_ > 0.5
print(f"estimated noise rate {clf.noise_rate_:.1%}, true {rate:.1%}")
print(f"{flagged.sum()} labels are more likely wrong than right")
print(f"share of the wrong labels that is flagged:  {flagged[is_wrong].mean():.1%}")
print(f"share of the flagged labels that is wrong:  {is_wrong[flagged].mean():.1%}")

# %%
# So this list is nearly complete and nearly pure. A few right labels that the network found hard to learn are on it.
# The probabilities say how sure each suspicion is:

for low, high in ((0.5, 0.9), (0.9, 0.99), (0.99, 1.0)):
    part = (clf.mislabel_proba_ > low) & (clf.mislabel_proba_ <= high)
    print(f"probability {low} to {high}: {part.sum()} labels, {is_wrong[part].mean():.1%} of them wrong")

# %%
# For a shorter list that is purer still, go by the order of the scores and stop early.

for length in (100, 200, 250, 300):
    print(f"the first {length}: {is_wrong[order[:length]].mean():.1%} wrong")

# %%
# A label instead
# ---------------
#
# ``suggested_labels_`` keeps the observed label where it is probably right, and puts the network's own in its place
# where it is probably wrong.

suggested = clf.suggested_labels_
is_right = suggested == y_train
print(f"share of right labels before: {1 - rate:.1%}, after: {is_right.mean():.1%}")
print(f"wrong labels put right: {is_right[is_wrong].sum()} of {n_wrong}")
print(f"right labels spoiled:   {(~is_right)[~is_wrong].sum()} of {(~is_wrong).sum()}")

# %%
# During training
# ---------------
#
# The middle panel tells the two kinds of training apart. Its accuracy is that of the network on the *observed*
# labels.

from acestimator import TrainingCurvesDisplay

TrainingCurvesDisplay.from_estimator(clf)

# %%
# A plain network goes on until it knows most of the wrong labels by heart. Here the network is spared them: its
# agreement with the observed labels settles near the share of them that is right.

for name, model in (("plain", plain), ("cleansing", cleansing)):
    last = model[-1].history_[-1]
    print(f"{name:10s} agrees with {last['accuracy']:.1%} of the observed labels at the end")

# %%
# Where next
# ----------
#
# * The :doc:`user guide </guide>` has the method in one page, what to do with the suspects, and the limits.
# * Put your own data in place of ``X_train`` and ``observed``: arrays of vectors or of images, data frames, labels
#   of any kind. Keep aside a test set whose labels you have checked.
# * Replace ``symmetric`` with :func:`~acestimator.noise.pair_flip`, a harder kind of noise, in which each category
#   is mistaken for one other.
# * Pass your own network as ``backbone``.
