"""The anchor of `npm run bench -- tune`: steps of training a whole network in PyTorch, as a user of it would write them.

Usage: tune_step.py <mobilenet|resnet50> <batch|frozen> <images> <threads> <steps> <trained blocks, 0 for all> <classes>

MobileNetV1 0.75 and ResNet50 as Keras has them, at 224 pixels, with random weights; stochastic gradient descent with momentum.
Both memory formats are measured, each after a step that is not counted. Prints one JSON line: images a second of the faster
one, its name, and the process's peak memory.
"""

import json
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Same(nn.Module):
    """TensorFlow's padding for a 3×3 window of stride 2 over an even size."""

    def forward(self, x):
        return F.pad(x, (0, 1, 0, 1))


def mobilenet(classes):
    def wide(channels):
        return int(channels * 0.75)

    def block(ins, outs, stride):
        return nn.Sequential(
            *([Same()] if stride == 2 else []),
            nn.Conv2d(ins, ins, 3, stride, 0 if stride == 2 else 1, groups=ins, bias=False),
            nn.BatchNorm2d(ins),
            nn.ReLU6(),
            nn.Conv2d(ins, outs, 1, bias=False),
            nn.BatchNorm2d(outs),
            nn.ReLU6(),
        )

    sizes = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    channels = wide(32)
    parts = [nn.Sequential(Same(), nn.Conv2d(3, channels, 3, 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU6())]
    for outs, stride in sizes:
        parts.append(block(channels, wide(outs), stride))
        channels = wide(outs)
    return parts, nn.Linear(channels, classes)


class Bottleneck(nn.Module):
    """The stride is in the first convolution, as in Keras."""

    def __init__(self, ins, middle, outs, stride):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(ins, middle, 1, stride),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, 1, 1),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, outs, 1),
            nn.BatchNorm2d(outs),
        )
        changes = ins != outs or stride != 1
        self.shortcut = nn.Sequential(nn.Conv2d(ins, outs, 1, stride), nn.BatchNorm2d(outs)) if changes else nn.Identity()

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


def resnet50(classes):
    parts = [nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))]
    ins = 64
    for middle, outs, count, stride in ((64, 256, 3, 1), (128, 512, 4, 2), (256, 1024, 6, 2), (512, 2048, 3, 2)):
        for index in range(count):
            parts.append(Bottleneck(ins, middle, outs, stride if index == 0 else 1))
            ins = outs
    return parts, nn.Linear(ins, classes)


def measure(name, norm, images, steps, last, classes, memory_format):
    torch.manual_seed(0)
    parts, head = (mobilenet if name == "mobilenet" else resnet50)(classes)
    frozen = parts[: len(parts) - last] if last else []
    network = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).to(memory_format=memory_format)
    network.train()
    for module in network.modules() if norm == "frozen" else (m for part in frozen for m in part.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for part in frozen:
        part.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 1e-4, momentum=0.9)
    x = torch.randn(images, 3, 224, 224).contiguous(memory_format=memory_format)
    y = torch.randint(0, classes, (images,))
    seconds = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    return images / sorted(seconds[1:])[steps // 2]


def main():
    name, norm = sys.argv[1:3]
    images, threads, steps, last, classes = map(int, sys.argv[3:])
    torch.set_num_threads(threads)
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    rates = {of: measure(name, norm, images, steps, last, classes, memory) for of, memory in formats.items()}
    best = max(rates, key=rates.get)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"torch": torch.__version__, "rate": rates[best], "format": best, "peakMib": peak}))


main()
