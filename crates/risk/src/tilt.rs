//! The optimal policy of an objective, as weights of the samples of another policy.

use crate::{Batch, Objective, ObjectiveError, ObjectiveWorth};

/// Samples of a policy, the same number for each prompt, from which the optimal policy of an
/// objective is made by weights.
///
/// The policy that maximises `E[u(r)] - beta KL(policy || reference)` for each prompt is
/// `reference * exp(u(r) / beta)`, normalised. So samples `y` of a policy stand for it with the
/// weights
///
/// ```text
/// w(y)  ~  (reference(y) / sampler(y)) * exp(u(r(y)) / beta)
/// ```
///
/// normalised over the samples of each prompt. K samples say little of a policy whose KL to the
/// sampler is near `ln K`, where one sample has all the weight. So the step to it is cut short: all
/// of the exponent is taken times a `tempering` of at most 1, the largest one with which
/// `KL(weighted samples || sampler)` is at most [`limit`](Self::limit), `ln(K) / 2`. That is the
/// optimum of the same objective with a second penalty, `beta (1 / tempering - 1) KL(policy ||
/// sampler)`: a proximal step, after which the optimum is still the only place from which no step
/// leads away. So samples, a step, new samples of what was made of it and so on lead to the optimum
/// itself, and no ratio of the probabilities has to be clipped.
///
/// The utility of a risk measure belongs to a policy: for `CVaR` it is `min(r, eta)` with eta the
/// quantile of the policy that is made, not of the sampler. To measure a policy and to answer with
/// the policy of its utility, by turns, climbs the objective at each turn (the measure is a maximum
/// over utilities, as in Rockafellar and Uryasev, 2000). It is begun from the samples as they are,
/// that is from below, and from the scores themselves, which is from above; the better end counts,
/// as a measure that is convex in the policy may have several.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Samples of each prompt, K.
    responses: usize,
    /// Scores from the lowest to the highest: they are sorted often, and this once.
    scores: Vec<f64>,
    /// Log-probability under the sampler less that under the reference, nats.
    log_ratios: Vec<f64>,
    prompts: Vec<usize>,
    /// Where each stood.
    places: Vec<usize>,
    /// The last iteration, where a schedule is at its end.
    iteration: usize,
}

/// Weights of samples that make the optimal policy of them, or a step towards it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tilted {
    /// One for each sample, in their order; they sum to 1 for each prompt.
    pub weights: Vec<f64>,
    /// The utility of each sample.
    pub utilities: Vec<f64>,
    /// The KL coefficient beside the utility.
    pub beta: f64,
    /// How much of the step is taken: 1 for all of it.
    pub tempering: f64,
    /// KL from the weighted samples to the sampler, nats: the mean over prompts.
    pub kl_to_sampler: f64,
    /// KL from the weighted samples to the reference, nats: the mean over prompts.
    pub kl_to_reference: f64,
}

/// Turns of measuring and answering, at most; they end once utilities stand still.
const TURNS: usize = 200;
/// Utilities stand still when none moves by more than this share of the spread of the scores.
const STILL: f64 = 1e-6;
/// Halvings of a range that is searched, at most.
const HALVINGS: usize = 24;
/// A KL is met when it is missed by no more than this share of it.
const MET: f64 = 1e-3;
/// Coefficients are searched from the spread of the scores over this to the spread times this.
const WIDEST: f64 = 1e3;

impl Pool {
    /// Samples by prompt, then by response: `scores` and `log_ratios` have one entry for each, the
    /// latter its log-probability under the sampler less that under the reference (0 for samples of
    /// the reference). `iteration` is where the schedule of an objective is at its end.
    ///
    /// # Errors
    /// What is wrong with the samples: none, not as many for each prompt, or numbers that are none.
    pub fn new(
        scores: &[f64],
        log_ratios: &[f64],
        responses: usize,
        iteration: usize,
    ) -> Result<Self, ObjectiveError> {
        let count = scores.len();
        if count == 0 || responses == 0 || !count.is_multiple_of(responses) {
            let message = format!("{count} samples, expected {responses} for each of some prompts");
            return Err(message.into());
        }
        if log_ratios.len() != count {
            let found = log_ratios.len();
            return Err(format!("{found} log-ratios for {count} samples").into());
        }
        for (what, values) in [("score", scores), ("log-ratio", log_ratios)] {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let value = values[place];
                return Err(format!(
                    "the {what} of sample {place} is {value}, expected a finite number"
                )
                .into());
            }
        }
        let mut places: Vec<usize> = (0..count).collect();
        places.sort_by(|&left, &right| scores[left].total_cmp(&scores[right]));
        Ok(Self {
            responses,
            scores: places.iter().map(|&place| scores[place]).collect(),
            log_ratios: places.iter().map(|&place| log_ratios[place]).collect(),
            prompts: places.iter().map(|place| place / responses).collect(),
            places,
            iteration,
        })
    }

    /// The KL to the sampler, in nats, beyond which so many samples for each prompt say too little
    /// of a policy: half of `ln(responses)`.
    #[must_use]
    pub fn limit(responses: usize) -> f64 {
        (responses.max(1) as f64).ln() / 2.0
    }

    /// The step to the optimal policy at a KL coefficient beside the utility.
    ///
    /// # Errors
    /// What the objective says of its failure; a coefficient that is none.
    pub fn at_beta(&self, objective: &dyn Objective, beta: f64) -> Result<Tilted, ObjectiveError> {
        if !(beta.is_finite() && beta > 0.0) {
            return Err(format!("beta is {beta}, expected a number above 0").into());
        }
        let limit = Self::limit(self.responses);
        let whole = self.solve(objective, beta, 1.0)?;
        if whole.kl_to_sampler <= limit {
            return Ok(self.placed(whole));
        }
        let (mut low, mut high, mut best) = (0.0, 1.0, None);
        for _ in 0..HALVINGS {
            let tempering = f64::midpoint(low, high);
            let found = self.solve(objective, beta, tempering)?;
            if found.kl_to_sampler > limit {
                high = tempering;
                continue;
            }
            let is_met = limit - found.kl_to_sampler <= MET * limit;
            low = tempering;
            best = Some(found);
            if is_met {
                break;
            }
        }
        Ok(self.placed(best.unwrap_or(whole)))
    }

    /// The step after which the weighted samples have a KL to the reference, in nats, as far as so
    /// many samples can say: [`Tilted::kl_to_reference`] tells how near it comes.
    ///
    /// # Errors
    /// As [`at_beta`](Self::at_beta).
    pub fn at_kl(&self, objective: &dyn Objective, kl: f64) -> Result<Tilted, ObjectiveError> {
        let spread = self.spread();
        let gap = |tilted: &Tilted| (tilted.kl_to_reference - kl).abs();
        // a smaller coefficient leads further away
        let (mut low, mut high) = ((spread / WIDEST).ln(), (spread * WIDEST).ln());
        let mut nearest = self.at_beta(objective, low.exp())?;
        if nearest.kl_to_reference <= kl {
            return Ok(nearest);
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            let found = self.at_beta(objective, middle.exp())?;
            if found.kl_to_reference > kl {
                low = middle;
            } else {
                high = middle;
            }
            if gap(&found) < gap(&nearest) {
                nearest = found;
            }
            if gap(&nearest) <= MET * kl {
                break;
            }
        }
        Ok(nearest)
    }

    /// The standard deviation of the scores, or 1 where all are alike.
    fn spread(&self) -> f64 {
        let count = self.scores.len() as f64;
        let mean = self.scores.iter().sum::<f64>() / count;
        let squares: f64 = self.scores.iter().map(|score| (score - mean).powi(2)).sum();
        let spread = (squares / count).sqrt();
        if spread > 0.0 { spread } else { 1.0 }
    }

    /// The better of the policies that answer their own utility, with samples in their own order:
    /// of each prompt where each is measured by itself, of all together otherwise.
    fn solve(
        &self,
        objective: &dyn Objective,
        beta: f64,
        tempering: f64,
    ) -> Result<Tilted, ObjectiveError> {
        let uniform = vec![1.0; self.scores.len()];
        let below = self.measured(objective, &uniform)?.utilities;
        let (mut first, of_first) = self.climb(objective, below, beta, tempering)?;
        let (second, of_second) = self.climb(objective, self.scores.clone(), beta, tempering)?;
        let by_prompt = of_first.len() > 1;
        for (place, &prompt) in self.prompts.iter().enumerate() {
            let group = if by_prompt { prompt } else { 0 };
            if of_second[group] > of_first[group] {
                first.utilities[place] = second.utilities[place];
            }
        }
        Ok(self.answer(first.utilities, beta, tempering))
    }

    /// Answers and measures by turns from these utilities on, and gives where that ends with what
    /// it is worth, by prompt or of all: the objective less both penalties, in units of utility.
    fn climb(
        &self,
        objective: &dyn Objective,
        mut utilities: Vec<f64>,
        beta: f64,
        tempering: f64,
    ) -> Result<(Tilted, Vec<f64>), ObjectiveError> {
        let still = STILL * self.spread();
        let mut turn = 0;
        loop {
            let tilted = self.answer(utilities, beta, tempering);
            let ObjectiveWorth { utilities: measured, values } =
                self.measured(objective, &tilted.weights)?;
            turn += 1;
            let moved = tilted
                .utilities
                .iter()
                .zip(&measured)
                .map(|(old, new)| (old - new).abs())
                .fold(0.0, f64::max);
            if moved <= still || turn == TURNS {
                let worth = self.less_penalties(&values, &tilted);
                return Ok((tilted, worth));
            }
            utilities = measured;
        }
    }

    /// What the objective makes of a policy less `beta KL(policy || reference)` and the penalty of
    /// a tempered step, by prompt or of all.
    fn less_penalties(&self, values: &[f64], tilted: &Tilted) -> Vec<f64> {
        let &Tilted { ref weights, beta, tempering, .. } = tilted;
        if values.len() == 1 {
            let ratios = tilted.kl_to_reference - tilted.kl_to_sampler;
            return vec![values[0] - beta * (tilted.kl_to_sampler / tempering + ratios)];
        }
        let mut worth = vec![0.0; self.count()];
        for ((&prompt, &weight), log_ratio) in
            self.prompts.iter().zip(weights).zip(&self.log_ratios)
        {
            if weight > 0.0 {
                let to_sampler = (weight * self.responses as f64).ln();
                worth[prompt] -= beta * weight * (to_sampler / tempering + log_ratio);
            }
        }
        // values stand in the order of the prompts' first samples
        let mut is_next = vec![true; self.count()];
        let mut values = values.iter();
        for &prompt in &self.prompts {
            if std::mem::take(&mut is_next[prompt]) {
                worth[prompt] += values.next().copied().unwrap_or_default();
            }
        }
        worth
    }

    /// How many prompts there are.
    fn count(&self) -> usize {
        self.scores.len() / self.responses
    }

    /// What the objective makes of the samples with these masses.
    fn measured(
        &self,
        objective: &dyn Objective,
        masses: &[f64],
    ) -> Result<ObjectiveWorth, ObjectiveError> {
        let scores =
            Batch { iteration: self.iteration, values: &self.scores, prompts: &self.prompts };
        let worth = objective.weighted(scores, masses)?;
        let is_usable = worth.utilities.len() == self.scores.len()
            && [1, self.count()].contains(&worth.values.len())
            && worth.utilities.iter().chain(&worth.values).all(|number| number.is_finite());
        if is_usable {
            return Ok(worth);
        }
        Err("what the objective makes of weighted samples cannot be used: expected a finite \
             utility for each, and one value or one for each prompt"
            .into())
    }

    /// The policy of these utilities: a softmax over the samples of each prompt.
    fn answer(&self, utilities: Vec<f64>, beta: f64, tempering: f64) -> Tilted {
        let count = self.count();
        let mut weights: Vec<f64> = utilities
            .iter()
            .zip(&self.log_ratios)
            .map(|(utility, log_ratio)| tempering * (utility / beta - log_ratio))
            .collect();
        let mut highest = vec![f64::NEG_INFINITY; count];
        for (&prompt, &exponent) in self.prompts.iter().zip(&weights) {
            highest[prompt] = f64::max(highest[prompt], exponent);
        }
        let mut sums = vec![0.0; count];
        for (&prompt, weight) in self.prompts.iter().zip(&mut weights) {
            *weight = (*weight - highest[prompt]).exp();
            sums[prompt] += *weight;
        }
        let (mut kl_to_sampler, mut ratios) = (0.0, 0.0);
        for ((&prompt, weight), log_ratio) in
            self.prompts.iter().zip(&mut weights).zip(&self.log_ratios)
        {
            *weight /= sums[prompt];
            if *weight > 0.0 {
                kl_to_sampler += *weight * (*weight * self.responses as f64).ln();
                ratios += *weight * log_ratio;
            }
        }
        let (kl_to_sampler, ratios) = (kl_to_sampler / count as f64, ratios / count as f64);
        Tilted {
            weights,
            utilities,
            beta,
            tempering,
            kl_to_sampler,
            kl_to_reference: kl_to_sampler + ratios,
        }
    }

    /// The same with the samples in the order in which they were given.
    fn placed(&self, mut tilted: Tilted) -> Tilted {
        for values in [&mut tilted.weights, &mut tilted.utilities] {
            let mut placed = vec![0.0; values.len()];
            for (&place, value) in self.places.iter().zip(values.iter()) {
                placed[place] = *value;
            }
            *values = placed;
        }
        tilted
    }
}
