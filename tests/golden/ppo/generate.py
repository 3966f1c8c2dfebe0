"""Rewards, advantages, losses and the KL controller: see `../fixture.py` for the commands, `../requirements.txt` for what they need.

The formulas are those of TRL's `PPOTrainer`, called without a trainer; the risk mask, which TRL does not have, is written out here.
"""

import math
import sys
from fractions import Fraction
from pathlib import Path
from types import MethodType, SimpleNamespace

import numpy as np
import torch
from trl import PPOTrainer
from trl.core import logprobs_from_logits, masked_whiten
from trl.trainer.utils import AdaptiveKLController

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
from fixture import single

HERE = Path(__file__).parent
LEVELS = [0.1, 0.2, 0.34, 0.4, 0.5, 0.75, 1.0]
SETTINGS = {"gamma": 1.0, "lam": 0.95, "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1, "ratio_threshold": 10.0}
# name, columns, entries of the vocabulary, KL coefficient, first and last column of each response
CASES = [
    ("ragged", 10, 9, 0.2, [(2, 5), (3, 9), (4, 4), (0, 4), (4, 9), (5, 7)]),
    ("ties", 7, 6, 0.07, [(1, 4), (2, 6), (1, 5), (3, 6), (2, 6), (1, 5), (2, 6), (1, 3)]),
    ("one_episode", 6, 5, 0.2, [(1, 4)]),
    ("ratio_above_threshold", 6, 5, 0.2, [(1, 4), (1, 5), (2, 3)]),
    ("long_with_64_token_prompts", 78, 4, 0.2, [(63, 76), (63, 70), (63, 77), (63, 66), (63, 73)]),
]
# In the reference code episodes are ranked by the value in this column.
RANKING_COLUMN = 63


def draw(seed: int) -> dict:
    random = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=random)
    cases = []
    for name, columns, entries, kl_coef, responses in CASES:
        batch = len(responses)
        mask = torch.tensor([[int(begin <= at <= end) for at in range(columns)] for begin, end in responses])
        tokens = torch.randint(0, entries, (batch, columns), generator=random)
        logits = 2 * normal(batch, columns, entries)
        log_probs = logprobs_from_logits(logits, tokens)
        old = log_probs + 0.25 * normal(batch, columns)
        if name == "ratio_above_threshold":
            old -= 4.0
        reference, values, scores = old + 0.7 * normal(batch, columns), normal(batch, columns), 2 * normal(batch)
        if name == "ties":
            # episodes 1, 4 and 6 are alike, and so are 2 and 5
            for at, other in [(4, 1), (6, 1), (5, 2)]:
                for rows in (old, reference, scores):
                    rows[at] = rows[other]
        inputs = {
            "mask": mask.tolist(),
            "tokens": tokens.tolist(),
            "new_logits": single(logits),
            "old_logprobs": single(old),
            "ref_logprobs": single(reference),
            "values": single(values),
            "scores": single(scores),
            "new_values": single(values + 0.4 * normal(batch, columns)),
        }
        sizes = {"name": name, "B": batch, "T": columns, "V": entries}
        risk = {"masks": [{"alpha": alpha} for alpha in LEVELS], "ppo_on_kept_episodes": {"alpha": 0.5}}
        cases.append({**sizes, "kl_coef": kl_coef, **SETTINGS, "inputs": inputs, "paper_risk": risk})
    current = [0.0, 6.0, 7.2, 7.3, 100.0, 4.8, -3.0, *np.random.default_rng(seed).uniform(0, 15, 13).round(4).tolist()]
    steps = [128, 256, 1, 128, 64, 1000, 128, *np.random.default_rng(seed + 1).integers(1, 300, 13).tolist()]
    updates = [{"current_kl": kl, "n_steps": count} for kl, count in zip(current, steps)]
    return {"cases": cases, "kl_controller": {"init": 0.2, "target": 6.0, "horizon": 10_000, "K_beta": 0.1, "updates": updates}}


def answer(cases: dict) -> dict:
    return {"cases": [of_case(case) for case in cases["cases"]], "kl_controller": of_controller(cases["kl_controller"])}


def trainer(case: dict, kl_penalty: str = "kl") -> SimpleNamespace:
    """What TRL's functions ask of the trainer that they belong to."""
    settings = {key: case[key] for key in SETTINGS}
    config = SimpleNamespace(**settings, kl_penalty=kl_penalty, whiten_rewards=False)
    made = SimpleNamespace(config=config, kl_ctl=SimpleNamespace(value=case["kl_coef"]))
    for name in ("compute_rewards", "_kl_penalty", "compute_advantages", "loss"):
        setattr(made, name, MethodType(getattr(PPOTrainer, name), made))
    return made


def of_case(case: dict) -> dict:
    given = case["inputs"]
    mask, tokens = torch.tensor(given["mask"]), torch.tensor(given["tokens"])
    floats = ("new_logits", "old_logprobs", "ref_logprobs", "values", "scores", "new_values")
    logits, old, reference, values, scores, new_values = (torch.tensor(given[key]) for key in floats)
    log_probs = logprobs_from_logits(logits, tokens)
    ppo = trainer(case)
    at_mask = lambda rows: single(rows * mask)

    rewards, penalties, kl = ppo.compute_rewards(scores, old, reference, mask)
    masked_values, whitened, returns = ppo.compute_advantages(values, rewards, mask)
    raw = returns - masked_values
    kl_per_episode = (kl * mask).sum(dim=-1)
    penalty = lambda kind: at_mask(trainer(case, kind).compute_rewards(scores, old, reference, mask)[2])

    def loss(mask, advantages) -> dict:
        new, predicted = log_probs.clone().requires_grad_(), new_values.clone().requires_grad_()
        policy, value, stats = ppo.loss(old, masked_values, logits, predicted, new, mask, advantages, returns)
        (policy + value).backward()
        numbers = {key: single(stat) for key, stat in stats.items() if stat.ndim == 0}
        mean_ratio = (stats["policy/ratio"] * mask).sum() / mask.sum()
        return {
            **numbers,
            "ratio_mean": single(mean_ratio),
            "total_loss_grad_wrt_new_logprobs": single(new.grad),
            "total_loss_grad_wrt_vpreds": single(predicted.grad),
        }

    expect = {
        "kl_rewards_at_mask": at_mask(penalties),
        "rewards_at_mask": at_mask(rewards),
        "advantages_raw_at_mask": at_mask(raw),
        "returns_at_mask": at_mask(returns),
        "advantages_whitened_at_mask": at_mask(whitened),
        "advantages_whitened_keep_mean_at_mask": at_mask(masked_whiten(raw, mask, shift_mean=False)),
        "kl_per_episode": single(kl_per_episode),
        "kl_mean": single(kl_per_episode.mean()),
        "kl_penalty_abs_at_mask": penalty("abs"),
        "kl_penalty_mse_at_mask": penalty("mse"),
        "loss": loss(mask, whitened),
    }

    episode_returns = (rewards * mask).sum(dim=-1)
    order = torch.argsort(episode_returns, stable=True).tolist()

    def lowest(alpha: float) -> list[bool]:
        kept = order[: math.ceil(Fraction(repr(alpha)) * len(order))]
        return [at in kept for at in range(len(order))]

    levels = [mask["alpha"] for mask in case["paper_risk"]["masks"]]
    level = case["paper_risk"]["ppo_on_kept_episodes"]["alpha"]
    keep = torch.tensor(lowest(level))
    kept_mask = mask * keep[:, None]
    kept_advantages = masked_whiten(raw, kept_mask)
    sums = (kl * kept_mask).sum(dim=-1)
    paper_risk = {
        "episode_returns": single(episode_returns),
        "masks": [{"alpha": alpha, "keep_count": sum(lowest(alpha)), "keep": lowest(alpha)} for alpha in levels],
        "ppo_on_kept_episodes": {
            "alpha": level,
            "keep": keep.tolist(),
            "mask": kept_mask.tolist(),
            "whitened_advantages_at_mask": single(kept_advantages * kept_mask),
            "loss": loss(kept_mask, kept_advantages),
            "kl_mean_over_kept": single(sums.sum() / keep.sum()),
            "kl_mean_over_batch": single(sums.mean()),
        },
    }
    sizes = {key: value for key, value in case.items() if key not in ("inputs", "expect", "paper_risk", "reference_only")}
    inputs = {key: given[key] for key in ("mask", "tokens", *floats[:-1])}
    inputs |= {"new_logprobs": single(log_probs), "new_values": given["new_values"]}
    answered = {**sizes, "inputs": inputs, "expect": expect, "paper_risk": paper_risk}
    if case["T"] > RANKING_COLUMN:
        answered["reference_only"] = reference_only(returns[:, RANKING_COLUMN])
    return answered


def reference_only(ranking: torch.Tensor) -> dict:
    """The mask of the code that accompanies the paper: all episodes up to the quantile of the GAE returns in one column."""
    count = math.ceil(Fraction("0.4") * len(ranking))
    return {
        "note": "what the reference code does; for reading, not a target",
        "ranking_values_column_63": single(ranking),
        "keep_count_asked": count,
        "kept": (ranking <= ranking.sort().values[count - 1]).tolist(),
    }


def of_controller(case: dict) -> dict:
    trl = AdaptiveKLController(case["init"], case["target"], case["horizon"])
    coefficient, updates = case["init"], []
    for update in case["updates"]:
        trl.update(update["current_kl"], update["n_steps"])
        error = min(max(update["current_kl"] / case["target"] - 1, -0.2), 0.2)
        coefficient *= 1 + case["K_beta"] * error
        inputs = {key: update[key] for key in ("current_kl", "n_steps")}
        updates.append({**inputs, "kl_coef_trl": float(trl.value), "kl_coef_paper_eq4": float(coefficient)})
    return {**{key: case[key] for key in ("init", "target", "horizon", "K_beta")}, "updates": updates}


if __name__ == "__main__":
    fixture.main(HERE, {"cases.json": (draw, answer)}, tolerance=1e-5)
