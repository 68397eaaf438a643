"""Makes logistic.json: scikit-learn's logistic regressions at several penalties, with and without class weights.

The objective is (1 / sum w) sum w loss + (l2 / 2) |W|^2, whose scikit-learn form has C = 1 / (l2 sum w). Run in this folder, with
scikit-learn installed: python3 make-logistic-golden.py
"""

import json

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

rng = np.random.default_rng(8)
COUNTS, FEATURES = [90, 40, 12, 5], 9
PENALTIES = [0.3, 0.03, 0.001]
CLASS_WEIGHTS = {"none": None, "balanced": "balanced", "given": {0: 0.5, 1: 1, 2: 4, 3: 3}}

labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
rng.shuffle(labels)
centres = rng.standard_normal((len(COUNTS), FEATURES))
# Columns of one scale would hide a wrong penalty; the clouds overlap, so that the optimum is finite without any.
scales = np.geomspace(0.2, 4, FEATURES)
features = (0.8 * centres[labels] + rng.standard_normal((len(labels), FEATURES))) * scales
features = features.astype(np.float32)


def solve(l2, class_weight, bias):
    weights = compute_sample_weight(class_weight, labels) if class_weight else np.ones(len(labels))
    model = LogisticRegression(
        C=1 / (l2 * weights.sum()), class_weight=class_weight, fit_intercept=bias, tol=1e-10, max_iter=100_000
    )
    model.fit(features.astype(np.float64), labels)
    return model.predict_proba(features.astype(np.float64))


cases = [
    {
        "l2": l2,
        "classWeights": name,
        "bias": bias,
        "probabilities": np.round(solve(l2, class_weight, bias), 9).flatten().tolist(),
    }
    for name, class_weight in CLASS_WEIGHTS.items()
    for l2 in PENALTIES
    for bias in ([True, False] if name == "none" and l2 == 0.03 else [True])
]

with open("logistic.json", "w") as file:
    golden = {
        "classes": len(COUNTS),
        "given": list(CLASS_WEIGHTS["given"].values()),
        "features": features.flatten().tolist(),
        "labels": labels.tolist(),
        "cases": cases,
    }
    json.dump(golden, file)
    file.write("\n")
