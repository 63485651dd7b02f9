"""Two samples are mixed, and so are their labels: soft labels, in a smoothed and weighted loss."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable
from acestimator.detection import observed_score
from acestimator.noise import corrupt, symmetric

torch.manual_seed(0)
X, right = load_digits(return_X_y=True)
labels = torch.from_numpy(corrupt(right, symmetric(10, 0.2), random_state=0))  # a fifth is wrong
features, wrong = torch.from_numpy(X / 16).float(), labels != torch.from_numpy(right)
loader = DataLoader(TensorDataset(features, labels, torch.arange(len(X))), batch_size=64, shuffle=True)

net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
table = AlphaTable(len(X), 10, lr=0.3)
share = torch.distributions.Beta(0.2, 0.2)
weight = len(labels) / (10 * labels.bincount())  # classes as if all were as large

for _ in range(40):
    for x, y, index in loader:
        lam, other = share.sample(), torch.randperm(len(index))
        mixed = lam * x + (1 - lam) * x[other]
        target = lam * one_hot(y, 10) + (1 - lam) * one_hot(y[other], 10)  # (B, K)
        # One call for each batch, with the row of the first sample of each pair.
        loss = table.cross_entropy(net(mixed), target, index, label_smoothing=0.05, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        table.step_pending()

with torch.no_grad():
    scores = observed_score(table.dense(), net(features), labels)
suspects = scores.argsort(descending=True)[: wrong.sum()]
print(f"{table.clock} steps; of the {len(suspects)} likeliest to be wrong {wrong[suspects].float().mean():.2f} are")
