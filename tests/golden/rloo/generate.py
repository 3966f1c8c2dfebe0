"""Leave-one-out advantages and their loss: see `../fixture.py` for the commands, `../requirements.txt` for what they need.

Utilities come from the measures alone, baselines from batches without the episode, gradients from finite differences.
"""

import itertools
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
from fixture import single

HERE = Path(__file__).parent
# name, responses to each of how many prompts, objective, its setting, over
CASES = [
    ("mean", 4, 3, "mean", None, "batch"),
    ("mean_of_pairs", 2, 5, "mean", None, "batch"),
    ("keep_lowest", 4, 3, "keep_lowest", 0.4, "batch"),
    ("cvar_over_batch", 3, 4, "cvar", 0.4, "batch"),
    ("cvar_over_prompt", 4, 3, "cvar", 0.5, "prompt"),
    ("worst_of_two_over_prompt", 3, 3, "worst_of", 2, "prompt"),
    ("worst_of_two_over_pairs", 2, 4, "worst_of", 2, "prompt"),
    ("entropic_over_batch", 4, 2, "entropic", 0.7, "batch"),
    ("entropic_over_prompt", 5, 2, "entropic", 0.7, "prompt"),
]


def draw(seed: int) -> dict:
    random = np.random.default_rng(seed)
    cases = []
    for name, responses, prompts, objective, setting, over in CASES:
        count = responses * prompts
        lengths = random.integers(1, 6, count)
        rows = lambda make: [single(make(length).astype(np.float32)) for length in lengths]
        old = rows(lambda length: -2 + 0.6 * random.normal(size=length))
        beside = lambda size: [single((np.array(row) + size * random.normal(size=len(row))).astype(np.float32)) for row in old]
        inputs = {
            "prompts": np.repeat(np.arange(prompts), responses).tolist(),
            "scores": single((2 * random.normal(size=count)).astype(np.float32)),
            "old_logprobs": old,
            "ref_logprobs": beside(0.5),
            "new_logprobs": beside(0.25),
        }
        settings = {"objective": objective, "setting": setting, "over": over, "kl_coef": 0.3, "clip": 0.2}
        cases.append({"name": name, **settings, "inputs": inputs})
    return {"cases": cases}


def utilities_of(case: dict, scores: np.ndarray) -> np.ndarray:
    """The utilities of scores that have one group in common."""
    setting = case["setting"]
    if case["objective"] in ("mean", "keep_lowest"):
        return scores
    if case["objective"] == "entropic":
        powers = np.exp(-setting * scores)
        return -np.log(powers.mean()) / setting + (1 - powers / powers.mean()) / setting
    if case["objective"] == "cvar":
        measure = lambda returns: max(cut - np.maximum(cut - returns, 0).mean() / setting for cut in returns)
    else:
        chosen = min(setting, len(scores))
        measure = lambda returns: np.mean([min(some) for some in itertools.combinations(returns, chosen)])
    return marginal(measure, scores)


def marginal(measure: Callable[[np.ndarray], float], scores: np.ndarray) -> np.ndarray:
    """What each score adds to the measure over a low one in its place, with slope 1 at the lowest."""
    below = scores.min() - 1
    swapped = [np.where(np.arange(len(scores)) == place, below, scores) for place in range(len(scores))]
    slope = measure(scores) - measure(swapped[int(scores.argmin())])
    return np.array([(measure(scores) - measure(swap)) / slope + below for swap in swapped])


def utilities(case: dict, scores: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    if case["over"] == "batch":
        return utilities_of(case, scores)
    found = np.empty(len(scores))
    for prompt in np.unique(prompts):
        found[prompts == prompt] = utilities_of(case, scores[prompts == prompt])
    return found


def answer(cases: dict) -> dict:
    return {"cases": [of_case(case) for case in cases["cases"]]}


def of_case(case: dict) -> dict:
    given = case["inputs"]
    exact = lambda row: np.array(row, dtype=np.float32).astype(np.float64)
    prompts, scores = np.array(given["prompts"]), exact(given["scores"])
    old, reference, new = ([exact(row) for row in given[f"{which}_logprobs"]] for which in ("old", "ref", "new"))
    count = len(scores)
    penalties = np.array([case["kl_coef"] * (row - of_reference).sum() for row, of_reference in zip(old, reference)])
    worth = utilities(case, scores, prompts)
    returns = worth - penalties
    baselines = np.empty(count)
    for place in range(count):
        left = np.arange(count) != place
        same = prompts[left] == prompts[place]
        baselines[place] = (utilities(case, scores[left], prompts[left])[same] - penalties[left][same]).mean()
    advantages = returns - baselines
    if case["objective"] in ("mean", "keep_lowest"):
        # as TRL's RLOOTrainer writes it
        responses = int((prompts == prompts[0]).sum())
        rewards = returns.reshape(-1, responses).T
        of_others = (rewards.sum(0) - rewards) / (responses - 1)
        assert np.allclose((rewards - of_others).T.flatten(), advantages)
    keep = np.arange(count)
    if case["objective"] == "keep_lowest":
        kept = math.ceil(Fraction(repr(case["setting"])) * count)
        keep = np.sort(np.argsort(returns, kind="stable")[:kept])

    before = np.concatenate([old[place] for place in keep])
    after = np.concatenate([new[place] for place in keep])
    of_tokens = np.concatenate([np.full(len(old[place]), advantages[place]) for place in keep])

    def loss(log_probs: np.ndarray) -> float:
        ratio = np.exp(log_probs - before)
        clipped = np.clip(ratio, 1 - case["clip"], 1 + case["clip"])
        return float(np.maximum(-of_tokens * ratio, -of_tokens * clipped).mean())

    def slope(token: int) -> float:
        step = np.where(np.arange(len(after)) == token, 1e-6, 0.0)
        return (loss(after + step) - loss(after - step)) / 2e-6

    expect = {
        "kl_penalties": penalties.tolist(),
        "utilities": worth.tolist(),
        "baselines": baselines.tolist(),
        "advantages": advantages.tolist(),
        "keep": keep.tolist(),
        "policy_loss": loss(after),
        "gradient": [slope(token) for token in range(len(after))],
    }
    return {**{key: value for key, value in case.items() if key != "expect"}, "expect": expect}


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-5)
