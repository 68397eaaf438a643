"""The default recipe as a user of PyTorch and scikit-learn would write it: embeddings of six views, SVD, a small head.

    /usr/bin/python3 test/bench/peers/run.py <folder of class folders> <folder of a layers model> ...

Needs python3-torch, python3-torchvision, python3-numpy, python3-pil and python3-sklearn. Each backbone is what `trommel backbone import` left in
<store>/backbones/<id>: a MobileNet as Keras layers, one after the other, with its weights. They compute the same as ours do, so that
the accuracies can be compared too. Threads are OMP_NUM_THREADS, which also says how many loader processes decode.

Prints one JSON object: seconds of each stage, and of all without the imports; accuracy, macro F1 and log loss on the tenth that validates.
"""

import copy
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import InterpolationMode

THREADS = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
VIEWS = 6
SIDE = 224
SEED = 0


class SamePad(nn.Module):
    """Keras's "same": the odd pixel goes to the right and below."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        total = [max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0) for size in x.shape[2:]]
        (top, left) = (total[0] // 2, total[1] // 2)
        return nn.functional.pad(x, (left, total[1] - left, top, total[0] - top))


def read_weights(folder):
    """name -> array, from a model.json of TensorFlow.js and the files beside it."""
    model = json.loads((folder / "model.json").read_text())
    weights = {}
    for group in model["weightsManifest"]:
        data = b"".join((folder / name).read_bytes() for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            array = np.frombuffer(data, np.float32, count, offset).reshape(entry["shape"])
            weights[entry["name"]] = torch.from_numpy(array.copy())
            offset += 4 * count
    topology = model["modelTopology"]
    return topology.get("model_config", topology)["config"]["layers"], weights


def convolution(config, weights):
    depthwise = "depthwise_kernel" in "".join(name for name in weights if name.startswith(config["name"] + "/"))
    kernel = weights[config["name"] + ("/depthwise_kernel" if depthwise else "/kernel")]
    bias = weights.get(config["name"] + "/bias")
    height, stride = kernel.shape[0], config["strides"][0]
    if depthwise:
        channels = kernel.shape[2]
        layer = nn.Conv2d(channels, channels, height, stride, groups=channels, bias=bias is not None)
        kernel = kernel.permute(2, 3, 0, 1)
    else:
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], height, stride, bias=bias is not None)
        kernel = kernel.permute(3, 2, 0, 1)
    layer.weight.data = kernel.contiguous()
    if bias is not None:
        layer.bias.data = bias
    return [SamePad(height, stride), layer] if config["padding"] == "same" else [layer]


def batch_norm(config, weights):
    name = config["name"]
    layer = nn.BatchNorm2d(len(weights[name + "/beta"]), config["epsilon"])
    layer.weight.data, layer.bias.data = weights[name + "/gamma"], weights[name + "/beta"]
    layer.running_mean, layer.running_var = weights[name + "/moving_mean"], weights[name + "/moving_variance"]
    return layer


def read_backbone(folder):
    layers, weights = read_weights(folder)
    modules = []
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind in ("Conv2D", "DepthwiseConv2D"):
            modules += convolution(config, weights)
        elif kind == "BatchNormalization":
            modules.append(batch_norm(config, weights))
        elif kind == "ReLU" or config.get("activation") == "relu6":
            modules.append(nn.ReLU6(inplace=True))
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            modules.append(nn.ZeroPad2d((left, right, top, bottom)))
        elif kind not in ("InputLayer", "GlobalAveragePooling2D"):
            raise ValueError(f"a {kind} layer is none of a MobileNet's")
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


class Views(Dataset):
    """Of each picture the picture itself and five that are turned, shifted, zoomed and mirrored by chance."""

    def __init__(self, files):
        self.files = files
        self.resize = transforms.Resize((SIDE, SIDE), InterpolationMode.LANCZOS)
        self.augment = transforms.Compose(
            [
                transforms.RandomAffine(20, (0.05, 0.05), (0.95, 1.05), interpolation=InterpolationMode.BILINEAR),
                transforms.RandomHorizontalFlip(),
            ]
        )
        self.to_tensor = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]  # to -1..1
        )

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        picture = self.resize(Image.open(self.files[index]).convert("RGB"))
        views = [picture] + [self.augment(picture) for _ in range(VIEWS - 1)]
        return torch.stack([self.to_tensor(view) for view in views])


@torch.inference_mode()
def extract(files, backbones):
    loader = DataLoader(Views(files), batch_size=8, num_workers=THREADS)
    rows = []
    for views in loader:
        flat = views.flatten(0, 1)
        rows.append(torch.cat([backbone(flat) for backbone in backbones], 1).numpy())
    return np.concatenate(rows)


def project(rows, train):
    """To the smallest multiple of 100 components that hold nine tenths of the energy."""
    _, singular, axes = np.linalg.svd(rows[train], full_matrices=False)
    energy = np.cumsum(singular**2) / np.sum(singular**2)
    count = min(-(-(int(np.searchsorted(energy, 0.9)) + 1) // 100) * 100, len(singular))
    return rows @ axes[:count].T


class SqueezeExcite(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.squeeze = nn.Linear(features, max(1, features // 16))
        self.excite = nn.Linear(max(1, features // 16), features)
        self.output = nn.Linear(features, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        gate = torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(self.dropout(x)))))
        return self.output(self.dropout(x * gate))


def train_head(rows, labels, train, validate):
    """100 epochs of Adam; the epoch with the best accuracy is kept. @returns probabilities of the validation rows"""
    model = SqueezeExcite(rows.shape[1], int(labels.max()) + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005, eps=1e-7)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.2, patience=5, min_lr=1e-5)
    rows, labels = torch.from_numpy(rows), torch.from_numpy(labels)
    train, validate = torch.from_numpy(np.flatnonzero(train)), torch.from_numpy(np.flatnonzero(validate))
    best, best_state = -1.0, None
    for _ in range(100):
        model.train()
        for batch in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[batch]), labels[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            logits = model(rows[validate])
        schedule.step(nn.functional.cross_entropy(logits, labels[validate]))
        accuracy = (logits.argmax(1) == labels[validate]).float().mean().item()
        if accuracy > best:
            best, best_state = accuracy, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    with torch.inference_mode():
        return model.eval()(rows[validate]).softmax(1).double().numpy()


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    seconds = {}
    started = time.monotonic()

    def lap(stage):
        seconds[stage] = time.monotonic() - started - sum(seconds.values())

    classes = sorted(folder for folder in Path(sys.argv[1]).iterdir() if folder.is_dir())
    files = [(file, label) for label, folder in enumerate(classes) for file in sorted(folder.iterdir())]
    labels = np.array([label for _, label in files])
    backbones = [read_backbone(Path(folder)) for folder in sys.argv[2:]]
    lap("load")
    rows = extract([file for file, _ in files], backbones)
    lap("extract")
    _, held_out = train_test_split(np.arange(len(files)), test_size=0.1, stratify=labels, random_state=SEED)
    image = np.repeat(np.arange(len(files)), VIEWS)
    held = np.isin(image, held_out)
    identity = np.tile(np.arange(VIEWS) == 0, len(files))
    projected = project(rows, ~held)
    lap("solve")
    row_labels = labels[image]
    validate = held & identity
    probabilities = train_head(projected.astype(np.float32), row_labels, ~held, validate)
    lap("train")
    truth, predicted = row_labels[validate], probabilities.argmax(1)
    print(
        json.dumps(
            {
                "accuracy": accuracy_score(truth, predicted),
                "macroF1": f1_score(truth, predicted, average="macro"),
                "logLoss": log_loss(truth, probabilities / probabilities.sum(1, keepdims=True)),
                "components": projected.shape[1],
                "stages": seconds,
                "seconds": time.monotonic() - started,
            }
        )
    )


main()
