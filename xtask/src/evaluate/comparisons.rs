//! What methods gain over one of them, on the prompts that both have.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::at_or_below;
use tailguard_report::{Comparison, EvaluatedTail, one_line};

use super::groups::Group;
use super::notes::{folded, some};
use crate::failure::Failure;

/// Refuses a baseline that nothing can be compared with; `scored` says whether the texts have scores, or will have.
///
/// # Errors
/// A baseline that is no method, texts without prompts or scores.
pub(super) fn check(baseline: &str, groups: &[Group], texts: &Generations, scored: bool) -> Result<(), Failure> {
    if !groups.iter().any(|group| group.method == baseline) {
        let mut methods: Vec<_> = groups.iter().map(|group| one_line(&group.method)).collect();
        methods.dedup();
        return Err(Failure::usage(format!("--baseline {baseline}: no such method; there are {}", some(&methods))));
    }
    if groups.iter().all(|group| group.method == baseline) {
        let hint = "--group-by names the columns that tell methods apart, and --method those of a wide table";
        return Err(Failure::usage(format!("--baseline {baseline}: there is no other method")).hint(hint));
    }
    if texts.prompts.is_none() || !scored {
        let hint = "pass --prompt-column, and --score-column or --reward";
        return Err(Failure::usage("--baseline needs prompts and scores").hint(hint));
    }
    Ok(())
}

/// Compares every other method with the baseline, with the seeds that both have. Says also which methods cannot be compared.
///
/// # Errors
/// When a metric refuses its input.
pub(super) fn comparisons(
    texts: &Generations,
    groups: &[Group],
    baseline: &str,
    tail: Option<&EvaluatedTail>,
) -> Result<(Vec<Comparison>, Vec<String>)> {
    let (mut base, mut others): (BTreeMap<_, _>, Vec<(&str, Vec<&Group>)>) = (BTreeMap::new(), Vec::new());
    for group in groups {
        if group.method == baseline {
            base.insert(group.seed, rewards(texts, group));
        } else {
            // those of a method come one after the other
            match others.last_mut() {
                Some((method, groups)) if *method == group.method => groups.push(group),
                _ => others.push((&group.method, vec![group])),
            }
        }
    }
    let prompt_scores = prompt_scores(texts);
    let in_tail = |prompts: &[&str]| match tail {
        Some(EvaluatedTail::PromptScores { threshold, .. }) => {
            let score = |(place, prompt): (usize, &&str)| Some((place, *prompt_scores.get(prompt)?));
            let (places, scores): (Vec<usize>, Vec<f64>) = prompts.iter().enumerate().filter_map(score).unzip();
            let low = if scores.is_empty() { Vec::new() } else { at_or_below(&scores, *threshold)? };
            Ok(low.into_iter().map(|place| places[place]).collect())
        }
        _ => Ok::<_, anyhow::Error>(Vec::new()),
    };
    let (mut comparisons, mut notes) = (Vec::new(), Vec::new());
    for (method, groups) in others {
        let pairs = groups.iter().filter_map(|group| Some((rewards(texts, group), base.get(&group.seed)?)));
        let pairs: Vec<(Rewards<'_>, &Rewards<'_>)> = pairs.collect();
        let prompts = common(&pairs);
        if prompts.len() < 2 {
            let what = if pairs.is_empty() { "no seed" } else { "fewer than two prompts with scores" };
            notes.push((method, format!("{method} and {baseline} cannot be compared: they have {what} in common")));
            continue;
        }
        let of = |rewards: &Rewards<'_>| prompts.iter().filter_map(|prompt| Some(rewards.get(prompt)?.mean)).collect();
        let left: Vec<Vec<f64>> = pairs.iter().map(|(left, _)| of(left)).collect();
        let right: Vec<Vec<f64>> = pairs.iter().map(|(_, right)| of(right)).collect();
        comparisons.push(Comparison::of((method, &left), (baseline, &right), &in_tail(&prompts)?)?);
    }
    Ok((comparisons, folded(&notes)))
}

/// The reward of a prompt: the mean over its texts, as one method and seed has them.
struct Reward {
    first_row: usize,
    mean: f64,
}

/// The prompts that have a reward.
type Rewards<'a> = HashMap<&'a str, Reward>;

fn rewards<'a>(texts: &'a Generations, group: &Group) -> Rewards<'a> {
    let mut sums: HashMap<&str, (usize, f64, f64)> = HashMap::new();
    for &row in &group.rows {
        let prompt = texts.prompts.as_ref().and_then(|prompts| prompts.get(row));
        let score = texts.scores.as_ref().and_then(|scores| scores[row]).filter(|score| score.is_finite());
        if let (Some(prompt), Some(score)) = (prompt, score) {
            let (_, sum, count) = sums.entry(prompt).or_insert((row, 0.0, 0.0));
            *sum += score;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(prompt, (first_row, sum, count))| (prompt, Reward { first_row, mean: sum / count })).collect()
}

/// The prompts that all have, in the order of the file: the draws of the bootstrap fall on the same prompts every time.
fn common<'a>(pairs: &[(Rewards<'a>, &Rewards<'a>)]) -> Vec<&'a str> {
    let Some((first, _)) = pairs.first() else { return Vec::new() };
    let in_all = |prompt: &str| pairs.iter().all(|(left, right)| left.contains_key(prompt) && right.contains_key(prompt));
    let prompts = first.iter().filter(|(prompt, _)| in_all(prompt));
    let mut prompts: Vec<(usize, &str)> = prompts.map(|(prompt, reward)| (reward.first_row, *prompt)).collect();
    prompts.sort_unstable();
    prompts.into_iter().map(|(_, prompt)| prompt).collect()
}

/// One score per prompt, the first that the file has: a prompt is in the tail of every comparison, or of none.
fn prompt_scores(texts: &Generations) -> HashMap<&str, f64> {
    let mut first = HashMap::new();
    if let (Some(prompts), Some(scores)) = (&texts.prompts, &texts.prompt_scores) {
        for (row, score) in scores.iter().enumerate() {
            if let (Some(prompt), Some(score)) = (prompts.get(row), score.filter(|score| score.is_finite())) {
                first.entry(prompt).or_insert(score);
            }
        }
    }
    first
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
    fn prompts_are_paired_by_their_text_and_the_texts_of_one_count_once() {
        let prompts = ["a", "b", "c", "b", "d", /* and of the other method */ "b", "a", "b", "c", "e"];
        let scores = [1.0, 2.0, 3.0, 5.0, 9.0, 20.0, 10.0, 50.0, f64::NAN, 7.0].map(Some);
        let mut texts = texts(&prompts, &scores);
        let groups = [group("new", None, 0..5), group("old", None, 5..10)];
        let (found, notes) = comparisons(&texts, &groups, "old", None).unwrap();
        // a and b, which has two texts on either side; not c, which has no score there
        assert_eq!((found.len(), found[0].prompts, notes.len()), (1, 2, 0));
        assert!((found[0].reward.mean - (1.0 + 3.5 - 10.0 - 35.0) / 2.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found[0].tail, None);
        // a prompt has one score, whatever row is looked at
        texts.prompt_scores = Some([-1.0, -2.0, 0.0, 5.0, 0.0, 9.0, 9.0, 9.0, 0.0, 0.0].map(Some).to_vec());
        let tail = EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: None };
        let (found, _) = comparisons(&texts, &groups, "old", Some(&tail)).unwrap();
        assert_eq!(found[0].tail, Some(found[0].reward));
        let tail = EvaluatedTail::PromptScores { threshold: -1.5, share: None, prompts: None };
        assert_eq!(comparisons(&texts, &groups, "old", Some(&tail)).unwrap().0[0].tail, None, "of one prompt there is no gain");
    }

    #[test]
    fn copies_of_a_prompt_make_no_gain_surer() {
        let (prompts, copies) = (["a", "b", "c", "d"], 16);
        let scores = [1.0, 3.0, 2.5, 4.0, /* and of the other method */ 0.5, 1.5, 2.0, 1.0].map(Some);
        let all = texts(&[prompts, prompts].concat(), &scores);
        let groups = [group("new", None, 0..4), group("old", None, 4..8)];
        let once = comparisons(&all, &groups, "old", None).unwrap().0;
        let many = texts(&prompts.repeat(2 * copies), &[scores[..4].repeat(copies), scores[4..].repeat(copies)].concat());
        let groups = [group("new", None, 0..4 * copies), group("old", None, 4 * copies..8 * copies)];
        assert_eq!(comparisons(&many, &groups, "old", None).unwrap().0, once);
        assert_eq!(once[0].prompts, 4);
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
        let (found, _) = comparisons(&texts(&prompts, &scores), &groups, "old", None).unwrap();
        // seed 1: rows 0 and 1 less 6 and 7; seed 2: rows 2 and 3 less 4 and 5
        assert!((found[0].reward.mean + 4.0).abs() < 1e-12 && found[0].reward.seeds_ci95.is_some(), "{found:?}");
    }

    #[test]
    fn a_method_that_cannot_be_compared_is_noted_and_the_others_are_compared() {
        let table = texts(&["a", "b", "c", "d", "c", "d"], &[Some(1.0); 6]);
        let groups = [group("new", None, 0..2), group("newer", None, 2..4), group("old", None, 4..6)];
        let (found, notes) = comparisons(&table, &groups, "old", None).unwrap();
        assert_eq!(notes, ["new and old cannot be compared: they have fewer than two prompts with scores in common"]);
        assert_eq!((found.len(), found[0].method.as_str()), (1, "newer"));
        let other_seed = [group("new", Some(1), 2..4), group("old", Some(2), 4..6)];
        let (found, notes) = comparisons(&table, &other_seed, "old", None).unwrap();
        assert!(found.is_empty() && notes[0].ends_with("they have no seed in common"), "{notes:?}");
    }

    #[test]
    fn a_baseline_that_nothing_can_be_compared_with_is_refused() {
        let table = texts(&["a", "b"], &[Some(1.0); 2]);
        let groups = [group("new", Some(1), 0..1), group("new", Some(2), 0..1), group("newer", Some(1), 1..2)];
        let message = |baseline, texts: &Generations, scored| check(baseline, &groups, texts, scored).unwrap_err().to_string();
        assert_eq!(message("old", &table, true), "--baseline old: no such method; there are new, newer");
        assert_eq!(message("new", &table, false), "--baseline needs prompts and scores");
        assert!(check("new", &groups, &table, true).is_ok());
        let alone = check("new", &groups[..2], &table, true).unwrap_err().to_string();
        assert_eq!(alone, "--baseline new: there is no other method");
    }
}
