"""Embeddings of one network of each family of the zoo, by PyTorch in float64, for hashed weights and one hashed picture.

The structure is not ours: EfficientNet, MobileNetV2, ResNet and Inception are torchvision's own modules, changed in what
Keras does differently (see each function); MobileNetV1 and Xception, which torchvision does not have, are written out here
after their papers and keras_applications, with TensorFlow's SAME padding by hand. Weights are asked for by Keras's names
and in the shapes that PyTorch's modules have, so a wrong width does not go unnoticed either.

Writes embeddings.json: per network 256 numbers spread evenly over the embedding, its sum and its norm.
Gains are such that numbers stay of order one and ReLU6 cuts; larger ones make MobileNetV2 amplify rounding to 1e-4.
Run: /usr/bin/python3 test/golden/zoo/make-zoo-goldens.py   (PyTorch 1.13, torchvision 0.14; ten seconds)
Then: npx prettier --write test/golden/zoo/embeddings.json
"""

import functools
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from hashed_numbers import HashedWeights, hashed

SAMPLES = 256


def same_pad(x, kernel, stride, value=0.0):
    """TensorFlow's SAME: out = ceil(in / stride), and the odd zero at the bottom and the right."""
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


class SamePadded(nn.Module):
    """A convolution of torchvision with TensorFlow's padding in the place of its own."""

    def __init__(self, conv):
        super().__init__()
        self.conv, self.kernel, self.stride = conv, conv.kernel_size[0], conv.stride[0]
        conv.padding = (0, 0)

    def forward(self, x):
        return self.conv(same_pad(x, self.kernel, self.stride))


def pad_strided_as_tensorflow(module):
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.stride[0] == 2:
            setattr(module, name, SamePadded(child))
        else:
            pad_strided_as_tensorflow(child)


def load_conv(conv, weights, layer, bias=False):
    conv = conv.conv if isinstance(conv, SamePadded) else conv
    out, per_group, height, width = conv.weight.shape
    if conv.groups > 1:
        kernel = weights(layer, "depthwise_kernel", (height, width, out, 1)).transpose(2, 3, 0, 1)
    else:
        kernel = weights(layer, "kernel", (height, width, per_group, out)).transpose(3, 2, 0, 1)
    conv.weight.data = torch.from_numpy(kernel.copy())
    if bias:
        conv.bias = nn.Parameter(torch.from_numpy(weights(layer, "bias", (out,))))
    assert (conv.bias is not None) == bias, layer


def load_bn(bn, weights, layer, epsilon, scale=True):
    shape = (bn.num_features,)
    if scale:
        bn.weight.data = torch.from_numpy(weights(layer, "gamma", shape))
    bn.bias.data = torch.from_numpy(weights(layer, "beta", shape))
    bn.running_mean = torch.from_numpy(weights(layer, "moving_mean", shape))
    bn.running_var = torch.from_numpy(weights(layer, "moving_variance", shape))
    bn.eps = epsilon


def efficientnet(build, weights):
    """Otherwise than torchvision: epsilon 1e-3, SAME padding where the stride is 2."""
    model = build(weights=None)
    pad_strided_as_tensorflow(model)
    unit = lambda part, conv, bn: (load_conv(part[0], weights, conv), load_bn(part[1], weights, bn, 1e-3))
    features = list(model.features)
    unit(features[0], "stem_conv", "stem_bn")
    for stage, blocks in enumerate(features[1:-1], start=1):
        for letter, block in zip("abcdefghijklmnop", blocks):
            name = f"block{stage}{letter}_"
            parts = list(block.block)
            if len(parts) == 4:
                unit(parts.pop(0), name + "expand_conv", name + "expand_bn")
            depthwise, excitation, project = parts
            unit(depthwise, name + "dwconv", name + "bn")
            load_conv(excitation.fc1, weights, name + "se_reduce", bias=True)
            load_conv(excitation.fc2, weights, name + "se_expand", bias=True)
            unit(project, name + "project_conv", name + "project_bn")
    unit(features[-1], "top_conv", "top_bn")
    return model.features


def mobilenet_v2(weights, width):
    """Otherwise than torchvision: epsilon 1e-3, SAME padding where the stride is 2."""
    model = torchvision.models.mobilenet_v2(weights=None, width_mult=width)
    pad_strided_as_tensorflow(model)
    load = lambda conv, bn, conv_name, bn_name: (
        load_conv(conv, weights, conv_name),
        load_bn(bn, weights, bn_name, 1e-3),
    )
    first, *blocks, last = model.features
    load(first[0], first[1], "Conv1", "bn_Conv1")
    for index, block in enumerate(blocks):
        name = f"block_{index}_" if index > 0 else "expanded_conv_"
        *units, project, project_bn = block.conv
        names = ["expand", "depthwise"] if index > 0 else ["depthwise"]
        for part, unit in zip(names, units):
            load(unit[0], unit[1], name + part, f"{name}{part}_BN")
        load(project, project_bn, name + "project", name + "project_BN")
    load(last[0], last[1], "Conv_1", "Conv_1_bn")
    return model.features


def resnet50(weights):
    """Otherwise than torchvision: biases, epsilon 1.001e-5, and the stride in a block's first convolution."""
    model = torchvision.models.resnet50(weights=None)
    load = lambda conv, bn, stem: (
        load_conv(conv, weights, stem + "conv", bias=True),
        load_bn(bn, weights, stem + "bn", 1.001e-5),
    )
    load(model.conv1, model.bn1, "conv1_")
    for stage, blocks in enumerate([model.layer1, model.layer2, model.layer3, model.layer4], start=2):
        for index, block in enumerate(blocks, start=1):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
            name = f"conv{stage}_block{index}_"
            load(block.conv1, block.bn1, name + "1_")
            load(block.conv2, block.bn2, name + "2_")
            load(block.conv3, block.bn3, name + "3_")
            if block.downsample is not None:
                load(block.downsample[0], block.downsample[1], name + "0_")
    return nn.Sequential(*list(model.children())[:-2])


def inception_v3(weights):
    """Otherwise than torchvision: no gamma, and averages at the edge that leave the padding out."""
    model = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    F.avg_pool2d = functools.partial(torch._C._nn.avg_pool2d, count_include_pad=False)
    units = [unit for unit in model.modules() if isinstance(unit, torchvision.models.inception.BasicConv2d)]
    for index, unit in enumerate(units):
        suffix = f"_{index}" if index > 0 else ""
        load_conv(unit.conv, weights, "conv2d" + suffix)
        load_bn(unit.bn, weights, "batch_normalization" + suffix, 1e-3, scale=False)
    return nn.Sequential(*[child for name, child in model.named_children() if name not in ("avgpool", "dropout", "fc")])


class Written:
    """Keras's layers by torch.nn.functional, for the two networks below; the names are Keras's."""

    def __init__(self, weights):
        self.weights = weights

    def tensor(self, *request):
        return torch.from_numpy(self.weights(*request)).double()

    def conv(self, x, layer, filters, kernel, stride=1, same=False):
        w = self.tensor(layer, "kernel", (kernel, kernel, x.shape[1], filters)).permute(3, 2, 0, 1)
        return F.conv2d(same_pad(x, kernel, stride) if same else x, w, stride=stride)

    def depthwise(self, x, layer, stride=1, same=True):
        w = self.tensor(layer, "depthwise_kernel", (3, 3, x.shape[1], 1)).permute(2, 3, 0, 1)
        return F.conv2d(same_pad(x, 3, stride) if same else x, w, stride=stride, groups=x.shape[1])

    def separable(self, x, layer, filters):
        w = self.tensor(layer, "pointwise_kernel", (1, 1, x.shape[1], filters)).permute(3, 2, 0, 1)
        return F.conv2d(self.depthwise(x, layer), w)

    def bn(self, x, layer):
        gamma, beta, mean, variance = (
            self.tensor(layer, name, (x.shape[1],))[:, None, None]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / torch.sqrt(variance + 1e-3) * gamma + beta


def mobilenet_v1(weights, width):
    """Strided convolutions see one row and one column of zeros at the end, whatever the size."""
    net = Written(weights)

    def forward(x):
        x = net.conv(F.pad(x, (0, 1, 0, 1)), "conv1", int(32 * width), 3, stride=2)
        x = F.relu6(net.bn(x, "conv1_bn"))
        plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
        for index, (filters, stride) in enumerate(plan, start=1):
            if stride == 2:
                x = net.depthwise(F.pad(x, (0, 1, 0, 1)), f"conv_dw_{index}", stride=2, same=False)
            else:
                x = net.depthwise(x, f"conv_dw_{index}")
            x = F.relu6(net.bn(x, f"conv_dw_{index}_bn"))
            x = F.relu6(net.bn(net.conv(x, f"conv_pw_{index}", int(filters * width), 1), f"conv_pw_{index}_bn"))
        return x

    return forward


def xception(weights):
    net = Written(weights)
    unnamed = iter(["", "_1", "_2", "_3"])

    def unit(x, name, filters):
        return net.bn(net.separable(x, name, filters), name + "_bn")

    def shrink(x, block, first, second):
        suffix = next(unnamed)
        beside = net.bn(net.conv(x, "conv2d" + suffix, second, 1, stride=2, same=True), "batch_normalization" + suffix)
        if block > 2:
            x = F.relu(x)
        x = unit(x, f"block{block}_sepconv1", first)
        x = unit(F.relu(x), f"block{block}_sepconv2", second)
        return F.max_pool2d(same_pad(x, 3, 2, value=-np.inf), 3, 2) + beside

    def forward(x):
        x = F.relu(net.bn(net.conv(x, "block1_conv1", 32, 3, stride=2), "block1_conv1_bn"))
        x = F.relu(net.bn(net.conv(x, "block1_conv2", 64, 3), "block1_conv2_bn"))
        for block, filters in [(2, 128), (3, 256), (4, 728)]:
            x = shrink(x, block, filters, filters)
        for block in range(5, 13):
            y = x
            for part in (1, 2, 3):
                y = unit(F.relu(y), f"block{block}_sepconv{part}", 728)
            x = x + y
        x = shrink(x, 13, 728, 1024)
        x = F.relu(unit(x, "block14_sepconv1", 1536))
        return F.relu(unit(x, "block14_sepconv2", 2048))

    return forward


models = torchvision.models
# architecture, input size (odd and even pictures on the way), kernel gain, gain of project_conv, features
CASES = [
    ("efficientnet-b0", 75, 2, 3, lambda w: efficientnet(models.efficientnet_b0, w)),
    ("efficientnet-b2", 86, 2, 2, lambda w: efficientnet(models.efficientnet_b2, w)),
    ("mobilenet-v1-0.25", 75, 3, 3, lambda w: mobilenet_v1(w, 0.25)),
    ("mobilenet-v2-0.35", 75, 1.5, 1.5, lambda w: mobilenet_v2(w, 0.35)),
    ("mobilenet-v2-1.4", 70, 1.5, 1.5, lambda w: mobilenet_v2(w, 1.4)),
    ("resnet50", 75, 1, 1, resnet50),
    ("inception-v3", 107, 2, 2, inception_v3),
    ("xception", 79, 1, 1, xception),
]


def golden(architecture, size, kernel_gain, project_gain, build):
    features = build(HashedWeights(kernel_gain, project_gain))
    if isinstance(features, nn.Module):
        features = features.double().eval()
    image = hashed("image", size * size * 3, -1.5, 1.5).reshape(1, size, size, 3)
    with torch.no_grad():
        embedding = features(torch.from_numpy(image).double().permute(0, 3, 1, 2)).mean(dim=(2, 3))[0].numpy()
    assert np.isfinite(embedding).all()
    positions = [index * len(embedding) // SAMPLES for index in range(SAMPLES)]
    print(architecture, len(embedding), "root mean square", np.sqrt((embedding**2).mean()))
    return {
        "architecture": architecture,
        "inputSize": size,
        "kernelGain": kernel_gain,
        "projectGain": project_gain,
        "dimension": len(embedding),
        "sum": embedding.sum(),
        "norm": np.sqrt((embedding**2).sum()),
        "samples": [float(f"{embedding[position]:.9g}") for position in positions],
    }


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("embeddings.json")
    path.write_text(json.dumps([golden(*case) for case in CASES]) + "\n")
