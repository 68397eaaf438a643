"""Embeddings of augmented views with PyTorch, as a user of torchvision would write it.

    /usr/bin/python3 test/bench/peers/extract.py --pictures <folder of class folders> --network mobilenet-v1-0.75 --side 224 \
        --views 6 --affine <file> --threads 2

Needs python3-torch, python3-torchvision, python3-numpy and python3-pil. Worker processes decode and resize; the main one samples every view
with affine_grid and grid_sample and runs the network. The file has float32 [pictures, views, 2, 3]. Prints one JSON object.
"""

import argparse

import numpy as np
import torch
from networks import backbone, quicker_layout
from pictures import Pictures, run
from torch.nn import functional


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--views", type=int, required=True)
    parser.add_argument("--affine", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=4, help="pictures")
    arguments = parser.parse_args()
    side, views, batch = arguments.side, arguments.views, arguments.batch
    torch.set_num_threads(arguments.threads)
    affine = torch.from_numpy(np.fromfile(arguments.affine, np.float32).reshape(-1, views, 2, 3))
    network, _ = backbone(arguments.network)
    layout, layout_name = quicker_layout(network, torch.rand(batch * views, 3, side, side))
    embeddings = []

    def compute(pixels, places):
        normalised = pixels.float().div_(127.5).sub_(1)
        matrices = affine[places].flatten(0, 1)
        grid = functional.affine_grid(matrices, (len(matrices), 3, side, side), align_corners=False)
        sampled = functional.grid_sample(
            normalised.repeat_interleave(views, 0), grid, padding_mode="border", align_corners=False
        )
        embeddings.append(network(sampled.contiguous(memory_format=layout)))

    pictures = Pictures(arguments.pictures, side, warm_up=4 * batch)
    run(pictures, batch, arguments.threads, compute, layout=layout_name)


main()
