"""Writes odd-pictures.json: small files of every odd kind, each with the pixels that decoding it must give.

`file` is the picture and `pixels` the expected RGB of 16×16 pixels, both in base64; `tolerance` is the largest
difference allowed, in levels of 255. What is expected never comes from the decoder that is tested:
  - files without loss: the numbers that went into them, flattened on the background by hand
  - JPEG: Pillow's own decoder, upright by ImageOps.exif_transpose
  - embedded profiles: Little CMS by Pillow's ImageCms (9.4 wrote it), perceptual, to its own sRGB

    python3 test/golden/odd-pictures.py && npx prettier --write test/golden/odd-pictures.json
"""

import base64
import io
import json
import os

import numpy as np
from PIL import Image, ImageCms, ImageOps

import odd_picture_files as files

SIDE = 16
BACKGROUND = np.array([10, 200, 90], float)
cases = []


def add(name, data, pixels, tolerance=0):
    pixels = np.clip(np.round(np.asarray(pixels, float)), 0, 255).astype(np.uint8)
    assert pixels.shape == (SIDE, SIDE, 3), (name, pixels.shape)
    encode = lambda raw: base64.b64encode(raw).decode("ascii")
    cases.append({"name": name, "tolerance": tolerance, "file": encode(data), "pixels": encode(pixels.tobytes())})


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def grey3(grey):
    return np.repeat(np.asarray(grey, float).reshape(SIDE, SIDE, 1), 3, axis=2)


def flattened(rgb, alpha):
    """alpha 0 to 1 [16, 16]; blended on the numbers as they are, as browsers do."""
    alpha = np.asarray(alpha, float)[..., None]
    return np.asarray(rgb, float) * alpha + BACKGROUND * (1 - alpha)


y, x = np.mgrid[0:SIDE, 0:SIDE]
smooth = np.stack([40 + 12 * x, 230 - 11 * y, 60 + 5 * x + 6 * y], axis=-1).astype(np.uint8)
rng = np.random.default_rng(4)
noise = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
alphas = (np.array([0, 51, 128, 255])[(x + y) // 4 % 4]).astype(np.uint8)
ramp = (x + 16 * y).astype(np.uint8)

# JPEG
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, ending in (("JPEG", "jpeg"), ("WEBP", "webp"), ("PNG", "png")):
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True}
        data = saved(Image.fromarray(smooth), kind, exif=exif.tobytes(), **options)
        upright = ImageOps.exif_transpose(opened(data).convert("RGB") if kind != "JPEG" else opened(data))
        if kind != "JPEG":
            stored = opened(data).convert("RGB")
            stored.info["exif"] = exif.tobytes()
            upright = ImageOps.exif_transpose(stored)
        add(f"{ending}, orientation {orientation}", data, upright, 2 if kind == "JPEG" else 0)
for name, options in {
    "progressive": {"progressive": True},
    "colour at half resolution": {"subsampling": 2},
    "optimised": {"optimize": True},
}.items():
    data = saved(Image.fromarray(smooth), "JPEG", quality=95, **options)
    add(f"jpeg, {name}", data, opened(data), 4 if "half" in name else 2)
data = saved(Image.fromarray(ramp), "JPEG", quality=95)
add("jpeg, grey", data, grey3(np.asarray(opened(data))), 2)

# Profiles. Adobe RGB (1998) and Display P3, adapted to D50 (the specifications' own figures).
adobe = [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
display_p3 = [[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]]


def srgb_curve(v):
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def lab_of_ink(c, m, y_, k):
    return (95 - 40 * c - 35 * m - 5 * y_) * (1 - 0.9 * k) + 5, (60 * m - 35 * c) * (1 - k), (75 * y_ - 40 * c) * (1 - k)


profiles = {
    "Adobe RGB": files.rgb_profile(adobe, files.gamma_curve(2.19921875)),
    "Display P3": files.rgb_profile(display_p3, files.sampled_curve(srgb_curve)),
    "grey gamma 1.4": files.grey_profile(files.gamma_curve(1.4)),
    "ink": files.cmyk_profile(lab_of_ink),
}


def to_srgb(picture, profile):
    source = ImageCms.ImageCmsProfile(io.BytesIO(profiles[profile]))
    target = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(picture, source, target, 0, outputMode="RGB"))


muted = np.stack([90 + 5 * x, 170 - 5 * y, 100 + 2 * x + 2 * y], axis=-1).astype(np.uint8)
for profile in ("Adobe RGB", "Display P3"):
    expected = to_srgb(Image.fromarray(muted), profile)
    icc = profiles[profile]
    assert np.abs(expected.astype(int) - muted).max() > 8, profile
    add(f"png, {profile}", files.png(muted, 2, chunks=[files.iccp(icc)]), expected, 2)
    wide = muted.astype(np.uint16) * 257
    add(f"png, 16 bits, {profile}", files.png(wide, 2, 16, [files.iccp(icc)]), expected, 2)
    rgba = np.dstack([muted, alphas])
    add(f"png, alpha, {profile}", files.png(rgba, 6, 8, [files.iccp(icc)]), flattened(expected, alphas / 255), 2)
    add(f"webp, {profile}", saved(Image.fromarray(muted), "WEBP", lossless=True, icc_profile=icc), expected, 2)
    add(f"tiff, {profile}", saved(Image.fromarray(muted), "TIFF", icc_profile=icc), expected, 2)
    data = saved(Image.fromarray(muted), "JPEG", quality=98, subsampling=0, icc_profile=icc)
    add(f"jpeg, {profile}", data, to_srgb(opened(data), profile), 4)
expected = to_srgb(Image.fromarray(ramp, "L"), "grey gamma 1.4")
icc = profiles["grey gamma 1.4"]
add("png, grey with a profile", files.png(ramp[..., None], 0, chunks=[files.iccp(icc)]), expected, 2)
wide = (ramp.astype(np.uint16) * 257)[..., None]
add("png, grey of 16 bits with a profile", files.png(wide, 0, 16, [files.iccp(icc)]), expected, 2)
grey_alpha = np.dstack([ramp, alphas])
data = files.png(grey_alpha, 4, 8, [files.iccp(icc)])
add("png, grey and alpha with a profile", data, flattened(expected, alphas / 255), 2)
data = saved(Image.fromarray(ramp), "JPEG", quality=98, icc_profile=icc)
add("jpeg, grey with a profile", data, to_srgb(opened(data), "grey gamma 1.4"), 3)

# A profile that is none, or of other channels than the picture has, counts as absent.
for name, broken in {
    "of noise": rng.integers(0, 256, 400, dtype=np.uint8).tobytes(),
    "cut short": profiles["Adobe RGB"][:200],
    "of CMYK": profiles["ink"],
    "of grey": profiles["grey gamma 1.4"],
}.items():
    add(f"png, a profile {name}", files.png(muted, 2, chunks=[files.iccp(broken)]), muted)
    data = saved(Image.fromarray(muted), "JPEG", quality=98, subsampling=0, icc_profile=broken)
    add(f"jpeg, a profile {name}", data, opened(data), 2)
wide = muted.astype(np.uint16) * 257
add("png, 16 bits, a profile cut short", files.png(wide, 2, 16, [files.iccp(profiles["Adobe RGB"][:200])]), muted)
damaged = profiles["grey gamma 1.4"].replace(b"curv", b"damn")
add("png, grey and alpha, a damaged profile", files.png(grey_alpha, 4, 8, [files.iccp(damaged)]), flattened(grey3(ramp), alphas / 255), 1)
data = files.png(ramp[..., None], 0, chunks=[files.iccp(profiles["Adobe RGB"])])
add("png, grey with a profile of RGB", data, grey3(ramp))
damaged = (b"iCCP", b"profile\0\0" + b"not deflated at all")
add("png, a profile that does not inflate", files.png(muted, 2, chunks=[damaged]), muted)

# CMYK: stored as the complement of the inks, with Adobe's marker or without it, as Pillow and browsers have it.
inks = np.stack([20 + 6 * x, 30 + 5 * y, 40 + 2 * x + 3 * y, 5 * x], axis=-1).astype(np.uint8)


def without_adobe(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def as_ycck(data):
    at = data.index(b"Adobe\0")
    return data[: at + 11] + b"\x02" + data[at + 12 :]


def ycck_of(cmyk):
    """Adobe's: YCbCr of the complement of stored CMY; stored is the complement of the inks."""
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(cmyk[..., :3])).convert("YCbCr"))
    return np.dstack([ycc, 255 - cmyk[..., 3]])


def add_cmyk(name, data, tolerance=3):
    cmyk = opened(data)
    assert cmyk.mode == "CMYK"
    difference = np.abs(np.asarray(cmyk).astype(int) - inks).max()
    assert difference < 8, (name, difference)
    add(name, data, to_srgb(cmyk, "ink"), tolerance)


options = {"quality": 98, "icc_profile": profiles["ink"]}
add_cmyk("jpeg, CMYK of Adobe (inverted)", saved(Image.fromarray(inks, "CMYK"), "JPEG", **options))
add_cmyk("jpeg, CMYK without Adobe's marker", without_adobe(saved(Image.fromarray(inks, "CMYK"), "JPEG", **options)))
stored = Image.fromarray(255 - ycck_of(inks), "CMYK")
add_cmyk("jpeg, YCCK", as_ycck(saved(stored, "JPEG", **options)))
add("tiff, CMYK", saved(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=profiles["ink"]), to_srgb(Image.fromarray(inks, "CMYK"), "ink"), 3)
# Without a profile only so much is certain: greys of black ink, where every press profile is near.
black = np.zeros((SIDE, SIDE, 4), np.uint8)
black[..., 3] = 16 * (x // 2)
for name, data in {
    "of Adobe": saved(Image.fromarray(black, "CMYK"), "JPEG", quality=98),
    "and without Adobe's marker": without_adobe(saved(Image.fromarray(black, "CMYK"), "JPEG", quality=98)),
    "as YCCK": as_ycck(saved(Image.fromarray(255 - ycck_of(black), "CMYK"), "JPEG", quality=98)),
}.items():
    add(f"jpeg, CMYK without a profile {name}", data, grey3(255 - black[..., 3]), 45)

# PNG
wide = rng.integers(0, 65536, (SIDE, SIDE, 4), dtype=np.uint16)
for interlaced in (False, True):
    suffix = ", interlaced" if interlaced else ""
    add(f"png, RGB{suffix}", files.png(noise, 2, interlaced=interlaced), noise)
    add(f"png, RGB of 16 bits{suffix}", files.png(wide[..., :3], 2, 16, interlaced=interlaced), wide[..., :3] / 257, 1)
    alpha = wide[..., 3] / 65535
    add(f"png, RGBA of 16 bits{suffix}", files.png(wide, 6, 16, interlaced=interlaced), flattened(wide[..., :3] / 257, alpha), 1)
    add(f"png, grey of 16 bits{suffix}", files.png(wide[..., :1], 0, 16, interlaced=interlaced), grey3(wide[..., 0] / 257), 1)
    data = files.png(wide[..., [0, 3]], 4, 16, interlaced=interlaced)
    add(f"png, grey and alpha of 16 bits{suffix}", data, flattened(grey3(wide[..., 0] / 257), alpha), 1)
    rgba = np.dstack([noise, alphas])
    add(f"png, RGBA{suffix}", files.png(rgba, 6, interlaced=interlaced), flattened(noise, alphas / 255), 1)
    data = files.png(np.dstack([ramp, alphas]), 4, interlaced=interlaced)
    add(f"png, grey and alpha{suffix}", data, flattened(grey3(ramp), alphas / 255), 1)
    for depth in (1, 2, 4, 8):
        top = 2**depth - 1
        grey = rng.integers(0, top + 1, (SIDE, SIDE, 1))
        add(f"png, grey of {depth} bits{suffix}", files.png(grey, 0, depth, interlaced=interlaced), grey3(grey * (255 / top)), 1)
        palette = rng.integers(0, 256, (top + 1, 3), dtype=np.uint8)
        index = rng.integers(0, top + 1, (SIDE, SIDE, 1))
        plain = [(b"PLTE", palette.tobytes())]
        add(f"png, palette of {depth} bits{suffix}", files.png(index, 3, depth, plain, interlaced), palette[index[..., 0]])
        clear = np.array([0, 128, 51, 255, 10], np.uint8)[: top + 1]
        opacity = np.append(clear, np.full(256, 255, np.uint8))
        data = files.png(index, 3, depth, plain + [(b"tRNS", clear.tobytes())], interlaced)
        add(f"png, palette of {depth} bits with transparency{suffix}", data, flattened(palette[index[..., 0]], opacity[index[..., 0]] / 255), 1)
keyed = noise.copy()
keyed[(x + y) % 3 == 0] = [7, 8, 9]
data = files.png(keyed, 2, chunks=[(b"tRNS", bytes([0, 7, 0, 8, 0, 9]))])
add("png, one transparent colour", data, flattened(keyed, ~np.all(keyed == [7, 8, 9], axis=-1)))
data = files.png(ramp[..., None], 0, chunks=[(b"tRNS", bytes([0, 99]))])
add("png, one transparent grey", data, flattened(grey3(ramp), ramp != 99))

# WebP and GIF
rgba = np.dstack([noise, alphas])
add("webp, alpha", saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True), flattened(noise, alphas / 255), 1)
still = lambda pixels: saved(Image.fromarray(pixels), "WEBP", lossless=True, exact=True)
frames = [(0, 0, SIDE, SIDE, still(noise)), (0, 0, SIDE, SIDE, still(255 - noise))]
add("webp, animated", files.webp_animation(SIDE, SIDE, frames), noise)
part = noise[:8, :6]
frames = [(4, 2, 6, 8, still(part)), (0, 0, SIDE, SIDE, still(255 - noise))]
inside = np.zeros((SIDE, SIDE), bool)
inside[2:10, 4:10] = True
expected = np.zeros((SIDE, SIDE, 3))
expected[2:10, 4:10] = part
add("webp, animated, a smaller first frame", files.webp_animation(SIDE, SIDE, frames), flattened(expected, inside))

colours = rng.integers(0, 256, (100, 3), dtype=np.uint8)
first, second = rng.integers(1, 100, (2, SIDE, SIDE))
add("gif", files.gif(SIDE, SIDE, colours, [files.gif_frame(first, 0, 0)]), colours[first])
index = np.where(alphas == 0, 0, first)
data = files.gif(SIDE, SIDE, colours, [files.gif_frame(index, 0, 0, transparent=0)])
add("gif, transparency", data, flattened(colours[index], index != 0))
for disposal in range(4):
    frames = [files.gif_frame(first, 0, 0, None, disposal), files.gif_frame(second, 0, 0, 0)]
    add(f"gif, animated, disposal {disposal}", files.gif(SIDE, SIDE, colours, frames), colours[first])
    frames = [files.gif_frame(first[:8, :6], 5, 3, None, disposal), files.gif_frame(second, 0, 0, 0)]
    expected = np.zeros((SIDE, SIDE, 3))
    expected[3:11, 5:11] = colours[first[:8, :6]]
    inside = np.zeros((SIDE, SIDE), bool)
    inside[3:11, 5:11] = True
    data = files.gif(SIDE, SIDE, colours, frames, background=50)
    add(f"gif, animated, disposal {disposal}, a smaller first frame", data, flattened(expected, inside))

# TIFF
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
    add(f"tiff, {compression}", saved(Image.fromarray(noise), "TIFF", compression=compression), noise)
data = saved(Image.fromarray(noise), "TIFF", save_all=True, append_images=[Image.fromarray(255 - noise)])
add("tiff, two pages", data, noise)
add("tiff, grey", saved(Image.fromarray(ramp), "TIFF"), grey3(ramp))
add("tiff, palette", saved(Image.fromarray(first.astype(np.uint8), "L").convert("P"), "TIFF"), grey3(first))
bit = Image.fromarray((x + y) % 3 == 0)
add("tiff, one bit", saved(bit, "TIFF"), grey3(np.asarray(bit) * 255))
add("tiff, one bit, packed as a fax", saved(bit, "TIFF", compression="group4"), grey3(np.asarray(bit) * 255))


def tags(channels, depth, photometric, **more):
    base = {
        **{256: (3, [SIDE]), 257: (3, [SIDE]), 258: (3, [depth] * channels), 259: (3, [1])},
        **{262: (3, [photometric]), 277: (3, [channels]), 284: (3, [1])},
    }
    return {**base, **{int(number[1:]): value for number, value in more.items()}}


for order, name in (("<", "little-endian"), (">", "big-endian")):
    for big in (False, True):
        kind = f"{name}{', BigTIFF' if big else ''}"
        strips = [noise[row : row + 6].tobytes() for row in range(0, SIDE, 6)]
        page = {"tags": tags(3, 8, 2, _278=(3, [6])), "parts": strips}
        add(f"tiff, strips, {kind}", files.tiff([page], order, big), noise)
        deep = {"tags": tags(3, 16, 2, _278=(3, [SIDE])), "parts": [wide[..., :3].astype(f"{order}u2").tobytes()]}
        add(f"tiff, 16 bits, {kind}", files.tiff([deep], order, big), wide[..., :3] / 257, 1)
tiles = np.zeros((32, 32, 3), np.uint8)
tiles[:SIDE, :SIDE] = noise
page = {"tags": tags(3, 8, 2, _322=(3, [32]), _323=(3, [32])), "parts": [tiles.tobytes()]}
add("tiff, a tile larger than the picture", files.tiff([page]), noise)
page = {"tags": tags(4, 8, 2, _278=(3, [SIDE]), _338=(3, [2])), "parts": [rgba.tobytes()]}
add("tiff, alpha", files.tiff([page]), flattened(noise, alphas / 255), 1)
page = {"tags": tags(1, 16, 1, _278=(3, [SIDE])), "parts": [wide[..., 0].astype("<u2").tobytes()]}
add("tiff, grey of 16 bits", files.tiff([page]), grey3(wide[..., 0] / 257), 1)
page = {"tags": tags(1, 8, 0, _278=(3, [SIDE])), "parts": [ramp.tobytes()]}
add("tiff, grey, white is zero", files.tiff([page]), grey3(255 - ramp))
page = {"tags": tags(3, 8, 2, _278=(3, [SIDE]), _284=(3, [2])), "parts": [noise[..., c].tobytes() for c in range(3)]}
add("tiff, planes", files.tiff([page]), noise)

if __name__ == "__main__":
    target = os.path.join(os.path.dirname(__file__), "odd-pictures.json")
    with open(target, "w", encoding="utf-8") as out:
        json.dump({"side": SIDE, "background": BACKGROUND.astype(int).tolist(), "cases": cases}, out)
    print(len(cases), "cases,", os.path.getsize(target), "bytes")
