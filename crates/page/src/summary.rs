//! What was run and what came out, in plain words that follow from the figures, whichever policy is ahead.

use maud::{Markup, html};
use tailguard_report::{Arm, Comparison, Figure, gain, number, percent};

use crate::clean;
use crate::error::PageError;
use crate::figures::{glance, key, panel};
use crate::policies::Policy;
use crate::run::Run;
use crate::table::{minus, tail_words};

/// The section.
///
/// # Errors
/// [`PageError::Chart`] for a chart that cannot be drawn.
pub(crate) fn section(run: &Run) -> Result<Markup, PageError> {
    let glance = glance(run)
        .map(|chart| Ok::<_, PageError>(html! { (key(std::slice::from_ref(&chart))) (panel(&chart)?) }))
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
    minus(&if text.starts_with('-') || text.chars().all(|sign| "0.".contains(sign)) { text } else { format!("+{text}") })
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
        count if !run.texts.has_all_prompts() => ("continued", format!("{kind}prompts ({count} of them in common)")),
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
    // of the texts of another program the names alone say little
    let has = |key: &str| !results.is_evaluation && run.policy(key).is_some();
    if has("sft") && has("gpt2") {
        text += " GPT-2 is the base model, and SFT is GPT-2 fine-tuned on texts of the good class.";
    }
    if has("rlhf") && has("ra_rlhf") {
        let share = run.setting("risk.alpha").and_then(|alpha| alpha.parse::<f64>().ok());
        let share = share.map_or_else(|| "a share".to_owned(), |alpha| format!("the {}", percent(alpha)));
        text += &format!(
            " RLHF trains SFT further by PPO on all episodes; RA-RLHF does the same, but its schedule ends with {share} of the episodes \
             that have the lowest returns."
        );
    }
    let of_paper = Arm::of_paper();
    for arm in results.arms.iter().filter(|arm| has(&arm.key) && !of_paper.contains(arm)) {
        if let Some(from) = &arm.from {
            text += &format!(" {} was made from {}.", clean::line(&arm.title), results.label(from));
        }
    }
    let reward = if results.is_evaluation { "score of the texts" } else { "raw logit of the reward model" };
    if let Some(tail) = results.tail {
        text += &format!(" The reward is the {reward}, higher is better; the tail is {}.", tail_words(tail));
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

/// What came out.
fn outcome(run: &Run) -> Vec<String> {
    let order = [order(run, "reward", "Mean reward"), order(run, "tail", "Mean reward in the tail")];
    let order: Vec<String> = order.into_iter().flatten().collect();
    let order = (!order.is_empty()).then(|| order.join(" "));
    [order, gained(run), price(run), judged(run)].into_iter().flatten().collect()
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
    let interval = difference.ci95.map(|[low, high]| format!(", 95 % interval {} to {}", signed(low), signed(high)));
    format!("{word} ({}{})", signed(difference.mean), interval.unwrap_or_default())
}

/// Whether one difference is larger than another with no overlap of their intervals.
fn clearly_more(one: Figure, other: Figure) -> bool {
    one.ci95.zip(other.ci95).is_some_and(|([low, _], [_, high])| low > high)
}

/// One policy beside another, RA-RLHF beside RLHF in a run of the paper: on average, in the tail, and where it gains more.
fn gained(run: &Run) -> Option<String> {
    let gain = run.results.main_gain()?;
    let mean = gain.reward;
    let [own, other] = labels(run, gain);
    let mut text = format!("{own} beside {other}, on the same {} prompts: on average it is {}", gain.prompts, verdict(mean));
    let Some(tail) = gain.tail else { return Some(text + ".") };
    text += &format!("; in the tail it is {}.", verdict(tail));
    text += match (direction(mean), direction(tail)) {
        (Direction::Up, Direction::Up) if clearly_more(tail, mean) => {
            " It gains more in the tail than on average, as risk aversion should."
        }
        (Direction::Up, Direction::Up) if tail.mean > mean.mean => {
            " The gain in the tail is the larger one, but the two intervals overlap."
        }
        (Direction::Up, Direction::Up) => " The tail gains no more than the average, so this is no gain by risk aversion.",
        (Direction::Unclear, Direction::Up) => " It gains in the tail, and on average neither clearly gains nor loses.",
        (Direction::Down, Direction::Up) => " What it gains in the tail it pays for on average.",
        (_, Direction::Unclear) => " In the tail the two cannot be told apart in this run.",
        (_, Direction::Down) => " In this run risk aversion did not pay.",
    };
    Some(text)
}

/// What the two policies of a comparison are called.
fn labels(run: &Run, compared: &Comparison) -> [String; 2] {
    [&compared.method, &compared.over].map(|key| run.results.label(key))
}

/// What the reward was bought with.
fn price(run: &Run) -> Option<String> {
    let compared = run.results.main_gain();
    let (own, over) = compared.map_or(("ra_rlhf", "rlhf"), |gain| (gain.method.as_str(), gain.over.as_str()));
    let pair = |key: &str| Some((run.results.figure(own, key)?, run.results.figure(over, key)?));
    let differences = compared.map(|gain| gain.differences().collect::<Vec<_>>()).unwrap_or_default();
    let apart = |key: &str| {
        let found = differences.iter().find(|(known, ..)| *known == key);
        found.map(|(_, _, digits, figure)| format!(", {}", minus(&gain(*figure, *digits)))).unwrap_or_default()
    };
    let mut parts = Vec::new();
    if let Some((averse, neutral)) = pair("perplexity_human").filter(|(_, neutral)| neutral.mean > 0.0) {
        let change = 100.0 * (averse.mean / neutral.mean - 1.0);
        let change = if change.abs() < 0.05 {
            "the same".to_owned()
        } else {
            format!("{:.1} % {}", change.abs(), if change > 0.0 { "higher" } else { "lower" })
        };
        let (averse, neutral) = (number(averse.mean, 1), number(neutral.mean, 1));
        parts.push(format!("perplexity on human texts is {change} ({averse} against {neutral}{})", apart("perplexity_human")));
    }
    let kl = if run.results.is_evaluation { "KL".to_owned() } else { format!("KL to {}", run.results.reference()) };
    for (key, what, digits) in [("distinct_2", "distinct-2", 3), ("kl", kl.as_str(), 2)] {
        if let Some((averse, neutral)) = pair(key) {
            let (averse, neutral) = (minus(&number(averse.mean, digits)), minus(&number(neutral.mean, digits)));
            parts.push(format!("{what} {averse} against {neutral}{}", apart(key)));
        }
    }
    let [own, over] = [own, over].map(|key| run.results.label(key));
    (!parts.is_empty()).then(|| format!("What it costs, {own} against {over}: {}.", parts.join("; ")))
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
    let judge = if run.results.is_evaluation { "a second scorer" } else { "a second model that no training saw" };
    let [mean, tail] = [mean, tail].map(|difference| minus(&gain(difference, 2)));
    Some(format!("The judge, {judge}, gives {own} against {over} {mean} on average and {tail} in the tail. {verdict}"))
}

/// How far the figures go.
fn reservation(run: &Run) -> String {
    let mut text = match run.results.seeds.len() {
        0 | 1 => {
            "Intervals are over prompts: they say how the same policies would do on other prompts of this kind, not how another \
                  training would come out."
                .to_owned()
        }
        seeds => format!(
            "Intervals are over prompts and the {seeds} seeds together: they say how another training might come out on other prompts \
             of this kind, and with few seeds they are wide. No interval says whether data or reward are the right ones."
        ),
    };
    if run.results.preset.ends_with("smoke") {
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
    use crate::fixtures::{Kind, files, run};

    fn said(kind: Kind) -> String {
        section(&run(kind)).unwrap().into_string()
    }

    /// The same of a run with these gains.
    fn said_of(kind: Kind, change: impl Fn(&mut serde_json::Value)) -> String {
        let mut files = files(kind);
        let mut results = serde_json::from_str(&files.results).unwrap();
        change(&mut results);
        files.results = results.to_string();
        section(&Run::new(files).unwrap()).unwrap().into_string()
    }

    #[test]
    fn a_gain_in_the_tail_is_told_with_its_size_and_interval() {
        let text = said(Kind::Gain);
        assert!(text.contains("on the same 40 prompts: on average it is ahead (+0.50, 95 % interval +0.40 to +0.60)"));
        assert!(
            text.contains("in the tail it is ahead (+1.00") && text.contains("gains more in the tail than on average"),
            "{text}"
        );
        assert!(text.contains("RA-RLHF 1.50, RLHF 1.00, SFT 0.50, GPT-2 0.00"), "{text}");
        assert!(text.contains("40 held-out prompts of the task “imdb”") && text.contains("the 40 % of the episodes"), "{text}");
        assert!(text.contains("not how another training would come out") && text.contains("prefers RA-RLHF in both"), "{text}");
    }

    #[test]
    fn a_larger_gain_in_the_tail_whose_interval_overlaps_is_no_more_than_that() {
        let text = said_of(Kind::Gain, |results| results["comparisons"][0]["tail"]["ci95"] = serde_json::json!([0.55, 1.45]));
        assert!(
            text.contains("the larger one, but the two intervals overlap") && !text.contains("as risk aversion should"),
            "{text}"
        );
        let text = said_of(Kind::Gain, |results| {
            let tail = &mut results["comparisons"][0]["tail"];
            (tail["mean"], tail["ci95"]) = (0.5.into(), serde_json::json!([0.3, 0.7]));
        });
        assert!(text.contains("The tail gains no more than the average"), "{text}");
    }

    #[test]
    fn a_gain_that_other_seeds_may_not_have_is_not_clearly_apart() {
        let text = said(Kind::Seeds);
        let verdict = "on average it is not clearly apart (+0.50, 95 % interval −4.00 to +5.00)";
        assert!(text.contains(verdict) && text.contains("cannot be told apart") && !text.contains("ahead ("), "{text}");
        assert!(text.contains("over prompts and the 2 seeds together"), "{text}");
    }

    #[test]
    fn where_risk_aversion_is_behind_it_says_so() {
        let text = said(Kind::Loss);
        assert!(text.contains("on average it is behind (−0.50") && text.contains("in the tail it is behind (−1.00"), "{text}");
        assert!(text.contains("did not pay") && !text.contains("ahead ("), "{text}");
        assert!(text.contains("prefers RLHF in both"), "{text}");
    }

    #[test]
    fn where_nothing_differs_it_is_neither() {
        let text = said(Kind::Equal);
        assert!(text.contains("on average it is not clearly apart (0.00"), "{text}");
        assert!(!text.contains("ahead (") && !text.contains("behind (") && text.contains("cannot be told apart"), "{text}");
        assert!(text.contains("By these intervals neither is clear."), "{text}");
    }

    #[test]
    fn a_run_without_comparisons_is_not_compared() {
        let text = said_of(Kind::Gain, |results| results["comparisons"] = serde_json::Value::Null);
        assert!(!text.contains("beside RLHF") && text.contains("What it costs"), "{text}");
    }

    #[test]
    fn kl_is_said_to_be_to_what_it_was_measured_to() {
        assert!(said(Kind::Gain).contains("KL to SFT 1.50 against 1.00"));
        let text = said_of(Kind::Gain, |results| results["reference"] = "gpt2".into());
        assert!(text.contains("KL to GPT-2 1.50 against 1.00") && !text.contains("KL to SFT"), "{text}");
    }

    #[test]
    fn a_side_on_which_the_judge_is_unclear_is_not_called() {
        let text = said_of(Kind::Gain, |results| {
            results["comparisons"][0]["judge"]["ci95"] = serde_json::json!([-0.1, 1.1]);
        });
        assert!(text.contains("It prefers RA-RLHF in the tail; on average neither is clear."), "{text}");
    }

    #[test]
    fn an_evaluation_says_neither_task_nor_model_nor_held_out() {
        let text = said_of(Kind::Gain, |results| {
            (results["kind"], results["task"], results["split"]) = ("evaluation".into(), "".into(), "".into());
            results["tail"] = serde_json::json!({"by": "prompt_scores", "threshold": -2.50625, "share": 0.5, "prompts": null});
        });
        assert!(text.contains("have continued 40 prompts, with one seed"), "{text}");
        assert!(text.contains("The reward is the score of the texts") && !text.contains("task"), "{text}");
        assert!(text.contains("the prompts whose own score is at most −2.506 (the lowest 50 % of all)"), "{text}");
    }

    #[test]
    fn other_policies_are_listed_and_not_compared() {
        let text = said(Kind::Others);
        assert!(text.contains("best &lt;of&gt; 8") && text.contains("dpo"), "{text}");
        assert!(!text.contains("RA-RLHF"), "{text}");
    }
}
