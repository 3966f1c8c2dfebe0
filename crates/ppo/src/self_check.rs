//! Cheap checks before the first update, of what has silently gone wrong in other PPO
//! implementations.

use tailguard_kernels::{Precision, precision};
use tailguard_lm::{CausalLm, Policy};
use tailguard_rollout::{Episode, Rollout, log_probs_of};

use crate::config::PpoConfig;
use crate::error::PpoError;
use crate::rewards::shaped_rewards;
use crate::update::KeptBatch;

/// Largest difference of two log-probabilities that should be the same, in nats: kernels sum in
/// different orders. A GPU that rounds factors to 7 bits rounds other numbers in sampling than in
/// scoring.
fn limit() -> f64 {
    match precision() {
        Precision::F32 => 5e-3,
        Precision::Bf16 => 0.25,
    }
}

/// Checks a first batch, sampled by a policy that still is the reference:
///
/// 1. the KL to the reference is 0,
/// 2. the log-probabilities noted while sampling are those of a pass over the whole sequence: the
///    ratio will be 1 (what top-k, top-p and `min_new_tokens` cut is drawn from, not scored: as in
///    TRL, it is not seen here),
/// 3. a row scored alone is a row scored in a padded batch,
/// 4. the score lands on the last response token,
/// 5. one kept episode gives finite advantages by the value head, if there is one.
///
/// # Errors
/// [`PpoError::SelfCheck`] says which of them failed, by how much.
pub(crate) fn self_check<M: CausalLm>(
    policy: &Policy<M>,
    rollout: &Rollout<'_, M>,
    episodes: &[Episode],
    config: &PpoConfig,
) -> Result<(), PpoError> {
    let Some(shortest) =
        episodes.iter().min_by_key(|episode| episode.prompt.ids.len() + episode.response_ids.len())
    else {
        return Ok(());
    };
    for episode in episodes {
        let gap = largest_gap(&episode.log_probs, &episode.ref_log_probs);
        check("the KL to the reference is not 0 before the first update", gap, limit())?;
    }
    let distribution = rollout.sampling.distribution();
    let sample: Vec<&Episode> = episodes.iter().take(8).chain([shortest]).collect();
    let sequences: Vec<_> = sample.iter().map(|episode| episode.sequence()).collect();
    let value_head = config.has_value_head().then_some(&policy.value_head);
    let together =
        log_probs_of(&policy.lm, value_head, &sequences, &distribution, sequences.len())?;
    for (episode, scores) in sample.iter().zip(&together) {
        // one after the other: the larger of a number and NaN is the number
        for gap in [
            largest_gap(&episode.log_probs, &scores.log_probs),
            largest_gap(&episode.values, &scores.values),
        ] {
            check("sampling and scoring give different log-probabilities or values", gap, limit())?;
        }
    }
    let alone = log_probs_of(&policy.lm, None, &[shortest.sequence()], &distribution, 1)?;
    let gap = largest_gap(&alone[0].log_probs, &together[sample.len() - 1].log_probs);
    check("a row in a padded batch differs from the row alone", gap, limit())?;
    let rewards =
        shaped_rewards(&shortest.log_probs, &shortest.log_probs, shortest.score, config.kl_coef)?;
    let gap = rewards.last().map_or(f64::NAN, |&last| f64::from(last) - f64::from(shortest.score));
    check("the score does not land on the last response token", gap.abs(), 0.0)?;
    if value_head.is_some() {
        KeptBatch::new(&episodes[..1], &[vec![0.0; episodes[0].log_probs.len()]], &[0], config)?;
    }
    Ok(())
}

/// Checks that the first minibatch of a run saw the policy that sampled: in the update's own pass,
/// with its padding, shards and gradients, every ratio is 1.
///
/// # Errors
/// [`PpoError::SelfCheck`] with the distance.
pub(crate) fn ratio_is_one(gap: f64) -> Result<(), PpoError> {
    check("the ratio is not 1 before the first update", gap, limit())
}

fn check(what: &'static str, found: f64, limit: f64) -> Result<(), PpoError> {
    // NaN is not within any limit
    if found <= limit { Ok(()) } else { Err(PpoError::SelfCheck { what, found, limit }) }
}

fn largest_gap(a: &[f32], b: &[f32]) -> f64 {
    let gaps = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    if a.len() == b.len() {
        gaps.fold(0.0, |most, gap| if gap <= most { most } else { gap })
    } else {
        f64::NAN
    }
}
