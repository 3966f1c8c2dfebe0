//! P-values of comparisons that stand side by side.

use std::collections::BTreeMap;

use tailguard_metrics::{MetricsError, holm};

use crate::comparison::Comparison;
use crate::tail_gains::Gain;

/// Adjusts the p-values of comparisons that stand side by side, each figure for as many as have it:
/// the chance that *any* gain in this figure is claimed that is none stays below the bound (Holm, A
/// simple sequentially rejective multiple test procedure, 1979). Figures of one comparison are not
/// counted against each other: they are one tail, seen at several levels. A comparison that stands
/// alone has nothing to adjust for.
///
/// # Errors
/// [`MetricsError::NoProbability`] for a p-value that is none.
pub fn adjust(comparisons: &mut [Comparison]) -> Result<(), MetricsError> {
    let mut families: BTreeMap<String, Vec<&mut Gain>> = BTreeMap::new();
    for gains in comparisons.iter_mut().filter_map(|comparison| comparison.tail_report.as_mut()) {
        let keys: Vec<String> = gains.named().into_iter().map(|named| named.key).collect();
        for (key, gain) in keys.into_iter().zip(gains.gains_mut()) {
            if gain.p_value.is_some() {
                families.entry(key).or_default().push(gain);
            }
        }
    }
    for gains in families.values_mut().filter(|gains| gains.len() > 1) {
        let p_values: Vec<f64> = gains.iter().filter_map(|gain| gain.p_value).collect();
        for (gain, adjusted) in gains.iter_mut().zip(holm(&p_values)?) {
            gain.p_adjusted = Some(adjusted);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::tests::comparison;
    use crate::tail_gains::TailGains;
    use crate::tail_gains::tests::tail_gains;

    #[test]
    fn p_values_are_adjusted_for_the_comparisons_of_one_figure() {
        let with = |p: &[f64]| -> Vec<Comparison> {
            let one = |&p: &f64| {
                let mut gains = tail_gains();
                gains.reward.p_value = Some(p);
                Comparison { tail_report: Some(gains), ..comparison() }
            };
            p.iter().map(one).collect()
        };
        let mut three = with(&[0.01, 0.5, 0.02]);
        three[1].tail_report.as_mut().unwrap().worst_of = None;
        adjust(&mut three).unwrap();
        let of = |get: &dyn Fn(&TailGains) -> Option<Gain>| -> Vec<Option<f64>> {
            let gains = three.iter().flat_map(|comparison| &comparison.tail_report);
            gains.filter_map(get).map(|gain| gain.p_adjusted).collect()
        };
        // as in the example of `holm`
        let rewards: Vec<f64> = of(&|gains| Some(gains.reward)).into_iter().flatten().collect();
        assert!(
            rewards.iter().zip([0.03, 0.5, 0.04]).all(|(one, other)| (one - other).abs() < 1e-12),
            "{rewards:?}"
        );
        // three times, and of the worst of four twice
        assert_eq!(of(&|gains| Some(gains.levels[0].cvar)), [Some(0.03); 3]);
        assert_eq!(of(&|gains| Some(gains.worst_of?.reward)), [Some(0.08); 2]);
        let mut alone = with(&[0.01]);
        adjust(&mut alone).unwrap();
        assert_eq!(alone, with(&[0.01]));
    }
}
