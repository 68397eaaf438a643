"""The directions that keep a share of the energy of a matrix's rows, as a user of numpy finds them.

    /usr/bin/python3 test/bench/peers/solve.py svd  rows.npy energy step basis.npy
    /usr/bin/python3 test/bench/peers/solve.py eigh rows.npy energy step basis.npy float32|float64
    /usr/bin/python3 test/bench/peers/solve.py compare rows.npy own.npy other.npy

Needs python3-numpy. `svd` is numpy.linalg.svd of the rows as they are, `eigh` numpy.linalg.eigh of their Gram matrix, made in
the given precision. Energy is the sum of the squared singular values; kept is the smallest multiple of `step` directions
that reaches the share. The clock runs from rows in memory to the basis, [columns, directions] in float32. `compare` tells the largest
principal angle between the spans of two bases, in radians, and the share of the rows' energy that each holds, in
float64. Prints one JSON object.
"""

import json
import sys
import time

import numpy as np


def kept(squares, energy, step):
    share = np.cumsum(squares, dtype=np.float64) / np.sum(squares, dtype=np.float64)
    multiples = [count for count in range(step, len(share) + 1, step) if share[count - 1] >= energy]
    count = multiples[0] if multiples else len(share)
    return count, float(share[count - 1])


def by_svd(rows, energy, step):
    _, singular, vt = np.linalg.svd(rows, full_matrices=False)
    count, share = kept(singular.astype(np.float64) ** 2, energy, step)
    return vt[:count].T, share


def by_eigh(rows, energy, step, precision):
    rows = rows.astype(precision, copy=False)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    count, share = kept(np.maximum(values[::-1], 0), energy, step)
    return vectors[:, ::-1][:, :count], share


def solve(method, path, energy, step, output, precision="float32"):
    rows = np.load(path)
    wall, cpu = time.perf_counter(), time.process_time()
    if method == "svd":
        basis, share = by_svd(rows, float(energy), int(step))
    else:
        basis, share = by_eigh(rows, float(energy), int(step), precision)
    basis = np.ascontiguousarray(basis, dtype=np.float32)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    np.save(output, basis)
    return {"seconds": seconds, "cpuSeconds": cpu_seconds, "components": basis.shape[1], "energyKept": share}


def held(rows, basis):
    """The share of the rows' energy in the span of a basis."""
    inside = whole = 0.0
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024].astype(np.float64)
        inside += np.sum((part @ basis) ** 2)
        whole += np.sum(part**2)
    return float(inside / whole)


def compare(path, own, other):
    rows = np.load(path, mmap_mode="r")
    a, b = (np.linalg.qr(np.load(file).astype(np.float64))[0] for file in (own, other))
    if a.shape != b.shape:
        return {"angle": float(np.pi / 2), "ownEnergy": held(rows, a), "otherEnergy": held(rows, b)}
    # The sine is exact for small angles, where the cosine is not (Bjorck & Golub 1973).
    sine = np.linalg.norm(b - a @ (a.T @ b), 2)
    return {"angle": float(np.arcsin(min(1, sine))), "ownEnergy": held(rows, a), "otherEnergy": held(rows, b)}


command, *arguments = sys.argv[1:]
print(json.dumps(compare(*arguments) if command == "compare" else solve(command, *arguments)))
