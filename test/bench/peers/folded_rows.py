"""What `exportRows` of the bench `learn` wrote, and figures of out-of-fold logits as Trommel measures them."""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar


class FoldedRows:
    """Rows are views; labels, folds and curve are by image, in order; an image's first row is the image itself."""

    def __init__(self, folder):
        folder = Path(folder)
        read = lambda name, kind: np.fromfile(folder / name, dtype=kind)
        self.setting = json.loads((folder / "setting.json").read_text())
        self.x = read("rows.f32", "<f4").reshape(-1, self.setting["dimension"])
        self.image, self.view = read("row_image.i32", "<i4"), read("row_view.i32", "<i4")
        self.label, self.fold = read("label.i32", "<i4"), read("fold.i32", "<i4")
        self.curve = read("curve.f64", "<f8")
        self.y = self.label[self.image].astype(np.int64)

    def trained_on(self, fold, share=1.0):
        """Rows of all views of the images of the other folds."""
        keep = (self.fold != fold) & (self.fold >= 0)
        return keep[self.image] if share == 1 else (keep & (self.curve < share))[self.image]

    def served(self, images):
        """Rows of each image's views that a model averages, [images, views]."""
        views = self.setting["servedViews"]
        rows = np.flatnonzero(np.isin(self.image, images) & (self.view < views))
        return rows.reshape(-1, views)

    def held_out(self, fold):
        return np.flatnonzero(self.fold == fold)

    def collect(self, logits_of_fold):
        """Logits of every image by the heads that did not see it, [images, classes]."""
        logits = np.zeros((len(self.label), self.setting["classes"]))
        for fold in range(self.setting["folds"]):
            logits[self.held_out(fold)] = logits_of_fold(fold)
        return logits

    def figures(self, logits):
        """Accuracy, log loss as it is and at cross-fitted temperatures, and the calibration error at those."""
        calibrated = np.empty_like(logits)
        for fold in range(self.setting["folds"]):
            others, own = self.fold != fold, self.fold == fold
            loss = lambda t: log_loss(logits[others] / np.exp(t), self.label[others])
            t = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-6}).x
            calibrated[own] = logits[own] / np.exp(t)
        return {
            "accuracy": float((logits.argmax(1) == self.label).mean()),
            "logLossAsIs": log_loss(logits, self.label),
            "logLoss": log_loss(calibrated, self.label),
            "calibrationError": calibration_error(calibrated, self.label),
        }


def log_softmax(logits):
    z = logits - logits.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def log_loss(logits, label):
    return float(-log_softmax(logits)[np.arange(len(label)), label].mean())


def calibration_error(logits, label, bins=15):
    """Bins of equal mass, in order of the largest probability."""
    probabilities = np.exp(log_softmax(logits))
    order = np.argsort(probabilities.max(1), kind="stable")
    confidence = probabilities.max(1)[order]
    right = (probabilities.argmax(1) == label)[order]
    edges = (np.arange(bins + 1) * len(label)) // bins
    parts = [slice(a, b) for a, b in zip(edges, edges[1:]) if b > a]
    return float(sum((p.stop - p.start) * abs(right[p].mean() - confidence[p].mean()) for p in parts) / len(label))
