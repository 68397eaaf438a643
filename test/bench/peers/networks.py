"""The networks that the PyTorch peers run, with random weights: speed does not depend on them."""

import time

import torch
import torchvision
from torch import nn


def convolution(channels_in, channels_out, kernel, stride, groups=1):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(inplace=True),
    )


def mobilenet_v1(alpha):
    """MobileNetV1 (Howard et al. 2017, table 1) up to its global average: depthwise and pointwise convolutions in turn."""
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    channels = int(32 * alpha)
    layers = [convolution(3, channels, 3, 2)]
    for width, stride in blocks:
        layers.append(convolution(channels, channels, 3, stride, groups=channels))
        layers.append(convolution(channels, int(width * alpha), 1, 1))
        channels = int(width * alpha)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


def efficientnet_b2():
    network = torchvision.models.efficientnet_b2()
    network.classifier = nn.Identity()
    return network, 1408


def backbone(name):
    """@returns the network in evaluation mode and the length of its embedding"""
    makers = {"mobilenet-v1-0.75": lambda: mobilenet_v1(0.75), "efficientnet-b2": efficientnet_b2}
    network, dimension = makers[name]()
    return network.eval(), dimension


def quicker_layout(network, batch):
    """Which memory format is quicker differs by network and processor, so both are tried. @returns it, and its name"""
    def seconds(layout):
        trial = batch.contiguous(memory_format=layout)
        network.to(memory_format=layout)
        network(trial)
        start = time.perf_counter()
        network(trial)
        return time.perf_counter() - start

    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    with torch.inference_mode():
        name = min(layouts, key=lambda key: seconds(layouts[key]))
    network.to(memory_format=layouts[name])
    return layouts[name], name
