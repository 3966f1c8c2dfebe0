"""Quark's loss and its gradient with respect to the logits: see `../fixture.py` for the commands.

The loss is that of the authors' code (Lu et al., NeurIPS 2022), written out in double precision. The gradient is taken by complex steps
(the imaginary part of the loss at z + ih, divided by h), which know nothing of any formula for it.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
from fixture import single

HERE = Path(__file__).parent
# name, tokens, vocabulary, temperature, masked token, weights of KL and entropy
CASES = [
    ("paper", 6, 11, 1.0, None, 0.05, 0.06),
    ("masked_and_cold", 5, 9, 0.7, 8, 0.05, 0.06),
    ("strong", 4, 7, 1.0, 2, 0.8, 0.3),
    ("likelihood_alone", 3, 5, 1.0, None, 0.0, 0.0),
]
STEP = 1e-30


def draw(seed: int) -> dict:
    random = np.random.default_rng(seed)
    cases = []
    for name, tokens, vocabulary, temperature, masked, kl_coef, entropy_coef in CASES:
        drawable = [token for token in range(vocabulary) if token != masked]
        cases.append({
            "name": name,
            "temperature": temperature,
            "masked": masked,
            "kl_coef": kl_coef,
            "entropy_coef": entropy_coef,
            "logits": single(2 * random.normal(size=(tokens, vocabulary))),
            "reference": single(2 * random.normal(size=(tokens, vocabulary))),
            "targets": [int(token) for token in random.choice(drawable, tokens)],
        })
    return {"cases": cases}


def terms(case: dict, logits: np.ndarray) -> list:
    """Sums over the tokens of -log pi(y), KL(pi || pi_ref) and H(pi); the logits may be complex."""
    keep = [token for token in range(logits.shape[1]) if token != case["masked"]]
    log_softmax = lambda rows: rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    of_policy = log_softmax(logits[:, keep] / case["temperature"])
    of_reference = log_softmax(np.array(case["reference"])[:, keep] / case["temperature"])
    chosen = [keep.index(token) for token in case["targets"]]
    nll = -of_policy[np.arange(len(chosen)), chosen].sum()
    kl = (np.exp(of_policy) * (of_policy - of_reference)).sum()
    entropy = -(np.exp(of_policy) * of_policy).sum()
    return [nll, kl, entropy]


def answer(cases: dict) -> dict:
    answers = []
    for case in cases["cases"]:
        logits = np.array(case["logits"])
        loss = lambda values: np.dot([1.0, case["kl_coef"], -case["entropy_coef"]], terms(case, values))
        gradient = np.zeros_like(logits)
        for at in np.ndindex(*logits.shape):
            moved = logits.astype(complex)
            moved[at] += 1j * STEP
            gradient[at] = loss(moved).imag / STEP
        nll, kl, entropy = (float(term) for term in terms(case, logits))
        answers.append(case | {"nll": nll, "kl": kl, "entropy": entropy, "gradient": gradient.tolist()})
    return {"cases": answers}


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, 1e-5)
