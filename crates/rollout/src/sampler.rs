//! From logits to one token: temperature, top-k, top-p and the draw.
//!
//! A draw inverts the cumulative distribution, in the order of token ids, at one uniform number.
//! The number comes from the episode's own stream ([`DrawSeed`](crate::DrawSeed)), so a token
//! depends on the seed and the logits and on nothing else.

use crate::config::{SamplingConfig, check_cuts};
use crate::error::RolloutError;
use crate::softmax::{BLOCK, Scratch, weigh};

/// A token and what the scoring distribution says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Draw {
    pub(crate) token: u32,
    /// Log-probability under [`SamplingConfig::distribution`], in nats.
    pub(crate) log_prob: f32,
    /// Entropy of [`SamplingConfig::distribution`], in nats.
    pub(crate) entropy: f32,
}

/// Draws response token `position` from one row of logits.
///
/// None if the logits make no distribution: NaN, plus infinity, or nothing but minus infinity.
pub(crate) fn draw(
    logits: &[f32],
    config: &SamplingConfig,
    position: usize,
    uniform: f64,
    scratch: &mut Scratch,
) -> Option<Draw> {
    let scale = config.temperature.recip();
    let (suppressed, forbidden) = (config.distribution().suppress, config.forbidden(position));
    let totals = weigh(logits, scale, [suppressed, None], scratch)?;
    if forbidden.is_some() {
        weigh(logits, scale, [suppressed, forbidden], scratch)?;
    }
    let chosen = if config.greedy {
        most_likely(&scratch.weights, logits)
    } else {
        restrict(logits, config.top_k, config.top_p, scratch);
        invert(&scratch.weights, &scratch.sums, uniform)
    }?;
    let log_prob = f64::from(*logits.get(chosen)? * scale) - totals.log_sum_exp;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to single precision is the result asked for"
    )]
    let (log_prob, entropy) = (log_prob as f32, totals.entropy as f32);
    Some(Draw { token: u32::try_from(chosen).ok()?, log_prob, entropy })
}

/// Probabilities of the tokens after temperature, then top-k, then top-p, then softmax over what is
/// kept; what is not kept has probability 0.
///
/// `top_k` keeps what is not below the k-th largest logit, so ties with it stay; 0 is off. `top_p`
/// keeps the shortest list of most likely tokens (of equals, lower ids first) whose probabilities
/// reach `top_p`, at least one; 1 is off.
///
/// # Errors
/// [`RolloutError::Setting`] for a temperature or `top_p` outside its range,
/// [`RolloutError::Logits`] if the logits make no distribution.
///
/// # Example
/// ```
/// let kept = tailguard_rollout::probabilities(&[0.0, 1.0, 1.0, -2.0], 1.0, 2, 1.0)?;
/// assert_eq!(kept, [0.0, 0.5, 0.5, 0.0]);
/// # Ok::<(), tailguard_rollout::RolloutError>(())
/// ```
pub fn probabilities(
    logits: &[f32],
    temperature: f32,
    top_k: usize,
    top_p: f32,
) -> Result<Vec<f32>, RolloutError> {
    check_cuts(temperature, top_p)?;
    let mut scratch = Scratch::default();
    weigh(logits, temperature.recip(), [None, None], &mut scratch)
        .ok_or(RolloutError::Logits { count: logits.len() })?;
    restrict(logits, top_k, top_p, &mut scratch);
    let total: f64 = scratch.sums.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to single precision is the result asked for"
    )]
    Ok(scratch.weights.iter().map(|&weight| (f64::from(weight) / total) as f32).collect())
}

/// The drawable token with the largest logit, the first of equals.
fn most_likely(weights: &[f32], logits: &[f32]) -> Option<usize> {
    let drawable = |token: &usize| weights[*token] > 0.0;
    // by logit: weights far below the largest may be rounded together, those near it may not
    (0..logits.len())
        .filter(drawable)
        .reduce(|best, token| if logits[token] > logits[best] { token } else { best })
}

/// Sets the weights outside top-k and top-p to 0.
pub(crate) fn restrict(logits: &[f32], top_k: usize, top_p: f32, scratch: &mut Scratch) {
    let Scratch { weights, sums } = scratch;
    let cut_k = top_k > 0 && top_k < weights.len();
    let cut_p = top_p < 1.0;
    if !cut_k && !cut_p {
        return;
    }
    // likeliest first; of equals, lower ids first
    let by_logit = |&a: &usize, &b: &usize| logits[b].total_cmp(&logits[a]).then(a.cmp(&b));
    let mut kept: Vec<usize> = (0..weights.len()).filter(|&token| weights[token] > 0.0).collect();
    if cut_k && top_k < kept.len() {
        let (_, &mut last, _) = kept.select_nth_unstable_by(top_k - 1, by_logit);
        kept.retain(|&token| logits[token] >= logits[last]);
    }
    if cut_p {
        let total: f64 = kept.iter().map(|&token| f64::from(weights[token])).sum();
        keep_nucleus(&mut kept, weights, f64::from(top_p), total, by_logit);
    }
    let mut survives = vec![false; weights.len()];
    for token in kept {
        survives[token] = true;
    }
    for (weight, survives) in weights.iter_mut().zip(survives) {
        *weight = if survives { *weight } else { 0.0 };
    }
    for (block, sum) in weights.chunks(BLOCK).zip(sums) {
        *sum = block.iter().map(|&weight| f64::from(weight)).sum();
    }
}

/// Keeps the shortest list of most likely tokens whose weights reach `top_p` of `total`.
fn keep_nucleus(
    kept: &mut Vec<usize>,
    weights: &[f32],
    top_p: f64,
    total: f64,
    by_logit: impl Fn(&usize, &usize) -> std::cmp::Ordering,
) {
    // All tokens below half the average of what may be lost have less than half of that together,
    // so the nucleus is found without them, and a large vocabulary need not be sorted whole.
    let negligible = 0.5 * (1.0 - top_p) * total / kept.len() as f64;
    kept.retain(|&token| f64::from(weights[token]) >= negligible);
    kept.sort_unstable_by(by_logit);
    let mut mass = 0.0;
    let reached = kept.iter().position(|&token| {
        mass += f64::from(weights[token]);
        mass >= top_p * total
    });
    kept.truncate(reached.map_or(kept.len(), |last| last + 1));
}

/// The token at which the running sum of the weights first exceeds `uniform` of their total; never
/// one of weight 0.
fn invert(weights: &[f32], sums: &[f64], uniform: f64) -> Option<usize> {
    let target = uniform * sums.iter().sum::<f64>();
    let mut below = 0.0;
    let mut chosen = None;
    for (block, &sum) in sums.iter().enumerate() {
        if sum > 0.0 {
            if below > target {
                break;
            }
            // also right if rounding leaves the target at the very end: the last block that has any
            // weight
            chosen = Some((block, below));
        }
        below += sum;
    }
    let (block, mut below) = chosen?;
    let mut last = None;
    for (offset, &weight) in weights.chunks(BLOCK).nth(block)?.iter().enumerate() {
        if weight > 0.0 {
            last = Some(block * BLOCK + offset);
            below += f64::from(weight);
            if below > target {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndOfText;
    use crate::draws::DrawSeed;
    use proptest::prelude::*;

    fn config() -> SamplingConfig {
        SamplingConfig { max_new_tokens: 4, ..SamplingConfig::default() }
    }

    fn draw_one(logits: &[f32], config: &SamplingConfig, uniform: f64) -> Draw {
        draw(logits, config, 0, uniform, &mut Scratch::default()).unwrap()
    }

    /// Vocabularies around the sizes of lanes and blocks, with ties.
    fn any_logits() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![-20.0f32..20.0, Just(1.5f32)], 1..700)
    }

    /// Log-probabilities in double precision, by the definition.
    fn log_softmax(logits: &[f32], temperature: f32) -> Vec<f64> {
        let scaled: Vec<f64> =
            logits.iter().map(|&l| f64::from(l) / f64::from(temperature)).collect();
        let max = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = max + scaled.iter().map(|l| (l - max).exp()).sum::<f64>().ln();
        scaled.iter().map(|l| l - log_sum).collect()
    }

    proptest! {
        #[test]
        fn a_draw_inverts_the_cumulative_distribution(
            logits in any_logits(),
            uniform in 0.0f64..1.0,
            temperature in 0.3f32..3.0,
        ) {
            let config = SamplingConfig { temperature, ..config() };
            let drawn = draw_one(&logits, &config, uniform);
            let log_probs = log_softmax(&logits, temperature);
            let token = drawn.token as usize;
            let below: f64 = log_probs[..token].iter().map(|l| l.exp()).sum();
            prop_assert!(
                below <= uniform + 1e-5 && uniform <= below + log_probs[token].exp() + 1e-5
            );
            prop_assert!((f64::from(drawn.log_prob) - log_probs[token]).abs() < 2e-5);
            let entropy: f64 = log_probs.iter().map(|l| -l * l.exp()).sum();
            prop_assert!(
                (f64::from(drawn.entropy) - entropy).abs() < 2e-5,
                "{} against {entropy}",
                drawn.entropy
            );
        }

        #[test]
        fn probabilities_sum_to_one_over_the_tokens_kept(
            logits in any_logits(),
            top_k in 0usize..40,
            top_p in 0.05f32..=1.0,
        ) {
            let probabilities = probabilities(&logits, 0.9, top_k, top_p).unwrap();
            prop_assert!(
                (probabilities.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-5
            );
            // nothing that was dropped is likelier than anything that was kept
            let least = (0..logits.len())
                .filter(|&i| probabilities[i] > 0.0)
                .map(|i| logits[i])
                .fold(f32::INFINITY, f32::min);
            prop_assert!(
                (0..logits.len()).all(|i| probabilities[i] > 0.0
                    || logits[i] <= least
                    || logits[i] < 19.0 - 87.0)
            );
        }

        #[test]
        fn the_nucleus_is_the_shortest_that_reaches_its_mass(
            logits in any_logits(),
            top_p in 0.05f32..0.999,
        ) {
            let mut order: Vec<f64> = log_softmax(&logits, 1.0).into_iter().map(f64::exp).collect();
            order.sort_by(|a, b| b.total_cmp(a));
            let kept = probabilities(&logits, 1.0, 0, top_p)
                .unwrap()
                .into_iter()
                .filter(|&p| p > 0.0)
                .count();
            let mass = |count: usize| order[..count].iter().sum::<f64>();
            prop_assert!(
                kept >= 1
                    && mass(kept) >= f64::from(top_p) - 1e-5
                    && mass(kept - 1) <= f64::from(top_p) + 1e-5
            );
        }

        #[test]
        fn a_cut_draw_stays_inside_the_cut(
            logits in any_logits(),
            uniform in 0.0f64..1.0,
            top_k in 1usize..9,
            top_p in 0.1f32..1.0,
        ) {
            let config = SamplingConfig { top_k, top_p, ..config() };
            let drawn = draw_one(&logits, &config, uniform);
            prop_assert!(
                probabilities(&logits, 1.0, top_k, top_p).unwrap()[drawn.token as usize] > 0.0
            );
            // the log-probability is that of the whole distribution
            prop_assert!(
                (f64::from(drawn.log_prob) - log_softmax(&logits, 1.0)[drawn.token as usize]).abs()
                    < 2e-5
            );
        }

        #[test]
        fn a_masked_token_is_neither_drawn_nor_scored(
            logits in prop::collection::vec(-5.0f32..5.0, 2..600),
            uniform in 0.0f64..1.0,
        ) {
            let mut rest = logits.clone();
            let likeliest = (0..logits.len())
                .fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
            rest[likeliest] = f32::NEG_INFINITY;
            let masked = SamplingConfig {
                end_of_text: EndOfText::Mask(u32::try_from(likeliest).unwrap()),
                ..config()
            };
            let drawn = draw_one(&logits, &masked, uniform);
            prop_assert_ne!(drawn.token as usize, likeliest);
            prop_assert_eq!(drawn, draw_one(&rest, &config(), uniform));
        }
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        // 60,000 draws: four standard deviations of a share are at most 4 sqrt(0.25 / 60000) =
        // 0.0082
        let logits: Vec<f32> = [0.5, 0.2, 0.15, 0.1, 0.05].map(f32::ln).to_vec();
        let mut counts = [0u32; 5];
        let mut scratch = Scratch::default();
        for episode in 0..600 {
            let mut uniforms = DrawSeed { seed: 7, stream: 1000 }.uniforms(episode);
            for _ in 0..100 {
                counts[draw(&logits, &config(), 0, uniforms.draw(), &mut scratch).unwrap().token
                    as usize] += 1;
            }
        }
        for (count, expected) in counts.into_iter().zip([0.5, 0.2, 0.15, 0.1, 0.05]) {
            assert!((f64::from(count) / 60_000.0 - expected).abs() < 0.0082, "{counts:?}");
        }
    }

    #[test]
    fn the_ends_of_the_unit_interval_draw_the_first_and_the_last_possible_token() {
        let mut logits = vec![0.0; 1000];
        logits[..300].fill(f32::NEG_INFINITY);
        logits[600..].fill(f32::NEG_INFINITY);
        assert_eq!(draw_one(&logits, &config(), 0.0).token, 300);
        assert_eq!(draw_one(&logits, &config(), 1.0).token, 599);
        assert!((draw_one(&logits, &config(), 0.5).entropy - 300f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn a_forbidden_end_token_is_scored_but_not_drawn() {
        let short =
            SamplingConfig { end_of_text: EndOfText::Stop(0), min_new_tokens: 1, ..config() };
        let logits = [200.0, 1.0, 0.0];
        // the end token has all the probability there is; the others are still told apart
        assert_eq!([0.1, 0.8].map(|uniform| draw_one(&logits, &short, uniform).token), [1, 2]);
        assert!((draw_one(&logits, &short, 0.1).log_prob + 199.0).abs() < 1e-3);
        assert_eq!(draw(&logits, &short, 1, 0.9, &mut Scratch::default()).unwrap().token, 0);
    }

    #[test]
    fn greedy_takes_the_first_of_the_most_likely_tokens() {
        let greedy = SamplingConfig { greedy: true, ..config() };
        assert_eq!(draw_one(&[1.0, 3.0, 3.0, 2.0], &greedy, 0.99).token, 1);
        let masked = SamplingConfig { end_of_text: EndOfText::Mask(1), ..greedy };
        assert_eq!(draw_one(&[1.0, 3.0, 3.0, 2.0], &masked, 0.99).token, 2);
    }

    #[test]
    fn logits_that_make_no_distribution_draw_nothing() {
        let with = |place: usize, bad: f32| {
            (0..600).map(|at| if at == place { bad } else { 0.5 }).collect::<Vec<f32>>()
        };
        let nan = [0, 15, 16, 300, 599].map(|place| with(place, f32::NAN));
        let others = [
            vec![f32::NAN, 0.0],
            vec![f32::INFINITY, 0.0],
            with(16, f32::INFINITY),
            vec![f32::NEG_INFINITY; 3],
            vec![],
        ];
        for logits in nan.into_iter().chain(others) {
            assert_eq!(
                draw(&logits, &config(), 0, 0.5, &mut Scratch::default()),
                None,
                "{logits:?}"
            );
            let error = probabilities(&logits, 1.0, 0, 1.0).unwrap_err().to_string();
            assert!(
                error.contains(&format!("cannot draw from {} logits", logits.len())),
                "{error}"
            );
        }
    }
}
