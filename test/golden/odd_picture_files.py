"""Writers of PNG, GIF, TIFF, animated WebP and ICC files by their specifications, for what Pillow does not write."""

import io
import struct
import zlib

import numpy as np

PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, depth):
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = "".join(format(int(value), f"0{depth}b") for value in row)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def png(samples, colour_type, depth=8, chunks=(), interlaced=False):
    """samples [height, width, channels], in the range of the depth (PNG, third edition)."""
    height, width, channels = samples.shape
    assert channels == PNG_CHANNELS[colour_type]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x, y, dx, dy in passes:
        for row in samples[y::dy, x::dx]:
            if row.size:
                rows += b"\0" + pack_row(row.reshape(-1), depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    out = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    for kind, data in chunks:
        out += png_chunk(kind, data)
    return out + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")


def iccp(profile):
    return (b"iCCP", b"profile\0\0" + zlib.compress(profile))


def gif_frame(indices, left, top, transparent=None, disposal=0):
    """LZW in its simplest legal form: clear codes keep the code size at eight bits."""
    height, width = indices.shape
    control = (disposal << 2) | (transparent is not None)
    out = b"\x21\xf9\x04" + struct.pack("<BHBB", control, 5, transparent or 0, 0)
    out += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x07"
    codes = b""
    for at in range(0, indices.size, 100):
        codes += bytes([128]) + indices.reshape(-1)[at : at + 100].astype(np.uint8).tobytes()
    codes += bytes([129])
    for at in range(0, len(codes), 255):
        block = codes[at : at + 255]
        out += bytes([len(block)]) + block
    return out + b"\0"


def gif(width, height, palette, frames, background=0):
    """palette [n, 3]; 128 entries are written."""
    table = np.zeros((128, 3), np.uint8)
    table[: len(palette)] = palette
    screen = struct.pack("<HHBBB", width, height, 0x80 | 6, background, 0)
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    return b"GIF89a" + screen + table.tobytes() + loop + b"".join(frames) + b"\x3b"


def webp_chunks(data):
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def riff_chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp_animation(width, height, frames):
    """frames: (left, top, width, height, a still lossless WebP file); offsets are even."""
    body = riff_chunk(b"VP8X", bytes([0x12, 0, 0, 0]) + u24(width - 1) + u24(height - 1))
    body += riff_chunk(b"ANIM", bytes([0, 0, 255, 255]) + b"\0\0")
    for left, top, frame_width, frame_height, still in frames:
        bitstream = next(data for kind, data in webp_chunks(still) if kind == b"VP8L")
        place = u24(left // 2) + u24(top // 2) + u24(frame_width - 1) + u24(frame_height - 1) + u24(100) + b"\0"
        body += riff_chunk(b"ANMF", place + riff_chunk(b"VP8L", bitstream))
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def u24(value):
    return struct.pack("<I", value)[:3]


def tiff(pages, order="<", big=False):
    """pages: dicts of `tags` {number: (type, values)} and `parts` (strips or tiles as bytes), by TIFF 6.0 and BigTIFF."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 16: 8}
    letters = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
    word = "Q" if big else "I"
    room = 8 if big else 4
    out = io.BytesIO()
    out.write((b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42))
    if big:
        out.write(struct.pack(order + "HH", 8, 0))
    link = out.tell()
    out.write(b"\0" * room)
    for page in pages:
        offsets = []
        for part in page["parts"]:
            offsets.append(out.tell())
            out.write(part + b"\0" * (len(part) % 2))
        tiled = 322 in page["tags"]
        tags = dict(page["tags"])
        tags[324 if tiled else 273] = (4, offsets)
        tags[325 if tiled else 279] = (4, [len(part) for part in page["parts"]])
        fields = b""
        for number, (kind, values) in sorted(tags.items()):
            data = struct.pack(order + str(len(values)) + letters[kind], *values)
            if len(values) * sizes[kind] > room:
                place = out.tell()
                out.write(data + b"\0" * (len(data) % 2))
                data = struct.pack(order + word, place)
            fields += struct.pack(order + "HH" + word, number, kind, len(values)) + data.ljust(room, b"\0")
        directory = out.tell()
        count = len(tags)
        out.write(struct.pack(order + ("Q" if big else "H"), count) + fields)
        end = out.tell()
        out.write(b"\0" * room)
        out.seek(link)
        out.write(struct.pack(order + word, directory))
        out.seek(0, 2)
        link = end
    return out.getvalue()


def s15(value):
    return struct.pack(">i", round(value * 65536))


def icc(space, tags, kind=b"mntr", pcs=b"XYZ "):
    """A version 2 profile (ICC.1:2001-04)."""
    tags = [(b"desc", text_description()), (b"cprt", b"text\0\0\0\0none\0"), *tags]
    table = struct.pack(">I", len(tags))
    body = b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags:
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02400000, kind, space, pcs)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += s15(0.9642) + s15(1.0) + s15(0.8249)
    return header.ljust(128, b"\0") + table + body


def text_description():
    return b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(s15(value) for value in values)


def gamma_curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def sampled_curve(function, count=1024):
    values = [round(65535 * function(i / (count - 1))) for i in range(count)]
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *values)


def rgb_profile(primaries, curve):
    """primaries [3, 3]: the XYZ of red, green and blue under D50, one row each."""
    tags = [(b"wtpt", xyz([0.9642, 1.0, 0.8249]))]
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries):
        tags.append((name, xyz(column)))
    return icc(b"RGB ", tags + [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")])


def grey_profile(curve):
    return icc(b"GRAY", [(b"wtpt", xyz([0.9642, 1.0, 0.8249])), (b"kTRC", curve)])


def cmyk_profile(to_lab, grid=5):
    """to_lab(c, m, y, k), each 0 to 1, gives L, a, b; sampled into a lut8 table."""
    table = b""
    for c in range(grid):
        for m in range(grid):
            for y in range(grid):
                for k in range(grid):
                    lightness, a, b = to_lab(*(v / (grid - 1) for v in (c, m, y, k)))
                    table += bytes([round(lightness * 2.55), round(a + 128), round(b + 128)])
    identity = bytes(range(256))
    matrix = b"".join(s15(v) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, grid, 0]) + matrix + identity * 4 + table + identity * 3
    return icc(b"CMYK", [(b"wtpt", xyz([0.9642, 1.0, 0.8249])), (b"A2B0", lut)], b"prtr", b"Lab ")
