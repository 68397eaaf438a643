"""Makes head.json: a squeeze-and-excitation head's logits and a log loss, by numpy in float64.

Run in this folder: python3 make-head-golden.py
"""

import json

import numpy as np

rng = np.random.default_rng(11)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tensor(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def listed(array):
    return np.asarray(array).ravel().tolist()


ROWS, FEATURES, WIDTH, CLASSES = 5, 7, 3, 4  # reduction 3: 7 / 3 rounded up
weights = {
    "squeeze.kernel": tensor(FEATURES, WIDTH),
    "squeeze.bias": tensor(WIDTH),
    "excite.kernel": tensor(WIDTH, FEATURES),
    "excite.bias": tensor(FEATURES),
    "output.kernel": tensor(FEATURES, CLASSES),
    "output.bias": tensor(CLASSES),
}
x = tensor(ROWS, FEATURES)
w = {name: value.astype(np.float64) for name, value in weights.items()}
squeezed = x @ w["squeeze.kernel"] + w["squeeze.bias"]
gate = sigmoid((squeezed * sigmoid(squeezed)) @ w["excite.kernel"] + w["excite.bias"])
logits = (x * gate) @ w["output.kernel"] + w["output.bias"]
probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

labels = rng.integers(0, CLASSES, ROWS)
log_loss = -np.mean(np.log(np.clip(probabilities[np.arange(ROWS), labels], 1e-15, 1)))

with open("head.json", "w") as file:
    json.dump(
        {
            "se": {
                "rows": ROWS,
                "reduction": 3,
                "weights": {k: {"shape": v.shape, "data": listed(v)} for k, v in weights.items()},
                "features": listed(x),
                "logits": listed(logits),
                "probabilities": listed(probabilities),
            },
            "evaluation": {
                "labels": listed(labels),
                "logLoss": log_loss,
                "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
            },
        },
        file,
        indent=1,
    )
    file.write("\n")
