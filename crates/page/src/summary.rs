//! What was run and what came out, in plain words that follow from the figures, whichever policy is ahead.

use maud::{Markup, html};
use tailguard_report::{Figure, number};

use crate::clean;
use crate::curves::{Difference, difference};
use crate::error::PageError;
use crate::figures::{glance, key, panel};
use crate::model::{Policy, Run};
use crate::table::minus;
use crate::texts::Sample;

/// The section.
///
/// # Errors
/// [`PageError::Metrics`] for texts whose numbers are none.
pub(crate) fn section(run: &Run) -> Result<Markup, PageError> {
    let outcome = outcome(run)?;
    let glance = glance(run)
        .map(|chart| Ok::<_, PageError>(html! { (key(std::slice::from_ref(&chart))) (panel(&chart)?) }))
        .transpose()?;
    Ok(html! {
        section #summary {
            h2 { "In short" }
            div.beside {
                div {
                    p { (what_was_run(run)) }
                    @for sentence in &outcome { p { (sentence) } }
                    p.remark { (reservation(run)) }
                }
                @if let Some(glance) = glance { div { (glance) } }
            }
        }
    })
}

/// A signed number with a true minus.
fn signed(value: f64) -> String {
    let text = number(value, 2);
    minus(&if text.starts_with('-') || text.chars().all(|sign| "0.".contains(sign)) { text } else { format!("+{text}") })
}

fn shown(value: f64) -> String {
    minus(&number(value, 2))
}

/// What the prompts are.
fn what_was_run(run: &Run) -> String {
    let results = &run.results;
    let labels: Vec<String> = run.methods.iter().map(|policy| clean::line(&policy.label)).collect();
    let prompts = match run.texts.prompts.len() {
        0 => "the evaluation prompts".to_owned(),
        count => format!("{count} {} prompts", if results.split == "validation" { "validation" } else { "held-out" }),
    };
    let mut text = format!(
        "{} {} continued {prompts} of the task “{}”",
        enumerate(&labels),
        plural(labels.len()),
        clean::line(&results.task)
    );
    text += &match results.seeds.len() {
        0 => ".".to_owned(),
        1 => format!(", with one seed ({}).", results.seeds[0]),
        seeds => format!(", with {seeds} seeds."),
    };
    let has = |key: &str| run.policy(key).is_some();
    if has("sft") && has("gpt2") {
        text += " GPT-2 is the base model, and SFT is GPT-2 fine-tuned on texts of the good class.";
    }
    if has("rlhf") && has("ra_rlhf") {
        let share = run.setting("risk.alpha").and_then(|alpha| alpha.parse::<f64>().ok());
        let share =
            share.map_or_else(|| "a share".to_owned(), |alpha| format!("the {} %", crate::charts::plain(100.0 * alpha, 2)));
        text += &format!(
            " RLHF trains SFT further by PPO on all episodes; RA-RLHF does the same, but its schedule ends with {share} of the episodes \
             that have the lowest returns."
        );
    }
    if let Some(tail) = results.tail {
        text += &format!(
            " The reward is the raw logit of the reward model, higher is better; the tail is the {} prompts whose own score is at most {}.",
            tail.prompts,
            minus(&tail.threshold.to_string())
        );
    }
    text
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

/// `A, B and C`.
fn enumerate(names: &[String]) -> String {
    match names {
        [] => "Nobody".to_owned(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// What came out.
fn outcome(run: &Run) -> Result<Vec<String>, PageError> {
    let mut sentences = Vec::new();
    sentences.extend(order(run, "reward", "Mean reward"));
    sentences.extend(order(run, "tail", "Mean reward in the tail"));
    if sentences.len() == 2 {
        sentences = vec![sentences.join(" ")];
    }
    sentences.extend(averse_against_neutral(run)?);
    sentences.extend(price(run));
    sentences.extend(judged(run));
    Ok(sentences)
}

/// The policies in the order of a figure.
fn order(run: &Run, key: &str, what: &str) -> Option<String> {
    let mut means: Vec<(f64, &Policy)> = Vec::new();
    for policy in &run.methods {
        means.extend(run.results.figure(&policy.key, key).map(|figure| (figure.mean, policy)));
    }
    means.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let listed: Vec<String> =
        means.iter().map(|(mean, policy)| format!("{} {}", clean::line(&policy.label), shown(*mean))).collect();
    (!listed.is_empty()).then(|| format!("{what}, from the highest: {}.", listed.join(", ")))
}

/// Which way a difference goes, as far as its interval allows to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
    Unclear,
}

fn direction(difference: &Difference) -> Direction {
    match difference.ci95 {
        [low, _] if low > 0.0 => Direction::Up,
        [_, high] if high < 0.0 => Direction::Down,
        _ => Direction::Unclear,
    }
}

/// The direction in words, with size and interval.
fn verdict(difference: &Difference) -> String {
    let [low, high] = difference.ci95;
    let over = if difference.seeds > 1 { format!("over {} seeds", difference.seeds) } else { "over prompts".to_owned() };
    let word = match direction(difference) {
        Direction::Up => "ahead",
        Direction::Down => "behind",
        Direction::Unclear => "not clearly apart",
    };
    format!("{word} ({}, 95 % interval {over} {} to {})", signed(difference.mean), signed(low), signed(high))
}

/// RA-RLHF beside RLHF: on average, in the tail, and where it gains more.
fn averse_against_neutral(run: &Run) -> Result<Option<String>, PageError> {
    let of = |key: &'static str| run.texts.of(key).collect::<Vec<&Sample>>();
    let (averse, neutral) = (of("ra_rlhf"), of("rlhf"));
    let all: Vec<usize> = (0..run.texts.prompts.len()).collect();
    let Some(mean) = difference(&averse, &neutral, &all)? else { return Ok(None) };
    let mut text = format!("RA-RLHF beside RLHF, on the same prompts: on average it is {}", verdict(&mean));
    let tail = run.results.tail.map(|tail| run.texts.tail(tail.threshold)).unwrap_or_default();
    let Some(tail) = difference(&averse, &neutral, &tail)? else { return Ok(Some(text + ".")) };
    text += &format!("; in the tail it is {}.", verdict(&tail));
    text += match (direction(&mean), direction(&tail)) {
        (Direction::Up, Direction::Up) if tail.mean > mean.mean => {
            " It gains more in the tail than on average, as risk aversion should."
        }
        (Direction::Up, Direction::Up) => " The tail gains no more than the average, so this is no gain by risk aversion.",
        (Direction::Unclear, Direction::Up) => " It gains in the tail, and on average neither clearly gains nor loses.",
        (Direction::Down, Direction::Up) => " What it gains in the tail it pays for on average.",
        (_, Direction::Unclear) => " In the tail the two cannot be told apart in this run.",
        (_, Direction::Down) => " In this run risk aversion did not pay.",
    };
    text += &format!(" In the tail its text has the higher reward on {:.0} % of the prompts.", 100.0 * tail.higher);
    Ok(Some(text))
}

/// What the reward was bought with.
fn price(run: &Run) -> Option<String> {
    let pair = |key: &str| Some((run.results.figure("ra_rlhf", key)?, run.results.figure("rlhf", key)?));
    let mut parts = Vec::new();
    if let Some((averse, neutral)) = pair("perplexity_human").filter(|(_, neutral)| neutral.mean > 0.0) {
        let change = 100.0 * (averse.mean / neutral.mean - 1.0);
        let change = if change.abs() < 0.05 {
            "the same".to_owned()
        } else {
            format!("{:.1} % {}", change.abs(), if change > 0.0 { "higher" } else { "lower" })
        };
        parts.push(format!(
            "perplexity on human texts is {change} ({} against {})",
            number(averse.mean, 1),
            number(neutral.mean, 1)
        ));
    }
    for (key, what, digits) in [("distinct_2", "distinct-2", 3), ("kl", "KL to SFT", 2)] {
        if let Some((averse, neutral)) = pair(key) {
            parts.push(format!(
                "{what} {} against {}",
                minus(&number(averse.mean, digits)),
                minus(&number(neutral.mean, digits))
            ));
        }
    }
    (!parts.is_empty()).then(|| format!("What it costs, RA-RLHF against RLHF: {}.", parts.join("; ")))
}

/// What the judge says of the same comparison.
fn judged(run: &Run) -> Option<String> {
    let gain = |key: &str| {
        let (averse, neutral) = (run.results.figure("ra_rlhf", key)?, run.results.figure("rlhf", key)?);
        Some((averse.mean - neutral.mean, apart(averse, neutral)))
    };
    let (mean, tail) = (gain("judge")?, gain("judge_tail")?);
    let said = |(gain, apart): (f64, bool)| {
        format!("{} ({})", signed(gain), if apart { "intervals apart" } else { "intervals overlap" })
    };
    let agrees = match (mean.0 > 0.0, tail.0 > 0.0) {
        _ if !mean.1 && !tail.1 => "By these intervals neither is clear.",
        (true, true) => "It prefers RA-RLHF in both.",
        (false, false) => "It prefers RA-RLHF in neither.",
        (true, false) => "It prefers RA-RLHF on average, but not in the tail.",
        (false, true) => "It prefers RA-RLHF in the tail, but not on average.",
    };
    Some(format!(
        "The judge, a second model that no training saw, gives RA-RLHF against RLHF {} on average and {} in the tail. {agrees}",
        said(mean),
        said(tail)
    ))
}

fn apart(one: Figure, other: Figure) -> bool {
    one.ci95[0] > other.ci95[1] || other.ci95[0] > one.ci95[1]
}

/// How far the figures go.
fn reservation(run: &Run) -> String {
    let mut text = match run.results.seeds.len() {
        0 | 1 => "Intervals are over prompts: they say how the same policies would do on other prompts of this kind, not how another training would \
                  come out."
            .to_owned(),
        seeds => format!("Intervals are over {seeds} seeds by Student’s t; with few seeds they are wide, and no interval says whether data or reward are the right ones."),
    };
    if run.results.preset == "smoke" {
        text = format!(
            "This is the preset “smoke”, a run of seconds that shows that everything works: its figures mean nothing. {text}"
        );
    }
    if run.results.split == "validation" {
        text += " The prompts are of the validation split, on which settings are chosen; held-out ones may come out lower.";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, run};

    fn said(kind: Kind) -> String {
        section(&run(kind)).unwrap().into_string()
    }

    #[test]
    fn a_gain_in_the_tail_is_told_with_its_size_and_interval() {
        let text = said(Kind::Gain);
        assert!(text.contains("on average it is ahead (+0.50") && text.contains("in the tail it is ahead (+1.00"), "{text}");
        assert!(text.contains("gains more in the tail than on average"), "{text}");
        assert!(text.contains("RA-RLHF 1.50, RLHF 1.00, SFT 0.50, GPT-2 0.00"), "{text}");
        assert!(text.contains("the 40 % of the episodes"), "{text}");
    }

    #[test]
    fn where_risk_aversion_is_behind_it_says_so() {
        let text = said(Kind::Loss);
        assert!(text.contains("on average it is behind (−0.50") && text.contains("in the tail it is behind (−1.00"), "{text}");
        assert!(text.contains("did not pay") && !text.contains("ahead ("), "{text}");
        assert!(text.contains("prefers RA-RLHF in neither"), "{text}");
    }

    #[test]
    fn where_nothing_differs_it_is_neither() {
        let text = said(Kind::Equal);
        assert!(text.contains("on average it is not clearly apart (0.00"), "{text}");
        assert!(!text.contains("ahead (") && !text.contains("behind (") && text.contains("cannot be told apart"), "{text}");
    }

    #[test]
    fn other_policies_are_listed_and_not_compared() {
        let text = said(Kind::Others);
        assert!(text.contains("best &lt;of&gt; 8") && text.contains("dpo"), "{text}");
        assert!(!text.contains("RA-RLHF"), "{text}");
    }
}
