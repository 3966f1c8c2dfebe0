//! The figures of a tail as tables, files and pages take them: each with its names.

use crate::figure::{Figure, percent};
use crate::tail_report::{
    AnyOf, Failures, Level, MAIN_SHARE, PromptCvar, Rate, TailReport, Toxicity, WorstOf,
};

/// What a figure of the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailKind {
    /// The mean of the lowest share of the rewards.
    Cvar,
    /// The highest of them.
    Quantile,
    /// How often texts fail.
    Failure,
    /// The lowest of several texts of a prompt.
    WorstOf,
    /// Whether any of them fails.
    AnyOf,
    /// The mean of the lowest share of a prompt's own texts.
    PromptCvar,
    /// The most toxic of several texts of a prompt, and whether any is toxic.
    Toxicity,
}

/// A figure with its interval, or a share of failures with its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// A figure.
    Figure(Figure),
    /// A share of failures.
    Rate(Rate),
}

impl Shown {
    /// As tables show it.
    #[must_use]
    pub fn cell(self) -> String {
        match self {
            Self::Figure(figure) => crate::figure::cell(figure, 2),
            Self::Rate(rate) => rate.cell(),
        }
    }

    /// The value, and the ends of its 95 % interval.
    #[must_use]
    pub fn value_and_ends(self) -> (f64, Option<[f64; 2]>) {
        match self {
            Self::Figure(figure) => (figure.mean, figure.ci95),
            Self::Rate(rate) => (rate.value, rate.interval.map(|range| range.ci95)),
        }
    }
}

/// A figure of the report, for whoever shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TailFigure {
    /// What it is about.
    pub kind: TailKind,
    /// What tells it from all others, such as `cvar_0.01`: the same in all methods.
    pub key: String,
    /// What stands over it.
    pub head: String,
    /// Whether it is shown where there is room for a few alone.
    pub is_main: bool,
    /// The figure.
    pub shown: Shown,
}

impl TailReport {
    /// All figures, in the order of the tables.
    #[must_use]
    pub fn figures(&self) -> Vec<TailFigure> {
        let figure = |kind, key: String, head: String, is_main, shown| TailFigure {
            kind,
            key,
            head,
            is_main,
            shown,
        };
        let mut all = Vec::new();
        for Level { share, cvar, .. } in &self.levels {
            let is_main = [0.01, MAIN_SHARE].contains(share);
            let (key, head) = level_names("cvar", "CVaR", *share);
            all.push(figure(TailKind::Cvar, key, head, is_main, Shown::Figure(*cvar)));
        }
        for Level { share, quantile, .. } in &self.levels {
            let (key, head) = level_names("quantile", "quantile", *share);
            all.push(figure(TailKind::Quantile, key, head, false, Shown::Figure(*quantile)));
        }
        for Failures { threshold, rate, .. } in &self.failures {
            let (key, head) = failure_names(*threshold);
            all.push(figure(TailKind::Failure, key, head, true, Shown::Rate(*rate)));
        }
        // RealToxicityPrompts has its own words for the same
        let has_own = |k: usize| k < self.texts_per_prompt || self.toxicity.is_some();
        for WorstOf { k, reward } in &self.worst_of {
            let (key, head) = worst_of_names(*k);
            all.push(figure(TailKind::WorstOf, key, head, !has_own(*k), Shown::Figure(*reward)));
        }
        for Failures { threshold, any_of, .. } in &self.failures {
            for AnyOf { k, rate } in any_of {
                let key = format!("any_of_{k}_fails_{threshold}");
                let head = format!("any of {k} ≤ {threshold}");
                all.push(figure(TailKind::AnyOf, key, head, !has_own(*k), Shown::Rate(*rate)));
            }
        }
        for PromptCvar { share, reward } in &self.prompt_cvar {
            let (key, head) = level_names("prompt_cvar", "CVaR within prompts,", *share);
            all.push(figure(TailKind::PromptCvar, key, head, false, Shown::Figure(*reward)));
        }
        if let Some(Toxicity { k, expected_maximum, probability, .. }) = self.toxicity {
            let (kind, figures) = (TailKind::Toxicity, Shown::Figure(expected_maximum));
            let head = format!("expected maximum toxicity, {k} texts");
            all.push(figure(kind, format!("maximum_toxicity_{k}"), head, true, figures));
            let head = format!("toxicity probability, {k} texts");
            let key = format!("toxicity_probability_{k}");
            all.push(figure(kind, key, head, true, Shown::Rate(probability)));
        }
        all
    }
}

/// Key and head of a figure at a level.
pub(crate) fn level_names(key: &str, head: &str, share: f64) -> (String, String) {
    (format!("{key}_{share}"), format!("{head} {}", percent(share)))
}

/// Key and head of a share of failures.
pub(crate) fn failure_names(threshold: f64) -> (String, String) {
    (format!("fails_{threshold}"), format!("fails ≤ {threshold}"))
}

/// Key and head of the worst of k.
pub(crate) fn worst_of_names(k: usize) -> (String, String) {
    (format!("worst_of_{k}"), format!("worst of {k}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail_report::tests::tail_report;

    #[test]
    fn every_figure_has_a_key_of_its_own_and_few_are_the_main_ones() {
        let figures = tail_report().figures();
        let mut keys: Vec<&str> = figures.iter().map(|figure| figure.key.as_str()).collect();
        assert_eq!(keys.len(), 5 + 5 + 1 + 1 + 1 + 1 + 2);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), figures.len());
        let heads = |report: TailReport| -> Vec<String> {
            let main = report.figures().into_iter().filter(|figure| figure.is_main);
            main.map(|figure| figure.head).collect()
        };
        let toxicity = "expected maximum toxicity, 2 texts; toxicity probability, 2 texts";
        assert_eq!(
            heads(tail_report()).join("; "),
            format!("CVaR 1 %; CVaR 10 %; fails ≤ -0.5; {toxicity}")
        );
        assert_eq!(
            heads(TailReport { toxicity: None, ..tail_report() }).join("; "),
            "CVaR 1 %; CVaR 10 %; fails ≤ -0.5; worst of 2; any of 2 ≤ -0.5"
        );
    }
}
