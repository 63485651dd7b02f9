"""The same loop in one process or in several: ``torchrun --nproc-per-node 2 several_processes.py``."""

import os

import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable, OwnerSampler
from acestimator.detection import observed_score
from acestimator.noise import corrupt, symmetric

device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else "cpu"
if "RANK" in os.environ:  # torchrun's
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

torch.manual_seed(0)
X, right = load_digits(return_X_y=True)
labels = torch.from_numpy(corrupt(right, symmetric(10, 0.2), random_state=0))  # a fifth is wrong
features, wrong = torch.from_numpy(X / 16).float(), labels != torch.from_numpy(right)
data = TensorDataset(features, labels, torch.arange(len(X)))

sampler = OwnerSampler(data)  # samples rank, rank + W, ... alone
own, n_processes = sampler.own, sampler.num_replicas
table = AlphaTable(len(own), 10, lr=0.3, ids=own, device=device)
loader = DataLoader(data, batch_size=64 // n_processes, sampler=sampler)

net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
model = DistributedDataParallel(net) if n_processes > 1 else net
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

for epoch in range(20):
    sampler.set_epoch(epoch)
    for x, y, index in loader:
        loss = table.cross_entropy(model(x.to(device)), y.to(device), index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        table.step_pending()

with torch.no_grad():
    logits = net(features[own].to(device))
    part = observed_score(table.rows(own), logits, labels[own].to(device)).cpu()
scores = torch.empty(len(X))
parts = [part]
if n_processes > 1:  # the scores of all samples, on all ranks
    parts = [None] * n_processes
    distributed.all_gather_object(parts, part)
for rank, part in enumerate(parts):
    scores[rank::n_processes] = part

if sampler.rank == 0:
    suspects = scores.argsort(descending=True)[: wrong.sum()]
    print(f"{table.clock} steps; of the {len(suspects)} likeliest to be wrong {wrong[suspects].float().mean():.2f} are")
if n_processes > 1:
    distributed.destroy_process_group()
