"""Files that are no model for Trommel, as other tools write them; base64 in containers.json.

    python make-containers.py > containers.json      (numpy, torch)

The protobuf messages of TensorFlow and Core ML are written by their field numbers (saved_model.proto, graph.proto, Model.proto).
"""

import base64, gzip, io, json, lzma, bz2, pickle, tarfile, zipfile

import numpy
import torch


def torch_file(**options):
    out = io.BytesIO()
    torch.save({"conv.weight": torch.ones(2)}, out, **options)
    return out.getvalue()


def script_file():
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), out)
    return out.getvalue()


def zip_file(names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "{}")
    return out.getvalue()


def tar_file(mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("model/model.json"), io.BytesIO())
    return out.getvalue()


def npy_file():
    out = io.BytesIO()
    numpy.save(out, numpy.ones(2))
    return out.getvalue()


def npz_file():
    out = io.BytesIO()
    numpy.savez(out, kernel=numpy.ones(2))
    return out.getvalue()


def message(number, body):
    return bytes([number * 8 + 2, len(body)]) + body


def torch_safetensors():
    header = json.dumps({"conv.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


node = message(1, b"x") + message(2, b"Placeholder")
files = {
    "torch-zip": torch_file(),
    "torch-old": torch_file(_use_new_zipfile_serialization=False),
    "torch-script": script_file(),
    "torch-safetensors": torch_safetensors(),
    "pickle": pickle.dumps({"weights": [1]}),
    "keras": zip_file(["metadata.json", "config.json", "model.weights.h5"]),
    "zip-onnx": zip_file(["export/encoder.onnx"]),
    "zip-other": zip_file(["readme.txt"]),
    "zip-cut": zip_file(["readme.txt"])[:40],
    "npy": npy_file(),
    "npz": npz_file(),
    "gzip": gzip.compress(b"model", mtime=0),
    "xz": lzma.compress(b"model"),
    "bzip2": bz2.compress(b"model"),
    "tar": tar_file("w"),
    "saved-model": b"\x08\x01" + message(2, message(1, message(4, b"serve"))),
    "core-ml": b"\x08\x05" + message(2, message(1, message(1, b"image"))),
    "graph-def": message(1, node),
    "tflite": b"\x1c\x00\x00\x00TFL3" + bytes(20),
}
print(json.dumps({name: base64.b64encode(content).decode() for name, content in files.items()}, indent=1))
