"""Logits to probabilities: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import sys
from pathlib import Path

import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
from fixture import single

HERE = Path(__file__).parent
VOCABULARY = 23
# temperature, top-k, top-p
SETTINGS = [
    (1.0, 0, 1.0),
    (0.7, 0, 1.0),
    (1.5, 0, 1.0),
    (1.0, 1, 1.0),
    (1.0, 5, 1.0),
    (1.0, 33, 1.0),
    (1.0, 0, 0.9),
    (1.0, 0, 0.5),
    (1.0, 0, 0.001),
    (0.5, 8, 0.8),
    (2.0, 10, 0.95),
]


def draw(seed: int) -> dict:
    random = torch.Generator().manual_seed(seed)
    case = lambda what, logits, setting: {
        "what": what,
        "logits": single(logits),
        **dict(zip(("temperature", "top_k", "top_p"), setting)),
    }
    rows = [(4.0 - row) * torch.randn(VOCABULARY, generator=random) for row in range(4)]
    cases = [case(f"row {at}", row, setting) for at, row in enumerate(rows) for setting in SETTINGS]
    ties = torch.randn(VOCABULARY, generator=random)
    ties[[2, 7, 11, 19]] = ties.max() + 1
    cases += [case("ties at the k-th largest value are all kept", ties, (1.0, k, 1.0)) for k in range(1, 6)]
    cases.append(case("all logits equal", torch.zeros(VOCABULARY), (0.3, 3, 1.0)))
    return {"cases": cases}


def answer(cases: dict) -> dict:
    def answered(case: dict) -> dict:
        logits = torch.tensor([case["logits"]])
        warpers = [TemperatureLogitsWarper(case["temperature"])]
        if case["top_k"] > 0:
            warpers.append(TopKLogitsWarper(case["top_k"]))
        if case["top_p"] < 1.0:
            warpers.append(TopPLogitsWarper(case["top_p"]))
        for warper in warpers:
            logits = warper(None, logits)
        inputs = {key: case[key] for key in ("what", "logits", "temperature", "top_k", "top_p")}
        kept = logits[0].isfinite().tolist()
        return {**inputs, "kept": kept, "probabilities": single(logits[0].softmax(dim=-1))}

    order = "temperature, then top_k, then top_p, then softmax"
    return {"order": order, "cases": [answered(case) for case in cases["cases"]]}


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-5)
