"""Writes evaluation.json: scores of two models on labelled images, and what scikit-learn and SciPy make of them.

python3 test/golden/measure/make-evaluation-golden.py && npx prettier --write test/golden/measure/evaluation.json
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

classes = ["glass", "metal", "paper"]
images = 60
rng = np.random.default_rng(7)
labels = rng.integers(0, 3, images)


def probabilities(strength):
    logits = rng.normal(size=(images, 3))
    logits[np.arange(images), labels] += strength
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.array([[float(f"{p:.7g}") for p in row] for row in shares])


def figures(p):
    predicted = p.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(labels, predicted)
    return {
        "accuracy": accuracy_score(labels, predicted),
        "balancedAccuracy": balanced_accuracy_score(labels, predicted),
        "macroF1": f1_score(labels, predicted, average="macro"),
        "logLoss": float(-np.log(p[np.arange(images), labels]).mean()),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "support": support.tolist(),
        "confusion": confusion_matrix(labels, predicted).tolist(),
    }


first, second = probabilities(1.2), probabilities(2.2)
assert abs(log_loss(labels, first) - figures(first)["logLoss"]) < 1e-5
right = [p.argmax(axis=1) == labels for p in (first, second)]
only_first, only_second = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
golden = {
    "classes": classes,
    "labels": [classes[label] for label in labels],
    "first": {"probabilities": first.tolist(), "figures": figures(first)},
    "second": {"probabilities": second.tolist(), "figures": figures(second)},
    "onlyFirstRight": only_first,
    "onlySecondRight": only_second,
    "pValue": binomtest(only_first, only_first + only_second).pvalue,
}
Path(__file__).with_name("evaluation.json").write_text(json.dumps(golden) + "\n")
