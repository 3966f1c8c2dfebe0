//! What must be said beneath the tables of texts of a file.

use std::collections::HashSet;

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::at_or_below;
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Evaluation, LeftOut, few_prompts, number};
use tailguard_risk::RiskLevel;

use super::args::EvaluateArgs;
use super::figures::Wanted;
use super::groups::Group;
use super::reading::PROMPT;

/// A line each is said of so many methods; of more, one line for all.
const LINES: usize = 3;
/// Names that stand for a long list of them.
const NAMES: usize = 3;

/// What is said of methods, all of it of one kind: the method, and a whole sentence about it. Where it is said of many, the first
/// sentence stands for all.
pub(super) fn folded<M: AsRef<str>>(said: &[(M, String)]) -> Vec<String> {
    match said {
        [(_, first), others @ ..] if said.len() > LINES => {
            vec![format!("{first}; likewise, with numbers of their own, {}", some(others.iter().map(|(method, _)| method)))]
        }
        _ => said.iter().map(|(_, sentence)| sentence.clone()).collect(),
    }
}

/// The first of these names, and how many more there are.
pub(super) fn some<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(NAMES).map(|name| name.as_ref().to_owned()).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the figures of the methods leave out.
pub(super) fn left_out(evaluation: &Evaluation) -> Vec<String> {
    let most = evaluation.methods.values().map(|method| method.seeds).max().unwrap_or(0);
    let of_all = |sentence: &dyn Fn(&str, &EvaluatedMethod) -> Option<String>| {
        let said: Vec<_> =
            evaluation.in_order().filter_map(|(name, method)| Some((name.clone(), sentence(name, method)?))).collect();
        folded(&said)
    };
    let mut notes = of_all(&|name, method| {
        let EvaluatedMethod { rows, missing_responses: missing, .. } = *method;
        (missing > 0).then(|| format!("{name}: {missing} of {rows} rows have no text"))
    });
    for (place, (what, figure)) in
        [("score", "the reward"), ("score of the prompt", "the tail"), ("score by the judge", "the judge")]
            .into_iter()
            .enumerate()
    {
        notes.extend(of_all(&|name, method| {
            let left_out = [method.reward_left_out, method.prompt_score_left_out, method.judge_left_out];
            let LeftOut { missing, not_finite } = left_out[place];
            let said =
                format!("of {} rows, {missing} have no {what} and {not_finite} have one that is NaN or infinite", method.rows);
            (missing + not_finite > 0).then(|| format!("{name}: {said}; {figure} leaves them out"))
        }));
    }
    notes.extend(of_all(&|name, method| {
        let said = format!("{name} has {} of {most} seeds", method.seeds);
        (method.seeds < most).then_some(said)
    }));
    notes
        .extend(of_all(&|name, method| (method.rows == 1).then(|| format!("{name} has one row: its figures have no intervals"))));
    notes
}

/// Says of which scores the negative was taken.
pub(super) fn negated(names: &[String]) -> Option<String> {
    let note = || format!("lower is better in {}: figures and thresholds are those of minus the scores", names.join(", "));
    (!names.is_empty()).then(note)
}

/// Says that prompts are missing, where whole texts are not what was asked for.
pub(super) fn without_prompts(args: &EvaluateArgs, texts: &Generations) -> Option<String> {
    let Some(prompts) = &texts.prompts else {
        let note = format!("there is no column {PROMPT:?}: texts are judged without prompts");
        return args.columns.text_column.is_none().then_some(note);
    };
    let missing = (0..prompts.len()).filter(|&row| prompts.get(row).is_none()).count();
    (missing > 0).then(|| format!("{missing} of {} rows have no prompt", prompts.len()))
}

/// Says that responses begin with their prompts, or else that a model reads the last word of most prompts and the first of their
/// responses as one.
pub(super) fn seams(texts: &Generations, has_model: bool) -> Option<String> {
    repeated_prompts(texts).or_else(|| if has_model { without_spaces(texts) } else { None })
}

/// Prompts and responses where both say something.
fn pairs(texts: &Generations) -> impl Iterator<Item = (&str, &str)> {
    let both = move |row: usize| Some((texts.prompts.as_ref()?.get(row)?, texts.responses.get(row)?));
    (0..texts.responses.len()).filter_map(both).filter(|(prompt, response)| !prompt.is_empty() && !response.is_empty())
}

fn repeated_prompts(texts: &Generations) -> Option<String> {
    let (count, repeated) = pairs(texts)
        .fold((0, 0), |(count, repeated), (prompt, response)| (count + 1, repeated + usize::from(response.starts_with(prompt))));
    (2 * repeated > count).then(|| {
        format!(
            "{repeated} of {count} responses begin with their whole prompt, which lengths, distinct-n, --reward and --judge then count to the \
             response: --responses-include-prompt cuts it off"
        )
    })
}

fn without_spaces(texts: &Generations) -> Option<String> {
    // scripts without capitals may have no spaces either
    let is_letter = |character: char| character.is_lowercase() || character.is_uppercase();
    let joined = |(prompt, response): &(&str, &str)| response.starts_with(is_letter) && !prompt.ends_with(char::is_whitespace);
    let (mut count, mut glued) = (0, 0);
    for pair in pairs(texts) {
        count += 1;
        glued += usize::from(joined(&pair));
    }
    (2 * glued > count).then(|| {
        format!(
            "{glued} of {count} responses begin with a letter right behind a prompt that does not end in white space: --reward and --judge \
             read both with nothing between them, so that the file should keep the space that parts them"
        )
    })
}

/// Says that a tail by a share is noticeably more than that share, as many prompts score alike.
pub(super) fn ties(texts: &Generations, tail: &EvaluatedTail, level: RiskLevel) -> Option<String> {
    let EvaluatedTail::PromptScores { threshold, share: Some(_), .. } = *tail else { return None };
    let scores = different_scores(texts);
    let (found, wanted) = (at_or_below(&scores, threshold).ok()?.len(), level.count(scores.len()));
    (found as f64 > 1.1 * wanted as f64).then(|| {
        let [real, share] =
            [found as f64 / scores.len() as f64, level.alpha()].map(|share| number(100.0 * share, 1).replace(".0", ""));
        format!("the tail is {real} % of the prompts, not the lowest {share} %: so many score {threshold} or less")
    })
}

/// The finite score of each different prompt, however many texts it has. Rows without a prompt count one by one.
pub(super) fn different_scores(texts: &Generations) -> Vec<f64> {
    let mut seen = HashSet::new();
    let scores = texts.prompt_scores.iter().flatten().enumerate();
    let scored = scores.filter_map(|(row, score)| Some((row, score.filter(|score| score.is_finite())?)));
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).ok_or(row);
    scored.filter(|(row, _)| seen.insert(prompt(*row))).map(|(_, score)| score).collect()
}

/// Says that a curve or groups were asked for which some methods have not.
pub(super) fn without_curves<'a>(
    methods: impl Iterator<Item = (&'a String, &'a EvaluatedMethod)>,
    wanted: &Wanted,
) -> Vec<String> {
    let said: Vec<_> = methods.filter_map(|(name, method)| Some((name, without_curve(name, method, wanted)?))).collect();
    folded(&said)
}

fn without_curve(name: &str, method: &EvaluatedMethod, wanted: &Wanted) -> Option<String> {
    let lacks_curve = wanted.curve && method.curve.is_empty();
    if !lacks_curve && (wanted.buckets.is_none() || !method.buckets.is_empty()) {
        return None;
    }
    let reason = match wanted.tail {
        _ if method.seeds > 1 => "it has several seeds",
        Some(EvaluatedTail::PromptScores { .. }) => "too few of its texts have a score and a prompt with a score",
        _ => "its prompts have no scores",
    };
    Some(format!("{name}: no {}, as {reason}", if lacks_curve { "curve" } else { "buckets" }))
}

/// Says which methods have texts of a single prompt, or a tail of one.
///
/// # Errors
/// When a metric refuses its input.
pub(super) fn few(texts: &Generations, groups: &[Group], tail: Option<&EvaluatedTail>) -> Result<Vec<String>> {
    let has = |scores: &Option<Vec<Option<f64>>>, row: usize| {
        scores.as_ref().is_none_or(|scores| scores[row].is_some_and(f64::is_finite))
    };
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).ok_or(row);
    let different = |rows: &[usize]| rows.iter().map(|&row| prompt(row)).collect::<HashSet<_>>().len();
    let (mut fewest, mut fewest_in_tail, mut single) = (usize::MAX, usize::MAX, Vec::new());
    for group in groups {
        let rows: Vec<usize> = group.rows.iter().copied().filter(|&row| has(&texts.scores, row)).collect();
        if rows.is_empty() {
            continue;
        }
        let count = different(&rows);
        if count == 1 {
            let said = few_prompts(1, None).unwrap_or_default();
            single.push((&group.method, format!("{}: {said}", group.method)));
            continue;
        }
        fewest = fewest.min(count);
        if let Some(EvaluatedTail::PromptScores { threshold, .. }) = tail {
            // an empty tail has no interval
            let count = different(&in_tail(texts, &rows, *threshold)?);
            fewest_in_tail = if count > 0 { fewest_in_tail.min(count) } else { fewest_in_tail };
        }
    }
    single.dedup();
    Ok(folded(&single).into_iter().chain(few_prompts(fewest, Some(fewest_in_tail))).collect())
}

/// Those of the rows whose prompts score at most a threshold.
pub(super) fn in_tail(texts: &Generations, rows: &[usize], threshold: f64) -> Result<Vec<usize>> {
    let Some(scores) = &texts.prompt_scores else { return Ok(Vec::new()) };
    let scored = rows.iter().filter_map(|&row| Some((row, scores[row].filter(|score| score.is_finite())?)));
    let (rows, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
    let low = if scores.is_empty() { Vec::new() } else { at_or_below(&scores, threshold)? };
    Ok(low.into_iter().map(|place| rows[place]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Generations {
        let prompts = pairs.iter().map(|(prompt, _)| Some(*prompt)).collect();
        let responses = pairs.iter().map(|(_, response)| Some(*response)).collect();
        Generations { prompts: Some(prompts), responses, ..Generations::default() }
    }

    #[test]
    fn responses_that_lost_their_space_are_told() {
        let told = |pairs: &[(&str, &str)]| seams(&texts(pairs), true).unwrap_or_default();
        let glued = told(&[("This film", "is good"), ("That", "Is"), ("A", ", b")]);
        assert!(glued.starts_with("2 of 3 responses begin with a letter"), "{glued}");
        assert_eq!(told(&[("This film", " is good"), ("That ", "is"), ("A", "b")]), "");
        assert_eq!(told(&[("这部电影", "很好"), ("这部", "电影")]), "", "a script without spaces");
        assert_eq!(told(&[("", "whole"), ("a", "")]), "");
        assert_eq!(seams(&texts(&[("This film", "is good")]), false), None, "nobody reads the two as one");
    }

    #[test]
    fn responses_that_begin_with_their_prompts_are_told_and_no_space_is_missed() {
        let said = seams(&texts(&[("A b", "A b c"), ("D", "D."), ("E", "f")]), true).unwrap();
        assert!(said.starts_with("2 of 3 responses begin with their whole prompt") && !said.contains("letter"), "{said}");
        assert!(said.ends_with("--responses-include-prompt cuts it off"), "{said}");
        assert_eq!(seams(&texts(&[("A b", "A b c"), ("D", " e")]), false), None, "one of two may be chance");
    }

    #[test]
    fn what_is_said_of_many_methods_is_one_line() {
        let said = |count: usize| -> Vec<_> { (0..count).map(|step| (step.to_string(), format!("{step}: no figure"))).collect() };
        assert_eq!(folded(&said(0)), Vec::<String>::new());
        assert_eq!(folded(&said(3)), ["0: no figure", "1: no figure", "2: no figure"]);
        assert_eq!(folded(&said(4)), ["0: no figure; likewise, with numbers of their own, 1, 2, 3"]);
        assert_eq!(folded(&said(5_000)), ["0: no figure; likewise, with numbers of their own, 1, 2, 3 and 4996 more"]);
    }

    #[test]
    fn the_score_of_a_prompt_counts_once_however_many_texts_it_has() {
        let mut all = texts(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("a", "z")]);
        all.prompt_scores = Some(vec![Some(-1.0), Some(-1.0), Some(f64::NAN), Some(2.0), Some(-1.0)]);
        assert_eq!(different_scores(&all), [-1.0, 2.0]);
        all.prompts = None;
        assert_eq!(different_scores(&all), [-1.0, -1.0, 2.0, -1.0]);
    }

    #[test]
    fn few_prompts_are_counted_in_the_group_that_has_the_fewest() {
        let mut all = texts(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("d", "x")]);
        all.scores = Some(vec![Some(1.0), Some(2.0), Some(1.0), None, Some(f64::NAN)]);
        all.prompt_scores = Some([-1.0, -1.0, 0.0, -2.0, -2.0].map(Some).to_vec());
        let group =
            |method: &str, rows: std::ops::Range<usize>| Group { method: method.to_owned(), seed: None, rows: rows.collect() };
        let tail = EvaluatedTail::PromptScores { threshold: -0.5, share: None, prompts: None };
        let said = few(&all, &[group("m", 0..5)], Some(&tail)).unwrap().concat();
        assert!(said.starts_with("the tail is a single prompt"), "{said}");
        // a group of a single prompt is named, and hides no other
        let said = few(&all, &[group("m", 0..5), group("n", 0..2), group("n", 0..2)], Some(&tail)).unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("n: there is a single prompt"), "{said:?}");
        assert!(said[1].starts_with("the tail is a single prompt"), "{said:?}");
        all.prompts = None;
        assert_eq!(few(&all, &[group("m", 0..5)], None).unwrap(), [""; 0]);
    }
}
