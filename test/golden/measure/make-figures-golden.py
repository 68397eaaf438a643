"""Makes figures.json: figures and temperatures of drawn logits, by scikit-learn, scipy and numpy in float64.

Run in this folder: python3 make-figures-golden.py
"""

import json

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binomtest, chi2, gamma
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

rng = np.random.default_rng(13)
BINS = 15


def listed(array):
    return np.asarray(array).ravel().tolist()


def drawn(rows, classes, prior, sharpness):
    labels = rng.choice(classes, rows, p=prior)
    logits = rng.standard_normal((rows, classes)) * sharpness
    logits[np.arange(rows), labels] += 1.5 * sharpness
    return logits, labels


def bins_of_equal_mass(probabilities, labels):
    rows = len(labels)
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    cuts = np.arange(BINS + 1) * rows // BINS
    parts = [order[a:b] for a, b in zip(cuts, cuts[1:]) if b > a]
    return [(confidence[part].mean(), hits[part].mean(), len(part)) for part in parts]


def mean_loss(log_temperature, logits, labels, weights):
    probabilities = softmax(logits / np.exp(log_temperature), axis=1)
    return np.average(-np.log(probabilities[np.arange(len(labels)), labels]), weights=weights)


def summed_loss_and_prior(log_temperature, logits, labels, weights):
    inverse = np.exp(-log_temperature)
    prior = gamma.logpdf(1, 2) - gamma.logpdf(inverse, 2)
    total = len(labels) if weights is None else np.sum(weights)
    return total * mean_loss(log_temperature, logits, labels, weights) + prior


def temperature(logits, labels, weights=None):
    found = minimize_scalar(
        summed_loss_and_prior,
        args=(logits, labels, weights),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
        options={"xatol": 1e-11},
    )
    return float(np.exp(found.x))


def case(rows, prior, sharpness, folds):
    classes = len(prior)
    logits, labels = drawn(rows, classes, prior, sharpness)
    fold_of = rng.permutation(rows) % folds
    weights = rng.integers(0, 4, rows)
    probabilities = softmax(logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=np.nan
    )
    bins = bins_of_equal_mass(probabilities, labels)
    return {
        "classes": classes,
        "folds": folds,
        "logits": listed(logits),
        "labels": listed(labels),
        "foldOf": listed(fold_of),
        "weights": listed(weights),
        "accuracy": float(accuracy_score(labels, predicted)),
        "balancedAccuracy": float(balanced_accuracy_score(labels, predicted)),
        "macroF1": float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)),
        "logLoss": float(log_loss(labels, probabilities, labels=range(classes))),
        "precision": [None if np.isnan(value) else float(value) for value in precision],
        "recall": [None if np.isnan(value) else float(value) for value in recall],
        "support": listed(support),
        "confusion": confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
        "reliability": [[float(a), float(b), c] for a, b, c in bins],
        "expectedCalibrationError": float(sum(c * abs(a - b) for a, b, c in bins) / rows),
        "temperature": temperature(logits, labels),
        "weightedTemperature": temperature(logits, labels, weights),
        "crossFitted": [
            temperature(logits[fold_of != fold], labels[fold_of != fold]) for fold in range(folds)
        ],
    }


def mcnemar(b, c):
    return {
        "b": b,
        "c": c,
        "exact": float(binomtest(min(b, c), b + c, 0.5).pvalue) if b + c else 1.0,
        "chiSquare": float(chi2.sf(max(0, abs(b - c) - 1) ** 2 / (b + c), 1)) if b + c else 1.0,
    }


with open("figures.json", "w") as file:
    json.dump(
        {
            "cases": [
                case(200, [0.25, 0.25, 0.25, 0.25], 1.0, 5),
                case(137, [0.6, 0.3, 0.1, 0.0, 0.0], 3.0, 4),
                case(9, [0.5, 0.5], 0.4, 3),
            ],
            "mcnemar": [
                mcnemar(b, c)
                for b, c in [(0, 0), (1, 0), (3, 3), (2, 9), (12, 5), (30, 19), (40, 61), (700, 600), (800, 600), (5000, 4800), (4000, 5000)]
            ],
        },
        file,
    )
