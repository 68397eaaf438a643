"""Writes the small HDF5 files that test/unit/gpu-worker/backbone/keras-h5.test.ts reads, with h5py, in the form that Keras gives them.

The form is that of save_weights_to_hdf5_group and save_attributes_to_hdf5_group in Keras's legacy_h5_format.py. The
values follow from a formula that the test computes again: value i of the weight w is ((31 w + 7 i) mod 101 - 50) / 64,
which float16 holds exactly. Run with h5py 3 and numpy: python3 write-keras-h5.py
"""

import os

import h5py
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))

architecture = [
    ("conv1", "kernel", (3, 3, 3, 4)),
    ("conv1_bn", "gamma", (4,)),
    ("conv1_bn", "beta", (4,)),
    ("conv1_bn", "moving_mean", (4,)),
    ("conv1_bn", "moving_variance", (4,)),
    ("dw", "depthwise_kernel", (3, 3, 4, 1)),
    ("sep", "depthwise_kernel", (3, 3, 4, 1)),
    ("sep", "pointwise_kernel", (1, 1, 4, 6)),
    ("sep", "bias", (6,)),
    ("conv2d", "kernel", (1, 1, 6, 2)),
    ("conv2d", "bias", (2,)),
    ("conv2d_1", "kernel", (1, 1, 6, 2)),
    ("conv2d_1", "bias", (2,)),
]


def values(index, dtype="float32"):
    shape = architecture[index][2]
    count = int(np.prod(shape))
    flat = ((31 * index + 7 * np.arange(count)) % 101 - 50) / 64
    return flat.reshape(shape).astype(dtype)


def weights_of(layer, dtype="float32"):
    return [(name, values(i, dtype)) for i, (own, name, _) in enumerate(architecture) if own == layer]


def fixed(names):
    return np.array([name.encode() for name in names]) if names else np.asarray([])


def variable(names):
    return np.array(names, dtype=h5py.string_dtype("utf-8")) if names else np.asarray([])


def write_group(root, layers, strings=fixed, chunk=None):
    """layers: [(group name, [(weight name in the file, array)])]"""

    def attribute(group, name, names):
        if chunk is None or not names:
            group.attrs[name] = strings(names)
            return
        for part, start in enumerate(range(0, len(names), chunk)):
            group.attrs[f"{name}{part}"] = strings(names[start : start + chunk])

    attribute(root, "layer_names", [name for name, _ in layers])
    root.attrs["backend"] = b"tensorflow"
    root.attrs["keras_version"] = b"2.2.4"
    for name, weights in layers:
        group = root.create_group(name)
        attribute(group, "weight_names", [weight for weight, _ in weights])
        for weight, array in weights:
            group.create_dataset(weight, data=array)


def file(name):
    return h5py.File(os.path.join(here, name), "w")


def scoped(layer, scope=None, dtype="float32"):
    return [(f"{scope or layer}/{name}:0", array) for name, array in weights_of(layer, dtype)]


# save_weights of Keras 2: fixed strings, layers without weights, a scope that is not the layer's name, numbers of another
# session, and the two numbered layers in the file in the other order than they were made.
keras2_layers = [
    ("input_1", []),
    ("conv1", scoped("conv1")),
    ("conv1_bn", scoped("conv1_bn", "conv1_bn_1")),
    ("conv1_relu", []),
    ("dw", scoped("dw")),
    ("sep", scoped("sep")),
    ("conv2d_48", scoped("conv2d_1", "conv2d_48")),
    ("conv2d_47", scoped("conv2d", "conv2d_47")),
]
with file("keras2-weights.h5") as f:
    write_group(f, keras2_layers)

# model.save of tf.keras: model_weights, variable strings, a model in the model (its trainable weights first), a
# classifier after it, float16 and float64, and the optimiser's state.
inner = [(f"{layer}/{name}:0", values(i, "float64" if layer == "sep" else "float16"))
         for i, (layer, name, _) in enumerate(architecture)]
frozen = [weight for weight in inner if "moving_" in weight[0]]
dense = [("predictions/kernel:0", np.ones((2, 5), "float32")), ("predictions/bias:0", np.ones(5, "float32"))]
with file("whole-model.h5") as f:
    f.attrs["model_config"] = '{"class_name": "Functional", "config": {}}'
    root = f.create_group("model_weights")
    layers = [
        ("input_1", []),
        ("features", [weight for weight in inner if "moving_" not in weight[0]] + frozen),
        ("predictions", dense),
    ]
    write_group(root, layers, variable)
    root.create_group("top_level_model_weights").attrs["weight_names"] = fixed([])
    f.create_group("optimizer_weights").attrs["weight_names"] = fixed(["Adam/iter:0"])

# Attributes in chunks, and the names of Keras 1.
older = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
with file("chunked-attributes.h5") as f:
    layers = []
    for layer in dict.fromkeys(own for own, _, _ in architecture):
        layers.append((layer, [(f"{layer}_{older.get(name, name)}_1:0", a) for name, a in weights_of(layer)]))
    write_group(f, layers, fixed, chunk=2)

# tf.keras's EfficientNets have their preprocessing within. The published files hold the deviation as the variance.
with file("normalization.h5") as f:
    preprocessing = [
        ("normalization/mean:0", np.array([0.485, 0.456, 0.406], "float32")),
        ("normalization/variance:0", np.array([0.229, 0.224, 0.225], "float32")),
        ("normalization/count:0", np.array(0, "int64")),
    ]
    write_group(f, [("normalization", preprocessing), *keras2_layers])

# Files that mean harm: a link to another file, a dataset that says it is huge, one put together from others.
with file("external-link.h5") as f:
    write_group(f, [("dw", scoped("dw"))])
    f.attrs["layer_names"] = fixed(["dw", "conv1"])
    f["conv1"] = h5py.ExternalLink("/etc/passwd", "/conv1")
with file("huge.h5") as f:
    write_group(f, [("dw", scoped("dw"))])
    del f["dw/dw/depthwise_kernel:0"]
    f.create_dataset("dw/dw/depthwise_kernel:0", shape=(1 << 20, 1 << 20, 1 << 10), dtype="float32", chunks=(64, 64, 1))
with file("virtual.h5") as f:
    write_group(f, [("dw", scoped("dw"))])
    del f["dw/dw/depthwise_kernel:0"]
    layout = h5py.VirtualLayout(shape=(3, 3, 4, 1), dtype="float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(3, 3, 4, 1))
    f.create_virtual_dataset("dw/dw/depthwise_kernel:0", layout)
