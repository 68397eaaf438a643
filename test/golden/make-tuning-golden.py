"""Makes tuning.json: gradients and ten steps of small networks by PyTorch in float64.

The networks hold together every layer kind that can be tuned. Each has its layers in Keras's form, from which the test builds
its own; weights and pixels come from a generator that both sides have. Of each gradient the file keeps its length and two
projections on directions from that generator.

Run in this folder, with torch installed: python3 make-tuning-golden.py && npx prettier --write tuning.json
"""

import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
BATCH, CLASSES, GROUP_EPSILON = 8, 3, 1e-5
MEAN, DEVIATION = 127.5, 127.5


def draw(seed, count):
    """Uniform in [-1, 1): a linear congruential generator, exact in both languages."""
    state, values = seed * 2654435761 % 2**32, np.empty(count)
    for at in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values[at] = state / 2**31 - 1
    return values


def layer(class_name, name, *inputs, **config):
    return {"class_name": class_name, "name": name, "config": config, "inputs": list(inputs)}


def conv(name, before, filters, size, strides=1, padding="same", **more):
    return layer("Conv2D", name, before, filters=filters, kernel_size=size, strides=strides, padding=padding, **more)


def mobile(size):
    """Stem, depthwise and pointwise convolutions, ReLU6, an inverted residual."""
    return size, [
        conv("stem", "input", 8, [3, 3], 2, use_bias=False),
        layer("BatchNormalization", "stem_bn", "stem", epsilon=1e-3),
        layer("ReLU", "stem_relu", "stem_bn", max_value=6),
        layer("DepthwiseConv2D", "dw1", "stem_relu", kernel_size=[3, 3], strides=1, padding="same", use_bias=False),
        layer("BatchNormalization", "dw1_bn", "dw1", epsilon=1e-3),
        layer("ReLU", "dw1_relu", "dw1_bn", max_value=6),
        conv("pw1", "dw1_relu", 16, [1, 1], use_bias=False),
        layer("BatchNormalization", "pw1_bn", "pw1", epsilon=1e-3),
        layer("DepthwiseConv2D", "dw2", "pw1_bn", kernel_size=[3, 3], strides=2, padding="same", use_bias=True),
        layer("ReLU", "dw2_relu", "dw2", max_value=6),
        conv("pw2", "dw2_relu", 16, [1, 1], use_bias=True, activation="relu"),
        layer("Add", "residual", "dw2_relu", "pw2"),
        layer("GlobalAveragePooling2D", "pooled", "residual"),
    ]


def residual():
    """Explicit zeros, a valid 5×5 stem, maximum pooling, 3×3 kernels, a strided shortcut, channels that fit no block."""
    return 17, [
        layer("ZeroPadding2D", "pad", "input", padding=[[2, 2], [2, 2]]),
        conv("stem", "pad", 16, [5, 5], 2, "valid", use_bias=True),
        layer("BatchNormalization", "stem_bn", "stem", epsilon=1e-5),
        layer("Activation", "stem_relu", "stem_bn", activation="relu"),
        layer("ZeroPadding2D", "pool_pad", "stem_relu", padding=[[1, 1], [1, 1]]),
        layer("MaxPooling2D", "pool", "pool_pad", pool_size=[3, 3], strides=[2, 2], padding="valid"),
        conv("a", "pool", 8, [1, 1], 2, "valid", use_bias=True, activation="relu"),
        conv("b", "a", 8, [3, 3], use_bias=False),
        layer("BatchNormalization", "b_bn", "b", epsilon=1e-5),
        layer("Activation", "b_relu", "b_bn", activation="relu"),
        conv("c", "b_relu", 24, [1, 1], use_bias=True),
        conv("shortcut", "pool", 24, [1, 1], 2, "valid", use_bias=True),
        layer("Add", "sum", "c", "shortcut"),
        layer("Activation", "sum_relu", "sum", activation="relu"),
        conv("strided", "sum_relu", 16, [3, 3], 2, use_bias=True, activation="tanh"),
        conv("odd", "strided", 5, [3, 3], use_bias=True),
        layer("GlobalMaxPooling2D", "most", "odd"),
        layer("Dense", "dense", "most", units=6, activation="relu"),
    ]


def excited():
    """Squeeze-and-excitation, swish, 5×5 depthwise kernels, odd sizes."""
    return 15, [
        conv("stem", "input", 8, [3, 3], 2, use_bias=False),
        layer("BatchNormalization", "stem_bn", "stem", epsilon=1e-3),
        layer("Activation", "stem_swish", "stem_bn", activation="swish"),
        layer("DepthwiseConv2D", "dw", "stem_swish", kernel_size=[5, 5], strides=2, padding="same", use_bias=False),
        layer("BatchNormalization", "dw_bn", "dw", epsilon=1e-3),
        layer("Activation", "dw_swish", "dw_bn", activation="swish"),
        layer("GlobalAveragePooling2D", "squeeze", "dw_swish"),
        layer("Reshape", "shape", "squeeze", target_shape=[1, 1, 8]),
        conv("reduce", "shape", 4, [1, 1], use_bias=True, activation="swish"),
        conv("expand", "reduce", 8, [1, 1], use_bias=True, activation="sigmoid"),
        layer("Multiply", "excite", "dw_swish", "expand"),
        conv("project", "excite", 16, [1, 1], use_bias=False),
        layer("BatchNormalization", "project_bn", "project", epsilon=1e-3, scale=False),
        layer("Dropout", "drop", "project_bn", rate=0.2),
        layer("Flatten", "flat", "drop"),
    ]


def branches():
    """Concatenation, average pooling at edges, 1×7 and 7×1 kernels, separable and dilated convolutions."""
    return 14, [
        conv("stem", "input", 8, [3, 3], 1, "valid", use_bias=True, activation="relu"),
        layer("AveragePooling2D", "mean", "stem", pool_size=[3, 3], strides=[1, 1], padding="same"),
        conv("a", "mean", 8, [1, 1], use_bias=True, activation="relu"),
        conv("b1", "stem", 8, [1, 7], use_bias=True, activation="relu"),
        conv("b2", "b1", 16, [7, 1], use_bias=True, activation="relu"),
        layer("Concatenate", "joined", "a", "b2", axis=-1),
        layer("BatchNormalization", "joined_bn", "joined", epsilon=1e-3),
        layer("SeparableConv2D", "separable", "joined_bn", kernel_size=[3, 3], strides=1, padding="same", use_bias=False),
        layer("BatchNormalization", "separable_bn", "separable", epsilon=1e-3),
        layer("LeakyReLU", "leaky", "separable_bn", alpha=0.2),
        layer("MaxPooling2D", "pool", "leaky", pool_size=[3, 3], strides=[2, 2], padding="same"),
        conv("dilated", "pool", 8, [3, 3], dilation_rate=[2, 2], use_bias=True, activation="elu"),
        layer("DepthwiseConv2D", "doubled", "dilated", kernel_size=[3, 3], strides=1, padding="valid", depth_multiplier=2),
        layer("Activation", "hard", "doubled", activation="hard_sigmoid"),
        layer("AveragePooling2D", "small", "hard", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        layer("Cropping2D", "cropped", "small", cropping=[[1, 0], [0, 0]]),
        layer("GlobalAveragePooling2D", "pooled", "cropped"),
    ]


NETWORKS = {"mobile": mobile(16), "mobile-odd": mobile(13), "residual": residual(), "excited": excited(), "branches": branches()}
FILTERS = {"separable": 24}


def weights_of(layers, channels):
    """[name, shape] of every weight in Keras's order; channels grows from layer to layer."""
    found = []
    for entry in layers:
        kind, name, config = entry["class_name"], entry["name"], entry["config"]
        size = channels[entry["inputs"][0]]
        out = size
        if kind == "Conv2D":
            out = config["filters"]
            found.append([f"{name}/kernel", [*config["kernel_size"], size, out]])
        elif kind == "DepthwiseConv2D":
            many = config.get("depth_multiplier", 1)
            out = size * many
            found.append([f"{name}/depthwise_kernel", [*config["kernel_size"], size, many]])
        elif kind == "SeparableConv2D":
            out = config["filters"] = FILTERS[name]
            found.append([f"{name}/depthwise_kernel", [*config["kernel_size"], size, 1]])
            found.append([f"{name}/pointwise_kernel", [1, 1, size, out]])
        elif kind == "Dense":
            out = config["units"]
            found.append([f"{name}/kernel", [size, out]])
        elif kind == "BatchNormalization":
            names = ["gamma", "beta", "moving_mean", "moving_variance"]
            found += [[f"{name}/{of}", [size]] for of in names if of != "gamma" or config.get("scale", True)]
        elif kind == "Concatenate":
            out = sum(channels[before] for before in entry["inputs"])
        elif kind == "Flatten":
            out = None
        has_bias = kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")
        if has_bias and config.setdefault("use_bias", True):
            found.append([f"{name}/bias", [out]])
        channels[name] = out
    return found


def values_of(name, shape, seed):
    drawn = draw(seed, int(np.prod(shape)))
    if name.endswith("moving_variance"):
        drawn = 1 + 0.5 * drawn
    elif name.endswith("gamma"):
        drawn = 1 + 0.3 * drawn
    elif name.endswith("kernel"):
        fan = np.prod(shape[:2]) if name.endswith("depthwise_kernel") else np.prod(shape[:-1])
        drawn = drawn * np.sqrt(6 / fan)
    else:
        drawn = 0.3 * drawn
    return drawn.astype(np.float32).astype(np.float64).reshape(shape)


def pixels_of(size):
    """Each image has a level of its own under its noise, so that batch statistics differ from zero."""
    noise = draw(77, BATCH * size * size * 3).reshape(BATCH, size, size, 3)
    level = draw(78, BATCH * 3).reshape(BATCH, 1, 1, 3)
    return np.floor((noise + level) * 60 + 127.5)


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def same(x, kernel, strides, dilations, fill=0.0):
    """TensorFlow's SAME: the odd zero is at the end."""
    pads = []
    for size, taps, stride, dilation in zip(x.shape[2:], kernel, strides, dilations):
        span = (taps - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        pads.append((total // 2, total - total // 2))
    return F.pad(x, (*pads[1], *pads[0]), value=fill)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": F.relu,
    "swish": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": F.elu,
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
}


def groups_of(channels):
    return next(groups for groups in range(min(32, channels), 0, -1) if channels % groups == 0)


def run(layers, weights, x, norm, measured=None):
    values = {"input": x}
    for entry in layers:
        kind, name, config = entry["class_name"], entry["name"], entry["config"]
        inputs = [values[before] for before in entry["inputs"]]
        x = inputs[0]
        if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
            strides, dilations = pair(config.get("strides", 1)), pair(config.get("dilation_rate", 1))
            kernel = weights[f"{name}/kernel" if kind == "Conv2D" else f"{name}/depthwise_kernel"]
            if config["padding"] == "same":
                x = same(x, kernel.shape[:2], strides, dilations)
            if kind == "Conv2D":
                x = F.conv2d(x, kernel.permute(3, 2, 0, 1), None, strides, 0, dilations)
            else:
                flat = kernel.permute(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
                x = F.conv2d(x, flat, None, strides, 0, dilations, x.shape[1])
            if kind == "SeparableConv2D":
                x = F.conv2d(x, weights[f"{name}/pointwise_kernel"].permute(3, 2, 0, 1))
            if config["use_bias"]:
                x = x + weights[f"{name}/bias"].view(1, -1, 1, 1)
            x = ACTIVATIONS[config.get("activation", "linear")](x)
        elif kind == "BatchNormalization":
            wide = lambda value: value.view(1, -1, 1, 1)
            gamma = weights.get(f"{name}/gamma", torch.ones(x.shape[1]))
            beta = weights[f"{name}/beta"]
            if norm == "group":
                x = F.group_norm(x, groups_of(x.shape[1]), gamma, beta, GROUP_EPSILON)
            else:
                mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
                if norm == "batch":
                    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
                    if measured is not None:
                        measured[name] = (mean.detach(), x.var((0, 2, 3), unbiased=True).detach())
                x = (x - wide(mean)) / torch.sqrt(wide(variance) + config["epsilon"]) * wide(gamma) + wide(beta)
        elif kind == "Activation":
            x = ACTIVATIONS[config["activation"]](x)
        elif kind == "ReLU":
            x = F.relu6(x)
        elif kind == "LeakyReLU":
            x = F.leaky_relu(x, config["alpha"])
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            x = F.pad(x, (left, right, top, bottom))
        elif kind == "Cropping2D":
            (top, bottom), (left, right) = config["cropping"]
            x = x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]
        elif kind == "MaxPooling2D":
            if config["padding"] == "same":
                x = same(x, config["pool_size"], config["strides"], (1, 1), float("-inf"))
            x = F.max_pool2d(x, config["pool_size"], config["strides"])
        elif kind == "AveragePooling2D":
            ones = torch.ones_like(x)
            if config["padding"] == "same":
                x, ones = (same(of, config["pool_size"], config["strides"], (1, 1)) for of in (x, ones))
            pooled = [F.avg_pool2d(of, config["pool_size"], config["strides"]) for of in (x, ones)]
            x = pooled[0] / pooled[1]
        elif kind == "GlobalAveragePooling2D":
            x = x.mean((2, 3))
        elif kind == "GlobalMaxPooling2D":
            x = x.amax((2, 3))
        elif kind == "Dense":
            x = ACTIVATIONS[config["activation"]](x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])
        elif kind == "Add":
            x = inputs[0] + inputs[1]
        elif kind == "Multiply":
            x = inputs[0] * inputs[1]
        elif kind == "Concatenate":
            x = torch.cat(inputs, 1)
        elif kind == "Reshape":
            x = x.reshape(BATCH, -1, 1, 1)
        elif kind == "Flatten":
            x = x.permute(0, 2, 3, 1).reshape(BATCH, -1)
        elif kind != "Dropout":
            raise ValueError(kind)
        values[name] = x
    return x


def loss_of(layers, weights, x, targets, norm, measured=None):
    embedding = run(layers, weights, x, norm, measured)
    logits = embedding @ weights["classifier/kernel"] + weights["classifier/bias"]
    return -(targets * torch.log_softmax(logits, 1)).sum() / BATCH


def summary(value):
    flat = value.detach().numpy().ravel()
    return [float(np.linalg.norm(flat)), *(float(flat @ draw(seed, flat.size)) for seed in (1001, 1002))]


def setup(name):
    size, layers = NETWORKS[name]
    shapes = weights_of(layers, {"input": 3})
    weights = {of: torch.tensor(values_of(of, shape, at + 1)) for at, (of, shape) in enumerate(shapes)}
    x = torch.tensor((pixels_of(size) - MEAN) / DEVIATION).permute(0, 3, 1, 2)
    with torch.no_grad():
        dimension = run(layers, weights, x, "frozen").shape[1]
    for of, shape in (("kernel", [dimension, CLASSES]), ("bias", [CLASSES])):
        seed = 500 if of == "kernel" else 501
        weights[f"classifier/{of}"] = torch.tensor(values_of(f"classifier/{of}", shape, seed))
    return size, layers, shapes, weights, x, dimension


def targets_of(smoothing):
    labels = torch.tensor([image % CLASSES for image in range(BATCH)])
    return F.one_hot(labels, CLASSES) * (1 - smoothing) + smoothing / CLASSES


def gradients(name, norm):
    _, layers, _, weights, x, _ = setup(name)
    trained = {of: value.requires_grad_() for of, value in weights.items() if "moving_" not in of}
    loss = loss_of(layers, {**weights, **trained}, x, targets_of(0), norm)
    loss.backward()
    return {"loss": loss.item(), "gradients": {of: summary(value.grad) for of, value in trained.items()}}


class Nadam:
    """Of Keras 2 (Dozat 2016), in its own order of operations."""

    def __init__(self, values, rate, decay, beta1=0.9, beta2=0.999, epsilon=1e-7):
        self.values, self.rate, self.decay = values, rate, decay
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.step_count, self.schedule = 0, 1.0
        self.moments = [(torch.zeros_like(value), torch.zeros_like(value)) for value in values]

    @torch.no_grad()
    def step(self):
        self.step_count += 1
        at = self.step_count
        now = self.beta1 * (1 - 0.5 * 0.96 ** (at * self.decay))
        then = self.beta1 * (1 - 0.5 * 0.96 ** ((at + 1) * self.decay))
        self.schedule *= now
        for value, (first, second) in zip(self.values, self.moments):
            first.mul_(self.beta1).add_(value.grad, alpha=1 - self.beta1)
            second.mul_(self.beta2).addcmul_(value.grad, value.grad, value=1 - self.beta2)
            mean = (1 - now) * value.grad / (1 - self.schedule) + then * first / (1 - self.schedule * then)
            value -= self.rate * mean / (torch.sqrt(second / (1 - self.beta2**at)) + self.epsilon)


RATES = {"stem": 0.25}
STEPS = {
    "sgd": {"optimizer": {"type": "sgd", "learningRate": 0.05, "momentum": 0.9, "nesterov": True, "weightDecay": 0.01}},
    "adam": {"optimizer": {"type": "adam", "learningRate": 2e-3, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-7, "weightDecay": 0}},
    "adamw": {
        "optimizer": {"type": "adamw", "learningRate": 2e-3, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weightDecay": 0.3},
        "clipNorm": 0.5,
        "averageDecay": 0.8,
    },
    "nadam": {
        "optimizer": {"type": "nadam", "learningRate": 2e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7, "scheduleDecay": 0.004, "weightDecay": 0},
    },
    # Ten steps of the usual decay move no weight by more than the test's tolerance.
    "nadam, fast decay": {
        "optimizer": {"type": "nadam", "learningRate": 2e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7, "scheduleDecay": 0.5, "weightDecay": 0},
    },
}


def steps(kind, setting):
    _, layers, _, weights, x, _ = setup("mobile")
    optimizer = setting["optimizer"]
    trained = {of: value.requires_grad_() for of, value in weights.items() if "moving_" not in of}
    rate = optimizer["learningRate"]
    groups = [
        {
            "params": [value],
            "lr": rate * RATES.get(of.split("/")[0], 1),
            "weight_decay": optimizer["weightDecay"] if of.endswith("kernel") else 0,
        }
        for of, value in trained.items()
    ]
    kind = optimizer["type"]
    if kind == "sgd":
        stepper = torch.optim.SGD(groups, lr=rate, momentum=optimizer["momentum"], nesterov=optimizer["nesterov"])
    elif kind == "nadam":
        parts = [([value], rate * RATES.get(of.split("/")[0], 1)) for of, value in trained.items()]
        steppers = [Nadam(values, own, optimizer["scheduleDecay"]) for values, own in parts]
        stepper = type("All", (), {"step": lambda self: [of.step() for of in steppers]})()
    else:
        betas = {"betas": (optimizer["beta1"], optimizer["beta2"]), "eps": optimizer["epsilon"]}
        stepper = (torch.optim.AdamW if kind == "adamw" else torch.optim.Adam)(groups, lr=rate, **betas)
    momentum, decay = 0.1, setting.get("averageDecay")
    # As torch.optim.swa_utils.AveragedModel does by default: weights are averaged, running statistics are those of the last step.
    average = {of: value.detach().clone() for of, value in trained.items()}
    losses = []
    for _ in range(10):
        for value in trained.values():
            value.grad = None
        measured = {}
        loss = loss_of(layers, weights, x, targets_of(0.1), "batch", measured)
        loss.backward()
        losses.append(loss.item())
        if "clipNorm" in setting:
            torch.nn.utils.clip_grad_norm_(list(trained.values()), setting["clipNorm"])
        stepper.step()
        with torch.no_grad():
            for name, (mean, variance) in measured.items():
                for of, now in (("moving_mean", mean), ("moving_variance", variance)):
                    weights[f"{name}/{of}"] += momentum * (now - weights[f"{name}/{of}"])
            for of, value in trained.items():
                if decay is not None:
                    average[of] += (1 - decay) * (value - average[of])
    found = {f"weights/{of}": summary(value) for of, value in weights.items()}
    if decay is not None:
        found |= {f"average/{of}": summary(value) for of, value in average.items()}
    return {**setting, "losses": losses, "state": found}


networks = []
for name in NETWORKS:
    size, layers, shapes, _, _, dimension = setup(name)
    cases = {norm: gradients(name, norm) for norm in ("batch", "frozen", "group")}
    networks.append({"name": name, "size": size, "layers": layers, "weights": shapes, "dimension": dimension, "cases": cases})
golden = {
    "batch": BATCH,
    "classes": CLASSES,
    "rates": RATES,
    "networks": networks,
    "steps": {kind: steps(kind, setting) for kind, setting in STEPS.items()},
}
with open("tuning.json", "w", encoding="utf-8") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
