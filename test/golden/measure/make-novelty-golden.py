"""Makes novelty.json: novelty statistics of drawn features and what they say, by numpy in float64, from both inverses.

Run in this folder: python3 make-novelty-golden.py
"""

import json

import numpy as np

rng = np.random.default_rng(17)
IMAGES, VIEWS, DIMENSION, CLASSES, FOLDS, MINOR = 40, 2, 10, 3, 4, 2


def listed(array):
    return np.asarray(array).ravel().tolist()


labels = rng.integers(0, CLASSES, IMAGES)
labels[:CLASSES] = range(CLASSES)
fold_of = rng.permutation(IMAGES) % FOLDS
mixing = rng.standard_normal((DIMENSION, DIMENSION)) * np.linspace(0.2, 1, DIMENSION)
means = rng.standard_normal((CLASSES, DIMENSION))
rows = means[labels][:, None] + rng.standard_normal((IMAGES, VIEWS, DIMENSION)) @ mixing
rows = ((rows - rows.mean(axis=(0, 1))) / rows.std(axis=(0, 1))).astype(np.float32).astype(np.float64)
# Some like the images, some not.
novel = np.concatenate([rows[:6, 0] + 0.3 * rng.standard_normal((6, DIMENSION)), 3 * rng.standard_normal((2, DIMENSION))])
novel = novel.astype(np.float32).astype(np.float64)


def fit(images):
    x = rows[images].reshape(-1, DIMENSION)
    y = np.repeat(labels[images], VIEWS)
    present = np.unique(y)
    centres = np.stack([x[y == label].mean(axis=0) for label in present])
    within = x - centres[np.searchsorted(present, y)]
    total = np.cov(x.T, bias=True)
    ridge = np.trace(total) / DIMENSION * np.eye(DIMENSION)
    return {
        "mean": x.mean(axis=0),
        "centres": centres,
        "nearest": np.linalg.inv(within.T @ within / len(x) + ridge),
        "all": np.linalg.inv(total + ridge),
        "minor": np.linalg.eigh(total)[1][:, :MINOR],
    }


def parts(statistics, x):
    def squared(differences, inverse):
        return np.einsum("...i,ij,...j", differences, inverse, differences)

    to_classes = squared(x[:, None] - statistics["centres"], statistics["nearest"])
    centred = x - statistics["mean"]
    relative = to_classes.min(axis=1) - squared(centred, statistics["all"])
    return np.stack([relative, ((centred @ statistics["minor"]) ** 2).sum(axis=1)])


out_of_fold = np.zeros((2, IMAGES))
for fold in range(FOLDS):
    out_of_fold[:, fold_of == fold] = parts(fit(fold_of != fold), rows[fold_of == fold, 0])
scales = 1 / out_of_fold.std(axis=1)
distances = scales @ out_of_fold
served = scales @ parts(fit(np.full(IMAGES, True)), novel)
levels = np.linspace(0, 1, 257)
quantiles = np.quantile(distances, levels)

with open("novelty.json", "w") as file:
    json.dump(
        {
            "views": VIEWS,
            "dimension": DIMENSION,
            "classes": CLASSES,
            "folds": FOLDS,
            "rows": listed(rows),
            "labels": listed(labels),
            "foldOf": listed(fold_of),
            "novel": listed(novel),
            "distances": listed(distances),
            "served": listed(served),
            "percentiles": listed(np.interp(served, quantiles, levels)),
        },
        file,
    )
