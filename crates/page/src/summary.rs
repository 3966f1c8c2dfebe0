//! What was run and what came out, in plain words that follow from the figures, whichever policy is
//! ahead.

use maud::{Markup, html};
use tailguard_report::{Arm, Comparison, Figure, gain, number, percent};

use crate::clean;
use crate::error::PageError;
use crate::figures::{glance, key, panel};
use crate::making::{Making, is_risk_aversion, making};
use crate::policies::Policy;
use crate::run::Run;
use crate::table::{minus, tail_words};

/// The section.
///
/// # Errors
/// [`PageError::Chart`] for a chart that cannot be drawn.
pub(crate) fn section(run: &Run) -> Result<Markup, PageError> {
    let glance = glance(run)
        .map(|chart| {
            Ok::<_, PageError>(html! { (key(std::slice::from_ref(&chart))) (panel(&chart)?) })
        })
        .transpose()?;
    Ok(html! {
        section #summary {
            h2 { "In short" }
            div.beside {
                div {
                    p { (what_was_run(run)) }
                    @for sentence in outcome(run) { p { (sentence) } }
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
    minus(&if text.starts_with('-') || text.chars().all(|sign| "0.".contains(sign)) {
        text
    } else {
        format!("+{text}")
    })
}

fn shown(value: f64) -> String {
    minus(&number(value, 2))
}

/// Who continued which prompts, and what the scores are.
fn what_was_run(run: &Run) -> String {
    let results = &run.results;
    let labels: Vec<String> = run.methods.iter().map(|policy| clean::line(&policy.label)).collect();
    let kind = match results.split.as_str() {
        "test" => "held-out ",
        "validation" => "validation ",
        _ => "",
    };
    let counts = run.texts.counts();
    let (verb, prompts) = match counts.prompts {
        0 => ("continued", format!("the {kind}prompts")),
        count if !run.texts.has_all_prompts() => {
            ("continued", format!("{kind}prompts ({count} of them in common)"))
        }
        _ => (if counts.has_several() { "written" } else { "continued" }, counts.words(kind)),
    };
    let mut text = format!("{} {} {verb} {prompts}", enumerate(&labels), plural(labels.len()));
    if !results.task.is_empty() {
        text += &format!(" of the task “{}”", clean::line(&results.task));
    }
    text += &match results.seeds.len() {
        0 => ".".to_owned(),
        1 => format!(", with one seed ({}).", results.seeds[0]),
        seeds => format!(", with {seeds} seeds."),
    };
    text += &how_they_were_made(run);
    let reward =
        if results.is_evaluation { "score of the texts" } else { "raw logit of the reward model" };
    if let Some(tail) = results.tail {
        text += &format!(
            " The reward is the {reward}, higher is better; the tail is {}.",
            tail_words(tail)
        );
    }
    text
}

/// How the policies were made, as far as the run has recorded it.
fn how_they_were_made(run: &Run) -> String {
    let results = &run.results;
    let label = |key: &str| results.label(key);
    let ending = |share: Option<f64>| {
        let share =
            share.map_or_else(|| "a share".to_owned(), |share| format!("the {}", percent(share)));
        format!("its schedule ends with {share} of the episodes that have the lowest returns")
    };
    let (mut text, mut told) = (String::new(), Vec::new());
    let shown = |key: &str| run.policy(key).and_then(|_| making(run, key));
    // those of the paper in pairs
    if let (Some(Making::Base), Some(Making::Supervised { from, is_good: true })) =
        (shown("gpt2"), shown("sft"))
        && from == "gpt2"
    {
        let (base, tuned) = (label("gpt2"), label("sft"));
        text += &format!(
            " {base} is the base model, and {tuned} is {base} fine-tuned on texts of the good \
             class."
        );
        told.extend(["gpt2", "sft"]);
    }
    if let (Some(Making::All { from }), Some(Making::Lowest { from: begin, share })) =
        (shown("rlhf"), shown("ra_rlhf"))
        && from == begin
    {
        let (neutral, averse, from, ending) =
            (label("rlhf"), label("ra_rlhf"), label(&from), ending(share));
        text += &format!(
            " {neutral} trains {from} further by PPO on all episodes; {averse} does the same, but \
             {ending}."
        );
        told.extend(["rlhf", "ra_rlhf"]);
    }
    let of_paper = Arm::of_paper();
    for policy in run.methods.iter().filter(|policy| !told.contains(&policy.key.as_str())) {
        let own = label(&policy.key);
        text += &match making(run, &policy.key) {
            Some(Making::Base) => format!(" {own} is the base model."),
            Some(Making::Supervised { from, is_good }) => {
                let class = if is_good { "good" } else { "bad" };
                format!(" {own} is {} fine-tuned on texts of the {class} class.", label(&from))
            }
            Some(Making::BestOf { from, n, threshold: None }) => {
                let from = label(&from);
                format!(" {own} is the best of {n} responses of {from}, by the reward model.")
            }
            Some(Making::BestOf { from, n, threshold: Some(threshold) }) => format!(
                " {own} draws responses of {}, {n} at most, until the reward is at least \
                 {threshold}, and keeps the best.",
                label(&from)
            ),
            Some(Making::Prompted { from }) => {
                format!(" {own} is {} with an instruction in front of each prompt.", label(&from))
            }
            Some(Making::Experts { from, expert, anti_expert }) => format!(
                " {own} is {}, steered at every token by {} as the expert and {} as the \
                 anti-expert.",
                label(&from),
                label(&expert),
                label(&anti_expert)
            ),
            Some(Making::All { from }) => {
                format!(" {own} trains {} further by PPO on all episodes.", label(&from))
            }
            Some(Making::Lowest { from, share }) => {
                format!(" {own} trains {} further by PPO, and {}.", label(&from), ending(share))
            }
            None => {
                let is_recorded = run.setting(&format!("arm.{}.recipe", policy.key)).is_some();
                let is_said =
                    |arm: &&Arm| arm.key == policy.key && (is_recorded || !of_paper.contains(arm));
                let arm = results.arms.iter().find(is_said).filter(|_| !results.is_evaluation);
                let from = arm.and_then(|arm| arm.from.as_deref());
                from.map(|from| format!(" {own} was made from {}.", label(from)))
                    .unwrap_or_default()
            }
        };
    }
    text
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

/// `A, B and C`.
pub(crate) fn enumerate(names: &[String]) -> String {
    match names {
        [] => "Nobody".to_owned(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// Who was held at which KL, and how near each came.
pub(crate) fn held(run: &Run) -> Option<String> {
    let held = &run.results.equal_kl;
    let told: Vec<String> = held
        .iter()
        .map(|arm| {
            let name = clean::line(&run.results.label(&arm.method));
            format!("{name} {} of {} nats", minus(&arm.off()), arm.target)
        })
        .collect();
    (!held.is_empty()).then(|| {
        format!(
            "Held at one KL to {}, and off it by: {}.",
            run.results.reference(),
            told.join(", ")
        )
    })
}

/// What came out.
fn outcome(run: &Run) -> Vec<String> {
    let order =
        [order(run, "reward", "Mean reward"), order(run, "tail", "Mean reward in the tail")];
    let order: Vec<String> = order.into_iter().flatten().collect();
    let order = (!order.is_empty()).then(|| order.join(" "));
    [held(run), order, gained(run), price(run), judged(run)].into_iter().flatten().collect()
}

/// The policies in the order of a figure.
fn order(run: &Run, key: &str, what: &str) -> Option<String> {
    let mut means: Vec<(f64, &Policy)> = Vec::new();
    for policy in &run.methods {
        means.extend(run.results.figure(&policy.key, key).map(|figure| (figure.mean, policy)));
    }
    means.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let listed: Vec<String> = means
        .iter()
        .map(|(mean, policy)| format!("{} {}", clean::line(&policy.label), shown(*mean)))
        .collect();
    (!listed.is_empty()).then(|| format!("{what}, from the highest: {}.", listed.join(", ")))
}

/// Which way a difference goes, as far as its interval allows to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
    Unclear,
}

fn direction(difference: Figure) -> Direction {
    match (difference.is_above_zero(), difference.is_below_zero()) {
        (true, _) => Direction::Up,
        (_, true) => Direction::Down,
        _ => Direction::Unclear,
    }
}

/// The direction in words, with size and interval.
fn verdict(difference: Figure) -> String {
    let word = match direction(difference) {
        Direction::Up => "ahead",
        Direction::Down => "behind",
        Direction::Unclear => "not clearly apart",
    };
    let interval = difference
        .ci95
        .map(|[low, high]| format!(", 95 % interval {} to {}", signed(low), signed(high)));
    format!("{word} ({}{})", signed(difference.mean), interval.unwrap_or_default())
}

/// Whether one difference is larger than another with no overlap of their intervals.
fn clearly_more(one: Figure, other: Figure) -> bool {
    one.ci95.zip(other.ci95).is_some_and(|([low, _], [_, high])| low > high)
}

/// One policy beside another, RA-RLHF beside RLHF in a run of the paper: on average, in the tail,
/// and where it gains more.
fn gained(run: &Run) -> Option<String> {
    let gain = run.results.main_gain()?;
    let mean = gain.reward;
    let [own, other] = labels(run, gain);
    let at = at_equal_kl(run, gain);
    let mut text = format!(
        "{own} beside {other}{at}, on the same {} prompts: on average it is {}",
        gain.prompts,
        verdict(mean)
    );
    let Some(tail) = gain.tail else { return Some(text + ".") };
    text += &format!("; in the tail it is {}.", verdict(tail));
    // what is anything else says nothing for or against it
    let is_by_aversion = is_risk_aversion(run, &gain.method, &gain.over);
    let by_aversion = |averse: &'static str, otherwise: &'static str| {
        if is_by_aversion { averse } else { otherwise }
    };
    text += match (direction(mean), direction(tail)) {
        (Direction::Up, Direction::Up) if clearly_more(tail, mean) => by_aversion(
            " It gains more in the tail than on average, as risk aversion should.",
            " It gains more in the tail than on average.",
        ),
        (Direction::Up, Direction::Up) if tail.mean > mean.mean => {
            " The gain in the tail is the larger one, but the two intervals overlap."
        }
        (Direction::Up, Direction::Up) => by_aversion(
            " The tail gains no more than the average, so this is no gain by risk aversion.",
            " The tail gains no more than the average.",
        ),
        (Direction::Unclear, Direction::Up) => {
            " It gains in the tail, and on average neither clearly gains nor loses."
        }
        (Direction::Down, Direction::Up) => " What it gains in the tail it pays for on average.",
        (_, Direction::Unclear) => " In the tail the two cannot be told apart in this run.",
        (_, Direction::Down) => by_aversion(" In this run risk aversion did not pay.", ""),
    };
    Some(text)
}

/// That two policies were held at one KL, where they were.
fn at_equal_kl(run: &Run, compared: &Comparison) -> String {
    let kl = run.results.common_kl(&compared.method, &compared.over);
    kl.map_or_else(String::new, |kl| format!(", at equal KL ({kl} nats)"))
}

/// What the two policies of a comparison are called.
fn labels(run: &Run, compared: &Comparison) -> [String; 2] {
    [&compared.method, &compared.over].map(|key| run.results.label(key))
}

/// What the reward was bought with.
fn price(run: &Run) -> Option<String> {
    let compared = run.results.main_gain();
    let (own, over) =
        compared.map_or(("ra_rlhf", "rlhf"), |gain| (gain.method.as_str(), gain.over.as_str()));
    let pair = |key: &str| Some((run.results.figure(own, key)?, run.results.figure(over, key)?));
    let differences =
        compared.map(|gain| gain.differences().collect::<Vec<_>>()).unwrap_or_default();
    let apart = |key: &str| {
        let found = differences.iter().find(|(known, ..)| *known == key);
        found
            .map(|(_, _, digits, figure)| format!(", {}", minus(&gain(*figure, *digits))))
            .unwrap_or_default()
    };
    let mut parts = Vec::new();
    if let Some((averse, neutral)) =
        pair("perplexity_human").filter(|(_, neutral)| neutral.mean > 0.0)
    {
        let change = 100.0 * (averse.mean / neutral.mean - 1.0);
        let change = if change.abs() < 0.05 {
            "the same".to_owned()
        } else {
            format!("{:.1} % {}", change.abs(), if change > 0.0 { "higher" } else { "lower" })
        };
        let (averse, neutral) = (number(averse.mean, 1), number(neutral.mean, 1));
        parts.push(format!(
            "perplexity on human texts is {change} ({averse} against {neutral}{})",
            apart("perplexity_human")
        ));
    }
    let kl = if run.results.is_evaluation {
        "KL".to_owned()
    } else {
        format!("KL to {}", run.results.reference())
    };
    for (key, what, digits) in [("distinct_2", "distinct-2", 3), ("kl", kl.as_str(), 2)] {
        if let Some((averse, neutral)) = pair(key) {
            let (averse, neutral) =
                (minus(&number(averse.mean, digits)), minus(&number(neutral.mean, digits)));
            parts.push(format!("{what} {averse} against {neutral}{}", apart(key)));
        }
    }
    let at = compared.map_or_else(String::new, |compared| at_equal_kl(run, compared));
    let [own, over] = [own, over].map(|key| run.results.label(key));
    (!parts.is_empty())
        .then(|| format!("What it costs{at}, {own} against {over}: {}.", parts.join("; ")))
}

/// What the judge says of the same comparison.
fn judged(run: &Run) -> Option<String> {
    let compared = run.results.main_gain()?;
    let (mean, tail) = (compared.judge?, compared.judge_tail?);
    let [own, over] = &labels(run, compared);
    let preferred = |difference| match direction(difference) {
        Direction::Up => Some(own),
        Direction::Down => Some(over),
        Direction::Unclear => None,
    };
    let verdict = match (preferred(mean), preferred(tail)) {
        (None, None) => "By these intervals neither is clear.".to_owned(),
        (Some(one), Some(other)) if one == other => format!("It prefers {one} in both."),
        (Some(one), Some(other)) => format!("It prefers {one} on average and {other} in the tail."),
        (Some(one), None) => format!("It prefers {one} on average; in the tail neither is clear."),
        (None, Some(one)) => format!("It prefers {one} in the tail; on average neither is clear."),
    };
    let judge = if run.results.is_evaluation {
        "a second scorer"
    } else {
        "a second model that no training saw"
    };
    let [mean, tail] = [mean, tail].map(|difference| minus(&gain(difference, 2)));
    Some(format!(
        "The judge, {judge}, gives {own} against {over} {mean} on average and {tail} in the tail. \
         {verdict}"
    ))
}

/// How far the figures go.
fn reservation(run: &Run) -> String {
    let mut text = match run.results.seeds.len() {
        0 | 1 => {
            "Intervals are over prompts: they say how the same policies would do on other prompts \
             of this kind, not how another training would come out."
                .to_owned()
        }
        seeds => format!(
            "Intervals are over prompts and the {seeds} seeds together: they say how another \
             training might come out on other prompts of this kind, and with few seeds they are \
             wide. No interval says whether data or reward are the right ones."
        ),
    };
    if run.results.preset.ends_with("smoke") {
        text = format!(
            "This is the preset “smoke”, a run of seconds that shows that everything works: its \
             figures mean nothing. {text}"
        );
    }
    if run.results.split == "validation" {
        text += " The prompts are of the validation split, on which settings are chosen; held-out \
            ones may come out lower.";
    }
    text
}

#[cfg(test)]
mod tests;
