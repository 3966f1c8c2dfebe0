//! The utility of each return by which training for the mean becomes training for a risk measure.

/// What the returns of a batch are worth to a risk measure: plain policy gradients on these values,
/// all episodes counting, raise the measure.
///
/// For a measure with weights `w` over the returns `r` from the lowest to the highest, the utility
/// is the function that has slope `w[k + 1] / max(w)` between the `k`-th and the next return, and
/// is the return itself where its slope has been 1 throughout. For `CVaR` that is `min(r, eta)`,
/// with eta the quantile: nothing is dropped, and an episode above eta has nothing more to win.
/// (Rockafellar and Uryasev, 2000: `CVaR = max over eta of eta - E[max(eta - r, 0)] / alpha`.)
///
/// This is more than an approximation for large batches. The measure as a function of one return
/// alone, the others fixed, has the slope `w[j]` where that return would be the `j`-th. So utility
/// times `max(w)` is the measure of the batch less what it would be with that return at a fixed low
/// value - a baseline made of the other episodes. Therefore, for batches of any size n,
///
/// ```text
/// gradient of E[measure of a batch]
///     = scale * E[mean over the episodes of utility * gradient of log pi],  scale = n max(w)
/// ```
///
/// exactly, if weights depend on ranks alone. Ties do not matter: they have one utility.
#[derive(Debug, Clone, PartialEq)]
pub struct Utility {
    /// One per return, in the order of the returns: never falling as the return rises.
    pub values: Vec<f64>,
    /// What one unit of utility is worth in the measure: a KL coefficient of beta beside the
    /// utility is one of `scale * beta` beside the measure. 1 for the mean and the entropic
    /// measure, `1 / alpha` for `CVaR`, k for the worst of k.
    pub scale: f64,
}

impl Utility {
    /// That of weights over ascending returns. The weights are as many, not negative, and sum to 1.
    pub(crate) fn of_weights(sorted: &[f64], weights: &[f64]) -> Self {
        let steepest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let mut values = Vec::with_capacity(sorted.len());
        let (mut low, mut utility, mut is_return) = (0.0, 0.0, true);
        for (&high, weight) in sorted.iter().zip(weights) {
            let slope = weight / steepest;
            // the return itself, to the last bit, for as long as nothing is discounted
            is_return &= slope >= 1.0;
            utility = if is_return { high } else { risen(utility, slope, low, high) };
            low = high;
            values.push(utility);
        }
        Self { values, scale: steepest * sorted.len() as f64 }
    }
}

/// A utility that rises with a slope of at most 1 from one return to another.
pub(crate) fn risen(utility: f64, slope: f64, low: f64, high: f64) -> f64 {
    let rise = slope * high - slope * low;
    // Only between the largest doubles is it infinite; the other order of the terms is then in
    // range.
    if rise.is_finite() { utility + rise } else { (utility - slope * low) + slope * high }
}
