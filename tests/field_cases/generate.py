"""Writes types.parquet: columns of the types that pandas, PyArrow and Polars write, for the tests of crates/data.

pip install pyarrow==26.0.1; python generate.py
"""

import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

time = datetime.datetime(2026, 1, 2)
turn = lambda role, content: {"role": role, "content": content, "at": time}
sample = lambda text, score: {"text": text, "score": score}
columns = {
    "text": pa.array(["one", "two", None]),
    "int8": pa.array([1, -2, None], pa.int8()),
    "int16": pa.array([300, None, 3], pa.int16()),
    "uint8": pa.array([255, 1, None], pa.uint8()),
    "uint64": pa.array([2**64 - 1, 1, None], pa.uint64()),
    "half": pa.array([0.5, None, -2.0], pa.float16()),
    "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("-0.01"), None]),
    "truth": pa.array([True, False, None]),
    "binary": pa.array([b"one", b"caf\xe9", None]),
    "nothing": pa.nulls(3),
    "category": pa.array(["sft", "ppo", None]).dictionary_encode(),
    "numbers": pa.array([3, 5, None]).dictionary_encode(),
    "time": pa.array([time, time, None]),
    "one": pa.array([["only"], ["lonely"], None]),
    "texts": pa.array([["a", "b"], [], None]),
    "fixed": pa.array([["a", "b"], ["c", "d"], None], pa.list_(pa.string(), 2)),
    "samples": pa.array([[sample("a", 0.25), sample("b", 0.5)], [sample("c", None)], []]),
    "prompt": pa.array([{"text": "p", "time": time, "map": [("k", 1)]}, {"text": None, "time": time, "map": []}, None],
                       pa.struct([("text", pa.string()), ("time", pa.timestamp("us")), ("map", pa.map_(pa.string(), pa.int8()))])),
    "chat": pa.array([[turn("user", "Hi"), turn("assistant", "Ho")], [turn("user", "Again")], None]),
    "deep": pa.array([{"list": [{"texts": ["x", "y"]}]}, {"list": [{"texts": ["z"]}]}, {"list": []}]),
}
pq.write_table(pa.table(columns), pathlib.Path(__file__).parent / "types.parquet")
