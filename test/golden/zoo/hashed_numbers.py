"""The numbers that make-zoo-goldens.py and test/support/models/hashed-weights.ts both compute, bit for bit.

A number is a hash of (key, position): FNV-1a of the key's bytes as a seed, then the integer mixer "lowbias32" of
C. Wellons (https://nullprogram.com/blog/2018/07/31/). Its upper 24 bits make a fraction, which is scaled in float64 and
rounded to float32 once.
"""

import numpy as np


def seed_of(key):
    seed = 0x811C9DC5
    for byte in key.encode("utf-8"):
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    return seed


def hashed(key, count, low, high):
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed_of(key))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    fraction = (x >> np.uint32(8)).astype(np.float64) / 2**24
    return (low + (high - low) * fraction).astype(np.float32)


class HashedWeights:
    """Weights by Keras's layer and weight names, in Keras's shapes."""

    def __init__(self, kernel_gain, project_gain):
        self.kernel_gain, self.project_gain = kernel_gain, project_gain

    def __call__(self, layer, name, shape):
        count = int(np.prod(shape))
        low, high = self._range(layer, name, shape)
        return hashed(f"{layer}/{name}", count, low, high).reshape(shape)

    def _range(self, layer, name, shape):
        if name == "gamma":
            return 0.7, 1.3
        if name == "moving_variance":
            return 0.5, 1.5
        if name in ("beta", "moving_mean", "bias"):
            return -0.3, 0.3
        gain = self.project_gain if layer.endswith("project_conv") else self.kernel_gain
        fan_in = shape[0] * shape[1] * (1 if name == "depthwise_kernel" else shape[2])
        bound = np.sqrt(3 * gain / fan_in)
        return -bound, bound
