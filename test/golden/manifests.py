"""Manifests in Parquet with a column of each type that is carried into scores, written by pyarrow.

    pip install pyarrow
    python3 manifests.py

writes manifests/typed.parquet; manifests/typed.json, its rows as JSON lines have to carry them; and manifests/decimal.parquet, whose
last column no score can have. Written with Python 3.11 and pyarrow 26.
"""

import datetime as dt
import decimal
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "manifests")
os.makedirs(folder, exist_ok=True)
names = [f"{label}/{number:03}.png" for label in ("glass", "metal", "paper") for number in range(4)]
count = len(names)
clock = dt.datetime(2026, 3, 29, 2, 30, 0, 123456)


def some(values):
    """Every third value is missing."""
    return [None if i % 3 == 2 else value for i, value in enumerate(values)]


columns = {
    "key": pa.array(names),
    "long": pa.array(some([2**62 + i if i % 2 else -i for i in range(count)]), pa.int64()),
    "short": pa.array(some(range(count)), pa.int16()),
    "exact": pa.array(some([i / 7 for i in range(count)]), pa.float64()),
    "single": pa.array(some([i / 8 for i in range(count)]), pa.float32()),
    "flag": pa.array(some([i % 2 == 0 for i in range(count)]), pa.bool_()),
    "note": pa.array(some([f'第 {i}, "a"' for i in range(count)])),
    "clock": pa.array(some([clock + dt.timedelta(hours=i) for i in range(count)]), pa.timestamp("us")),
    "instant": pa.array(
        some([clock.replace(microsecond=i * 1000) for i in range(count)]), pa.timestamp("ms", "UTC")
    ),
    "nanos": pa.array(some([-(10**18) + i for i in range(count)]), pa.timestamp("ns", "UTC")),
    "day": pa.array(some([dt.date(1969, 12, 25) + dt.timedelta(days=i) for i in range(count)])),
    "tags": pa.array(some([["a", f"b{i}"] for i in range(count)])),
    "never": pa.array([None] * count, pa.int32()),
}
pq.write_table(pa.table(columns), os.path.join(folder, "typed.parquet"), row_group_size=5)
prices = pa.array([decimal.Decimal("1.50")] * count)
pq.write_table(
    pa.table({"key": columns["key"], "price": prices}), os.path.join(folder, "decimal.parquet")
)


def in_json(name, scalar):
    if name == "nanos" and scalar.is_valid:
        seconds, below = divmod(scalar.value, 10**9)
        at = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{below:09}".removesuffix("000000") + "Z"
    value = None if name == "nanos" else scalar.as_py()
    if isinstance(value, int) and abs(value) > 2**53:
        return str(value)
    if isinstance(value, dt.datetime):
        text = value.isoformat(timespec="milliseconds" if value.microsecond % 1000 == 0 else "microseconds")
        return text.replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else value


rows = [
    {name: in_json(name, columns[name][i]) for name in columns} for i in range(count)
]
with open(os.path.join(folder, "typed.json"), "w", encoding="utf-8") as file:
    json.dump(rows, file, ensure_ascii=False, indent=1)
    file.write("\n")
