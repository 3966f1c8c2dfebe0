"""Intervals, p-values, rates of failures and forecasts, written out with numpy, scipy's distributions and its integrals."""

import itertools

import numpy as np
from scipy import integrate, optimize, special, stats

# seeds, prompts, texts a prompt, and the deviations of prompts, of seeds and of texts
DESIGNS = {
    "one_seed": (1, 12, 1, 1.0, 0.0, 0.5),
    "one_seed_of_many_prompts": (1, 260, 1, 0.0, 0.0, 1.0),
    "several_texts": (1, 9, 4, 1.0, 0.0, 0.6),
    "two_seeds": (2, 10, 1, 1.0, 0.3, 0.5),
    "three_seeds_of_several_texts": (3, 8, 3, 1.0, 0.2, 0.5),
    "seeds_differ": (5, 15, 1, 0.3, 1.0, 0.3),
    "neither_prompts_nor_seeds": (3, 20, 1, 0.05, 0.05, 1.0),
}
# prompts of an exponential tail, times
FORECASTS = [(100, 10), (140, 1), (120, 1000)]


def draw(seed: int) -> dict:
    random = np.random.default_rng(seed)
    cases = []
    for name, (seeds, prompts, texts, of_prompts, of_seeds, of_texts) in DESIGNS.items():
        # a long tail below, as rewards have it
        hard = of_prompts * (np.log(random.uniform(size=prompts)) + 1)
        shift = 0.4 + of_seeds * random.normal(size=seeds)
        values = hard[:, None] + shift[:, None, None] + of_texts * random.normal(size=(seeds, prompts, texts))
        by_prompt = lambda seed: [[prompt, round(float(value), 3)] for prompt in range(prompts) for value in seed[prompt]]
        table = [by_prompt(seed) for seed in values]
        count = max(2, prompts * texts // 5)
        threshold = sorted(value for seed in table for _, value in seed)[seeds * prompts * texts // 6] + 0.0005
        numbers = {"count": count, "threshold": round(threshold, 4), "k": min(texts, 2)}
        cases.append({"name": name, "seeds": table} | numbers)
    tails = [[round(float(value), 4) for value in -random.exponential(size=prompts)] for prompts, _ in FORECASTS]
    forecasts = [{"values": values, "times": times} for values, (_, times) in zip(tails, FORECASTS)]
    rates = [{"failed": failed, "texts": texts} for failed, texts in [(0, 17), (1, 40), (5, 12), (30, 400), (9, 9)]]
    freedoms = [1.0, 1.3, 2.0, 3.7, 9.0, 28.5, 60.0, 150.0, 199.9, 200.1, 1000.0]
    student = [{"freedom": freedom, "t": round(float(random.uniform(0.2, 6)), 3)} for freedom in freedoms]
    shapes = [(0.3, 0.7), (0.5, 4.0), (2.5, 1.5), (1.0, 1.0), (14.5, 15.5), (3.0, 120.0), (700.0, 40.0), (2e5, 3e5)]
    # the point below which so much lies, on both sides of the mean and far out
    chances = [1e-6, 0.02, 0.4, 0.7, 0.99]
    betas = [{"a": a, "b": b, "x": float(stats.beta.ppf(chance, a, b))} for a, b in shapes for chance in chances]
    return {"designs": cases, "forecasts": forecasts, "rates": rates, "student": student, "betas": betas}


def answer(cases: dict) -> dict:
    return {
        "designs": [of_design(case) for case in cases["designs"]],
        "forecasts": [forecast(case) for case in cases["forecasts"]],
        "rates": [exact(case) for case in cases["rates"]],
        "student": [of_student(case["freedom"], case["t"]) for case in cases["student"]],
        "betas": [of_beta(case["a"], case["b"], case["x"]) for case in cases["betas"]],
    }


def of_student(freedom: float, t: float) -> dict:
    point, beyond = stats.t.ppf(0.975, freedom), 2 * stats.t.sf(t, freedom)
    return {"freedom": freedom, "t": t, "point": float(point), "beyond": float(beyond)}


def of_beta(a: float, b: float, x: float) -> dict:
    below, ln_gamma = float(stats.beta.cdf(x, a, b)), [float(special.gammaln(shape)) for shape in (a, b)]
    return {"a": a, "b": b, "x": x, "below": below, "ln_gamma": ln_gamma}


def of_design(case: dict) -> dict:
    seeds = [[(prompt, value) for prompt, value in seed] for seed in case["seeds"]]
    failed = [[(prompt, float(value <= case["threshold"])) for prompt, value in seed] for seed in seeds]
    any_failed = [any_of(seed, case["k"]) for seed in failed]
    texts = sum(map(len, seeds))
    means = Account(seeds, of_mean)
    return {
        **{key: case[key] for key in ("name", "seeds", "count", "threshold", "k")},
        "mean": means.estimate() | {"p_value": means.p_value()},
        "lowest": Account(seeds, lambda seed: of_lowest(seed, case["count"])).estimate(),
        "quantile": Account(seeds, lambda seed: of_quantile(seed, case["count"])).estimate(),
        "share": Account(failed, of_mean).estimate(is_share=True),
        "failures": Account(failed, of_mean).rate(texts),
        "any": Account(any_failed, of_mean).rate(texts / case["k"]),
        "needed": [means.prompts_needed(factor) for factor in (1.5, 0.9, 0.4)],
    }


def by_prompt(seed: list, of) -> np.ndarray:
    """Sums of what texts do, prompt by prompt."""
    sums = np.zeros(1 + max(prompt for prompt, _ in seed))
    for prompt, value in seed:
        sums[prompt] += of(value)
    return sums


def of_mean(seed: list) -> tuple[float, np.ndarray]:
    mean = np.mean([value for _, value in seed])
    return mean, by_prompt(seed, lambda value: (value - mean) / len(seed))


def of_lowest(seed: list, count: int) -> tuple[float, np.ndarray]:
    ascending = np.sort([value for _, value in seed])
    cut = ascending[count]
    short = np.minimum(ascending - cut, 0).mean()
    return ascending[:count].mean(), by_prompt(seed, lambda value: (min(value - cut, 0) - short) / count)


def of_quantile(seed: list, count: int) -> tuple[float, np.ndarray]:
    """Woodruff's interval gives the slope of the quantile function, the share below the quantile what prompts do to it."""
    ascending = np.sort([value for _, value in seed])
    quantile, texts = ascending[count - 1], len(seed)
    share = np.mean(ascending <= quantile)
    parts = by_prompt(seed, lambda value: (share - (value <= quantile)) / texts)
    half = stats.norm.ppf(0.975) * np.sqrt(np.sum(parts**2))
    levels = np.arange(1, texts + 1) / texts
    ends = np.clip([count / texts - half, count / texts + half], levels[0], levels[-1])
    low, high = np.interp(ends, levels, ascending)
    return quantile, parts * (high - low) / (ends[1] - ends[0])


def any_of(failed: list, k: int) -> list:
    """The share of all sets of k texts of a prompt in which any fails."""
    prompts = sorted({prompt for prompt, _ in failed})
    own = lambda prompt: [value for other, value in failed if other == prompt]
    sets = lambda prompt: itertools.combinations(own(prompt), k)
    return [(prompt, float(np.mean([max(each) for each in sets(prompt)]))) for prompt in prompts]


class Account:
    """Prompts crossed with seeds: components of variance from covariances of seeds, and what they ask for."""

    def __init__(self, seeds: list, figure):
        figures, parts = zip(*map(figure, seeds))
        self.figures, self.parts = np.array(figures), np.array(parts)
        self.value = self.figures.mean()
        self.seeds, self.prompts = self.parts.shape
        self.components()

    def components(self, prompts: int | None = None) -> None:
        """With another number of prompts, what they do is so much less; of the spread of seeds, what is theirs is."""
        prompts = prompts or self.prompts
        scale = self.prompts / prompts
        mean = self.parts.mean(axis=0)
        self.skew = np.sum(mean**3) * scale**2
        squares = np.sum(mean**2)
        kurtosis = self.prompts * np.sum(mean**4) / squares**2 if squares > 0 else 0.0
        # a kurtosis does not change with the number of prompts
        most = max(prompts - 1, 1)
        by_prompt = np.clip(2 * prompts / (kurtosis - 1), 1, most) if kurtosis > 1 else most
        self.by_prompt, self.count = by_prompt, prompts
        # as if about the true mean
        unbiased = scale * prompts / (prompts - 1)
        if self.seeds == 1:
            self.variance, self.claims = squares * unbiased, [(by_prompt, 1.0)]
            return
        products = self.parts @ self.parts.T
        within = np.trace(products) / self.seeds
        alike = max((products.sum() - np.trace(products)) / (self.seeds * (self.seeds - 1)), 0.0)
        rest = max((within - alike) / self.seeds, 0.0)
        spread = self.figures.var(ddof=1) / self.seeds
        # the part of the spread of seeds that more prompts make smaller
        spread -= min(spread, rest * self.prompts / (self.prompts - 1)) * (1 - scale)
        alike, rest = alike * unbiased, rest * unbiased
        prompts_alone = alike + rest
        by_seed = self.seeds - 1
        self.variance = max(alike + spread, prompts_alone)
        if self.variance <= 0:
            self.claims = [(by_prompt, 1.0)]
            return
        if spread <= rest:
            freedom = by_prompt
        elif alike <= 0:
            freedom = by_seed
        else:
            parts = prompts_alone**2 / by_prompt + spread**2 / by_seed + rest**2 / (by_prompt * by_seed)
            freedom = max(self.variance**2 / parts, 1.0)
        own = lambda part: part / np.sqrt((part + rest) * self.variance)
        self.claims = [(freedom, 1.0), (by_prompt, own(prompts_alone)), (by_seed, own(spread))]

    def reach(self, confidence: float = 0.95) -> float:
        return max(stats.t.ppf((1 + confidence) / 2, freedom) * share for freedom, share in self.claims)

    def interval(self, confidence: float = 0.95) -> list[float]:
        """Hall's interval with half of the skewness."""
        skewness = self.skew / self.variance**1.5 / 2
        # the cube root less 1, to the last digit for the least skewness
        root = lambda x: np.expm1(np.log1p(x) / 3) if x > -1 else np.cbrt(1 + x) - 1
        point = lambda z: 3 / skewness * root(skewness * (z - skewness / 6)) if skewness else z
        error, reach = np.sqrt(self.variance), self.reach(confidence)
        return [float(self.value - error * point(side * reach)) for side in (1, -1)]

    def p_value(self) -> float:
        """One less the confidence at which the interval ends at 0."""
        near = 0 if self.value > 0 else 1
        end = lambda confidence: self.interval(confidence)[near]
        return float(1 - optimize.brentq(end, 1e-12, 1 - 1e-13, xtol=1e-15))

    def wilson(self) -> list[float]:
        texts = self.value * (1 - self.value) / self.variance
        # the shares p whose distance from the value is so many standard errors of p
        z = self.reach()
        off = lambda p: (p - self.value) ** 2 - z**2 * p * (1 - p) / texts
        return [float(optimize.brentq(off, *ends, xtol=1e-15)) for ends in ((0.0, self.value), (self.value, 1.0))]

    def estimate(self, is_share: bool = False) -> dict:
        return {
            "value": float(self.value),
            "se": float(np.sqrt(self.variance)),
            "ci95": self.wilson() if is_share else self.interval(),
            "seeds_std": float(self.figures.std(ddof=1)) if self.seeds > 1 else None,
        }

    def rate(self, most: float) -> dict:
        """Korn and Graubard's interval; exact where texts are independent."""
        is_exact = self.seeds == 1 and self.prompts == most and self.value * (1 - self.value) > 0
        texts = most
        if not is_exact:
            surer = min((stats.t.ppf(0.975, max(most - 1, 1)) / self.reach()) ** 2, 1.0)
            texts = min(self.value * (1 - self.value) / self.variance, most) * surer
        rate = {"value": float(self.value), "independent_texts": float(texts), "is_exact": bool(is_exact)}
        return rate | ends(self.value, texts)

    def prompts_needed(self, factor: float) -> dict:
        """Half of the interval times a factor, and the least number of prompts whose interval reaches no further."""
        low, high = self.interval()
        wanted = factor * (high - low) / 2
        prompts, found = 2, None
        while prompts <= 2**30:
            self.components(prompts)
            low, high = self.interval()
            if (high - low) / 2 <= wanted:
                found = prompts
                break
            prompts += 1 if prompts < self.parts.shape[1] else -(-prompts // 200)
        self.components()
        return {"half_width": float(wanted), "prompts": found}


def ends(share: float, texts: float) -> dict:
    """Clopper and Pearson."""
    failed, others = share * texts, (1 - share) * texts
    low = float(stats.beta.ppf(0.025, failed, others + 1)) if failed > 0 else 0.0
    high = lambda beyond: float(stats.beta.ppf(1 - beyond, failed + 1, others)) if others > 0 else 1.0
    return {"ci95": [low, high(0.025)], "upper95": high(0.05)}


def exact(case: dict) -> dict:
    return {"failed": case["failed"], "texts": case["texts"]} | ends(case["failed"] / case["texts"], case["texts"])


def forecast(case: dict) -> dict:
    """The distance of the lowest new value from the tenth, over the mean distance of the ten lowest from it."""
    lowest = np.sort(case["values"])[:10]
    scale = np.mean(lowest[9] - lowest)
    below = lambda g, distance: (1 + case["times"] * np.exp(-distance * g / 10)) ** -10.0 * stats.gamma.pdf(g, 9)
    cdf = lambda distance: integrate.quad(below, 0, 60, args=(distance,), epsabs=1e-12, limit=200)[0]
    furthest = lambda probability: optimize.brentq(lambda distance: cdf(distance) - probability, -20, 200, xtol=1e-11)
    at = lambda probability: float(lowest[9] - scale * furthest(probability))
    return {
        "values": case["values"],
        "times": case["times"],
        "median": at(0.5),
        "range95": [at(0.975), at(0.025)],
        "seen": float(lowest[0]),
    }
