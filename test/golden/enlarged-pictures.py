"""Writes enlarged-pictures.json: pictures smaller than the base image along an axis, and what enlarging them must give.

Pillow enlarges (13.0 wrote it) by the kernels that it has: `resize` for squash, `ImageOps.fit` for crop. For mitchell and lanczos2,
which Pillow lacks, numpy does by their formulas what Pillow does, and is held against Pillow for lanczos3. Pixels are RGB in base64.

    python3 test/golden/enlarged-pictures.py && npx prettier --write test/golden/enlarged-pictures.json
"""

import base64
import json
import os

import numpy as np
from PIL import Image, ImageOps

SIDE = 24
rng = np.random.default_rng(16)
cases = []


def encode(pixels):
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode("ascii")


def lanczos(lobes):
    return lobes, lambda x: np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0)


def mitchell(x):
    """Mitchell and Netravali 1988, B = C = 1/3."""
    x = np.abs(x)
    near = 7 * x**3 - 12 * x**2 + 16 / 3
    far = -7 / 3 * x**3 + 12 * x**2 - 20 * x + 32 / 3
    return np.where(x < 1, near, np.where(x < 2, far, 0)) / 6


def matrix(size, count, support, kernel):
    """[count, size]: the weights of each output pixel, cut at the border and normalised. An axis of the right size stays as it is."""
    if size == count:
        return np.eye(size)
    scale = size / count
    stretch = max(1, scale)
    centre = (np.arange(count)[:, None] + 0.5) * scale
    weights = kernel((np.arange(size)[None] + 0.5 - centre) / stretch)
    return weights / weights.sum(1, keepdims=True)


def by_formula(pixels, support, kernel):
    """Two passes that each round; Pillow begins with the axis that shrinks, and else with the rows."""
    height, width = pixels.shape[:2]
    across = lambda x: np.einsum("ow,hwc->hoc", matrix(width, SIDE, support, kernel), x)
    down = lambda x: np.einsum("oh,hwc->owc", matrix(height, SIDE, support, kernel), x)
    levels = lambda x: np.clip(np.round(x), 0, 255)
    first, second = (down, across) if height > SIDE else (across, down)
    return levels(second(levels(first(pixels.astype(float))))).astype(np.uint8)


resampling = Image.Resampling
pillow = {"nearest": resampling.NEAREST, "linear": resampling.BILINEAR, "cubic": resampling.BICUBIC, "lanczos3": resampling.LANCZOS}
# Both axes enlarged, one of them, one enlarged and one shrunk; no output pixel's centre is on a border of input pixels.
shapes = [(7, 5), (11, 24), (24, 3), (5, 61), (50, 17)]
for width, height in shapes:
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    check = np.abs(by_formula(pixels, *lanczos(3)).astype(int) - np.asarray(picture.resize((SIDE, SIDE), resampling.LANCZOS)))
    assert check.max() <= 1, check.max()
    add = lambda fit, kernel, result: cases.append(
        {"fit": fit, "kernel": kernel, "width": width, "height": height, "input": encode(pixels), "pixels": encode(result)}
    )
    for kernel, method in pillow.items():
        add("squash", kernel, np.asarray(picture.resize((SIDE, SIDE), method)))
    add("squash", "mitchell", by_formula(pixels, 2, mitchell))
    add("squash", "lanczos2", by_formula(pixels, *lanczos(2)))
    if min(width, height) < SIDE:
        add("crop", "lanczos3", np.asarray(ImageOps.fit(picture, (SIDE, SIDE), resampling.LANCZOS)))

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "enlarged-pictures.json")
with open(path, "w") as out:
    json.dump({"side": SIDE, "cases": cases}, out)
print(len(cases), "cases")
