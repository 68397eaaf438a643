"""Class probabilities of photographs with PyTorch: decode, resize, network, linear head, softmax.

    /usr/bin/python3 test/bench/peers/score.py --pictures <folder of class folders> --network mobilenet-v1-0.75 --side 224 \
        --classes 6 --threads 2

Needs python3-torch, python3-torchvision, python3-numpy and python3-pil. Prints one JSON object.
"""

import argparse

import torch
from networks import backbone, quicker_layout
from pictures import Pictures, run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    side, batch = arguments.side, arguments.batch
    torch.set_num_threads(arguments.threads)
    network, dimension = backbone(arguments.network)
    model = torch.nn.Sequential(network, torch.nn.Linear(dimension, arguments.classes), torch.nn.Softmax(dim=1)).eval()
    layout, layout_name = quicker_layout(model, torch.rand(batch, 3, side, side))
    probabilities = []

    def compute(pixels, _):
        normalised = pixels.float().div_(127.5).sub_(1)
        probabilities.append(model(normalised.contiguous(memory_format=layout)))

    pictures = Pictures(arguments.pictures, side, warm_up=4 * batch)
    run(pictures, batch, arguments.threads, compute, layout=layout_name)


main()
