"""Small ONNX encoders and their embeddings of two images by ONNX Runtime, pooled here by NumPy.

    pip install onnx onnxruntime numpy
    python make-encoders.py > encoders.json

The image's value i is ((7919 i) mod 256) / 127.5 - 1, in the order [N, 3, 16, 16]. Every graph is run as it is written here.
"""

import base64, json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper as h, numpy_helper

SIZE = 16
images = ((7919 * np.arange(2 * 3 * SIZE * SIZE)) % 256 / 127.5 - 1).astype(np.float32).reshape(2, 3, SIZE, SIZE)
random = np.random.default_rng(1)


def weights(*shape):
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


def model(nodes, tensors, dims, outputs, opset=17):
    initializer = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    inputs = [h.make_tensor_value_info("x", TensorProto.FLOAT, dims)]
    made = [h.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = h.make_graph(nodes, "g", inputs, made, initializer)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8 if opset < 24 else 12)


def run(network, batch):
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"x": np.ascontiguousarray(batch)})
    return dict(zip((output.name for output in session.get_outputs()), outputs))


found = {}


def add(name, network, embed, nhwc=False, offset=0.0, scale=1.0):
    batch = images * np.float32(scale) + np.float32(offset)
    outputs = run(network, batch.transpose(0, 2, 3, 1) if nhwc else batch)
    found[name] = {
        "offset": offset, "scale": scale,
        "model": base64.b64encode(network.SerializeToString()).decode(),
        "embeddings": {key: np.asarray(value, np.float64).round(6).tolist() for key, value in embed(outputs).items()},
    }


conv = {"w": weights(5, 3, 4, 4), "b": weights(5)}
patches = h.make_node("Conv", ["p", "w", "b"], ["c"], kernel_shape=[4, 4], strides=[4, 4])
turn_in = h.make_node("Transpose", ["x"], ["p"], perm=[0, 3, 1, 2])

add(
    "nhwc-in-nchw-out",
    model([turn_in, patches], conv, ["N", SIZE, SIZE, 3], ["c"]),
    lambda out: {"average": out["c"].mean((2, 3)), "max": out["c"].max((2, 3))},
    nhwc=True,
)
add(
    "nchw-in-nhwc-out",
    model(
        [h.make_node("Identity", ["x"], ["p"]), patches, h.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1])],
        conv, ["N", 3, SIZE, SIZE], ["y"],
    ),
    lambda out: {"average": out["y"].mean((1, 2))},
)
add(
    "symbolic-nhwc",
    model([turn_in, patches], conv, ["n", "h", "w", "c"], ["c"]),
    lambda out: {"average": out["c"].mean((2, 3))},
    nhwc=True,
)

# A graph for one size: the map is made by a Reshape with fixed numbers, and a normalisation over its channels follows or not.
fixed = [
    h.make_node("Identity", ["x"], ["p"]), patches,
    h.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
    h.make_node("Reshape", ["t", "shape"], ["r"]),
]
shape = {"shape": np.array([-1, 4, 4, 5], np.int64)}
add(
    "fixed-size-normalised",
    model([*fixed, h.make_node("LayerNormalization", ["r", "g"], ["y"], axis=-1)], {**conv, **shape, "g": weights(5)}, ["N", 3, SIZE, SIZE], ["y"]),
    lambda out: {"average": out["y"].mean((1, 2))},
)
add(
    "fixed-size",
    model(fixed, {**conv, **shape}, ["N", 3, SIZE, SIZE], ["r"]),
    lambda out: {"nhwc": out["r"].mean((1, 2)), "nchw": out["r"].mean((2, 3))},
)


def vit(registers, opset=17, dims=("n", "c", "h", "w"), outputs=("last_hidden_state", "pooler_output")):
    """A class token, registers, the patches' tokens, one attention by MatMul and Softmax, LayerNormalization by hand."""
    count = 1 + registers
    softmax = h.make_node("Softmax", ["qk"], ["a"], **({"axis": 2} if opset < 13 else {"axis": -1}))
    reduce = lambda source, target: h.make_node("ReduceMean", [source], [target], axes=[2], keepdims=1)
    nodes = [
        h.make_node("Identity", ["x"], ["p"]), patches,
        h.make_node("Reshape", ["c", "flat"], ["f"]),
        h.make_node("Transpose", ["f"], ["t"], perm=[0, 2, 1]),
        h.make_node("Shape", ["x"], ["s"]), h.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        h.make_node("Concat", ["n", "rest"], ["wanted"], axis=0),
        h.make_node("Expand", ["prefix", "wanted"], ["e"]),
        h.make_node("Concat", ["e", "t"], ["z"], axis=1),
        h.make_node("MatMul", ["z", "q"], ["zq"]), h.make_node("Transpose", ["z"], ["k"], perm=[0, 2, 1]),
        h.make_node("MatMul", ["zq", "k"], ["qk"]), softmax,
        h.make_node("MatMul", ["a", "z"], ["v"]), h.make_node("Add", ["z", "v"], ["o"]),
        reduce("o", "m"), h.make_node("Sub", ["o", "m"], ["d"]), h.make_node("Mul", ["d", "d"], ["dd"]), reduce("dd", "var"),
        h.make_node("Add", ["var", "eps"], ["ve"]), h.make_node("Sqrt", ["ve"], ["sd"]), h.make_node("Div", ["d", "sd"], ["l"]),
        h.make_node("Mul", ["l", "g"], ["last_hidden_state"]),
    ]
    if "pooler_output" in outputs:
        nodes += [
            h.make_node("Gather", ["last_hidden_state", "first"], ["cls"], axis=1),
            h.make_node("MatMul", ["cls", "pw"], ["pp"]), h.make_node("Tanh", ["pp"], ["pooler_output"]),
        ]
    tensors = {
        **conv, "flat": np.array([0, 5, -1], np.int64), "zero": np.array([0], np.int64), "rest": np.array([count, 5], np.int64),
        "prefix": weights(1, count, 5), "q": weights(5, 5), "eps": np.float32(1e-6), "g": weights(5),
    }
    if "pooler_output" in outputs:
        tensors |= {"first": np.int64(0), "pw": weights(5, 7)}
    return model(nodes, tensors, list(dims), list(outputs), opset)


def pools(count):
    def of(out):
        tokens = out["last_hidden_state"]
        cls, mean = tokens[:, 0], tokens[:, count:].mean(1)
        pooled = {"pooler_output": out["pooler_output"]} if "pooler_output" in out else {}
        return {"cls": cls, "mean": mean, "cls+mean": np.concatenate([cls, mean], 1), **pooled}
    return of


add("vit", vit(0), pools(1))
add("vit-registers", vit(4, outputs=("last_hidden_state",)), pools(5))
add("vit-opset-11", vit(0, opset=11, dims=("n", 3, SIZE, SIZE)), pools(1))

softmax_map = [
    h.make_node("Identity", ["x"], ["p"]), patches,
    h.make_node("Softmax", ["c"], ["sm"]), h.make_node("GlobalMaxPool", ["sm"], ["y"]),
]
add("opset-9-softmax", model(softmax_map, conv, ["N", 3, SIZE, SIZE], ["y"], opset=9), lambda out: {"none": out["y"].reshape(2, -1)})
old = [
    h.make_node("Pad", ["x"], ["pad"], pads=[0, 0, 2, 2, 0, 0, 2, 2], value=0.25),
    h.make_node("BatchNormalization", ["pad", "s3", "b3", "m3", "v3"], ["p"]), patches,
    h.make_node("Clip", ["c"], ["cl"], min=-0.5, max=0.75), h.make_node("Upsample", ["cl"], ["up"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
    h.make_node("Slice", ["up"], ["y"], axes=[2, 3], starts=[1, 0], ends=[9, 7]),
]
statistics = {"s3": weights(3) + 1, "b3": weights(3), "m3": weights(3), "v3": weights(3) ** 2 + 1}
statistics = {name: value.astype(np.float32) for name, value in statistics.items()}
add("opset-7", model(old, {**conv, **statistics}, ["N", 3, SIZE, SIZE], ["y"], opset=7), lambda out: {"average": out["y"].mean((2, 3))})
add(
    "opset-24",
    model([h.make_node("Identity", ["x"], ["p"]), patches], conv, ["N", 3, SIZE, SIZE], ["c"], opset=24),
    lambda out: {"average": out["c"].mean((2, 3))},
)


def preprocessed(*steps):
    names = ["x", *[f"x{i}" for i in range(len(steps) - 1)], "p"]
    nodes = [h.make_node(op, [names[i], f"k{i}"], [names[i + 1]]) for i, (op, _) in enumerate(steps)]
    constants = {f"k{i}": np.asarray(value, np.float32) for i, (_, value) in enumerate(steps)}
    return model([*nodes, patches], {**conv, **constants}, ["N", 3, SIZE, SIZE], ["c"])


def planes(*values):
    return np.array(values).reshape(1, 3, 1, 1)


pixels = dict(offset=127.5, scale=127.5)
average = lambda out: {"average": out["c"].mean((2, 3))}
imagenet = [planes(0.485, 0.456, 0.406), planes(0.229, 0.224, 0.225)]
add("own-255", preprocessed(("Mul", 1 / 255), ("Sub", imagenet[0]), ("Div", imagenet[1])), average, **pixels)
add("own-127", preprocessed(("Div", 127.5), ("Sub", 1)), average, **pixels)
add("own-caffe", preprocessed(("Sub", planes(103.9, 116.8, 123.7))), average, **pixels)
add("own-unit", preprocessed(("Sub", imagenet[0]), ("Div", imagenet[1])), average, offset=0.5, scale=0.5)
add("own-nothing", preprocessed(("Mul", 1.0), ("Add", 0.0)), average)

zero = {"w": np.zeros((5, 3, 4, 4), np.float32)}
add("zero", model([h.make_node("Identity", ["x"], ["p"]), patches], {**zero, "b": np.zeros(5, np.float32)}, ["N", 3, SIZE, SIZE], ["c"]), average)
add("constant", model([h.make_node("Identity", ["x"], ["p"]), patches], {**zero, "b": weights(5)}, ["N", 3, SIZE, SIZE], ["c"]), average)

print(json.dumps(found))
