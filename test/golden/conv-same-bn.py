"""Convolution with TensorFlow's SAME padding and stride 2, then batch normalisation and ReLU6, by plain loops in float64.

Writes conv-same-bn.json: one Keras-layers model with seeded weights, one input, and the averages over the picture that
come out. Run: python3 test/golden/conv-same-bn.py
"""

import json
import pathlib

import numpy as np

SIZE, FILTERS, KERNEL, STRIDE = 8, 4, 3, 2
rng = np.random.default_rng(20)
kernel = rng.normal(size=(KERNEL, KERNEL, 3, FILTERS)).astype(np.float32)
gamma, beta, mean = (rng.normal(size=FILTERS).astype(np.float32) for _ in range(3))
variance = rng.uniform(0.2, 2, size=FILTERS).astype(np.float32)
image = rng.normal(size=(SIZE, SIZE, 3)).astype(np.float32)

# SAME: out = ceil(in / stride); the odd zero goes to the bottom and the right.
out_size = -(-SIZE // STRIDE)
total = max((out_size - 1) * STRIDE + KERNEL - SIZE, 0)
before = total // 2
assert (before, total) == (0, 1), "the asymmetric case"
padded = np.zeros((SIZE + total, SIZE + total, 3))
padded[before : before + SIZE, before : before + SIZE] = image

out = np.zeros((out_size, out_size, FILTERS))
for y in range(out_size):
    for x in range(out_size):
        for f in range(FILTERS):
            window = padded[y * STRIDE : y * STRIDE + KERNEL, x * STRIDE : x * STRIDE + KERNEL]
            out[y, x, f] = np.sum(window * kernel[..., f].astype(np.float64))
normalised = gamma * (out - mean) / np.sqrt(variance.astype(np.float64) + 1e-3) + beta
activated = np.clip(normalised, 0, 6)

weights = {
    "conv/kernel": kernel,
    "bn/gamma": gamma,
    "bn/beta": beta,
    "bn/moving_mean": mean,
    "bn/moving_variance": variance,
}
golden = {
    "size": SIZE,
    "weights": [{"name": n, "shape": w.shape, "values": w.ravel().tolist()} for n, w in weights.items()],
    "image": image.ravel().tolist(),
    "average": activated.mean(axis=(0, 1)).tolist(),
    "max": activated.max(axis=(0, 1)).tolist(),
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden) + "\n")
