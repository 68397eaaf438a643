"""Writes keras-views.json: what Keras's ImageDataGenerator does to a small random picture, for given parameters.

The functions below transcribe `apply_affine_transform` and `apply_transform` of keras-preprocessing 1.1.2
(keras_preprocessing/image/affine_transformations.py, MIT), with scipy's `ndimage.affine_transform`, order 1 and mode
"nearest" as Keras calls it. Quarter turns are numpy's `rot90`, applied last. `picture` is uint8, `pixels` float32
little-endian, both [side, side, 3] in base64.

    python3 test/golden/keras-views.py
"""

import base64
import json
import os

import numpy as np
import scipy.ndimage

SIDE = 12


def offset_center(matrix, rows, columns):
    # The centre between the middle pixels; keras-preprocessing before 1.1.1 had + 0.5 here, a known bug.
    o_x = float(rows) / 2 - 0.5
    o_y = float(columns) / 2 - 0.5
    offset = np.array([[1, 0, o_x], [0, 1, o_y], [0, 0, 1]])
    reset = np.array([[1, 0, -o_x], [0, 1, -o_y], [0, 0, 1]])
    return np.dot(np.dot(offset, matrix), reset)


def keras_affine(x, theta, tx, ty, shear, zx, zy):
    theta = np.deg2rad(theta)
    matrix = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    matrix = np.dot(matrix, np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]]))
    shear = np.deg2rad(shear)
    matrix = np.dot(matrix, np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]))
    matrix = np.dot(matrix, np.array([[zx, 0, 0], [0, zy, 0], [0, 0, 1]]))
    matrix = offset_center(matrix, x.shape[0], x.shape[1])
    channels = [
        scipy.ndimage.affine_transform(x[:, :, c], matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest")
        for c in range(3)
    ]
    return np.stack(channels, axis=2)


def encoded(array):
    return base64.b64encode(array.tobytes()).decode("ascii")


def main():
    random = np.random.default_rng(20240607)
    picture = random.integers(0, 256, (SIDE, SIDE, 3))
    plain = dict(
        rotation=0, shiftX=0, shiftY=0, shear=0, zoomX=1, zoomY=1, flipX=False, flipY=False, quarterTurns=0
    )
    one_by_one = [
        dict(rotation=20),
        dict(rotation=-90),
        dict(shiftX=0.25),
        dict(shiftY=-0.125),
        dict(shear=15),
        dict(zoomX=0.5),
        dict(zoomY=1.5),
        dict(flipX=True),
        dict(flipY=True),
        dict(quarterTurns=1),
        dict(quarterTurns=2),
        dict(quarterTurns=3),
        dict(flipX=True, quarterTurns=1),
    ]
    mixed = [
        dict(
            rotation=round(random.uniform(-180, 180), 4),
            shiftX=round(random.uniform(-0.4, 0.4), 4),
            shiftY=round(random.uniform(-0.4, 0.4), 4),
            shear=round(random.uniform(-40, 40), 4),
            zoomX=round(random.uniform(0.4, 1.6), 4),
            zoomY=round(random.uniform(0.4, 1.6), 4),
            flipX=bool(random.integers(2)),
            flipY=bool(random.integers(2)),
            quarterTurns=int(random.integers(4)),
        )
        for _ in range(12)
    ]
    cases = []
    for change in one_by_one + mixed:
        p = {**plain, **change}
        # Keras's x is the row axis: its tx is the height shift and its zx the row scale.
        out = keras_affine(
            picture.astype(np.float64),
            p["rotation"],
            p["shiftY"] * SIDE,
            p["shiftX"] * SIDE,
            p["shear"],
            p["zoomY"],
            p["zoomX"],
        )
        if p["flipX"]:
            out = out[:, ::-1]
        if p["flipY"]:
            out = out[::-1]
        out = np.rot90(out, p["quarterTurns"])
        cases.append({"parameters": p, "pixels": encoded(out.astype("<f4"))})
    golden = {"side": SIDE, "picture": encoded(picture.astype(np.uint8)), "cases": cases}
    with open(os.path.join(os.path.dirname(__file__), "keras-views.json"), "w") as file:
        json.dump(golden, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
