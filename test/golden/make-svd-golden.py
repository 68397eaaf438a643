"""Makes svd.json and svd.bin: the SVD of seeded rows by numpy, uncentred and centred.

svd.bin: rows f32 [rows, dimension], then for each case basis f64 [dimension, components], in the order of svd.json.
Run in this folder: python3 make-svd-golden.py
"""

import json

import numpy as np

ROWS, DIMENSION, STEP = 240, 64, 10
rng = np.random.default_rng(7)
left, _ = np.linalg.qr(rng.standard_normal((ROWS, DIMENSION)))
right, _ = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))
rows = (left * (20.0 * 0.93 ** np.arange(DIMENSION))) @ right.T + rng.uniform(-0.2, 0.3, DIMENSION)
rows = rows.astype(np.float32)

cases = []
parts = [rows.tobytes()]
for centre in (False, True):
    for energy in (0.6, 0.9, 0.99):
        x = rows.astype(np.float64)
        if centre:
            x = x - x.mean(axis=0)
        singular, vt = np.linalg.svd(x, full_matrices=False)[1:]
        share = np.cumsum(singular**2) / np.sum(singular**2)
        multiples = [k for k in range(STEP, DIMENSION + 1, STEP) if share[k - 1] >= energy]
        k = multiples[0] if multiples else DIMENSION
        basis = vt[:k].T
        basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(k)])
        z = x @ basis
        cases.append(
            {
                "centre": centre,
                "energy": energy,
                "components": k,
                "singularValues": singular[:k].tolist(),
                "energyKept": share[k - 1],
                "scale": 1 / np.sqrt(np.mean(np.sum(z**2, axis=1))),
                "mean": (rows.astype(np.float64).mean(axis=0) if centre else np.zeros(DIMENSION)).tolist(),
            }
        )
        parts.append(np.ascontiguousarray(basis).tobytes())

with open("svd.json", "w") as file:
    json.dump({"rows": ROWS, "dimension": DIMENSION, "step": STEP, "cases": cases}, file, indent=1)
    file.write("\n")
with open("svd.bin", "wb") as file:
    file.write(b"".join(parts))
