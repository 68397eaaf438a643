"""Photographs through a DataLoader, decoded by Pillow in its worker processes, and the clock around them."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """The files of class folders, as uint8 [3, side, side]; the first few come twice, to warm up on."""

    def __init__(self, folder, side, warm_up):
        files = [file for label in sorted(Path(folder).iterdir()) for file in sorted(label.iterdir())]
        self.count = len(files)
        self.files = files[:warm_up] + files
        self.side = side
        self.warm_up = min(warm_up, len(files))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as picture:
            pixels = picture.convert("RGB").resize((self.side, self.side), Image.Resampling.LANCZOS)
        # The place among the pictures, for their views.
        place = (index - self.warm_up) % self.count
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1), place




def run(pictures, batch_size, workers, compute, **facts):
    """Puts every picture through `compute(pixels, places)` and prints the rate. The clock starts after the warm-up, when
    the workers run and the network has seen a few batches; they have then decoded a few pictures ahead.
    """
    loader = DataLoader(pictures, batch_size=batch_size, num_workers=workers)
    start = None
    images = 0
    with torch.inference_mode():
        for pixels, places in loader:
            if start is None and images >= pictures.warm_up:
                start = time.perf_counter()
                images = 0
            compute(pixels, places)
            images += len(places)
    print(json.dumps({"images": images, "seconds": time.perf_counter() - start, "workers": workers, **facts}))
