"""Archives of the same small pictures, written by Python's tarfile and zipfile and by pyarrow, and what they hold.

    pip install pillow pyarrow
    python3 archives.py

writes archives/*.tar, *.tar.gz, *.zip, *.parquet and archives.json: the pictures by name, in base64, with their labels, and for
each archive the names in its order. Written with Python 3.11, Pillow and pyarrow 26.
"""

import base64
import io
import json
import os
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "archives")
os.makedirs(folder, exist_ok=True)
labels = ["glass", "metal", "paper"]


def picture(label: int, number: int) -> bytes:
    image = Image.new("RGB", (24, 20))
    base = [40, 40, 40]
    base[label] = 200
    for y in range(20):
        for x in range(24):
            wave = (x * (number + 2) + y * (number * 3 + 1)) % 32
            image.putpixel((x, y), tuple(min(255, c + wave) for c in base))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


pictures = {
    f"{label}/{'x' * 120 if number == 3 else 'p'}{number}.png": (label, picture(index, number))
    for index, label in enumerate(labels)
    for number in range(4)
}
names = sorted(pictures)
listed = {}


def tar_member(name: str, content: bytes) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mtime = 1_700_000_000
    return info, io.BytesIO(content)


def write_tar(name: str, mode: str, kind: int, members) -> None:
    path = os.path.join(folder, name)
    if mode == "w:gz":
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=kind) as tar:
            for member, content in members:
                tar.addfile(*tar_member(member, content))
        import gzip

        with open(path, "wb") as out, gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
            packed.write(plain.getvalue())
    else:
        with tarfile.open(path, mode, format=kind) as tar:
            for member, content in members:
                tar.addfile(*tar_member(member, content))
    listed[name] = [member for member, _ in members]


everything = [(name, pictures[name][1]) for name in names]
write_tar("pax.tar", "w", tarfile.PAX_FORMAT, everything)
write_tar("gnu.tar", "w", tarfile.GNU_FORMAT, everything)
write_tar("ustar.tar", "w", tarfile.USTAR_FORMAT, [m for m in everything if len(m[0]) < 100])
write_tar("packed.tar.gz", "w:gz", tarfile.PAX_FORMAT, everything)
samples = []
for number, name in enumerate(names):
    label, content = pictures[name]
    samples.append((f"{number:03d}.png", content))
    if number % 2 == 0:
        samples.append((f"{number:03d}.cls", label.encode()))
    else:
        samples.append((f"{number:03d}.json", json.dumps({"label": label, "n": number}).encode()))
write_tar("samples.tar", "w", tarfile.USTAR_FORMAT, samples)

with zipfile.ZipFile(os.path.join(folder, "mixed.zip"), "w") as archive:
    for number, name in enumerate(names):
        info = zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20))
        info.compress_type = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
        archive.writestr(info, pictures[name][1])
listed["mixed.zip"] = names


def table(plain: bool) -> pa.Table:
    content = [pictures[name][1] for name in names]
    images = (
        pa.array(content, pa.binary())
        if plain
        else pa.array([{"bytes": c, "path": n} for c, n in zip(content, names)])
    )
    kind = [labels.index(pictures[name][0]) for name in names]
    columns = {"image": images, "kind": pa.array(kind, pa.int64()), "site": pa.array([f"s{k}" for k in kind])}
    if plain:
        columns["name"] = pa.array(names)
    features = {"features": {"kind": {"names": labels, "_type": "ClassLabel"}}}
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": features})})


def write_table(name: str, plain: bool, **options) -> None:
    pq.write_table(table(plain), os.path.join(folder, name), **options)
    listed[name] = names


write_table("struct-snappy.parquet", False, compression="snappy")
write_table("struct-zstd-v2.parquet", False, compression="zstd", use_dictionary=False, data_page_version="2.0", row_group_size=5)
write_table("plain-none.parquet", True, compression="none", use_dictionary=False, data_page_size=600, write_batch_size=1)
write_table("plain-gzip.parquet", True, compression="gzip")

with open(os.path.join(here, "archives.json"), "w", encoding="utf8") as out:
    held = {name: {"label": label, "base64": base64.b64encode(content).decode()} for name, (label, content) in pictures.items()}
    json.dump({"pictures": held, "archives": listed}, out, indent=1, ensure_ascii=False)
    out.write("\n")
