"""float16 with a loss scaler, whose skipped steps the constants skip too. bfloat16 needs autocast alone."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable
from acestimator.detection import observed_score
from acestimator.noise import corrupt, symmetric

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
X, right = load_digits(return_X_y=True)
labels = torch.from_numpy(corrupt(right, symmetric(10, 0.2), random_state=0))  # a fifth is wrong
features, wrong = torch.from_numpy(X / 16).float(), labels != torch.from_numpy(right)
loader = DataLoader(TensorDataset(features, labels, torch.arange(len(X))), batch_size=64, shuffle=True)

net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
table = AlphaTable(len(X), 10, lr=0.3, device=device)
scaler = torch.amp.GradScaler(device, init_scale=2.0**24)  # too large at first: some steps are skipped
skipped = 0

for _ in range(40):
    for x, y, index in loader:
        with torch.autocast(device, torch.float16):
            loss = table.cross_entropy(net(x.to(device)), y.to(device), index)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scale = scaler.get_scale()
        scaler.update()
        if scaler.get_scale() < scale:  # the step was skipped
            table.discard_pending()
            skipped += 1
        else:
            table.step_pending()

with torch.no_grad():
    scores = observed_score(table.dense(), net(features.to(device)), labels.to(device)).cpu()
suspects = scores.argsort(descending=True)[: wrong.sum()]
print(
    f"{table.clock} steps and {skipped} skipped; of the {len(suspects)} likeliest to be wrong "
    f"{wrong[suspects].float().mean():.2f} are"
)
