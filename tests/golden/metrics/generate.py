"""Diversity, buckets and tails: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import fixture
import intervals
from fixture import single

HERE = Path(__file__).parent
WORDS = "a and bad cast fast film funny good it liked plot scene slow story the very was".split()
# prompts, buckets
SIZES = [(20, 5), (23, 5), (40, 10), (3, 3), (7, 2)]


def draw(seed: int) -> dict:
    random = np.random.default_rng(seed)
    sentence = lambda: " ".join(random.choice(WORDS, random.integers(3, 25)))
    texts = {
        "random": [sentence() for _ in range(9)],
        "short": ["", "one", "one two", "  three  four ", "one two three four five"],
        "same": ["the film was good"] * 4,
        "case_and_punctuation": ["Good good GOOD good.", "don't don't, don 't"],
        "empty": [""],
    }
    rewards = []
    for count, buckets in SIZES:
        scores = single(2.5 * random.normal(size=count))
        scores[count // 2] = scores[0]  # a tie
        own = single(0.7 * np.array(scores) + random.normal(size=count))
        # one between the values, one of the values, and one below all
        thresholds = [round(float(np.quantile(scores, 0.3)), 2), sorted(scores)[1], -1e9]
        tails = [{"threshold": threshold} for threshold in thresholds]
        rewards.append({"prompt_scores": scores, "rewards": own, "buckets": buckets, "tails": tails})
    return {"distinct": [{"name": name, "texts": list(each)} for name, each in texts.items()], "rewards": rewards}


def answer(cases: dict) -> dict:
    distinct = [
        {"name": case["name"], "texts": case["texts"], "distinct": [distinct_n(case["texts"], n) for n in (1, 2, 3)]}
        for case in cases["distinct"]
    ]
    return {"distinct": distinct, "rewards": [of_rewards(case) for case in cases["rewards"]]}


def distinct_n(texts: list[str], n: int) -> dict:
    grams = [[tuple(words[at : at + n]) for at in range(len(words) - n + 1)] for words in map(str.split, texts)]
    unique, total = len({gram for text in grams for gram in text}), sum(map(len, grams))
    per_text = [len(set(text)) / len(text) if text else None for text in grams]
    some = [share for share in per_text if share is not None]
    return {
        "n": n,
        "unique": unique,
        "total": total,
        "corpus": unique / total if total else 0.0,
        "per_text": per_text,
        "per_text_mean_skipping_empty": float(np.mean(some)) if some else 0.0,
        "per_text_mean_empty_as_zero": float(np.mean([share or 0.0 for share in per_text])),
    }


def of_rewards(case: dict) -> dict:
    scores, rewards = (np.array(case[key], dtype=np.float32) for key in ("prompt_scores", "rewards"))
    order = np.argsort(scores, kind="stable")
    sorted_scores, sorted_rewards = scores[order].astype(np.float64), rewards[order].astype(np.float64)
    mean = lambda values: float(np.mean(values.astype(np.float64))) if len(values) else None
    # the first are one longer, as array_split has it
    buckets = np.array_split(sorted_rewards, case["buckets"])
    score_buckets = np.array_split(sorted_scores, case["buckets"])

    def cumulative(percent: int) -> dict:
        count = percent * len(scores) // 100
        return {"percent": percent, "count": count, "mean": mean(sorted_rewards[:count])}

    def tail(threshold: float) -> dict:
        by_score, by_reward = (rewards[values <= np.float32(threshold)] for values in (scores, rewards))
        return {
            "threshold": threshold,
            "by_prompt_score_count": len(by_score),
            "by_prompt_score_mean": mean(by_score),
            "by_own_reward_count": len(by_reward),
            "by_own_reward_mean": mean(by_reward),
        }

    return {
        "prompt_scores": case["prompt_scores"],
        "rewards": case["rewards"],
        "mean_reward": mean(rewards),
        "std_reward_population": float(rewards.astype(np.float64).std()),
        "std_reward_sample": float(rewards.astype(np.float64).std(ddof=1)),
        "buckets": case["buckets"],
        "bucket_sizes": [len(bucket) for bucket in buckets],
        "bucket_means": [mean(bucket) for bucket in buckets],
        "bucket_prompt_score_means": [mean(bucket) for bucket in score_buckets],
        "cumulative": [cumulative(percent) for percent in range(1, 101)],
        "tails": [tail(case["threshold"]) for case in case["tails"]],
    }


if __name__ == "__main__":
    files = {"cases.json": (draw, answer), "intervals.json": (intervals.draw, intervals.answer)}
    fixture.main(HERE, files, tolerance=1e-5)
