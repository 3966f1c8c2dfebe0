//! The softmax that sampling spends its time in: one row of logits to unnormalised probabilities,
//! vectorised.

use tailguard_kernels::exp;

/// Buffers of one thread, reused from row to row.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `exp(logit - max)` of each token, exactly 0 for what cannot be drawn, `[vocab]`.
    pub(crate) weights: Vec<f32>,
    /// Sum of the weights of each block of [`BLOCK`] tokens.
    pub(crate) sums: Vec<f64>,
}

/// Tokens per block: few enough that a block's sum is exact to a few units, many enough that blocks
/// are found quickly.
pub(crate) const BLOCK: usize = 256;
/// Partial sums per block: independent lanes are what lets the loops vectorise.
const LANES: usize = 16;
/// Below this, `e^x` is not a normal number, and 0 here.
const FLOOR: f32 = -87.3;

/// What [`weigh`] finds out about a row on the way.
#[derive(Clone, Copy)]
pub(crate) struct Totals {
    /// Of the scaled logits, in nats.
    pub(crate) log_sum_exp: f64,
    /// In nats.
    pub(crate) entropy: f64,
}

/// Fills `scratch` with the weights of a row, those of `masked` tokens 0. None if the row makes no
/// distribution.
pub(crate) fn weigh(
    logits: &[f32],
    scale: f32,
    masked: [Option<u32>; 2],
    scratch: &mut Scratch,
) -> Option<Totals> {
    scratch.weights.clear();
    scratch.weights.extend_from_slice(logits);
    for id in masked.into_iter().flatten() {
        if let Some(weight) = scratch.weights.get_mut(usize::try_from(id).ok()?) {
            *weight = f32::NEG_INFINITY;
        }
    }
    let (max, weighted) = pulp::Arch::new().dispatch(Exponentials { scale, scratch });
    let total: f64 = scratch.sums.iter().sum();
    // the largest weight is 1, so a finite total is at least 1
    let entropy = total.ln() - weighted / total;
    // rounding may take it below 0; f64::max would turn NaN into 0
    let totals = Totals {
        log_sum_exp: f64::from(max) + total.ln(),
        entropy: if entropy < 0.0 { 0.0 } else { entropy },
    };
    (totals.log_sum_exp.is_finite() && totals.entropy.is_finite()).then_some(totals)
}

/// The loops of [`weigh`], compiled for the widest vector instructions that the machine has.
struct Exponentials<'a> {
    scale: f32,
    scratch: &'a mut Scratch,
}

impl pulp::WithSimd for Exponentials<'_> {
    /// The largest scaled logit `m`, and the sum of `e^(l - m) (l - m)`.
    type Output = (f32, f64);

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> (f32, f64) {
        let Scratch { weights, sums } = self.scratch;
        let max = scale_and_max(weights, self.scale);
        sums.clear();
        let mut weighted = 0.0;
        for block in weights.chunks_mut(BLOCK) {
            let (sum, product) = exponentials(block, max);
            sums.push(sum);
            weighted += product;
        }
        (max, weighted)
    }
}

#[inline(always)]
fn scale_and_max(values: &mut [f32], scale: f32) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value *= scale;
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let rest = rest.iter_mut().map(|value| {
        *value *= scale;
        *value
    });
    // NaN is lost in the maximum and found again in the sums
    rest.chain(lanes).fold(f32::NEG_INFINITY, f32::max)
}

/// Replaces each value `l` by `e^(l - max)`; the sum of these and the sum of
/// `e^(l - max) (l - max)`.
#[inline(always)]
fn exponentials(block: &mut [f32], max: f32) -> (f64, f64) {
    let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (chunks, rest) = block.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let (e, product) = exponential(chunk[lane] - max);
            chunk[lane] = e;
            sums[lane] += e;
            products[lane] += product;
        }
    }
    for (value, lane) in rest.iter_mut().zip(0..LANES) {
        let (e, product) = exponential(*value - max);
        *value = e;
        sums[lane] += e;
        products[lane] += product;
    }
    let total = |lanes: &[f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
    (total(&sums), total(&products))
}

/// `e^x` and `x e^x` for `x <= 0`, both exactly 0 where `e^x` is not a normal number; NaN stays
/// NaN.
#[inline(always)]
fn exponential(x: f32) -> (f32, f32) {
    let vanishes = x < FLOOR;
    let x = if vanishes { FLOOR } else { x };
    let e = if vanishes { 0.0 } else { exp(x) };
    (e, e * x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weights_and_sums_match_the_definition(
            logits in prop::collection::vec(-40.0f32..40.0, 1..700),
            scale in 0.2f32..3.0,
        ) {
            let mut scratch = Scratch::default();
            weigh(&logits, scale, [None, None], &mut scratch).unwrap();
            let scaled: Vec<f32> = logits.iter().map(|logit| logit * scale).collect();
            let max = scaled.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (&weight, &logit) in scratch.weights.iter().zip(&scaled) {
                let exact = f64::from(logit - max).exp();
                // relative, down to where e^x is taken for 0
                prop_assert!(
                    (f64::from(weight) - exact).abs() <= 1e-6 * exact + 1.3e-38,
                    "{weight} against {exact}"
                );
            }
            for (block, &sum) in scratch.weights.chunks(BLOCK).zip(&scratch.sums) {
                let exact: f64 = block.iter().map(|&weight| f64::from(weight)).sum();
                prop_assert!((sum - exact).abs() <= 1e-6 * exact);
            }
        }
    }

    #[test]
    fn masked_tokens_and_minus_infinity_weigh_nothing_at_all() {
        let mut scratch = Scratch::default();
        let totals =
            weigh(&[0.0, f32::NEG_INFINITY, 0.0, 9.0], 1.0, [Some(3), Some(77)], &mut scratch)
                .unwrap();
        assert_eq!(scratch.weights, [1.0, 0.0, 1.0, 0.0]);
        assert!(
            (totals.entropy - 2f64.ln()).abs() < 1e-6
                && (totals.log_sum_exp - 2f64.ln()).abs() < 1e-6
        );
    }
}
