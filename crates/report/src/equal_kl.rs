//! How near arms came that were to be held at a KL.

use serde::{Deserialize, Serialize};

use crate::figure::number;

/// Beyond so many percent two arms are at one KL in name alone.
const FAR: f64 = 5.0;

/// An arm that was to be held at a KL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldKl {
    /// The key of the arm.
    pub method: String,
    /// The KL, in nats per response.
    pub target: f64,
    /// By how many percent of it the arm's `kl` is above, or with a minus below.
    pub off_percent: f64,
    /// The same of each seed, in their order.
    pub off_percent_by_seed: Vec<f64>,
}

impl HeldKl {
    /// An arm whose KL was measured with each seed, in nats; nothing where no seed has one.
    ///
    /// The mean is over seeds, as that of the figure `kl`.
    #[must_use]
    pub fn of(method: &str, target: f64, by_seed: &[f64]) -> Option<Self> {
        let off: Vec<f64> = by_seed.iter().map(|kl| 100.0 * (kl / target - 1.0)).collect();
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        (!off.is_empty()).then(|| Self {
            method: method.to_owned(),
            target,
            off_percent: mean,
            off_percent_by_seed: off,
        })
    }

    /// How far off it is, as tables say it: `+1.3 %`.
    #[must_use]
    pub fn off(&self) -> String {
        let shown = number(self.off_percent, 1);
        let sign = if shown.starts_with('-') || shown == "0.0" { "" } else { "+" };
        format!("{sign}{shown} %")
    }

    /// What to say where the arm, so called, is too far from its KL.
    #[must_use]
    pub fn warning(&self, name: &str) -> Option<String> {
        let Self { target, off_percent, .. } = self;
        (off_percent.abs() > FAR).then(|| {
            format!(
                "{name} was to be held at a KL of {target} nats and is {} off: it is not to be \
                 compared as if at that KL",
                self.off()
            )
        })
    }

    /// Its numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (String, f64)> {
        let all =
            [self.target, self.off_percent].into_iter().chain(self.off_percent_by_seed.clone());
        let name = format!("{}: equal_kl", self.method);
        all.map(move |number| (name.clone(), number))
    }
}

/// The line beneath the tables: `Held at a KL of 4 nats: RLHF +1.3 %, RA-RLHF -0.4 %`, one for each
/// KL.
pub(crate) fn lines(held: &[HeldKl], name: impl Fn(&str) -> String) -> Option<String> {
    let mut by_target: Vec<(f64, Vec<String>)> = Vec::new();
    for arm in held {
        let told = format!("{} {}", name(&arm.method), arm.off());
        match by_target.iter_mut().find(|(target, _)| target.to_bits() == arm.target.to_bits()) {
            Some((_, others)) => others.push(told),
            None => by_target.push((arm.target, vec![told])),
        }
    }
    let line = |(target, arms): &(f64, Vec<String>)| {
        format!("Held at a KL of {target} nats, and off it by: {}\n", arms.join(", "))
    };
    (!held.is_empty()).then(|| by_target.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(method: &str, target: f64, by_seed: &[f64]) -> HeldKl {
        HeldKl::of(method, target, by_seed).unwrap()
    }

    #[test]
    fn an_arm_is_off_by_the_mean_of_its_seeds() {
        let arm = held("rlhf", 4.0, &[4.2, 3.9]);
        assert!((arm.off_percent - 1.25).abs() < 1e-9, "{arm:?}");
        assert!((arm.off_percent_by_seed[1] + 2.5).abs() < 1e-9, "{arm:?}");
        assert_eq!(HeldKl::of("rlhf", 4.0, &[]), None);
    }

    #[test]
    fn what_is_far_is_told_and_what_is_near_is_not() {
        assert_eq!(
            held("rlhf", 4.0, &[4.6]).warning("RLHF").unwrap(),
            "RLHF was to be held at a KL of 4 nats and is +15.0 % off: it is not to be compared \
             as if at that KL"
        );
        assert!(held("rlhf", 4.0, &[3.5]).warning("RLHF").unwrap().contains("-12.5 % off"));
        assert_eq!(held("rlhf", 4.0, &[4.15]).warning("RLHF"), None);
    }

    #[test]
    fn there_is_a_line_for_each_kl() {
        let all = [held("a", 4.0, &[4.1]), held("b", 8.0, &[7.6]), held("c", 4.0, &[4.0])];
        assert_eq!(
            lines(&all, str::to_uppercase).unwrap(),
            "Held at a KL of 4 nats, and off it by: A +2.5 %, C 0.0 %\n\
             Held at a KL of 8 nats, and off it by: B -5.0 %\n"
        );
        assert_eq!(lines(&[], str::to_owned), None);
    }
}
