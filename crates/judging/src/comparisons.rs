//! What methods gain over one of them, on the prompts that both have.

use std::collections::{BTreeMap, HashMap};

use tailguard_data::{Generations, Scores};
use tailguard_metrics::{ByPrompt, at_or_below};
use tailguard_report::{Comparison, EvaluatedTail, Values, adjust, one_line};

use crate::error::JudgingError;
use crate::figures::Wanted;
use crate::groups::Group;
use crate::rows::{finite, prompt};
use crate::sentences::{folded, some};
use crate::tails::tail_gains;

/// Refuses a baseline that nothing can be compared with; `scored` says whether the texts have
/// scores, or will have.
///
/// # Errors
/// A baseline that is no method, texts without prompts or scores.
pub(crate) fn check(
    baseline: &str,
    groups: &[Group],
    texts: &Generations,
    scored: bool,
) -> Result<(), JudgingError> {
    if !groups.iter().any(|group| group.method == baseline) {
        let mut methods: Vec<_> = groups.iter().map(|group| one_line(&group.method)).collect();
        methods.dedup();
        return Err(JudgingError::refused(format!(
            "--baseline {baseline}: no such method; there are {}",
            some(&methods)
        )));
    }
    if groups.iter().all(|group| group.method == baseline) {
        let hint = "--group-by names the columns that tell methods apart, and --method those of a \
            wide table";
        return Err(JudgingError::refused(format!(
            "--baseline {baseline}: there is no other method"
        ))
        .with_hint(hint));
    }
    if texts.prompts.is_none() || !scored {
        let hint = "pass --prompt-column, and --score-column or --reward";
        return Err(JudgingError::refused("--baseline needs prompts and scores").with_hint(hint));
    }
    Ok(())
}

/// Compares every other method with the baseline, with the seeds that both have: rewards, their
/// tails, and the judge's scores. Says also which methods cannot be compared. There is nothing to
/// compare without a baseline.
///
/// # Errors
/// When a metric refuses its input.
pub(crate) fn comparisons(
    texts: &Generations,
    groups: &[Group],
    wanted: &Wanted,
) -> Result<(Vec<Comparison>, Vec<String>), JudgingError> {
    let Some(baseline) = &wanted.baseline else { return Ok((Vec::new(), Vec::new())) };
    let (prompts, level) = (Prompts::of(texts), wanted.level);
    let (mut base, mut others): (BTreeMap<_, _>, Vec<(&str, Vec<&Group>)>) =
        (BTreeMap::new(), Vec::new());
    for group in groups {
        if group.method == *baseline {
            base.insert(group.seed, group);
        } else {
            // those of a method come one after the other
            match others.last_mut() {
                Some((method, groups)) if *method == group.method => groups.push(group),
                _ => others.push((&group.method, vec![group])),
            }
        }
    }
    let in_tail = match wanted.tail {
        Some(EvaluatedTail::PromptScores { threshold, .. }) => Some(prompts.within(threshold)?),
        _ => None,
    };
    let in_tail = in_tail.as_ref().map(|low| |prompt: usize| low[prompt]);
    let count = |count| level.count(count);
    let (mut comparisons, mut notes) = (Vec::new(), Vec::new());
    for (method, groups) in others {
        let (own, others): (Vec<&Group>, Vec<&Group>) =
            groups.into_iter().filter_map(|group| Some((group, *base.get(&group.seed)?))).unzip();
        let (of_own, of_others) = (prompts.values(texts, &own), prompts.values(texts, &others));
        let mut found = Comparison::of(
            (method, &of_own),
            (baseline, &of_others),
            in_tail.as_ref().map(|in_tail| in_tail as &dyn Fn(usize) -> bool),
            Some((level.alpha(), &count)),
        )?;
        if found.is_none() {
            let what =
                if own.is_empty() { "no seed" } else { "fewer than two prompts with scores" };
            notes.push((
                method,
                format!("{method} and {baseline} cannot be compared: they have {what} in common"),
            ));
        }
        if let Some(found) = &mut found {
            found.tail_report = tail_gains(&of_own.reward, &of_others.reward, &wanted.failures)?;
        }
        comparisons.extend(found);
    }
    adjust(&mut comparisons)?;
    Ok((comparisons, folded(&notes)))
}

/// The prompts of a file, numbered in its order.
struct Prompts {
    /// Of each row; none without a prompt.
    of_rows: Vec<Option<usize>>,
    /// One score per prompt, the first that the file has: a prompt is in the tail of every
    /// comparison, or of none.
    scores: Vec<Option<f64>>,
}

impl Prompts {
    fn of(texts: &Generations) -> Self {
        let (mut numbers, mut scores) = (HashMap::new(), Vec::new());
        let mut of_rows = Vec::with_capacity(texts.responses.len());
        for row in 0..texts.responses.len() {
            let number = prompt(texts, row).map(|prompt| {
                let number = *numbers.entry(prompt).or_insert(scores.len());
                scores.resize(scores.len().max(number + 1), None);
                scores[number] = scores[number].or(finite(&texts.prompt_scores, row));
                number
            });
            of_rows.push(number);
        }
        Self { of_rows, scores }
    }

    /// Whether each scores at most a threshold.
    fn within(&self, threshold: f64) -> Result<Vec<bool>, JudgingError> {
        let mut low = vec![false; self.scores.len()];
        let scored =
            self.scores.iter().enumerate().filter_map(|(prompt, score)| Some((prompt, (*score)?)));
        let (prompts, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
        if !scores.is_empty() {
            at_or_below(&scores, threshold)?
                .into_iter()
                .for_each(|place| low[prompts[place]] = true);
        }
        Ok(low)
    }

    /// The scores of these groups, each of one seed.
    fn values(&self, texts: &Generations, groups: &[&Group]) -> Values {
        let of = |scores: &Option<Scores>| -> Vec<Vec<ByPrompt>> {
            if scores.is_none() {
                return Vec::new();
            }
            let value = |&row: &usize| Some((self.of_rows[row]?, finite(scores, row)?));
            groups.iter().map(|group| group.rows.iter().filter_map(value).collect()).collect()
        };
        Values { reward: of(&texts.scores), judge: of(&texts.judge), ..Values::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailguard_risk::RiskLevel;

    fn group(method: &str, seed: Option<u64>, rows: std::ops::Range<usize>) -> Group {
        Group { method: method.to_owned(), seed, rows: rows.collect() }
    }

    fn compared(
        texts: &Generations,
        groups: &[Group],
        tail: Option<&EvaluatedTail>,
    ) -> (Vec<Comparison>, Vec<String>) {
        let wanted = Wanted {
            tail: tail.copied(),
            baseline: Some("old".to_owned()),
            ..Wanted::of_level(RiskLevel::new(0.5).unwrap())
        };
        comparisons(texts, groups, &wanted).unwrap()
    }

    fn texts(prompts: &[&str], scores: &[Option<f64>]) -> Generations {
        let texts = || prompts.iter().copied().map(Some).collect();
        Generations {
            prompts: Some(texts()),
            responses: texts(),
            scores: Some(scores.to_vec()),
            ..Generations::default()
        }
    }

    #[test]
    fn prompts_are_paired_by_their_text_and_the_texts_of_one_count_once() {
        let prompts =
            ["a", "b", "c", "b", "d", /* and of the other method */ "b", "a", "b", "c", "e"];
        let scores = [1.0, 2.0, 3.0, 5.0, 9.0, 20.0, 10.0, 50.0, f64::NAN, 7.0].map(Some);
        let mut texts = texts(&prompts, &scores);
        let groups = [group("new", None, 0..5), group("old", None, 5..10)];
        let (found, notes) = compared(&texts, &groups, None);
        // a and b, which has two texts on either side; not c, which has no score there
        assert_eq!((found.len(), found[0].prompts, notes.len()), (1, 2, 0));
        assert!(
            (found[0].reward.mean - (1.0 + 3.5 - 10.0 - 35.0) / 2.0).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!(found[0].tail, None);
        // a prompt has one score, whatever row is looked at
        texts.prompt_scores =
            Some([-1.0, -2.0, 0.0, 5.0, 0.0, 9.0, 9.0, 9.0, 0.0, 0.0].map(Some).to_vec());
        let tail = EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: None };
        let (found, _) = compared(&texts, &groups, Some(&tail));
        assert_eq!(found[0].tail, Some(found[0].reward));
        assert!(
            found[0].cvar_share == Some(0.5) && found[0].cvar.is_some() && found[0].judge.is_none()
        );
        let tail = EvaluatedTail::PromptScores { threshold: -1.5, share: None, prompts: None };
        assert_eq!(
            compared(&texts, &groups, Some(&tail)).0[0].tail,
            None,
            "of one prompt there is no gain"
        );
    }

    #[test]
    fn copies_of_a_prompt_make_no_gain_surer() {
        let (prompts, copies) = (["a", "b", "c", "d"], 16);
        let scores =
            [1.0, 3.0, 2.5, 4.0, /* and of the other method */ 0.5, 1.5, 2.0, 1.0].map(Some);
        let all = texts(&[prompts, prompts].concat(), &scores);
        let groups = [group("new", None, 0..4), group("old", None, 4..8)];
        let once = compared(&all, &groups, None).0;
        let many = texts(
            &prompts.repeat(2 * copies),
            &[scores[..4].repeat(copies), scores[4..].repeat(copies)].concat(),
        );
        let groups =
            [group("new", None, 0..4 * copies), group("old", None, 4 * copies..8 * copies)];
        let often = compared(&many, &groups, None).0;
        assert_eq!((often[0].reward, often[0].prompts), (once[0].reward, 4));
        let (often, once_cvar) = (often[0].cvar.unwrap(), once[0].cvar.unwrap());
        assert!(
            (often.mean - once_cvar.mean).abs() < 1e-12
                && (often.se.unwrap() / once_cvar.se.unwrap() - 1.0).abs() < 0.3
        );
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
        let (found, _) = compared(&texts(&prompts, &scores), &groups, None);
        // seed 1: rows 0 and 1 less 6 and 7; seed 2: rows 2 and 3 less 4 and 5
        assert!(
            (found[0].reward.mean + 4.0).abs() < 1e-12 && found[0].reward.seeds_std.is_some(),
            "{found:?}"
        );
    }

    #[test]
    fn a_method_that_cannot_be_compared_is_noted_and_the_others_are_compared() {
        let table = texts(&["a", "b", "c", "d", "c", "d"], &[Some(1.0); 6]);
        let groups =
            [group("new", None, 0..2), group("newer", None, 2..4), group("old", None, 4..6)];
        let (found, notes) = compared(&table, &groups, None);
        assert_eq!(
            notes,
            ["new and old cannot be compared: they have fewer than two prompts with scores in \
                 common"]
        );
        assert_eq!((found.len(), found[0].method.as_str()), (1, "newer"));
        let other_seed = [group("new", Some(1), 2..4), group("old", Some(2), 4..6)];
        let (found, notes) = compared(&table, &other_seed, None);
        assert!(found.is_empty() && notes[0].ends_with("they have no seed in common"), "{notes:?}");
    }

    #[test]
    fn a_baseline_that_nothing_can_be_compared_with_is_refused() {
        let table = texts(&["a", "b"], &[Some(1.0); 2]);
        let groups = [
            group("new", Some(1), 0..1),
            group("new", Some(2), 0..1),
            group("newer", Some(1), 1..2),
        ];
        let message = |baseline, texts: &Generations, scored| {
            check(baseline, &groups, texts, scored).unwrap_err().to_string()
        };
        assert_eq!(
            message("old", &table, true),
            "--baseline old: no such method; there are new, newer"
        );
        assert_eq!(message("new", &table, false), "--baseline needs prompts and scores");
        assert!(check("new", &groups, &table, true).is_ok());
        let alone = check("new", &groups[..2], &table, true).unwrap_err().to_string();
        assert_eq!(alone, "--baseline new: there is no other method");
    }
}
