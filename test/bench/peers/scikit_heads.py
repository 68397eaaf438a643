"""scikit-learn on the rows and folds of a run with `head: auto`, as a careful user of it would measure it.

    scikit_heads.py <folder of exportRows>

Logistic regression whose C, and a perceptron whose penalty are chosen inside each fold's own training images (three inner
parts for the regression, one for the perceptron), never on what is predicted. Both train on all views and predict the views
that the run serves with. A fold to each core. Prints one JSON line.
"""

import json
import os
import sys
import time
import warnings

import numpy as np
import sklearn
from joblib import Parallel, delayed, parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from folded_rows import FoldedRows, log_loss

COSTS = np.logspace(-4, -1, 7)
PERCEPTRONS = [dict(alpha=a, hidden_layer_sizes=(256,)) for a in (1e-4, 1.0, 10.0)]
EPOCHS = 25


def inner_parts(data, rows, count):
    """Train and test rows: images are divided, not views; only the image itself is tested."""
    images = np.unique(data.image[rows])
    place = np.full(len(data.label), -1)
    for part, (_, test) in enumerate(StratifiedKFold(count, shuffle=True, random_state=0).split(images, data.label[images])):
        place[images[test]] = part
    of = place[data.image[rows]]
    return [(np.flatnonzero(of != part), np.flatnonzero((of == part) & (data.view[rows] == 0))) for part in range(count)]


def served_logits(data, model, fold):
    rows = data.served(data.held_out(fold))
    logarithms = model.predict_log_proba(data.x[rows.ravel()])
    return np.maximum(logarithms, -700).reshape(*rows.shape, -1).mean(1)


def regression(data, fold):
    rows = np.flatnonzero(data.trained_on(fold))
    model = LogisticRegressionCV(Cs=COSTS, cv=inner_parts(data, rows, 3), scoring="neg_log_loss", max_iter=2000, tol=1e-3)
    return served_logits(data, model.fit(data.x[rows], data.y[rows]), fold)


def perceptron(data, fold):
    rows = np.flatnonzero(data.trained_on(fold))
    x, y = data.x[rows], data.y[rows]
    train, test = inner_parts(data, rows, 4)[0]
    make = lambda options: MLPClassifier(max_iter=EPOCHS, random_state=fold, **options)
    losses = [
        log_loss(np.maximum(make(options).fit(x[train], y[train]).predict_log_proba(x[test]), -700), y[test])
        for options in PERCEPTRONS
    ]
    return served_logits(data, make(PERCEPTRONS[int(np.argmin(losses))]).fit(x, y), fold)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", FutureWarning)
    data = FoldedRows(sys.argv[1])
    result = {"sklearn": sklearn.__version__}
    for name, method in (("regression", regression), ("perceptron", perceptron)):
        begin = time.perf_counter()
        with parallel_config("loky", inner_max_num_threads=1):
            logits = Parallel(n_jobs=-1)(delayed(method)(data, fold) for fold in range(data.setting["folds"]))
        result[name] = data.figures(data.collect(lambda fold: logits[fold]))
        result[name]["seconds"] = time.perf_counter() - begin
    print(json.dumps(result))


main()
