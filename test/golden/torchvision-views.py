"""Writes torchvision-views.json: geometry, crops and colours by torchvision and Pillow (0.14 and 9.4 wrote it).

steps      Two channels that hold their own pixels' coordinates (x to the right and y down, -1 and 1 at the edges) go
           through torchvision's functional operations, one after the other. Bilinear interpolation keeps a linear
           picture exact, so each output pixel says which input point landed on it. Pixels that saw a border (a third
           channel keeps account) are left out. `points` holds rows of output x, output y, input x, input y.
crops      Deciles of what RandomResizedCrop.get_params draws on a square picture, and its way out where nothing fits.
pictures   Pillow's resize of a box of a picture: `box` sees the pixels around the box, `crop` repeats the box's edge.
           uint8 [side, side, 3] in base64.
colours    torchvision's adjust_brightness and adjust_saturation, of a float tensor and of a Pillow picture, 0..255.

    python3 test/golden/torchvision-views.py && npx prettier --write test/golden/torchvision-views.json
"""

import base64
import json
import math
import os

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop

SIDE = 96
BILINEAR = InterpolationMode.BILINEAR


def coordinates():
    centres = (2 * torch.arange(SIDE, dtype=torch.float64) + 1) / SIDE - 1
    x = centres.repeat(SIDE, 1)
    return torch.stack([x, x.T, torch.ones_like(x)])


def settle(picture, ring=(0, 0)):
    """Whatever is not wholly of valid pixels, or in the outer ring, is invalid."""
    valid = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    valid[ring[0] : SIDE - ring[0], ring[1] : SIDE - ring[1]] = True
    picture = picture.clone()
    picture[2] = ((picture[2] > 0.999999) & valid).double()
    return picture


def window(picture, box):
    left, top, width, height = (round(edge * SIDE) for edge in box)
    out = F.resized_crop(picture, top, left, height, width, [SIDE, SIDE], BILINEAR)
    return settle(out, (math.ceil(SIDE / 2 / height), math.ceil(SIDE / 2 / width)))


def moved(picture, translate=(0, 0), scale=1.0):
    return settle(F.affine(picture, 0.0, list(translate), scale, [0.0, 0.0], BILINEAR))


def step(name, picture, p):
    if name in ("crop", "resizedCrop"):
        return window(picture, p[name]) if name in p else picture
    if name == "flipX":
        return F.hflip(picture) if p.get("flipX") else picture
    if name == "flipY":
        return F.vflip(picture) if p.get("flipY") else picture
    if name == "quarterTurns":
        return torch.rot90(picture, p.get("quarterTurns", 0), (1, 2))
    # Keras turns clockwise where torchvision turns anticlockwise, and moves and zooms what is sampled, not the picture.
    if "rotation" in p:
        picture = settle(F.rotate(picture, -p["rotation"], BILINEAR))
    if "shift" in p:
        picture = moved(picture, translate=[-shift * SIDE for shift in p["shift"]])
    if "zoom" in p:
        picture = moved(picture, scale=1 / p["zoom"])
    return picture


def steps_case(p, order):
    picture = coordinates()
    for name in order:
        picture = step(name, picture, p)
    centres = coordinates()
    at = [3, 30, 61, 92]
    points = [
        [round(value, 9) for value in (*centres[:2, i, j].tolist(), *picture[:2, i, j].tolist())]
        for i in at
        for j in at
        if picture[2, i, j] == 1
    ]
    assert len(points) >= 6, (p, order, len(points))
    return {"parameters": p, "order": order, "points": points}


def steps():
    fixed = ["crop", "resizedCrop", "affine", "flipX", "flipY", "quarterTurns"]

    def box(left, top, width, height):
        return [left / SIDE, top / SIDE, width / SIDE, height / SIDE]

    crop = box(12, 3, 78, 90)
    resized = box(30, 8, 48, 64)
    affine = {"rotation": 17.0, "shift": [0.0625, -0.125], "zoom": 0.8}
    everything = {"crop": crop, "resizedCrop": resized, "flipX": True, "flipY": True, "quarterTurns": 1, **affine}
    cases = [
        steps_case({"crop": crop}, fixed),
        steps_case({"resizedCrop": resized}, fixed),
        steps_case({"crop": crop, "resizedCrop": resized}, fixed),
        steps_case({"rotation": 10.0}, fixed),
        steps_case(affine, fixed),
        steps_case({"resizedCrop": resized, "flipX": True}, fixed),
        steps_case({"resizedCrop": resized, "flipY": True, "quarterTurns": 3}, fixed),
        steps_case(everything, fixed),
        steps_case({**everything, "flipY": False}, fixed),
    ]
    few = {"crop": crop, "flipX": True, "rotation": 10.0}
    for order in (
        ["affine", "crop", "flipX"],
        ["flipX", "affine", "crop"],
        ["crop", "flipX", "affine"],
    ):
        cases.append(steps_case(few, order + ["flipY", "resizedCrop", "quarterTurns"]))
    for order in (
        ["quarterTurns", "affine", "flipY", "resizedCrop", "flipX", "crop"],
        ["flipX", "resizedCrop", "quarterTurns", "crop", "affine", "flipY"],
        fixed[::-1],
    ):
        cases.append(steps_case(everything, order))
    return cases


def crops():
    torch.manual_seed(3)
    side = 10_000
    picture = torch.zeros(1).expand(3, side, side)
    drawn = {"area": [0.08, 1], "ratio": [3 / 4, 4 / 3]}
    rows = []
    for _ in range(40_000):
        top, left, height, width = RandomResizedCrop.get_params(picture, drawn["area"], drawn["ratio"])
        place = [a / b if b > 0 else 0.5 for a, b in ((left, side - width), (top, side - height))]
        rows.append([height * width / side**2, math.log(width / height), *place])
    deciles = np.quantile(np.array(rows), np.arange(1, 10) / 10, axis=0).round(5)
    columns = ("area", "logRatio", "left", "top")
    fallbacks = []
    for area, ratio in (([1, 1], [2, 3]), ([1, 1], [0.25, 0.5]), ([1, 1], [0.5, 2]), ([0.9, 1], [1.25, 1.25])):
        top, left, height, width = RandomResizedCrop.get_params(picture, area, ratio)
        window = [value / side for value in (left, top, width, height)]
        fallbacks.append({"area": area, "ratio": ratio, "window": window})
    return {
        **drawn,
        "deciles": {name: deciles[:, i].tolist() for i, name in enumerate(columns)},
        "fallbacks": fallbacks,
    }


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def pictures():
    random = np.random.default_rng(5)
    side, size = 30, 40
    source = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
    whole = (6, 4, 24, 27)
    broken = (2.3, 9.75, 21.9, 28.4)
    return {
        "side": side,
        "size": size,
        "picture": encoded(source),
        "cases": [
            {"edges": whole, "box": encoded(source.resize((size, size), Image.BILINEAR, box=whole))},
            {"edges": broken, "box": encoded(source.resize((size, size), Image.BILINEAR, box=broken))},
            {"edges": whole, "crop": encoded(source.crop(whole).resize((size, size), Image.BILINEAR))},
        ],
    }


def colours():
    rows = []
    for rgb in ([200, 100, 50], [30, 90, 150], [120, 120, 120], [90, 140, 60]):
        tensor = torch.tensor(rgb, dtype=torch.float64).reshape(3, 1, 1) / 255
        picture = Image.new("RGB", (1, 1), tuple(rgb))
        for brightness, saturation in ((1.2, 1.0), (0.8, 1.0), (1.0, 0.6), (1.0, 1.4), (1.1, 0.5), (0.7, 1.2)):
            for saturation_first in (True, False):
                adjust = [(F.adjust_saturation, saturation), (F.adjust_brightness, brightness)]
                a, b = tensor, picture
                for function, factor in adjust if saturation_first else adjust[::-1]:
                    a, b = function(a, factor), function(b, factor)
                rows.append(
                    {
                        "rgb": rgb,
                        "brightness": brightness,
                        "saturation": saturation,
                        "tensor": [round(value * 255, 4) for value in a.flatten().tolist()],
                        "picture": list(b.getpixel((0, 0))),
                    }
                )
                assert all(0.5 < value < 254.5 for value in rows[-1]["tensor"]), "a clipped colour"
    return rows


def main():
    golden = {"steps": steps(), "crops": crops(), "pictures": pictures(), "colours": colours()}
    with open(os.path.join(os.path.dirname(__file__), "torchvision-views.json"), "w") as file:
        json.dump(golden, file)
        file.write("\n")


if __name__ == "__main__":
    main()
