"""scikit-learn's logistic regression on the embeddings of a finished Trommel run.

    /usr/bin/python3 test/bench/peers/logistic_regression.py <store folder> <run id>

Needs python3-sklearn and python3-numpy. Trains on the images that the run trained on and evaluates on those that it validated on:
standardised embeddings, L2 penalty, scikit-learn's defaults. Twice: on the pictures themselves (view 0), as a user of
scikit-learn would begin, and on every view, as the run did. Prints one JSON object.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def safetensors(path):
    """The tensors of a safetensors file, by its published layout."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    types = {"F32": np.float32, "F16": np.float16, "I32": np.int32, "U8": np.uint8}
    return {
        name: np.frombuffer(data[8 + size + start : 8 + size + end], types[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
        for start, end in [entry["data_offsets"]]
    }


def read_rows(store, run):
    root = store / "runs" / run
    config = json.loads((root / "run.json").read_text())
    validation = json.loads((root / "split.json").read_text())["validation"]
    rows, labels, views, validates = [], [], [], []
    for shard_file in sorted((root / "shards").iterdir()):
        shard = json.loads(shard_file.read_text())
        validating = set(validation[shard["index"]])
        file = store / "features" / config["fingerprint"] / f"{shard['hash']}.safetensors"
        tensors = safetensors(file)
        keys = [shard["entries"][position]["key"] for position in tensors["image"]]
        rows.append(tensors["features"].astype(np.float32))
        labels += [key.split("/")[0] for key in keys]
        validates += [position in validating for position in tensors["image"]]
        views.append(tensors["view"])
    return np.concatenate(rows), np.array(labels), np.concatenate(views), np.array(validates)


def evaluate(rows, labels, trains, validates):
    started = time.monotonic()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(rows[trains], labels[trains])
    seconds = time.monotonic() - started
    truth = labels[validates]
    probabilities = model.predict_proba(rows[validates])
    predicted = model.classes_[probabilities.argmax(axis=1)]
    return {
        "accuracy": accuracy_score(truth, predicted),
        "macroF1": f1_score(truth, predicted, average="macro"),
        "logLoss": log_loss(truth, probabilities, labels=model.classes_),
        "trainRows": int(trains.sum()),
        "validationRows": int(validates.sum()),
        "seconds": seconds,
    }


def main():
    rows, labels, views, validates = read_rows(Path(sys.argv[1]), sys.argv[2])
    identity = views == 0
    print(
        json.dumps(
            {
                "pictures": evaluate(rows, labels, identity & ~validates, identity & validates),
                "everyView": evaluate(rows, labels, ~validates, identity & validates),
            }
        )
    )


main()
