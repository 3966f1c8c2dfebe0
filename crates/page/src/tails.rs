//! The worst texts of every policy: how bad, how often, how certain, and which prompts have them.

use maud::{Markup, html};
use tailguard_report::{
    EvaluatedTail, NamedGain, TailFigure, TailForecast, TailKind, TailReport, gain, number, percent,
};

use crate::clean;
use crate::policies::Policy;
use crate::run::Run;
use crate::table::{NOTHING, minus, shown};
use crate::worst_prompts;

/// A policy and what is known of its worst texts.
type Known<'a> = (&'a Policy, TailReport);

/// The section; none where nothing is known of any policy's worst texts.
pub(crate) fn section(run: &Run) -> Option<Markup> {
    let mut known: Vec<Known<'_>> = Vec::new();
    for policy in &run.methods {
        known.extend(run.results.tail_report(&policy.key).map(|report| (policy, report)));
    }
    if known.is_empty() {
        return None;
    }
    let is_by_prompt = matches!(run.results.tail, Some(EvaluatedTail::PromptScores { .. }));
    let of = |kinds: &[TailKind], name: &str| table(&known, kinds, name);
    let several = of(&[TailKind::WorstOf, TailKind::AnyOf, TailKind::PromptCvar], "Several texts");
    Some(html! {
        section #tails .blurred[run.may_offend()] {
            h2 { "The worst texts" }
            p {
                "The tail of a policy is here the lowest of its own rewards, whatever their \
                 prompts."
                @if is_by_prompt {
                    " The column “tail” of the table above is about prompts that are hard \
                     themselves, the same for all policies."
                }
            }
            @if let Some(table) = of(&[TailKind::Cvar, TailKind::Quantile], "Levels of the tail") {
                h3 { "How bad they are" }
                p { (LEVELS) }
                (table)
            }
            @if let Some(table) = of(&[TailKind::Failure], "Failures") {
                h3 { "How often texts fail" }
                p { (FAILURES) }
                (table)
            }
            @if let Some(table) = of(&[TailKind::Toxicity], "Toxicity") {
                h3 { "Toxicity as RealToxicityPrompts reports it" }
                p { (TOXICITY) (deviations(&known)) }
                (table)
            }
            @if let Some(table) = several {
                h3 { "The worst of several texts" }
                p { (SEVERAL) }
                (table)
            }
            (gains(run))
            (needed(&known))
            (forecasts(&known))
            (worst_prompts::tables(run))
        }
    })
}

const LEVELS: &str = "CVaR 10 % is the mean of the lowest tenth of a policy’s rewards: how good \
    its worst texts are on average. The quantile is the highest of these: a tenth of the texts is \
    no better than that. The smaller the share, the further out in the tail, and the fewer texts \
    the figure rests on. A share that is less than one text is left out.";
const FAILURES: &str = "A text fails if its reward is at most the threshold. Where prompts have \
    one text each and there is one seed, the interval is exact (Clopper and Pearson): it contains \
    the true share in at least 95 % of all samples, also where failures are rare. Otherwise texts \
    of one prompt count only as much as they tell, and so do seeds. Where nothing failed, the \
    number in brackets is what the share is below, with a confidence of 95 %: none in 1,000 texts \
    of different prompts means fewer than 3 in 1,000, and not never.";
const TOXICITY: &str = "The rewards are toxicities with a minus. The expected maximum toxicity is \
    that of the most toxic of a prompt’s texts, averaged over prompts; the toxicity probability \
    is the share of prompts of which any text has a toxicity of at least 0.5. Both depend on how \
    many texts a prompt has, so compare only figures of the same number.";
const SEVERAL: &str = "“Worst of k” is the lowest reward that k texts of a prompt have, averaged \
    over prompts: what someone gets who asks k times, in the worst case. “Any of k” is how often \
    at least one of k texts fails. Both are means over all sets of k of a prompt’s texts, which \
    is right for any k up to the number of texts that each prompt has. CVaR within prompts is the \
    mean of the lowest share of a prompt’s own texts, averaged over prompts: a bad answer to \
    every question, and not all answers to the bad ones. With few texts a prompt it comes out too \
    high.";
const GAINS: &str = "Differences on the same prompts, with their 95 % intervals. The p-value is \
    how likely chance alone is to give a difference as large, if there is none. ";
const ADJUSTED: &str = "It is adjusted for the number of comparisons in this table (Holm): below \
    0.05, the chance that any of a column’s gains is claimed that is none stays below 5 %. \
    Columns are not counted against each other.";
const FORECAST: &str = "These are forecasts, not measurements: where the lowest reward may be \
    among many more new texts. A line through the ten lowest rewards, against the logarithm of \
    how rare they are, is drawn on (Gumbel’s law of extreme values). It holds as far as the tail \
    goes on as these ten do. For tails that fall off more slowly, such as the lognormal, it is \
    too optimistic: for 10 times as many texts, the lowest is below the range in 2 cases of 10. \
    For tails that fall off faster it is too pessimistic. New kinds of prompts are not in it at \
    all.";

/// The figures of some kinds, a row per policy; none where no policy has one.
fn table(known: &[Known<'_>], kinds: &[TailKind], name: &str) -> Option<Markup> {
    let of = |report: &TailReport| -> Vec<TailFigure> {
        report.figures().into_iter().filter(|figure| kinds.contains(&figure.kind)).collect()
    };
    let rows: Vec<(&Policy, Vec<TailFigure>)> =
        known.iter().map(|(policy, report)| (*policy, of(report))).collect();
    let mut heads: Vec<(&str, &str)> = Vec::new();
    for TailFigure { key, head, .. } in rows.iter().flat_map(|(_, figures)| figures) {
        if !heads.iter().any(|(known, _)| known == key) {
            heads.push((key, head));
        }
    }
    if heads.is_empty() {
        return None;
    }
    Some(html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table.figures {
                thead { tr {
                    th scope="col" { span.unseen { "policy" } }
                    @for (_, head) in &heads { th scope="col" { (minus(head)) } }
                } }
                tbody {
                    @for (policy, figures) in &rows {
                        tr {
                            th scope="row" { span.name { (clean::line(&policy.label)) } }
                            @for (key, _) in &heads {
                                td data-method=(clean::line(&policy.key)) data-key=(key) {
                                    @match figures.iter().find(|figure| figure.key == *key) {
                                        Some(figure) => {
                                            (shown(&figure.shown.cell(), false))
                                        }
                                        None => { (NOTHING) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// The deviations that papers put behind ±.
fn deviations(known: &[Known<'_>]) -> String {
    let of = |(policy, report): &Known<'_>| {
        let deviation = number(report.toxicity?.prompts_std?, 3);
        Some(format!("{deviation} ({})", clean::line(&policy.label)))
    };
    let all: Vec<String> = known.iter().filter_map(of).collect();
    if all.is_empty() {
        String::new()
    } else {
        let all = all.join(", ");
        format!(
            " The standard deviation of the maximum over prompts, not an error of it, is {all}."
        )
    }
}

/// What one policy gains over another.
fn gains(run: &Run) -> Markup {
    let label = |key: &str| {
        run.policy(key).map_or_else(|| clean::line(key), |policy| clean::line(&policy.label))
    };
    let mut rows: Vec<(String, Vec<NamedGain>)> = Vec::new();
    for comparison in &run.results.comparisons {
        if let Some(gains) = &comparison.tail_report {
            let name = format!("{} − {}", label(&comparison.method), label(&comparison.over));
            rows.push((name, gains.named()));
        }
    }
    let mut heads: Vec<(&str, &str)> = Vec::new();
    for NamedGain { key, head, .. } in rows.iter().flat_map(|(_, gains)| gains) {
        if !heads.iter().any(|(known, _)| known == key) {
            heads.push((key, head));
        }
    }
    let is_adjusted =
        rows.iter().flat_map(|(_, gains)| gains).any(|named| named.gain.p_adjusted.is_some());
    html! {
        @if !rows.is_empty() {
            h3 { "What one gains over another in the tail" }
            p { (GAINS) @if is_adjusted { (ADJUSTED) } }
            div.scroll tabindex="0" role="region" aria-label="Gains in the tail" {
                table.figures.gains {
                    thead { tr {
                        th scope="col" { span.unseen { "policies" } }
                        @for (_, head) in &heads { th scope="col" { (minus(head)) } }
                    } }
                    tbody {
                        @for (name, gains) in &rows {
                            tr {
                                th scope="row" { span.name { (name) } }
                                @for (key, _) in &heads {
                                    td data-tail-gain=(key) {
                                        @match gains.iter().find(|named| named.key == *key) {
                                            Some(named) => { (gained(named)) }
                                            None => { (NOTHING) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A gain in its cell, with its p-value beneath.
fn gained(NamedGain { digits, gain: found, .. }: &NamedGain) -> Markup {
    html! {
        (shown(&gain(found.difference, *digits), false))
        @if let Some(p) = found.p() { br; span.spread { (p) } }
    }
}

/// What more certainty costs, in a sentence for each policy.
fn needed(known: &[Known<'_>]) -> Markup {
    let sentence = |(policy, report): &Known<'_>| {
        let sentence = report.precision?.sentence();
        Some(format!("{}: {}.", clean::line(&policy.label), minus(&sentence)))
    };
    let sentences: Vec<String> = known.iter().filter_map(sentence).collect();
    html! {
        @if !sentences.is_empty() {
            h3 { "What more certainty costs" }
            p { "How many different prompts an interval half as wide needs, with as many texts \
                each and as many seeds as here. It is an estimate from these texts, good to a \
                factor of two." }
            ul { @for sentence in &sentences { li { (sentence) } } }
        }
    }
}

/// How bad the worst of many more texts may be.
fn forecasts(known: &[Known<'_>]) -> Markup {
    let times: Vec<usize> = known
        .iter()
        .map(|(_, report)| &report.forecasts)
        .max_by_key(|forecasts| forecasts.len())
        .into_iter()
        .flatten()
        .map(|forecast| forecast.times)
        .collect();
    let cell = |forecast: &TailForecast| {
        let [low, high] = forecast.range95.map(|end| number(end, 2));
        format!("{} [{low}, {high}]", number(forecast.median, 2))
    };
    html! {
        @if !times.is_empty() {
            h3 { "A forecast of the lowest reward" }
            p { (FORECAST) }
            div.scroll tabindex="0" role="region" aria-label="Forecasts" {
                table.figures {
                    thead { tr {
                        th scope="col" { span.unseen { "policy" } }
                        th scope="col" { "lowest seen" }
                        @for times in &times {
                            th scope="col" { "forecast for " (times) " times as many" }
                        }
                    } }
                    tbody {
                        @for (policy, report) in known {
                            @let find = |times: &usize| {
                                report.forecasts.iter().find(|found| found.times == *times)
                            };
                            tr {
                                th scope="row" { span.name { (clean::line(&policy.label)) } }
                                td {
                                    @match report.forecasts.first() {
                                        Some(first) => { (minus(&number(first.seen, 2))) }
                                        None => { (NOTHING) }
                                    }
                                }
                                @for times in &times {
                                    td { @match find(times) {
                                        Some(found) => { (shown(&cell(found), false)) }
                                        None => { (NOTHING) }
                                    } }
                                }
                            }
                        }
                    }
                }
            }
            p.caption { "Of each forecast the median, and where the lowest reward is in "
                (percent(0.95)) " of all cases if the tail is as it is taken to be." }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{Kind, files};
    use crate::run::RunFiles;

    fn figure(mean: f64) -> Value {
        json!({"mean": mean, "se": 0.125, "ci95": [mean - 0.25, mean + 0.25]})
    }

    fn rate(value: f64) -> Value {
        let interval = json!({
            "ci95": [0.0, 0.25],
            "upper95": 0.0723,
            "independent_texts": 40.0,
            "is_exact": true,
        });
        json!({"value": value, "interval": interval})
    }

    /// A run whose policies have a report each, and a comparison with p-values.
    pub(crate) fn with_tails() -> RunFiles {
        let mut files = files(Kind::Gain);
        let mut results: Value = serde_json::from_str(&files.results).unwrap();
        let report = json!({
            "levels": [{"share": 0.1, "texts": 4, "cvar": figure(-1.5), "quantile": figure(-1.0)}],
            "failures": [{"threshold": -2.0, "rate": rate(0.0), "any_of": [
                {"k": 2, "rate": rate(0.5)},
            ]}],
            "texts_per_prompt": 2,
            "worst_of": [{"k": 2, "reward": figure(-0.75)}],
            "prompt_cvar": [],
            "precision": {"share": 0.1, "half_width": 0.25, "wanted": 0.125, "prompts": 40,
                "needed": 160},
            "forecasts": [{"times": 10, "median": -4.0, "range95": [-6.5, -3.0], "seen": -2.5}],
        });
        for method in results["methods"].as_object_mut().unwrap().values_mut() {
            method["tail_report"] = report.clone();
        }
        let gain = |mean: f64| {
            json!({"difference": figure(mean), "p_value": 0.004,
            "p_adjusted": 0.008})
        };
        results["comparisons"][0]["tail_report"] = json!({
            "reward": gain(0.5),
            "levels": [{"share": 0.1, "cvar": gain(0.625), "quantile": gain(0.5)}],
            "failures": [],
        });
        files.results = results.to_string();
        files
    }

    fn shown_of(files: RunFiles) -> String {
        section(&Run::new(files).unwrap()).unwrap().into_string()
    }

    #[test]
    fn every_part_is_explained_where_it_is_shown() {
        let text = shown_of(with_tails());
        for said in [
            "data-method=\"ra_rlhf\" data-key=\"cvar_0.1\">−1.50 <span class=\"spread\">[−1.75, \
             −1.25]</span>",
            "data-key=\"fails_-2\">0 <span class=\"spread\">(below 0.072)</span>",
            ">fails ≤ −2</th>",
            ">worst of 2</th>",
            ">any of 2 ≤ −2</th>",
            "data-tail-gain=\"cvar_0.1\">+0.62 <span class=\"spread\">[0.38, 0.88]</span><br><span \
             class=\"spread\">adjusted p 0.008</span>",
            "SFT: CVaR 10 % is known to ±0.25; for ±0.12 about 160 prompts are needed, and there",
            "−4.00 <span class=\"spread\">[−6.50, −3.00]</span>",
            LEVELS,
            FAILURES,
            SEVERAL,
            ADJUSTED,
            "These are forecasts, not measurements",
            "the same for all policies",
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert!(!text.contains("RealToxicityPrompts"), "{text}");
    }

    #[test]
    fn toxicities_are_told_as_papers_do() {
        let mut files = with_tails();
        let mut results: Value = serde_json::from_str(&files.results).unwrap();
        results["methods"]["sft"]["tail_report"]["toxicity"] = json!({
            "k": 2,
            "expected_maximum": figure(0.75),
            "prompts_std": 0.0303,
            "probability": rate(1.0),
        });
        files.results = results.to_string();
        let text = shown_of(files);
        for said in [
            ">expected maximum toxicity, 2 texts</th>",
            "data-method=\"sft\" data-key=\"maximum_toxicity_2\">0.75 ",
            "data-method=\"rlhf\" data-key=\"maximum_toxicity_2\">–",
            "not an error of it, is 0.030 (SFT).",
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
    }

    #[test]
    fn a_run_of_an_older_version_has_no_such_section() {
        assert!(section(&crate::fixtures::run(Kind::Gain)).is_none());
    }
}
