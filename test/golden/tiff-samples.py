"""Writes tiff-samples.json: one picture as TIFF files of every sample type, as tifffile (2026.3) and Pillow (13.0) write them.

What is expected is the picture itself: numbers from 0 to white become levels from 0 to 255. `expected` names those pixels,
or is the reason of a failure; the files without a right reading are of types that no rule gives levels.

    pip install pillow tifffile imagecodecs
    python3 test/golden/tiff-samples.py && npx prettier --write test/golden/tiff-samples.json
"""

import base64
import io
import json
import os

import numpy as np
import tifffile
from PIL import Image, ImageCms

SIDE = 8
BACKGROUND = np.array([10, 200, 90], float)
y, x = np.mgrid[0:SIDE, 0:SIDE]
rgb = np.stack([20 + 30 * x, 240 - 25 * y, 60 + 10 * x + 12 * y], axis=-1).astype(float) / 255
grey = (3 + 4 * (x + SIDE * y) / 255 * 255 // 1) / 255
alpha = (np.array([51, 128, 204, 255])[(x + y) // 2 % 4]) / 255
pixels = {}
cases = []

encode = lambda raw: base64.b64encode(raw).decode("ascii")
levels = lambda values: np.clip(np.round(values * 255), 0, 255).astype(np.uint8)
grey3 = lambda values: np.repeat(values[..., None], 3, axis=2)
flattened = lambda values: values * alpha[..., None] + BACKGROUND / 255 * (1 - alpha[..., None])
for name, values in {
    "rgb": rgb,
    "grey": grey3(grey),
    "rgb on the background": flattened(rgb),
    "grey on the background": flattened(grey3(grey)),
    "bilevel": grey3((grey > 0.5).astype(float)),
    "dark": grey3(grey / 2),
    "black": np.zeros_like(rgb),
}.items():
    pixels[name] = encode(levels(values).tobytes())

white = lambda kind: 1 if np.issubdtype(kind, np.floating) else np.iinfo(kind).max


def numbers(values, kind, top=None):
    top = white(kind) if top is None else top
    return (values if top == 1 else np.round(values * top)).astype(kind)


def add(name, expected, data, tolerance=1, **options):
    if not isinstance(data, bytes):
        out = io.BytesIO()
        tifffile.imwrite(out, data, metadata=None, software=False, **options)
        data = out.getvalue()
    assert expected in pixels or expected in ("unsupported-format", "decode-failed"), expected
    cases.append({"name": name, "expected": expected, "tolerance": tolerance, "file": encode(data)})


def both(name, kind, expected=None, top=None, tolerance=1, **options):
    add(f"RGB, {name}", expected or "rgb", numbers(rgb, kind, top), tolerance, photometric="rgb", **options)
    add(f"grey, {name}", expected or "grey", numbers(grey, kind, top), tolerance, photometric="minisblack", **options)


# Types of samples
for kind in ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32"):
    both(kind, kind)
both("int8", "int8", tolerance=2)
for kind in ("uint64", "int64", "float64", "complex64"):
    both(kind, kind, "unsupported-format", top=1 if kind == "complex64" else None if kind == "float64" else 2**50)
for bits in (1, 2, 4):
    top = 2**bits - 1
    stored = numbers(grey, "uint8", top)
    pixels[f"grey of {bits} bits"] = encode(levels(grey3(stored / top)).tobytes())
    add(f"grey, {bits} bits", f"grey of {bits} bits", stored.astype(bool) if bits == 1 else stored, photometric="minisblack", bitspersample=bits)
for bits in (6, 10, 12, 14, 24):
    kind = "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
    add(f"grey, {bits} bits, packed", "unsupported-format", numbers(grey, kind, 2**bits - 1), photometric="minisblack", bitspersample=bits)

# Fewer bits than the type has
highest = lambda value, kind="H": [(281, kind, 1, value, True)]
for bits in (9, 10, 12, 14):
    top = 2**bits - 1
    both(f"{bits} bits in uint16 with MaxSampleValue", "uint16", top=top, extratags=highest(top))
    if bits < 15:
        both(f"{bits} bits in uint16 and nothing that says so", "uint16", "decode-failed", top=top)
add("grey, 12 bits in uint16, the largest sample as MaxSampleValue", "grey", numbers(grey, "uint16", 4095), photometric="minisblack", extratags=highest(int(numbers(grey, "uint16", 4095).max())))
add("grey, 12 bits in uint16, more than MaxSampleValue", "decode-failed", numbers(grey, "uint16", 4095), photometric="minisblack", extratags=highest(1023))
add("grey, 12 bits in int16 with MaxSampleValue", "grey", numbers(grey, "int16", 4095), photometric="minisblack", extratags=highest(4095))
# TIFF 6.0 has no MaxSampleValue above 16 bits, and libtiff refuses its header.
add("grey, 24 bits in uint32 with a long MaxSampleValue", "decode-failed", numbers(grey, "uint32", 2**24 - 1), photometric="minisblack", extratags=highest(2**24 - 1, "I"))
add("grey, 24 bits in uint32 and nothing that says so", "decode-failed", numbers(grey, "uint32", 2**24 - 1), photometric="minisblack")
add("grey, uint16 up to a half", "dark", numbers(grey / 2, "uint16"), photometric="minisblack")
add("grey, uint16, dark by MaxSampleValue", "black", numbers(grey / 500, "uint16"), photometric="minisblack", extratags=highest(65535))
add("RGB, uint16, all black", "black", np.zeros((SIDE, SIDE, 3), "uint16"), photometric="rgb")

# Numbers outside
for name, value in {"above 1": 1.2, "below 0": -0.1, "no number": np.nan, "infinite": np.inf}.items():
    for kind in ("float16", "float32"):
        odd = np.array(rgb, kind)
        odd[3, 3, 1] = value
        add(f"RGB, {kind}, one sample {name}", "decode-failed", odd, photometric="rgb")
        add(f"grey, {kind}, one sample {name}", "decode-failed", np.ascontiguousarray(odd[..., 1]), photometric="minisblack")
add("RGB, float32 from 0 to 255", "decode-failed", (rgb * 255).astype("float32"), photometric="rgb")
for kind in ("int8", "int16", "int32"):
    odd = numbers(rgb, kind)
    odd[3, 3, 1] = -5
    add(f"RGB, {kind}, one sample below 0", "decode-failed", odd, photometric="rgb")
    add(f"grey, {kind}, one sample below 0", "decode-failed", np.ascontiguousarray(odd[..., 1]), photometric="minisblack")

# 0 is white
add("grey, 0 is white, uint8", "grey", numbers(1 - grey, "uint8"), photometric="miniswhite")
add("grey, 0 is white, uint16", "grey", numbers(1 - grey, "uint16"), photometric="miniswhite")
add("grey, 0 is white, 12 bits in uint16 with MaxSampleValue", "grey", numbers(1 - grey, "uint16", 4095), photometric="miniswhite", extratags=highest(4095))
add("grey, 0 is white, 12 bits in uint16", "decode-failed", numbers(1 - grey, "uint16", 4095), photometric="miniswhite")
for kind in ("uint32", "int16", "float32"):
    add(f"grey, 0 is white, {kind}", "unsupported-format", numbers(1 - grey, kind), photometric="miniswhite")

# Bands beside the colours
stack = lambda *bands: np.dstack(bands)
for kind in ("uint8", "uint16", "uint32", "float32"):
    four = numbers(stack(rgb, alpha), kind)
    add(f"RGB and an unspecified band, {kind}", "rgb", four, photometric="rgb", extrasamples=["unspecified"])
    add(f"RGB and opacity, {kind}", "rgb on the background", four, photometric="rgb", extrasamples=["unassalpha"])
    premultiplied = numbers(stack(rgb * alpha[..., None], alpha), kind)
    is_read = kind in ("uint8", "uint16")
    add(f"RGB times opacity, {kind}", "rgb on the background" if is_read else "unsupported-format", premultiplied, 2, photometric="rgb", extrasamples=["assocalpha"])
    add(f"RGB and two unspecified bands, {kind}", "rgb", numbers(stack(rgb, alpha, alpha), kind), photometric="rgb", extrasamples=["unspecified"] * 2)
    add(f"RGB, an unspecified band and opacity, {kind}", "rgb on the background", numbers(stack(rgb, grey, alpha), kind), photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    add(f"RGB and opacity, then an unspecified band, {kind}", "rgb on the background", numbers(stack(rgb, alpha, grey), kind), photometric="rgb", extrasamples=["unassalpha", "unspecified"])
    two = numbers(stack(grey, alpha), kind)
    add(f"grey and an unspecified band, {kind}", "grey", two, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"])
    add(f"grey and opacity, {kind}", "grey on the background" if is_read else "unsupported-format", two, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    add(f"seven bands, {kind}", "unsupported-format", numbers(stack(*[grey] * 7), kind), photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"] * 6)
    add(f"four bands, none of colour, {kind}", "unsupported-format", numbers(stack(*[grey] * 4), kind), photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"] * 3)
    planes = np.moveaxis(numbers(rgb, kind), -1, 0)
    add(f"RGB in planes, {kind}", "rgb", planes, photometric="rgb", planarconfig="separate")

# Framing and compression
for kind in ("uint16", "float32"):
    for name, options in {
        "big-endian": {"byteorder": ">"},
        "BigTIFF": {"bigtiff": True},
        "in tiles": {"tile": (16, 16)},
        "deflated, with the predictor": {"compression": "deflate", "predictor": True},
        "LZW": {"compression": "lzw"},
        "PackBits": {"compression": "packbits"},
    }.items():
        add(f"RGB, {kind}, {name}", "rgb", numbers(rgb, kind), photometric="rgb", **options)
    for compression in ("zstd", "lzma"):
        add(f"RGB, {kind}, {compression}", "unsupported-format", numbers(rgb, kind), photometric="rgb", compression=compression)
turned = numbers(rgb, "float32")[::-1, ::-1]
add("RGB, float32, upside down by its orientation", "rgb", np.ascontiguousarray(turned), photometric="rgb", extratags=[(274, "H", 1, 3, True)])

# Other colours
picture = Image.fromarray(levels(rgb))


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "TIFF", **options)
    return out.getvalue()


add("YCbCr, not subsampled", "rgb", saved(picture.convert("YCbCr")), 2)
add("CIELab", "unsupported-format", saved(picture.convert("LAB")))
add("YCbCr, uint16", "unsupported-format", numbers(rgb, "uint16"), photometric="ycbcr")
pixels["a palette"] = encode(np.asarray(picture.quantize(16).convert("RGB")).tobytes())
add("a palette", "a palette", saved(picture.quantize(16)))
srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
add("RGB, float32 with a profile of sRGB", "rgb", numbers(rgb, "float32"), 2, photometric="rgb", iccprofile=srgb)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiff-samples.json")
with open(path, "w") as out:
    json.dump({"side": SIDE, "background": BACKGROUND.astype(int).tolist(), "pixels": pixels, "cases": cases}, out)
print(len(cases), "cases")
