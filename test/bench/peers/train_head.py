"""The anchor of `npm run bench -- head`: the squeeze-and-excitation head trained in PyTorch, as a user of it would write it.

Usage: train_head.py <folder> <threads> <epochs> <seed>

The folder holds float32 `train.f32` and `validation.f32` (rows of `features` values), int32 `train.i32` and
`validation.i32` (labels) and `setting.json`. Batches are taken by index from one tensor: no DataLoader, no worker.
Prints one JSON line: seconds of each epoch (its validation included) and validation accuracy after it.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


class GaussianDropout(nn.Module):
    """Multiplicative noise N(1, r / (1 - r)), as in Keras."""

    def __init__(self, rate):
        super().__init__()
        self.deviation = math.sqrt(rate / (1 - rate))

    def forward(self, x):
        if not self.training:
            return x
        return x * torch.empty_like(x).normal_(1, self.deviation)


class SqueezeExcitationHead(nn.Module):
    def __init__(self, features, classes, reduction, dropout):
        super().__init__()
        width = math.ceil(features / reduction)
        self.gate = nn.Sequential(
            GaussianDropout(dropout),
            nn.Linear(features, width),
            nn.SiLU(),
            nn.Linear(width, features),
            nn.Sigmoid(),
        )
        self.output = nn.Linear(features, classes)
        for layer in (self.gate[1], self.gate[3], self.output):
            limit = math.sqrt(1 / layer.out_features)
            nn.init.uniform_(layer.weight, -limit, limit)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        return self.output(x * self.gate(x))


def main():
    folder, threads, epochs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    setting = json.loads((folder / "setting.json").read_text())
    torch.set_num_threads(threads)
    torch.manual_seed(seed)

    def rows(name):
        features = np.fromfile(folder / f"{name}.f32", dtype="<f4").reshape(-1, setting["features"])
        labels = np.fromfile(folder / f"{name}.i32", dtype="<i4").astype(np.int64)
        return torch.from_numpy(features), torch.from_numpy(labels)

    x, y = rows("train")
    validation_x, validation_y = rows("validation")
    head = SqueezeExcitationHead(
        setting["features"], setting["classes"], setting["reduction"], setting["dropout"]
    )
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(head.parameters(), lr=setting["learningRate"], eps=setting["epsilon"])
    seconds, accuracies = [], []
    for _ in range(epochs):
        begin = time.perf_counter()
        head.train()
        for batch in torch.randperm(len(y)).split(setting["batchSize"]):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(head(x.index_select(0, batch)), y.index_select(0, batch))
            loss.backward()
            optimizer.step()
        head.eval()
        with torch.inference_mode():
            right = (head(validation_x).argmax(1) == validation_y).sum()
            accuracies.append(right.item() / len(validation_y))
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"torch": torch.__version__, "seconds": seconds, "accuracies": accuracies}))


main()
