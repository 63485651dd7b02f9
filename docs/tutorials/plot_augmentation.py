"""
Augmentation, a draw per image
==============================

A network that sees another view of every image at each visit is slower to learn wrong labels by heart. The transforms
of :mod:`acestimator.augment` take a batch of uint8 images and give every image a view of its own, in one call, on the
images' device. This page shows what they do, and that a fit with them is one more parameter.
"""

# %%
# A batch
# -------
#
# Crops of the two photographs that scikit-learn ships, 64 by 64 pixels, as a uint8 tensor (B, C, H, W).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from acestimator import augment

temple, flower = load_sample_images().images
crops = [photograph[y : y + 256 : 4, x : x + 256 : 4] for photograph, y, x in ((temple, 60, 120), (flower, 90, 180))]
images = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())  # (2, 3, 64, 64)
print(images.shape, images.dtype)

# %%
# Views
# -----
#
# Each row below is one call on ten copies of an image: ten draws. ``fill`` is the colour of what padding, shifts and
# squares leave empty, here the mean of the images; where an estimator trains with a transform, it is the training
# set's mean unless another is given. ``Baseline`` flips and crops. A policy draws one of its sub-policies for every
# image, each of two operations with their own probabilities. ``Cutout`` paints a square.

mean = images.float().mean(dim=(0, 2, 3)).round().int().tolist()
transforms = {
    "flip and crop": augment.Baseline(padding=8, fill=mean, random_state=0),
    "Cutout": augment.Cutout(32, fill=mean, random_state=0),
    "AutoAugment": augment.AutoAugment("cifar10", fill=mean, random_state=0),
    "Fast AutoAugment": augment.FastAutoAugment("cifar10", fill=mean, random_state=0),
    "Population Based": augment.PopulationBasedAugment("cifar10", fill=mean, random_state=0),
}
figure, axes = plt.subplots(2 * len(transforms), 10, figsize=(8.5, 9.0), layout="constrained")
for row, (name, transform) in enumerate(transforms.items()):
    for part in range(2):
        views = transform(images[part].expand(10, -1, -1, -1).contiguous())
        for ax, view in zip(axes[2 * row + part], views, strict=True):
            ax.imshow(view.permute(1, 2, 0))
            ax.set_xticks([])
            ax.set_yticks([])
    axes[2 * row, 0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="top")

# %%
# The paper's order is baseline, policy, Cutout; :func:`acestimator.augment.pipeline` has it for each of its data sets.

print(augment.pipeline("autoaugment", "cifar10"))
print(augment.pipeline("pba", "svhn"))

# %%
# A schedule over the epochs
# --------------------------
#
# Population Based Augmentation grows stronger along the training: ``begin_epoch`` tells which epoch it is, and of how
# many. The training loop calls it. The share of pixels that a view changes, over the epochs of its schedule:

schedule = augment.PopulationBasedAugment("cifar10", fill=mean)
batch = images.repeat(256, 1, 1, 1)
changed = []
for epoch in range(0, 200, 10):
    schedule.begin_epoch(epoch, n_epochs=200, seed=0)
    changed.append((schedule(batch) != batch).float().mean().item())
figure, ax = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
ax.step(range(0, 200, 10), changed, where="post")
ax.set_xlabel("epoch")
ax.set_ylabel("share of pixels changed")

# %%
# A fit
# -----
#
# ``augment`` is a parameter of the estimators. It needs uint8 images, and any function of such a batch will do. Here
# are scikit-learn's digits, where a shift by a pixel is harmless and a flip is not; a fifth of the labels are wrong.
# Plain training (``alpha_lr=0``) learns them by heart, unless every visit shows another view. AutoCleansing is spared
# most of them, and gains little from views.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from acestimator import AutoCleansingClassifier
from acestimator.noise import corrupt, symmetric

digits = load_digits()
X = (digits.images[:, None] * 15).astype(np.uint8)  # (N, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, digits.target, stratify=digits.target, random_state=0)
observed = corrupt(y_train, symmetric(10, 0.2), random_state=0)
for name, parameters in (("plain training", {"alpha_lr": 0}), ("AutoCleansing", {})):
    for transform in (None, augment.Baseline(padding=1, flip=False)):
        clf = AutoCleansingClassifier(augment=transform, max_epochs=24, random_state=0, **parameters)
        accuracy = clf.fit(X_train, observed).score(X_test, y_test)
        print(f"{name}, {'shifted by up to a pixel' if transform else 'as they are'}: {accuracy:.3f}")

# %%
# A fit repeats for the same ``random_state``, its views included; with ``checkpoint`` it goes on where it was stopped.
# What is read off the training samples, scores, probabilities and suggested labels, is of the images as they are.
