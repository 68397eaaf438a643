"""Makes head.json: a squeeze-and-excitation head's logits, steps of Adam, and a log loss, by numpy in float64.

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

# Keras 2's Adam: alpha_t = alpha * sqrt(1 - beta2^t) / (1 - beta1^t), epsilon outside the root.
weight = np.array([0.5, -0.25, 0.0])
first, second = np.zeros(3), np.zeros(3)
adam_gradients = [[0.1, -2.0, 1e-8], [0.3, 1.0, 0.0], [-0.2, 0.5, -1e-8]]
for t, gradient in enumerate(np.array(adam_gradients), start=1):
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    weight = weight - 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * first / (np.sqrt(second) + 1e-7)

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
            "adam": {"start": [0.5, -0.25, 0.0], "gradients": adam_gradients, "rate": 0.01, "end": listed(weight)},
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
