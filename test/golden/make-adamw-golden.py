"""Makes adamw.json: a small perceptron trained by torch.optim.AdamW in float64, all rows in each step.

Kernels decay and biases do not. Run in this folder, with torch installed: python3 make-adamw-golden.py
"""

import json

import torch
from torch import nn

torch.manual_seed(5)
torch.set_default_dtype(torch.float64)
ROWS, FEATURES, HIDDEN, CLASSES = 12, 4, 5, 3
SMOOTHING = 0.1
# The first setting is PyTorch's default but for its decay, which is large enough to be seen after a few steps.
SETTINGS = [
    {"learningRate": 1e-2, "weightDecay": 0.3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    {"learningRate": 5e-2, "weightDecay": 1.5, "beta1": 0.7, "beta2": 0.95, "epsilon": 1e-2},
]
STEPS = 12

features = torch.randn(ROWS, FEATURES).float().double()
labels = torch.randint(CLASSES, (ROWS,))
start = {
    "hidden1.kernel": torch.randn(FEATURES, HIDDEN).float(),
    "hidden1.bias": torch.randn(HIDDEN).float(),
    "output.kernel": torch.randn(HIDDEN, CLASSES).float(),
    "output.bias": torch.randn(CLASSES).float(),
}


def train(setting):
    weights = {name: value.double().requires_grad_() for name, value in start.items()}
    kernels = [value for name, value in weights.items() if name.endswith(".kernel")]
    biases = [value for name, value in weights.items() if name.endswith(".bias")]
    optimizer = torch.optim.AdamW(
        [{"params": kernels}, {"params": biases, "weight_decay": 0}],
        lr=setting["learningRate"],
        betas=(setting["beta1"], setting["beta2"]),
        eps=setting["epsilon"],
        weight_decay=setting["weightDecay"],
    )
    loss_function = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden = torch.tanh(features @ weights["hidden1.kernel"] + weights["hidden1.bias"])
        loss = loss_function(hidden @ weights["output.kernel"] + weights["output.bias"], labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"optimizer": {"type": "adamw", **setting}, "losses": losses, "end": listed(weights)}


def listed(weights):
    return {
        name: {"shape": list(value.shape), "data": value.detach().double().flatten().tolist()}
        for name, value in weights.items()
    }


with open("adamw.json", "w") as file:
    golden = {
        "hidden": [HIDDEN],
        "activation": "tanh",
        "classes": CLASSES,
        "labelSmoothing": SMOOTHING,
        "steps": STEPS,
        "features": features.flatten().tolist(),
        "labels": labels.tolist(),
        "start": listed(start),
        "cases": [train(setting) for setting in SETTINGS],
    }
    json.dump(golden, file, indent=1)
    file.write("\n")
