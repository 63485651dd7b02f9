"""Four batches are one step, of the network and of the constants."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable
from acestimator.detection import observed_score
from acestimator.noise import corrupt, symmetric

torch.manual_seed(0)
X, right = load_digits(return_X_y=True)
labels = torch.from_numpy(corrupt(right, symmetric(10, 0.2), random_state=0))  # a fifth is wrong
features, wrong = torch.from_numpy(X / 16).float(), labels != torch.from_numpy(right)
loader = DataLoader(TensorDataset(features, labels, torch.arange(len(X))), batch_size=16, shuffle=True)

net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
table = AlphaTable(len(X), 10, lr=0.3)

for _ in range(40):
    for number, (x, y, index) in enumerate(loader, 1):
        loss = table.cross_entropy(net(x), y, index) / 4  # which slows the network alone
        loss.backward()
        if number % 4 == 0 or number == len(loader):
            optimizer.step()
            optimizer.zero_grad()
            table.step_pending()

with torch.no_grad():
    scores = observed_score(table.dense(), net(features), labels)
suspects = scores.argsort(descending=True)[: wrong.sum()]
print(f"{table.clock} steps; of the {len(suspects)} likeliest to be wrong {wrong[suspects].float().mean():.2f} are")
