"""The candidates of a run with `head: auto` on its folds in PyTorch, with the same hyper-parameters.

    torch_heads.py <folder of exportRows> <threads> <seed>

Does the same jobs as the stage `fold`: every candidate without every fold, and the learning curve's. Linear heads are solved
by L-BFGS along the path of penalties until no entry of the gradient is above 1e-4; perceptrons and squeeze-and-excitation
heads are trained by AdamW with a cosine, mixup and dropout. Prints one JSON line: the seconds of all jobs, and of each candidate
its out-of-fold figures at its best penalty.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from folded_rows import FoldedRows

GRADIENT = 1e-4


class GaussianDropout(nn.Module):
    """Multiplicative noise N(1, r / (1 - r)), as in Keras."""

    def __init__(self, rate):
        super().__init__()
        self.deviation = math.sqrt(rate / (1 - rate))

    def forward(self, x):
        return x * torch.empty_like(x).normal_(1, self.deviation) if self.training and self.deviation > 0 else x


class SqueezeExcitation(nn.Module):
    def __init__(self, features, classes, head):
        super().__init__()
        width = math.ceil(features / head["reduction"])
        active = {"swish": nn.SiLU, "relu": nn.ReLU}[head["activation"]]
        self.drop = nn.Dropout(head["inputDropout"])
        self.gate = nn.Sequential(
            GaussianDropout(head["dropout"]), nn.Linear(features, width), active(), nn.Linear(width, features), nn.Sigmoid()
        )
        self.output = nn.Sequential(nn.Dropout(head["outputDropout"]), nn.Linear(features, classes))

    def forward(self, x):
        x = self.drop(x)
        return self.output(x * self.gate(x))


def network(head, features, classes):
    if head["type"] == "se":
        model = SqueezeExcitation(features, classes, head)
    else:
        widths = [features, *head["hidden"]]
        active = {"relu": nn.ReLU, "swish": nn.SiLU, "tanh": nn.Tanh}[head["activation"]]
        layers = [nn.Dropout(head["inputDropout"])]
        for before, after in zip(widths, widths[1:]):
            layers += [nn.Linear(before, after), active(), nn.Dropout(head["dropout"])]
        model = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            limit = math.sqrt(1 / layer.out_features)
            nn.init.uniform_(layer.weight, -limit, limit) if head["type"] == "se" else nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


def train(head, training, x, y, classes):
    model = network(head, x.shape[1], classes)
    optimizer_recipe = training["optimizer"]
    assert optimizer_recipe["type"] == "adamw" and training["schedule"]["type"] == "cosine"
    kernels = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": kernels, "weight_decay": optimizer_recipe["weightDecay"]}, {"params": biases, "weight_decay": 0.0}],
        lr=optimizer_recipe["learningRate"],
        betas=(optimizer_recipe["beta1"], optimizer_recipe["beta2"]),
        eps=optimizer_recipe["epsilon"],
    )
    size, epochs = training["batchSize"], training["epochs"]
    steps = epochs * math.ceil(len(y) / size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    mixup = training["mixup"]
    loss_of = lambda logits, labels: cross_entropy(logits, labels, label_smoothing=training["labelSmoothing"])
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(size):
            optimizer.zero_grad(set_to_none=True)
            rows, labels = x[batch], y[batch]
            if mixup > 0:
                share = np.random.beta(mixup, mixup)
                other = torch.randperm(len(batch))
                logits = model(share * rows + (1 - share) * rows[other])
                loss = share * loss_of(logits, labels) + (1 - share) * loss_of(logits, labels[other])
            else:
                loss = loss_of(model(rows), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
    return [model.eval()]


def solve(penalties, x, y, classes):
    """One head for each penalty; each search starts where the one before ended."""
    layer = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    solved = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS(
            layer.parameters(), max_iter=2000, tolerance_grad=GRADIENT, tolerance_change=0, history_size=10, line_search_fn="strong_wolfe"
        )

        def closure():
            optimizer.zero_grad()
            value = cross_entropy(layer(x), y) + penalty / 2 * layer.weight.square().sum()
            value.backward()
            return value

        optimizer.step(closure)
        copy = nn.Linear(x.shape[1], classes)
        copy.load_state_dict(layer.state_dict())
        solved.append(copy.eval())
    return solved


def run_job(data, x, y, unit):
    candidate = data.setting["candidates"][unit["candidate"]]
    keep = torch.from_numpy(np.flatnonzero(data.trained_on(unit["fold"], unit["share"])))
    classes = data.setting["classes"]
    penalties = candidate["penalties"]
    if penalties is None:
        models = train(candidate["head"], candidate["training"], x[keep], y[keep], classes)
    else:
        wanted = penalties if unit["share"] == 1 else [penalties[len(penalties) // 2]]
        models = solve(wanted, x[keep], y[keep], classes)
    rows = data.served(data.held_out(unit["fold"]))
    with torch.inference_mode():
        flat = x[torch.from_numpy(rows.ravel())]
        return [model(flat).reshape(*rows.shape, -1).mean(1).double().numpy() for model in models]


def main():
    folder, threads, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    np.random.seed(seed)
    data = FoldedRows(folder)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    begin = time.perf_counter()
    jobs = [(unit, run_job(data, x, y, unit)) for unit in data.setting["units"]]
    seconds = time.perf_counter() - begin
    candidates = []
    for index, candidate in enumerate(data.setting["candidates"]):
        by_fold = {u["fold"]: logits for u, logits in jobs if u["candidate"] == index and u["share"] == 1}
        of_variant = [data.figures(data.collect(lambda fold: by_fold[fold][v])) for v in range(len(by_fold[0]))]
        best = min(of_variant, key=lambda figures: figures["logLoss"])
        candidates.append({"name": candidate["name"], **best})
    print(json.dumps({"torch": torch.__version__, "seconds": seconds, "candidates": candidates}))


main()
