"""Writes the goldens of the tensor codecs with numpy alone. Run: python3 test/golden/write-tensor-goldens.py

float16.bin            pairs of little-endian uint32 (a float32 pattern) and uint16 (numpy's float16 pattern of it)
hand-made.safetensors  a file laid out by hand from the format's description
hand-made-ordered.safetensors  the same tensors as the reference writer orders them: its bytes are what we have to write
"""

import json
import pathlib
import struct

import numpy as np

here = pathlib.Path(__file__).parent


def float16_pairs():
    # Every float16, every midpoint between neighbours, and the float32 just below and above each of those.
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = (halves[:-1] + halves[1:]) / 2
    pick = np.unique(np.concatenate([np.arange(0, 40), np.arange(1000, 1060), np.arange(0x7C00 - 41, 0x7C00 - 1),
                                     np.arange(0, 0x7BFF, 97)]))
    exact = np.concatenate([halves[pick], middles[pick], [65519.996, 65520.0, 65536.0, 1e30, 2.0**-25, 2.0**-26, 0.0]])
    patterns = exact.astype(np.float32).view(np.uint32)
    near = np.concatenate([patterns, patterns + 1, np.maximum(patterns, 1) - 1])
    random = np.random.default_rng(20).integers(0, 2**32, 3000, dtype=np.uint32)
    special = np.array([0x7F800000, 0x7F7FFFFF, 0x00000001, 0x007FFFFF, 0x00800000], dtype=np.uint32)
    patterns = np.unique(np.concatenate([near, near | 0x80000000, random, special, special | 0x80000000]))
    with np.errstate(over="ignore", invalid="ignore"):
        results = patterns.view(np.float32).astype(np.float16).view(np.uint16)
    finite = ~np.isnan(patterns.view(np.float32))
    return np.rec.fromarrays([patterns[finite], results[finite]], dtype=[("f32", "<u4"), ("f16", "<u2")])


def safetensors(metadata, tensors):
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "int32": "I32", "int64": "I64", "uint8": "U8"}
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, array in tensors:
        raw = array.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": names[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


float16_pairs().tofile(here / "float16.bin")

tensors = {
    "mean": np.array([0.5, -1.25, 1e-300], dtype=np.float64),
    "bias": np.array([[1.5, -2.5], [3.25, 1e-40]], dtype=np.float32),
    "image": np.array([0, 1, -7, 2**31 - 1], dtype=np.int32),
    "features": np.array([[0.1, 65504, -0.0], [6e-8, np.inf, 1]], dtype=np.float16),
    "view": np.array([0, 1, 255], dtype=np.uint8),
    "none": np.zeros((0, 4), dtype=np.uint8),
    "scalar": np.array(2**62, dtype=np.int64),
}
metadata = {"keys": "[\"a\",\"b\"]", "läbel": "Glas 🥛"}
# Not by falling size, so that every tensor after `view` is unaligned.
shuffled = ["view", "features", "mean", "none", "scalar", "bias", "image"]
(here / "hand-made.safetensors").write_bytes(safetensors(metadata, [(name, tensors[name]) for name in shuffled]))
ordered = ["mean", "scalar", "bias", "image", "features", "none", "view"]
(here / "hand-made-ordered.safetensors").write_bytes(safetensors(metadata, [(name, tensors[name]) for name in ordered]))
