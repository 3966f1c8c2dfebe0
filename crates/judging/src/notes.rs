//! What must be said beneath the tables of judged texts.

use tailguard_data::Generations;
use tailguard_report::{EvaluatedMethod, EvaluatedTail, Evaluation, LeftOut, few_prompts};

use crate::error::JudgingError;
use crate::figures::Wanted;
use crate::groups::Group;
use crate::rows::{finite, prompt};
use crate::sentences::folded;
use crate::tail::{different_prompts, in_tail};

/// What the figures of the methods leave out.
pub(crate) fn left_out(evaluation: &Evaluation) -> Vec<String> {
    let most = evaluation.methods.values().map(|method| method.seeds).max().unwrap_or(0);
    let of_all = |sentence: &dyn Fn(&str, &EvaluatedMethod) -> Option<String>| {
        let said: Vec<_> = evaluation
            .in_order()
            .filter_map(|(name, method)| Some((name.clone(), sentence(name, method)?)))
            .collect();
        folded(&said)
    };
    let mut notes = of_all(&|name, method| {
        let EvaluatedMethod { rows, missing_responses: missing, .. } = *method;
        (missing > 0).then(|| format!("{name}: {missing} of {rows} rows have no text"))
    });
    for (place, (what, figure)) in [
        ("score", "the reward"),
        ("score of the prompt", "the tail"),
        ("score by the judge", "the judge"),
    ]
    .into_iter()
    .enumerate()
    {
        notes.extend(of_all(&|name, method| {
            let left_out =
                [method.reward_left_out, method.prompt_score_left_out, method.judge_left_out];
            let LeftOut { missing, not_finite } = left_out[place];
            let said = format!(
                "of {} rows, {missing} have no {what} and {not_finite} have one that is NaN or \
                 infinite",
                method.rows
            );
            (missing + not_finite > 0).then(|| format!("{name}: {said}; {figure} leaves them out"))
        }));
    }
    notes.extend(of_all(&|name, method| {
        let said = format!("{name} has {} of {most} seeds", method.seeds);
        (method.seeds < most).then_some(said)
    }));
    notes.extend(of_all(&|name, method| {
        (method.rows == 1).then(|| format!("{name} has one row: its figures have no intervals"))
    }));
    notes
}

/// Says of which scores the negative was taken.
pub(crate) fn negated(names: &[String]) -> Option<String> {
    let note = || {
        format!(
            "lower is better in {}: figures and thresholds are those of minus the scores",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(note)
}

/// Says that prompts are missing; `asked` is the column of which they were expected, if they were.
pub(crate) fn without_prompts(texts: &Generations, asked: Option<&str>) -> Option<String> {
    let Some(prompts) = &texts.prompts else {
        return asked.map(|column| {
            format!("there is no column {column:?}: texts are judged without prompts")
        });
    };
    let missing = (0..prompts.len()).filter(|&row| prompts.get(row).is_none()).count();
    (missing > 0).then(|| format!("{missing} of {} rows have no prompt", prompts.len()))
}

/// Says that responses begin with their prompts, or else that a model reads the last word of most
/// prompts and the first of their responses as one.
pub(crate) fn seams(texts: &Generations, has_model: bool) -> Option<String> {
    repeated_prompts(texts).or_else(|| if has_model { without_spaces(texts) } else { None })
}

/// Prompts and responses where both say something.
fn pairs(texts: &Generations) -> impl Iterator<Item = (&str, &str)> {
    let both = move |row: usize| Some((prompt(texts, row)?, texts.responses.get(row)?));
    (0..texts.responses.len())
        .filter_map(both)
        .filter(|(prompt, response)| !prompt.is_empty() && !response.is_empty())
}

fn repeated_prompts(texts: &Generations) -> Option<String> {
    let (count, repeated) = pairs(texts).fold((0, 0), |(count, repeated), (prompt, response)| {
        (count + 1, repeated + usize::from(response.starts_with(prompt)))
    });
    (2 * repeated > count).then(|| {
        format!(
            "{repeated} of {count} responses begin with their whole prompt, which lengths, \
             distinct-n, --reward and --judge then count to the response: \
             --responses-include-prompt cuts it off"
        )
    })
}

fn without_spaces(texts: &Generations) -> Option<String> {
    // scripts without capitals may have no spaces either
    let is_letter = |character: char| character.is_lowercase() || character.is_uppercase();
    let joined = |(prompt, response): &(&str, &str)| {
        response.starts_with(is_letter) && !prompt.ends_with(char::is_whitespace)
    };
    let (mut count, mut glued) = (0, 0);
    for pair in pairs(texts) {
        count += 1;
        glued += usize::from(joined(&pair));
    }
    (2 * glued > count).then(|| {
        format!(
            "{glued} of {count} responses begin with a letter right behind a prompt that does not \
             end in white space: --reward and --judge read both with nothing between them, so that \
             the file should keep the space that parts them"
        )
    })
}

/// Says that a curve or groups were asked for which some methods have not.
pub(crate) fn without_curves<'a>(
    methods: impl Iterator<Item = (&'a String, &'a EvaluatedMethod)>,
    wanted: &Wanted,
) -> Vec<String> {
    let said: Vec<_> = methods
        .filter_map(|(name, method)| Some((name, without_curve(name, method, wanted)?)))
        .collect();
    folded(&said)
}

fn without_curve(name: &str, method: &EvaluatedMethod, wanted: &Wanted) -> Option<String> {
    let lacks_curve = wanted.curve && method.curve.is_empty();
    if !lacks_curve && (wanted.buckets.is_none() || !method.buckets.is_empty()) {
        return None;
    }
    let reason = match wanted.tail {
        _ if method.seeds > 1 => "it has several seeds",
        Some(EvaluatedTail::PromptScores { .. }) => {
            "too few of its texts have a score and a prompt with a score"
        }
        _ => "its prompts have no scores",
    };
    Some(format!("{name}: no {}, as {reason}", if lacks_curve { "curve" } else { "buckets" }))
}

/// Says which methods have texts of a single prompt, or a tail of one.
///
/// # Errors
/// When a metric refuses its input.
pub(crate) fn few(
    texts: &Generations,
    groups: &[Group],
    tail: Option<&EvaluatedTail>,
) -> Result<Vec<String>, JudgingError> {
    let (mut fewest, mut fewest_in_tail, mut single) = (usize::MAX, usize::MAX, Vec::new());
    for group in groups {
        let is_scored =
            |row: &usize| texts.scores.is_none() || finite(&texts.scores, *row).is_some();
        let rows: Vec<usize> = group.rows.iter().copied().filter(is_scored).collect();
        if rows.is_empty() {
            continue;
        }
        let count = different_prompts(texts, &rows);
        if count == 1 {
            let said = few_prompts(1, None).unwrap_or_default();
            single.push((&group.method, format!("{}: {said}", group.method)));
            continue;
        }
        fewest = fewest.min(count);
        if let Some(EvaluatedTail::PromptScores { threshold, .. }) = tail {
            // an empty tail has no interval
            let count = different_prompts(texts, &in_tail(texts, &rows, *threshold)?);
            fewest_in_tail = if count > 0 { fewest_in_tail.min(count) } else { fewest_in_tail };
        }
    }
    single.dedup();
    Ok(folded(&single).into_iter().chain(few_prompts(fewest, Some(fewest_in_tail))).collect())
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
        assert_eq!(
            seams(&texts(&[("This film", "is good")]), false),
            None,
            "nobody reads the two as one"
        );
    }

    #[test]
    fn responses_that_begin_with_their_prompts_are_told_and_no_space_is_missed() {
        let said = seams(&texts(&[("A b", "A b c"), ("D", "D."), ("E", "f")]), true).unwrap();
        assert!(
            said.starts_with("2 of 3 responses begin with their whole prompt")
                && !said.contains("letter"),
            "{said}"
        );
        assert!(said.ends_with("--responses-include-prompt cuts it off"), "{said}");
        assert_eq!(
            seams(&texts(&[("A b", "A b c"), ("D", " e")]), false),
            None,
            "one of two may be chance"
        );
    }

    #[test]
    fn prompts_that_are_missing_are_told() {
        let mut all = texts(&[("a", "x"), ("b", "y")]);
        assert_eq!(without_prompts(&all, Some("prompt")), None);
        all.prompts = Some([None, Some("b")].into_iter().collect());
        assert_eq!(without_prompts(&all, Some("prompt")).unwrap(), "1 of 2 rows have no prompt");
        all.prompts = None;
        assert!(
            without_prompts(&all, Some("prompt"))
                .unwrap()
                .starts_with("there is no column \"prompt\"")
        );
        assert_eq!(without_prompts(&all, None), None, "whole texts were asked for");
    }

    #[test]
    fn few_prompts_are_counted_in_the_group_that_has_the_fewest() {
        let mut all = texts(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("d", "x")]);
        all.scores = Some(vec![Some(1.0), Some(2.0), Some(1.0), None, Some(f64::NAN)]);
        all.prompt_scores = Some([-1.0, -1.0, 0.0, -2.0, -2.0].map(Some).to_vec());
        let group = |method: &str, rows: std::ops::Range<usize>| Group {
            method: method.to_owned(),
            seed: None,
            rows: rows.collect(),
        };
        let tail = EvaluatedTail::PromptScores { threshold: -0.5, share: None, prompts: None };
        let said = few(&all, &[group("m", 0..5)], Some(&tail)).unwrap().concat();
        assert!(said.starts_with("the tail is a single prompt"), "{said}");
        // a group of a single prompt is named, and hides no other
        let said = few(&all, &[group("m", 0..5), group("n", 0..2), group("n", 0..2)], Some(&tail))
            .unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("n: there is a single prompt"), "{said:?}");
        assert!(said[1].starts_with("the tail is a single prompt"), "{said:?}");
        all.prompts = None;
        assert_eq!(few(&all, &[group("m", 0..5)], None).unwrap(), [""; 0]);
    }
}
