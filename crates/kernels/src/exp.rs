//! A vectorisable exponential and the row statistics that sampling, scoring and the losses share.

/// `e^x` in single precision, written so that a loop over it vectorises.
///
/// Cody-Waite range reduction and a polynomial of degree six; the relative error is below 2e-7
/// where `e^x` is a normal number. Arguments below -87.3 give the smallest normal number (1.2e-38)
/// in place of zero, those above 88.0 are cut there.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const ROUND: f32 = 12_582_912.0;
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

/// [`RowStats`] of a row; entries of minus infinity have probability 0. A row that makes no
/// distribution has NaN for both: one with NaN, with plus infinity, of nothing but minus infinity,
/// or of nothing.
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
    // exp() gives 1e-38 for minus infinity, and 1e-38 * (-87.3) is still nothing: masked entries
    // need no branch
    let (mut sums, mut weighted) = ([0.0f32; LANES], [0.0f32; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            let shifted = at_least(chunk[lane] - max, -87.3);
            let e = exp(shifted);
            sums[lane] += e;
            weighted[lane] += e * shifted;
        }
    }
    let (mut sum, mut weight) = (sum_of(&sums), sum_of(&weighted));
    for &value in rest {
        let shifted = at_least(value - max, -87.3);
        let e = f64::from(exp(shifted));
        sum += e;
        weight += e * f64::from(shifted);
    }
    let entropy = sum.ln() - weight / sum;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to single precision is the result asked for"
    )]
    let (log_sum_exp, entropy) =
        ((f64::from(max) + sum.ln()) as f32, if entropy < 0.0 { 0.0 } else { entropy as f32 });
    if log_sum_exp.is_finite() {
        RowStats { log_sum_exp, entropy }
    } else {
        RowStats { log_sum_exp: f32::NAN, entropy: f32::NAN }
    }
}

/// The larger of two numbers, or NaN if `x` is; `f32::max` would lose it.
#[inline(always)]
fn at_least(x: f32, least: f32) -> f32 {
    if x < least { least } else { x }
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
            prop_assert!(
                (f64::from(exp(x)) / exact - 1.0).abs() < 3e-7,
                "{x}: {} against {exact}",
                exp(x)
            );
        }

        #[test]
        fn row_stats_match_the_definition(row in prop::collection::vec(-30.0f32..30.0, 1..200)) {
            let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
            let entropy: f64 = -row
                .iter()
                .map(|&l| f64::from(l).exp() / sum)
                .map(|p| if p > 0.0 { p * p.ln() } else { 0.0 })
                .sum::<f64>();
            let stats = row_stats(&row);
            prop_assert!((f64::from(stats.log_sum_exp) - sum.ln()).abs() < 1e-5);
            prop_assert!((f64::from(stats.entropy) - entropy).abs() < 1e-4);
        }
    }

    #[test]
    fn a_row_that_makes_no_distribution_has_no_statistics() {
        for length in [1, 5, 16, 40] {
            for place in [0, length / 2, length - 1] {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut row = vec![0.5; length];
                    row[place] = bad;
                    let RowStats { log_sum_exp, entropy } = row_stats(&row);
                    assert!(
                        log_sum_exp.is_nan() && entropy.is_nan(),
                        "{bad} at {place} of {length}: {log_sum_exp}, {entropy}"
                    );
                }
            }
            let nothing = row_stats(&vec![f32::NEG_INFINITY; length]);
            assert!(nothing.log_sum_exp.is_nan() && nothing.entropy.is_nan(), "{nothing:?}");
        }
        assert!(row_stats(&[]).log_sum_exp.is_nan());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn masked_entries_have_no_weight() {
        let stats = row_stats(&[0.0, f32::NEG_INFINITY, 0.0]);
        assert!((stats.log_sum_exp - 2.0f32.ln()).abs() < 1e-6);
        assert!((stats.entropy - 2.0f32.ln()).abs() < 1e-6);
    }
}
