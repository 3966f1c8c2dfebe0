"""Schedules and risk measures: see `../fixture.py` for the commands, `../requirements.txt` for what they need."""

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
LEVELS = [0.01, 0.05, 0.07, 0.1, 0.2, 0.25, 0.3, 0.5, 0.55, 0.7, 0.75, 0.9, 1.0]
LAMBDAS = [0.1, 1.0, 5.0]
# B, alpha, n, rho, M
SCHEDULES = [
    (128, 0.4, 2, 0.95, 194),
    (64, 0.2, 20, 0.9, 150),
    (100, 0.2, 70, 0.8, 194),
    (100, 0.07, 5, 0.55, 100),
    (256, 0.05, 0, 0.98, 400),
    (32, 0.01, 1, 0.8, 30),
    (8, 0.4, 2, 0.5, 20),
    (1, 0.3, 3, 0.9, 12),
    (16, 1.0, 2, 0.5, 12),
    (12, 0.25, 10, 0.5, 12),
    (12, 0.25, 6, 0.5, 12),
    (7, 0.35, 5, 0.5, 12),
    (10, 0.7, 0, 1.0, 10),
    (4, 0.5, 0, 0.1, 1),
]


def decimal(number: float) -> Fraction:
    """A number as it is written."""
    return Fraction(repr(number))


def draw_schedules(seed: int) -> dict:
    random = np.random.default_rng(seed)
    rows = []
    for batch, alpha, warmup, rho, most in SCHEDULES:
        end = math.ceil(decimal(rho) * most)
        around = [at + step for at in (warmup, end, most) for step in (-1, 0, 1)]
        drawn = random.integers(0, most + 5, 10).tolist()
        iterations = sorted({at for at in [0, *around, *drawn] if at >= 0})
        rows += [{"B": batch, "alpha": alpha, "n": warmup, "rho": rho, "M": most, "m": at} for at in iterations]
    return {"rows": rows}


def kept(row: dict, number) -> int:
    """Eqs. 8 to 10, with alpha and rho as `number` reads them."""
    batch, warmup, at = row["B"], row["n"], row["m"]
    alpha = number(row["alpha"])
    end = math.ceil(number(row["rho"]) * row["M"])
    if at <= warmup:
        return batch
    if at >= end:
        return math.ceil(alpha * batch)
    slope = (1 - alpha) / (end - warmup)
    return math.ceil(batch * max(alpha, 1 - slope * (at - warmup)))


def answer_schedules(cases: dict) -> dict:
    def answered(row: dict) -> dict:
        keep, plain = kept(row, decimal), kept(row, float)
        inputs = {key: row[key] for key in ("B", "alpha", "n", "rho", "M", "m")}
        return {**inputs, "keep": keep, **({} if plain == keep else {"keep_in_plain_double_arithmetic": plain})}

    return {"rows": [answered(row) for row in cases["rows"]]}


def draw_measures(seed: int) -> dict:
    random = np.random.default_rng(seed)
    arrays = {
        "random": random.normal(size=13),
        "random_hundred": 8 * random.normal(size=100),
        "ties": random.integers(-2, 3, 19).astype(float),
        "ten": random.permutation(10).astype(float) + 1,
        "single": random.normal(size=1),
        "all_equal": np.full(7, random.normal()),
        "two": random.normal(size=2),
        "large": 1e30 * random.normal(size=9),
        "small": 1e-30 * random.normal(size=9),
        "mixed_magnitudes": random.permutation([1e-30, -2.5, -3e29, 70_000.0, 1e30, -1e30, 0.0, 3.25]),
        "one_disaster": np.array([1.0, 1.0, -1e6, 1.0, 1.0, 1.0]),
    }
    return {"arrays": [{"name": name, "values": single(values)} for name, values in arrays.items()]}


def answer_measures(cases: dict) -> dict:
    return {"arrays": [measures(array["name"], array["values"]) for array in cases["arrays"]]}


def measures(name: str, written: list[float]) -> dict:
    values = np.array(written, dtype=np.float32).astype(np.float64)
    lowest = np.sort(values)

    def level(alpha: float) -> dict:
        count = math.ceil(decimal(alpha) * len(values))
        quantile = lowest[count - 1]
        return {
            "alpha": alpha,
            "count": count,
            "quantile": float(quantile),
            "cvar_lowest_mean": float(lowest[:count].mean()),
            "cvar_conditional_mean": float(values[values <= quantile].mean()),
            "cvar_rockafellar_uryasev": float(quantile - np.maximum(quantile - values, 0).mean() / alpha),
            "numpy_inverted_cdf": float(np.quantile(values, alpha, method="inverted_cdf")),
        }

    def entropic(rate: float) -> dict:
        powers = -rate * values
        most = powers.max()
        return {"lambda": rate, "value": float(-(most + np.log(np.exp(powers - most).mean())) / rate)}

    levels, entropics = [level(alpha) for alpha in LEVELS], [entropic(rate) for rate in LAMBDAS]
    return {"name": name, "values": written, "mean": float(values.mean()), "levels": levels, "entropic": entropics}


def draw_utilities(seed: int) -> dict:
    random = np.random.default_rng(seed)
    arrays = {
        "random": 2 * random.normal(size=11),
        "ties": random.integers(-2, 3, 9).astype(float),
        "four": random.normal(size=4),
        "two": random.normal(size=2),
        "single": random.normal(size=1),
        "all_equal": np.full(5, random.normal()),
        "one_disaster": np.array([1.0, 0.5, -30.0, 1.5, 1.0, 2.0]),
    }
    return {"arrays": [{"name": name, "values": single(values)} for name, values in arrays.items()]}


def answer_utilities(cases: dict) -> dict:
    return {"arrays": [utilities(array["name"], array["values"]) for array in cases["arrays"]]}


def marginal(measure: Callable[[np.ndarray], float], values: np.ndarray) -> tuple[list[float], float]:
    """Utilities from the measure alone: what each return adds to it over a low one in its place, where the lowest return's slope
    is 1; and that slope in the measure, times n."""
    below = values.min() - 1
    swapped = [np.where(np.arange(len(values)) == place, below, values) for place in range(len(values))]
    worst = int(values.argmin())
    slope = measure(values) - measure(swapped[worst])
    return [float((measure(values) - measure(swap)) / slope + below) for swap in swapped], float(slope * len(values))


def utilities(name: str, written: list[float]) -> dict:
    values = np.array(written, dtype=np.float32).astype(np.float64)
    count = len(values)

    def answer(measure: Callable[[np.ndarray], float], **setting) -> dict:
        found, scale = marginal(measure, values)
        return {**setting, "value": float(measure(values)), "utilities": found, "scale": scale}

    def best_cut(alpha: float) -> Callable[[np.ndarray], float]:
        return lambda returns: max(cut - np.maximum(cut - returns, 0).mean() / alpha for cut in returns)

    def cvar(alpha: float) -> dict:
        whole = alpha * count >= 1
        eta = float(np.quantile(values, alpha, method="interpolated_inverted_cdf")) if whole else float(values.min())
        row = answer(best_cut(alpha), alpha=alpha)
        capped = np.minimum(values, eta)
        assert np.allclose(capped, row["utilities"], atol=1e-9), (name, alpha)
        return {**row, "eta": eta, "utilities": capped.tolist()}

    def worst_of(most: int) -> dict:
        mean_worst = lambda returns: float(np.mean([min(chosen) for chosen in itertools.combinations(returns, most)]))
        return answer(mean_worst, k=most)

    def spectral(parts: list[float]) -> dict:
        shares = [Fraction(part) / sum(map(Fraction, parts)) for part in parts]
        # the mass below a share of the ranks
        mass = lambda share: sum(part * min(max(share * len(parts) - place, 0), 1) for place, part in enumerate(shares))
        weights = [float(mass(Fraction(rank + 1, count)) - mass(Fraction(rank, count))) for rank in range(count)]
        return answer(lambda returns: float(np.sort(returns) @ weights), parts=parts)

    def mixture(share: float, alpha: float) -> dict:
        return answer(lambda returns: share * returns.mean() + (1 - share) * best_cut(alpha)(returns), share=share, alpha=alpha)

    def entropic(rate: float) -> dict:
        powers = np.exp(-rate * values)
        value = float(-np.log(powers.mean()) / rate)
        influence = (1 - powers / powers.mean()) / rate
        return {"lambda": rate, "value": value, "utilities": (value + influence).tolist(), "scale": 1.0}

    return {
        "name": name,
        "values": written,
        "cvar": [cvar(alpha) for alpha in (0.1, 0.25, 0.4, 0.5, 0.7, 1.0)],
        "worst_of": [worst_of(most) for most in (1, 2, 4) if most <= count],
        "spectral": [spectral(parts) for parts in ([4.0, 3.0, 2.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.125])],
        "mixture": [mixture(share, alpha) for share, alpha in ((0.3, 0.2), (0.5, 0.5), (0.0, 0.4), (1.0, 0.4))],
        "entropic": [entropic(rate) for rate in (0.1, 0.5, 2.0)],
    }


if __name__ == "__main__":
    files = {
        "schedule.json": (draw_schedules, answer_schedules),
        "measures.json": (draw_measures, answer_measures),
        "utilities.json": (draw_utilities, answer_utilities),
    }
    fixture.main(HERE, files, tolerance=1e-5)
