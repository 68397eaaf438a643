"""Writes jpeg-kinds.json: one small picture in each kind of JPEG scan, and from which length on its first bytes, with an end
marker behind them, decode to the same pixels as the whole file. The encoder and the decoder are libjpeg-turbo's cjpeg and djpeg
(Debian: libjpeg-turbo-progs), whose warnings are ignored.

    python3 test/golden/jpeg-kinds.py
"""

import base64
import json
import pathlib
import random
import subprocess

WIDTH, HEIGHT = 44, 36
END = b"\xff\xd9"

KINDS = {
    "baseline 4:2:0": ["-sample", "2x2"],
    "baseline 4:4:4, optimised tables": ["-sample", "1x1", "-optimize"],
    "grey": ["-grayscale"],
    "restart intervals": ["-sample", "2x1", "-restart", "1B"],
    "one scan a component": ["-scans", "0;1;2;"],
    "progressive": ["-progressive"],
    "progressive with restart intervals": ["-progressive", "-restart", "3B"],
}


def main():
    pixels = random.Random(8)
    picture = b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + bytes(
        min(255, 3 * x + 2 * y * (channel == 1) + pixels.randrange(60))
        for y in range(HEIGHT)
        for x in range(WIDTH)
        for channel in range(3)
    )
    kinds = []
    for name, options in KINDS.items():
        file = encode(picture, options)
        assert file.endswith(END)
        whole = decode(file)
        length = len(file) - 2
        while decode(file[: length - 1] + END) == whole:
            length -= 1
        # No shorter start may have all pixels by chance.
        assert all(decode(file[:n] + END) != whole for n in range(length - 200, length))
        kinds.append({"name": name, "file": base64.b64encode(file).decode(), "wholeFrom": length})
    path = pathlib.Path(__file__).with_name("jpeg-kinds.json")
    path.write_text(json.dumps(kinds, indent=1) + "\n")


def encode(picture, options):
    options = list(options)
    if "-scans" in options:
        script = pathlib.Path("/tmp/jpeg-kinds-scans.txt")
        script.write_text(options[1])
        options[1] = str(script)
    return subprocess.run(["cjpeg", "-quality", "60", *options], input=picture, stdout=subprocess.PIPE, check=True).stdout


def decode(file):
    return subprocess.run(["djpeg", "-pnm"], input=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


main()
