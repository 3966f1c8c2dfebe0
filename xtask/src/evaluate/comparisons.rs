//! What methods gain over one of them, on the prompts that both have.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::{Bootstrap, at_or_below, paired_bootstrap};
use tailguard_report::{Comparison, Difference, EvaluatedTail};

use super::groups::Group;
use crate::failure::Failure;

/// Resamples of the prompts.
const RESAMPLES: usize = 2_000;

/// A prompt: its text, and how many equal ones stand above it in its group.
type Key<'a> = (&'a str, usize);

/// Compares every other method with the baseline, with the seeds that both have.
///
/// # Errors
/// A baseline that is no method, texts without prompts or scores, methods without a common seed or fewer than two common prompts.
pub(super) fn comparisons(
    texts: &Generations,
    groups: &[Group],
    baseline: &str,
    tail: Option<&EvaluatedTail>,
) -> Result<Vec<Comparison>> {
    let mut by_method: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    groups.iter().for_each(|group| by_method.entry(&group.method).or_default().push(group));
    let Some(base) = by_method.get(baseline) else {
        let methods: Vec<_> = by_method.keys().copied().collect();
        return Err(Failure::usage(format!("--baseline {baseline}: no such method; there are {}", methods.join(", "))).into());
    };
    let base: BTreeMap<Option<u64>, Values<'_>> =
        base.iter().map(|group| Ok((group.seed, values(texts, group)?))).collect::<Result<_>>()?;
    let others = by_method.iter().filter(|(method, _)| **method != baseline);
    others.map(|(method, groups)| comparison(texts, (method, groups), (baseline, &base), tail)).collect()
}

/// The rows of prompts that have a reward.
type Values<'a> = HashMap<Key<'a>, usize>;

fn values<'a>(texts: &'a Generations, group: &Group) -> Result<Values<'a>> {
    let (Some(prompts), Some(scores)) = (&texts.prompts, &texts.scores) else {
        let hint = "pass --prompt-column, and --score-column or --reward";
        return Err(Failure::usage("--baseline needs prompts and scores").hint(hint).into());
    };
    let (mut seen, mut values) = (HashMap::new(), HashMap::new());
    for &row in &group.rows {
        let Some(prompt) = prompts.get(row) else { continue };
        let above: &mut usize = seen.entry(prompt).or_default();
        if scores[row].is_some_and(f64::is_finite) {
            values.insert((prompt, *above), row);
        }
        *above += 1;
    }
    Ok(values)
}

fn comparison(
    texts: &Generations,
    (method, groups): (&str, &[&Group]),
    (baseline, base): (&str, &BTreeMap<Option<u64>, Values<'_>>),
    tail: Option<&EvaluatedTail>,
) -> Result<Comparison> {
    let none = |what: &str| Failure::new(format!("{method} and {baseline} cannot be compared: they have {what} in common"));
    let mut pairs = Vec::new();
    for group in groups.iter().filter(|group| base.contains_key(&group.seed)) {
        pairs.push((values(texts, group)?, &base[&group.seed]));
    }
    let Some((first, _)) = pairs.first() else { return Err(none("no seed").into()) };
    let in_all = |key: &Key<'_>| pairs.iter().all(|(left, right)| left.contains_key(key) && right.contains_key(key));
    let mut keys: Vec<(usize, Key<'_>)> = first.iter().map(|(key, row)| (*row, *key)).filter(|(_, key)| in_all(key)).collect();
    // in the order of the file, so that the draws of the bootstrap fall on the same prompts every time
    keys.sort_unstable();
    if keys.len() < 2 {
        return Err(none("fewer than two prompts with scores").into());
    }
    let reward = |row: usize| texts.scores.as_ref().and_then(|scores| scores[row]).unwrap_or(f64::NAN);
    let difference = |keys: &[(usize, Key<'_>)]| {
        let of = |values: &Values<'_>| keys.iter().map(|(_, key)| values.get(key).map_or(f64::NAN, |&row| reward(row))).collect();
        let left: Vec<Vec<f64>> = pairs.iter().map(|(left, _)| of(left)).collect();
        let right: Vec<Vec<f64>> = pairs.iter().map(|(_, right)| of(right)).collect();
        paired_bootstrap(&left, &right, Bootstrap { resamples: RESAMPLES, seed: 0 }).map(Difference::from)
    };
    let tail = match (tail, &texts.prompt_scores) {
        (Some(EvaluatedTail::PromptScores { threshold, .. }), Some(scores)) => {
            let scored: Vec<_> = keys.iter().copied().filter(|(row, _)| scores[*row].is_some_and(f64::is_finite)).collect();
            let values: Vec<f64> = scored.iter().filter_map(|(row, _)| scores[*row]).collect();
            let places = if values.is_empty() { Vec::new() } else { at_or_below(&values, *threshold)? };
            let keys: Vec<_> = places.into_iter().map(|place| scored[place]).collect();
            if keys.len() < 2 { None } else { Some(difference(&keys)?) }
        }
        _ => None,
    };
    let (method, over) = (method.to_owned(), baseline.to_owned());
    Ok(Comparison { method, over, prompts: keys.len(), reward: difference(&keys)?, tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(method: &str, seed: Option<u64>, rows: std::ops::Range<usize>) -> Group {
        Group { method: method.to_owned(), seed, rows: rows.collect() }
    }

    fn texts(prompts: &[&str], scores: &[Option<f64>]) -> Generations {
        let texts = || prompts.iter().copied().map(Some).collect();
        Generations { prompts: Some(texts()), responses: texts(), scores: Some(scores.to_vec()), ..Generations::default() }
    }

    #[test]
    fn prompts_are_paired_by_their_text_and_equal_ones_in_order() {
        let prompts = ["a", "b", "c", "b", "d", /* and of the other method */ "b", "a", "b", "c", "e"];
        let scores = [1.0, 2.0, 3.0, 5.0, 9.0, 20.0, 10.0, 50.0, f64::NAN, 7.0].map(Some);
        let mut texts = texts(&prompts, &scores);
        let groups = [group("new", None, 0..5), group("old", None, 5..10)];
        let found = comparisons(&texts, &groups, "old", None).unwrap();
        // a, the first b, the second b; not c, which has no score there
        assert_eq!((found.len(), found[0].prompts), (1, 3));
        assert!((found[0].reward.mean - (1.0 + 2.0 + 5.0 - 10.0 - 20.0 - 50.0) / 3.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found[0].tail, None);
        texts.prompt_scores = Some([-1.0, 0.0, 0.0, -2.0, 0.0, 0.0, -1.0, -2.0, 0.0, 0.0].map(Some).to_vec());
        let tail = EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: None };
        let found = comparisons(&texts, &groups, "old", Some(&tail)).unwrap();
        assert!((found[0].tail.unwrap().mean - (1.0 + 5.0 - 10.0 - 50.0) / 2.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn seeds_that_both_have_are_averaged_prompt_by_prompt() {
        let prompts = ["a", "b"].repeat(5);
        let scores: Vec<Option<f64>> = (0..10).map(|row| Some(f64::from(row))).collect();
        let seeds = [("new", 1), ("new", 2), ("old", 2), ("old", 1), ("old", 3)];
        let groups: Vec<Group> = seeds
            .iter()
            .enumerate()
            .map(|(place, (method, seed))| group(method, Some(*seed), 2 * place..2 * place + 2))
            .collect();
        let found = comparisons(&texts(&prompts, &scores), &groups, "old", None).unwrap();
        // seed 1: rows 0 and 1 less 6 and 7; seed 2: rows 2 and 3 less 4 and 5
        assert!((found[0].reward.mean + 4.0).abs() < 1e-12 && found[0].reward.seeds_ci95.is_some(), "{found:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let table = texts(&["a", "b", "c", "d"], &[Some(1.0); 4]);
        let message = |texts: &Generations, groups: &[Group]| comparisons(texts, groups, "old", None).unwrap_err().to_string();
        let groups = [group("new", None, 0..2), group("old", None, 2..4)];
        let none_common = message(&table, &groups);
        assert_eq!(none_common, "new and old cannot be compared: they have fewer than two prompts with scores in common");
        let other_seed = [group("new", Some(1), 0..2), group("old", Some(2), 2..4)];
        assert!(message(&table, &other_seed).ends_with("they have no seed in common"));
        assert!(message(&table, &groups[..1]).ends_with("no such method; there are new"));
        let unscored = Generations { scores: None, ..table };
        assert_eq!(message(&unscored, &groups), "--baseline needs prompts and scores");
    }
}
