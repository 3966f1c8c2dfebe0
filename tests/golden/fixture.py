"""What the `generate.py` of every folder shares: the command line, the numbers as text, the comparison.

    python generate.py               computes the answers anew from the inputs that are there, and compares
    python generate.py --write SEED  draws other inputs, and writes them with their answers
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

# The inputs of a file of cases, drawn from a seed; the same cases with their answers.
Draw = Callable[[int], dict]
Answer = Callable[[dict], dict]


def single(values) -> object:
    """Float32 numbers as the shortest decimals that read back to them."""
    if isinstance(values, torch.Tensor):
        values = values.detach().numpy()
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        values = values.astype(np.float32)
    if isinstance(values, (list, np.ndarray)) and np.ndim(values) > 0:
        return [single(value) for value in values]
    return float(str(np.float32(values)))


def differences(expected, found, relative: bool, where: str = "") -> list[tuple[float, str]]:
    """How far each number is off, divided by 1 + its size if `relative`; infinitely far where anything else differs."""
    apart = lambda: [(math.inf, f"{where}: {str(expected)[:80]} is now {str(found)[:80]}")]
    if isinstance(expected, dict) and isinstance(found, dict):
        if list(expected) != list(found):
            return [(math.inf, f"{where}: keys {list(expected)} are now {list(found)}")]
        return [each for key in expected for each in differences(expected[key], found[key], relative, f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return [(math.inf, f"{where}: {len(expected)} entries are now {len(found)}")]
        pairs = enumerate(zip(expected, found))
        return [each for at, (one, other) in pairs for each in differences(one, other, relative, f"{where}[{at}]")]
    if isinstance(expected, float) and isinstance(found, float):
        scale = 1 + abs(expected) if relative else 1.0
        return [(abs(expected - found) / scale, f"{where}: {expected} is now {found}")]
    return [] if type(expected) is type(found) and expected == found else apart()


def main(folder: Path, files: dict[str, tuple[Draw, Answer]], tolerance: float, relative: bool = True) -> None:
    """Checks or writes the files of a folder. `tolerance` is that of the tests in Rust."""
    parser = argparse.ArgumentParser(description="Checks the golden numbers of this folder, or writes others.")
    parser.add_argument("--write", type=int, metavar="SEED", help="draw other inputs, and write them with their answers")
    seed = parser.parse_args().write
    torch.set_num_threads(1)
    is_right = True
    for name, (draw, answer) in files.items():
        path = folder / name
        if seed is not None:
            path.write_text(json.dumps(answer(draw(seed)), ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{path}: written")
            continue
        cases = json.loads(path.read_text(encoding="utf-8"))
        # through JSON, as what is there went
        found = json.loads(json.dumps(answer(json.loads(json.dumps(cases)))))
        off = sorted(differences(cases, found, relative), key=lambda each: -each[0])
        wrong = [where for distance, where in off if not distance <= tolerance]
        is_right &= not wrong
        print(f"{path}: {len(off)} numbers, off by at most {off[0][0] if off else 0:.1e}, {tolerance:g} allowed")
        for where in wrong[:10]:
            print(f"  {where}")
    sys.exit(0 if is_right else 1)
