//! How far a figure may be from the true one: what its spread over prompts and seeds says, before
//! it becomes an interval.

use crate::{
    MetricsError, error::check, influence::Influences, moments::mean_of, std_sample,
    student::t_975, student::two_sided,
};

/// What prompts and seeds do to a figure.
pub(crate) struct Seen {
    prompts: Prompts,
    seeds: f64,
    seeds_std: Option<f64>,
    /// The figure: the mean over seeds.
    value: f64,
}

/// What is known of the distribution of a figure about the true one.
pub(crate) struct Spread {
    /// The square of the standard error.
    pub(crate) variance: f64,
    /// Different prompts.
    pub(crate) prompts: f64,
    /// Skewness of the figure's distribution.
    skewness: f64,
    /// What asks for a wider interval or a narrower one; the one that asks for most counts.
    claims: Vec<Claim>,
}

/// Student's t with so many degrees of freedom, for a share of the standard error.
struct Claim {
    freedom: f64,
    /// The share is this over the other.
    numerator: f64,
    denominator: f64,
}

/// The influences of the prompts on the mean over seeds.
#[derive(Clone, Copy)]
struct Prompts {
    count: f64,
    /// Sums of their squares, third and fourth powers.
    powers: [f64; 3],
    /// Sum over seeds of the variance that prompts give the figure of the seed.
    within: f64,
}

impl Claim {
    fn whole(freedom: f64) -> Self {
        Self { freedom, numerator: 1.0, denominator: 1.0 }
    }

    fn reach(&self) -> f64 {
        t_975(self.freedom) * self.numerator / self.denominator
    }

    /// How often a figure is as many standard errors off as this, or more.
    fn p_value(&self, errors: f64) -> f64 {
        two_sided(errors * self.denominator / self.numerator, self.freedom)
    }
}

impl Seen {
    pub(crate) fn of(seeds: &[Influences]) -> Result<Self, MetricsError> {
        let values: Vec<f64> = seeds.iter().map(Influences::value).collect();
        check("figures of seeds", &values)?;
        let seeds_std = if seeds.len() > 1 { Some(std_sample(&values)?) } else { None };
        Ok(Self {
            prompts: Prompts::of(seeds),
            seeds: seeds.len() as f64,
            seeds_std,
            value: mean_of(&values),
        })
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }

    /// Sample standard deviation of the seeds' figures; `None` for one seed.
    pub(crate) fn seeds_std(&self) -> Option<f64> {
        self.seeds_std
    }

    /// Different prompts.
    pub(crate) fn prompts(&self) -> f64 {
        self.prompts.count
    }

    /// `None` where there is neither a second prompt nor a second seed.
    pub(crate) fn spread(&self) -> Option<Spread> {
        let prompts = &self.prompts;
        let [squares, cubes, _] = prompts.powers;
        let of_prompts = unbiased(squares, prompts.count);
        let (variance, claims) = match self.seeds_std {
            None if prompts.count < 2.0 => return None,
            None => (of_prompts, vec![Claim::whole(prompts.freedom())]),
            Some(std) => crossed(of_prompts, std, self.seeds, prompts),
        };
        let skewness = if variance > 0.0 { cubes / variance.powf(1.5) } else { 0.0 };
        Some(Spread { variance, prompts: prompts.count, skewness, claims })
    }

    /// What there would be to see with another number of prompts of the same kind and as many
    /// seeds.
    pub(crate) fn with_prompts(&self, count: f64) -> Self {
        let Prompts { count: seen, powers: [squares, cubes, fourth], within } = self.prompts;
        let fewer = seen / count;
        let powers = [squares * fewer, cubes * fewer * fewer, fourth * fewer.powi(3)];
        // as if about the true mean, too: of so many prompts, not of those that were seen
        let within = unbiased(within * fewer * (seen - 1.0) / seen, count);
        let prompts = Prompts { count, powers, within };
        // of the spread of seeds, what seeds themselves do stays
        let seeds_std = self.seeds_std.map(|std| {
            let of_seeds = std * std / self.seeds;
            let (_, rest) = self.prompts.alike_and_rest(unbiased(squares, seen), self.seeds);
            ((of_seeds - of_seeds.min(rest) * (1.0 - fewer)) * self.seeds).max(0.0).sqrt()
        });
        Self { prompts, seeds_std, seeds: self.seeds, value: self.value }
    }
}

impl Prompts {
    fn of(seeds: &[Influences]) -> Self {
        let seed_count = seeds.len() as f64;
        let len = seeds
            .iter()
            .flat_map(|seed| seed.parts().last())
            .map(|(prompt, _)| prompt + 1)
            .max()
            .unwrap_or(0);
        let mut sums: Vec<Option<f64>> = vec![None; len];
        for &(prompt, part) in seeds.iter().flat_map(Influences::parts) {
            *sums[prompt].get_or_insert(0.0) += part / seed_count;
        }
        let mut powers = [0.0; 3];
        let mut count = 0.0;
        for sum in sums.into_iter().flatten() {
            count += 1.0;
            let square = sum * sum;
            [square, square * sum, square * square]
                .iter()
                .zip(&mut powers)
                .for_each(|(power, total)| *total += power);
        }
        let of_seed = |seed: &Influences| {
            unbiased(
                seed.parts().iter().map(|(_, part)| part * part).sum(),
                seed.parts().len() as f64,
            )
        };
        Self { count, powers, within: seeds.iter().map(of_seed).sum() }
    }

    /// Degrees of freedom of the spread of prompts: those of equal prompts whose spread is known as
    /// well. Where few prompts have all the influence, they are few.
    fn freedom(&self) -> f64 {
        let [squares, _, fourth] = self.powers;
        let kurtosis = if squares > 0.0 { self.count * fourth / (squares * squares) } else { 0.0 };
        let most = self.count - 1.0;
        if kurtosis > 1.0 {
            (2.0 * self.count / (kurtosis - 1.0)).clamp(1.0, most.max(1.0))
        } else {
            most.max(1.0)
        }
    }

    /// The mean covariance of two seeds, which is what prompts do alike in both, and what neither
    /// prompts nor seeds explain.
    fn alike_and_rest(&self, of_prompts: f64, seeds: f64) -> (f64, f64) {
        let alike = ((of_prompts - self.within / (seeds * seeds)) * seeds / (seeds - 1.0)).max(0.0);
        (alike, ((self.within / seeds - alike) / seeds).max(0.0))
    }
}

/// A sum of squares about a mean of so many, as if about the true mean.
fn unbiased(squares: f64, count: f64) -> f64 {
    if count > 1.0 { squares * count / (count - 1.0) } else { 0.0 }
}

impl Spread {
    /// How many standard errors the interval reaches to either side, if the distribution is
    /// symmetric.
    pub(crate) fn reach(&self) -> f64 {
        self.claims.iter().map(Claim::reach).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The 95 % interval of a figure that can be any number.
    pub(crate) fn interval(&self, value: f64) -> [f64; 2] {
        let (error, skewness) = (self.variance.sqrt(), self.skewness / 2.0);
        // Hall's transformation of the deviation in standard errors, the other way round
        let point = |z: f64| {
            if skewness.abs() < 1e-6 {
                z
            } else {
                3.0 / skewness * ((1.0 + skewness * (z - skewness / 6.0)).cbrt() - 1.0)
            }
        };
        let reach = self.reach();
        [reach, -reach].map(|z| value - error * point(z))
    }

    /// The 95 % interval of a share.
    pub(crate) fn interval_of_share(&self, share: f64) -> [f64; 2] {
        let binomial = share * (1.0 - share);
        let texts = if self.variance > 0.0 && binomial > 0.0 {
            binomial / self.variance
        } else {
            self.prompts
        };
        let reach = self.reach();
        let square = reach * reach / texts;
        let (centre, half) = (share + square / 2.0, (square * (binomial + square / 4.0)).sqrt());
        let [low, high] = [centre - half, centre + half].map(|end| end / (1.0 + square));
        // rounding may leave the share itself outside
        [low.clamp(0.0, share), high.clamp(share, 1.0)]
    }

    /// The largest probability at which the interval of the figure still holds 0.
    pub(crate) fn p_value(&self, value: f64) -> f64 {
        if self.variance <= 0.0 {
            return if value.abs() > 0.0 { 0.0 } else { 1.0 };
        }
        let (errors, skewness) = (value / self.variance.sqrt(), self.skewness / 2.0);
        let z = if skewness.abs() < 1e-6 {
            errors
        } else {
            skewness / 6.0 + ((1.0 + skewness * errors / 3.0).powi(3) - 1.0) / skewness
        };
        self.claims.iter().map(|claim| claim.p_value(z.abs())).fold(0.0, f64::max)
    }
}

/// Variance with several seeds, and what asks for how wide an interval.
fn crossed(of_prompts: f64, seeds_std: f64, seeds: f64, prompts: &Prompts) -> (f64, Vec<Claim>) {
    let of_seeds = seeds_std * seeds_std / seeds;
    let (alike, rest) = prompts.alike_and_rest(of_prompts, seeds);
    let of_prompts = alike + rest;
    let variance = (alike + of_seeds).max(of_prompts);
    let [by_prompt, by_seed] = [prompts.freedom(), seeds - 1.0];
    if variance <= 0.0 {
        // All texts of all seeds are alike. No seed shows that another one would differ, and t of
        // one or two degrees of freedom would make a share of nothing one of up to 70 %. (Figures
        // that are no shares have an interval of no width here.)
        return (variance, vec![Claim::whole(by_prompt)]);
    }
    let of_variances = of_prompts.powi(2) / by_prompt
        + of_seeds.powi(2) / by_seed
        + rest.powi(2) / (by_prompt * by_seed);
    let freedom = match (of_seeds > rest, alike > 0.0) {
        (false, _) if variance <= of_prompts => by_prompt,
        (true, false) => by_seed,
        _ => (variance * variance / of_variances).max(1.0),
    };
    let mut claims = vec![Claim::whole(freedom)];
    // of a spread only as much as is not the rest, which the other one has seen as well
    let own = [(of_prompts, by_prompt), (of_seeds, by_seed)]
        .into_iter()
        .filter(|(spread, _)| *spread > 0.0);
    claims.extend(own.map(|(spread, freedom)| Claim {
        freedom,
        numerator: spread,
        denominator: ((spread + rest) * variance).sqrt(),
    }));
    (variance, claims)
}
