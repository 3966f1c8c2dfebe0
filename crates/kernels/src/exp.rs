//! A vectorisable exponential and the row statistics that sampling, scoring and the losses share.

/// `e^x` in single precision, written so that a loop over it vectorises.
///
/// Cody-Waite range reduction and a polynomial of degree six; the relative error is below 2e-7 where `e^x` is a normal
/// number. Arguments below -87.3 give the smallest normal number (1.2e-38) in place of zero, those above 88.0 are cut there.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const LN2_HIGH: f32 = 0.693_359_4; // 0x3f318000: its product with an integer is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    // 2^n from the low bits of the shifted value, moved into the exponent field
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * power
}

/// Maximum, logarithm of the sum of exponentials and entropy of one row of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// `log sum_j exp(logit_j)`, in nats.
    pub log_sum_exp: f32,
    /// Entropy of the softmax of the row, in nats.
    pub entropy: f32,
}

/// The number of partial sums of a row: independent lanes let the sums vectorise and round less.
const LANES: usize = 16;

/// [`RowStats`] of a row that holds at least one finite value; entries of minus infinity have probability 0.
#[inline(always)]
#[must_use]
pub fn row_stats(row: &[f32]) -> RowStats {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let max = rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |max, &value| max.max(value));
    // exp() gives 1e-38 for minus infinity, and 1e-38 * (-87.3) is still nothing: masked entries need no branch
    let (mut sums, mut weighted) = ([0.0f32; LANES], [0.0f32; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            let shifted = (chunk[lane] - max).max(-87.3);
            let e = exp(shifted);
            sums[lane] += e;
            weighted[lane] += e * shifted;
        }
    }
    let (mut sum, mut weight) = (sum_of(&sums), sum_of(&weighted));
    for &value in rest {
        let shifted = (value - max).max(-87.3);
        let e = f64::from(exp(shifted));
        sum += e;
        weight += e * f64::from(shifted);
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is the result asked for")]
    RowStats { log_sum_exp: (f64::from(max) + sum.ln()) as f32, entropy: (sum.ln() - weight / sum).max(0.0) as f32 }
}

fn sum_of(lanes: &[f32; LANES]) -> f64 {
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_accurate_to_a_few_units_in_the_last_place(x in -87.0f32..87.9) {
            let exact = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "{x}: {} against {exact}", exp(x));
        }

        #[test]
        fn row_stats_match_the_definition(row in prop::collection::vec(-30.0f32..30.0, 1..200)) {
            let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
            let entropy: f64 = -row.iter().map(|&l| f64::from(l).exp() / sum).map(|p| if p > 0.0 { p * p.ln() } else { 0.0 }).sum::<f64>();
            let stats = row_stats(&row);
            prop_assert!((f64::from(stats.log_sum_exp) - sum.ln()).abs() < 1e-5);
            prop_assert!((f64::from(stats.entropy) - entropy).abs() < 1e-4);
        }
    }

    #[test]
    fn masked_entries_have_no_weight() {
        let stats = row_stats(&[0.0, f32::NEG_INFINITY, 0.0]);
        assert!((stats.log_sum_exp - 2.0f32.ln()).abs() < 1e-6);
        assert!((stats.entropy - 2.0f32.ln()).abs() < 1e-6);
    }
}
