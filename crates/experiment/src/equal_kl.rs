//! Policies at one KL: what the controller leaves of a difference at the end of a training is put
//! right on the line between the reference and the policy.
//!
//! An iteration sees the KL of a hundred episodes or so, to a tenth of it; so a controller, however
//! good, leaves the last policy some percent from its target. Along the line from the weights of
//! the reference to those of the policy the KL rises smoothly from 0, near the policy about as the
//! square of the way. The policy is moved on it, by a few percent of the way, to where many more
//! episodes of training prompts have the KL that is asked for.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use tailguard_gpt2::Gpt2;
use tailguard_ppo::episode_kl;
use tailguard_rollout::{DrawSeed, Generation, Prompt, Sequence, generate, log_probs_of};

use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::observer::{Event, Observer};
use crate::settings::Settings;

/// The key of the KL at which arms are held whose recipe reads it.
pub(crate) const EQUAL_KL: &str = "experiment.equal_kl";
/// Batches of training by whose episodes the KL is measured.
const BATCHES: usize = 16;
/// The stream of the run's seed that draws them; training draws from those below, the evaluation
/// from those above.
const SETTLING: u64 = 1 << 49;
/// Moves at most.
const MOVES: usize = 6;
/// How near is near enough: less than the measurement can tell.
const CLOSE: f64 = 0.01;
/// How far the policy of a training that was held at the KL may be moved, as shares of the way from
/// the reference: what is left of a difference is small, and beyond the policy the line leads where
/// no training has been.
pub(crate) const HELD: [f64; 2] = [0.75, 1.25];
/// Powers of the way by which the KL may rise.
const POWERS: [f64; 2] = [1.0, 4.0];
/// What is said to be off.
const OFF: f64 = 0.05;

/// The KL of each response to the reference, in nats: the responses of a policy to these prompts,
/// round after round where there are several.
///
/// # Errors
/// A model that fails.
pub(crate) fn kls(
    reference: &Gpt2,
    prompts: &[Prompt],
    generations: &[Generation],
    inputs: &Inputs,
    batch_size: usize,
) -> Result<Vec<f64>, ExperimentError> {
    let sequences: Vec<Sequence<'_>> = prompts
        .iter()
        .cycle()
        .zip(generations)
        .map(|(prompt, generation)| Sequence {
            prompt: &prompt.ids,
            response: &generation.response_ids,
        })
        .collect();
    let distribution = inputs.sampling.distribution();
    let old = log_probs_of(reference, None, &sequences, &distribution, batch_size)?;
    let pairs = generations.iter().zip(&old);
    Ok(pairs
        .map(|(new, old)| episode_kl(&new.log_probs, &old.log_probs))
        .collect::<Result<_, _>>()?)
}

/// What a policy is to be held at, and by what it is measured.
pub(crate) struct Settling<'a> {
    /// Arm and seed, as messages name them.
    pub(crate) name: (&'a str, u64),
    /// What the KL is measured to, and where the line begins.
    pub(crate) reference: &'a Gpt2,
    /// In nats per response.
    pub(crate) target: f64,
    /// How far it may be moved, as shares of the way from the reference.
    pub(crate) way: [f64; 2],
    pub(crate) inputs: &'a Inputs,
    pub(crate) settings: &'a Settings,
}

impl Settling<'_> {
    /// The policy, moved on the line through the reference to where it has the KL, and says how
    /// far. One that the training has left too far off stays as far as it can be moved, with a
    /// warning.
    ///
    /// # Errors
    /// A model that fails; [`ExperimentError::Stopped`].
    pub(crate) fn settle(
        &self,
        policy: Gpt2,
        observer: &mut dyn Observer,
    ) -> Result<Gpt2, ExperimentError> {
        let prompts = spread(
            &self.inputs.train_prompts,
            BATCHES.saturating_mul(self.settings.ppo.batch_size),
        );
        let mut settled = None;
        let found = search(self.target, self.way, |share| {
            if !observer.goes_on() {
                return Err(ExperimentError::Stopped);
            }
            let moved = if share.to_bits() == 1.0_f64.to_bits() {
                policy.clone()
            } else {
                between(self.reference, &policy, share)
            };
            let kl = self.measured(&moved, &prompts)?;
            settled = Some(moved);
            Ok::<_, ExperimentError>(kl)
        })?;
        self.tell(&found, observer);
        Ok(settled.unwrap_or(policy))
    }

    /// The mean KL of a policy over these prompts, in nats per response.
    fn measured(&self, policy: &Gpt2, prompts: &[Prompt]) -> Result<f64, ExperimentError> {
        let Self { reference, inputs, settings, .. } = self;
        let draws = DrawSeed { seed: self.name.1, stream: SETTLING };
        let batch_size = settings.sampling.batch_size;
        let generations = generate(policy, None, prompts, &inputs.sampling, draws, batch_size)?;
        let kls = kls(reference, prompts, &generations, inputs, batch_size)?;
        Ok(kls.iter().sum::<f64>() / kls.len() as f64)
    }

    fn tell(&self, Found { before, share, kl }: &Found, observer: &mut dyn Observer) {
        let ((arm, seed), target) = (self.name, self.target);
        observer.tell(Event::Info(&format!(
            "{arm}, seed {seed}: KL {before:.2} nats after training; at {:.1} % of the way from \
             the reference {kl:.2}, to be held at {target}",
            100.0 * share
        )));
        if (kl / target - 1.0).abs() > OFF {
            observer.tell(Event::Warning(&format!(
                "{arm}, seed {seed}, could not be held at a KL of {target} nats: it is at \
                 {kl:.2}; more iterations or another ppo.kl_coef to begin with may help"
            )));
        }
    }
}

/// Where a policy came to lie on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    /// The KL at the end of the training.
    before: f64,
    /// The share of the way from the reference, 1 for the policy of the training.
    share: f64,
    /// The KL there.
    kl: f64,
}

/// Looks for the target on the line; `kl` measures at a share of the way, and last of all at the
/// one that is found.
fn search<E>(
    target: f64,
    way: [f64; 2],
    mut kl: impl FnMut(f64) -> Result<f64, E>,
) -> Result<Found, E> {
    let before = kl(1.0)?;
    let (mut at, mut power) = (Found { before, share: 1.0, kl: before }, 2.0);
    for _ in 0..MOVES {
        // by chance a small KL may be negative
        if (at.kl / target - 1.0).abs() <= CLOSE || at.kl <= 0.0 {
            break;
        }
        let next = (at.share * (target / at.kl).powf(1.0 / power)).clamp(way[0], way[1]);
        if next.to_bits() == at.share.to_bits() {
            break;
        }
        let there = kl(next)?;
        let rise = (there / at.kl).ln() / (next / at.share).ln();
        if rise.is_finite() {
            power = rise.clamp(POWERS[0], POWERS[1]);
        }
        at = Found { share: next, kl: there, ..at };
    }
    Ok(at)
}

/// So many prompts, spread over all: one after the other where there are fewer.
fn spread(prompts: &[Prompt], count: usize) -> Vec<Prompt> {
    let place = |nth: usize| {
        if count <= prompts.len() {
            nth * prompts.len() / count
        } else {
            nth % prompts.len().max(1)
        }
    };
    (0..count).filter_map(|nth| prompts.get(place(nth)).cloned()).collect()
}

/// The model at a share of the way from one to the other: 0 is the one, 1 the other, and what is
/// beyond is beyond it.
fn between<M: Module>(one: &M, other: &M, share: f64) -> M {
    let mut weights = Weights(Vec::new());
    one.visit(&mut weights);
    other.clone().map(&mut Towards { from: weights.0.into_iter(), share })
}

/// All weights in the order in which they are visited.
struct Weights(Vec<Tensor<1>>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weights = param.val();
        let count = weights.dims().iter().product::<usize>();
        self.0.push(weights.reshape([count]));
    }
}

/// Moves weights along the line from others, which come in the same order.
struct Towards<I> {
    from: I,
    share: f64,
}

impl<I: Iterator<Item = Tensor<1>>> ModuleMapper for Towards<I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // both are of one architecture
        let Some(from) = self.from.next() else { return param };
        param.map(|weights| {
            let from = from.reshape(weights.dims());
            from.clone() + (weights - from) * self.share
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use tailguard_gpt2::Gpt2Config;

    use super::*;

    fn found(target: f64, kl: impl Fn(f64) -> f64) -> (Found, Vec<f64>) {
        let mut asked = Vec::new();
        let found = search(target, HELD, |share| {
            asked.push(share);
            Ok::<_, ()>(kl(share))
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn a_policy_is_moved_to_the_kl_whatever_the_power_by_which_it_rises() {
        for power in [1.2, 2.0, 3.0] {
            for before in [3.4, 4.5] {
                let (found, asked) = found(4.0, |share| before * share.powf(power));
                assert!((found.kl / 4.0 - 1.0).abs() <= CLOSE, "{power} {before}: {found:?}");
                assert_eq!(asked.last(), Some(&found.share));
                assert!((found.before - before).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn one_that_may_go_all_the_way_comes_back_from_afar() {
        for power in [1.2, 1.8, 2.5] {
            let kl = |share: f64| Ok::<_, ()>(12.0 * share.powf(power));
            let found = search(2.0, [0.0, 1.0], kl).unwrap();
            assert!((found.kl / 2.0 - 1.0).abs() <= CLOSE, "{power}: {found:?}");
        }
        // not beyond the policy
        let all_the_way = search(2.0, [0.0, 1.0], |_| Ok::<_, ()>(1.0)).unwrap();
        assert!((all_the_way.share - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_that_is_near_stays_and_one_that_is_far_goes_as_far_as_it_may() {
        assert_eq!(found(4.0, |share| 4.03 * share * share).1, [1.0]);
        let (far, asked) = found(4.0, |share| 9.0 * share * share);
        assert_eq!(asked, [1.0, 0.75]);
        assert!((far.kl - 9.0 * 0.75 * 0.75).abs() < 1e-12);
        assert_eq!(found(4.0, |share| 1.0 * share * share).1, [1.0, 1.25]);
        // a KL that chance has made negative says nothing of the way
        assert_eq!(found(4.0, |_| -0.1).1, [1.0]);
    }

    #[test]
    fn the_line_has_the_two_models_at_its_ends() {
        let config = Gpt2Config::new(11, 8, 8, 1, 2);
        let [one, other] = [1, 2].map(|seed| config.init(seed, &Device::flex()).unwrap());
        let flat = |model: &Gpt2| {
            let mut weights = Weights(Vec::new());
            model.visit(&mut weights);
            weights
                .0
                .into_iter()
                .flat_map(|row| row.into_data().iter::<f32>().collect::<Vec<_>>())
                .collect::<Vec<f32>>()
        };
        assert_eq!(flat(&between(&one, &other, 0.0)), flat(&one));
        let (at, ends) = (flat(&between(&one, &other, 1.25)), (flat(&one), flat(&other)));
        assert!(ends.0.iter().zip(&ends.1).any(|(one, other)| (one - other).abs() > 0.01));
        for (at, (one, other)) in at.iter().zip(ends.0.iter().zip(&ends.1)) {
            assert!((at - (one + 1.25 * (other - one))).abs() < 1e-6);
        }
    }

    #[test]
    fn prompts_are_spread_over_all_or_come_again() {
        let prompts: Vec<Prompt> =
            (0..6).map(|id| Prompt { ids: vec![id], text: String::new() }).collect();
        let ids =
            |count| spread(&prompts, count).iter().map(|prompt| prompt.ids[0]).collect::<Vec<_>>();
        assert_eq!(ids(3), [0, 2, 4]);
        assert_eq!(ids(8), [0, 1, 2, 3, 4, 5, 0, 1]);
        assert!(spread(&[], 3).is_empty());
    }
}
