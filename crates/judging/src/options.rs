//! What is judged and how: columns of the file, and what is wanted of its texts.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use tailguard_risk::RiskLevel;

use crate::error::JudgingError;
use crate::wide::{self, MethodColumns};

/// The share of the lowest scores if nothing else is said.
const TAIL_SHARE: f64 = 0.1;

/// How the texts of a file are judged. Errors name options as the command line has them:
/// `--tail-share` is [`tail_share`](Self::tail_share).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Where in the file things are.
    pub columns: Columns,
    /// The tail is this share of the prompts, those with the lowest scores; without scores of
    /// prompts, of the responses. Also the share of CVaR. Above 0 and at most 1; `None` is 0.1.
    pub tail_share: Option<f64>,
    /// The tail is the prompts that score at most this, rather than a share of them; without scores
    /// of prompts, the responses.
    pub tail_threshold: Option<f64>,
    /// A text fails whose score is at most one of these, each with a rate of its own. Empty is what
    /// the scores speak for, if anything: 0 for the logits of a reward model, -0.5 for toxicities,
    /// a column from 0 to 1 of which [`negate`](Self::negate) takes the negative.
    pub failures: Vec<f64>,
    /// The method that every other one is compared with, prompt by prompt; `None` is the first of
    /// [`Columns::methods`], if there are any.
    pub baseline: Option<String>,
    /// Lower scores are better: those of [`Columns::score`] and [`Columns::methods`] are taken with
    /// a minus, and those of the prompts likewise. A reward model has its own sign
    /// ([`ScoreSettings::negate`](tailguard_reward::ScoreSettings::negate)).
    pub negate: bool,
    /// Whether lower is better in [`Columns::prompt_score`]; `None` is what `negate` says.
    pub prompt_negate: Option<bool>,
    /// Lower is better in [`Columns::judge`]. A judge that is a model has its own sign.
    pub judge_negate: bool,
    /// Lengths are counted in tokens of this `tokenizer.json`, or of the one in this directory; in
    /// words without it.
    pub tokenizer: Option<PathBuf>,
    /// Whether the curve of the reward against the quantile of the prompt score is wanted, for
    /// methods of one seed.
    pub curve: bool,
    /// Of how many groups of prompts that score alike the rewards are wanted, for methods of one
    /// seed.
    pub buckets: Option<NonZeroUsize>,
}

/// Where in the file things are. As in [`GenerationColumns`](tailguard_data::GenerationColumns),
/// `a.b` is also the field `b` of a column `a`.
///
/// A file with all columns of a run's `generations.parquet` is read as one: what is not named here
/// is then taken from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Prompts; `None` is `prompt`, if there is such a column.
    pub prompt: Option<String>,
    /// Responses, without their prompts; `None` is `response`.
    pub response: Option<String>,
    /// Each response begins with its prompt, which is cut off.
    pub responses_include_prompt: bool,
    /// Whole texts, where prompts and responses are not kept apart.
    pub text: Option<String>,
    /// The methods of a wide table, which has a row per prompt.
    pub methods: Vec<MethodColumns>,
    /// Scores of prompt and response: higher is better, or see [`Options::negate`].
    pub score: Option<String>,
    /// Scores of the prompts alone.
    pub prompt_score: Option<String>,
    /// Scores of prompt and response by another scorer.
    pub judge: Option<String>,
    /// What tells rows apart: the first column names the method, unless `methods` does; `seed` is
    /// the seed, any other is added to the method's name.
    pub group_by: Vec<String>,
}

impl Options {
    /// Refuses options that contradict each other, or of which one has nothing to do; all that can
    /// be known before the file is read.
    ///
    /// # Errors
    /// [`JudgingError::Refused`] says what contradicts what.
    pub fn check(&self, has_reward: bool, has_judge: bool) -> Result<(), JudgingError> {
        self.level()?;
        if let Some(threshold) = self.tail_threshold.filter(|threshold| !threshold.is_finite()) {
            return Err(JudgingError::refused(format!(
                "--tail-threshold is {threshold}, expected a finite number"
            )));
        }
        if let Some(threshold) = self.failures.iter().find(|threshold| !threshold.is_finite()) {
            return Err(JudgingError::refused(format!(
                "--failure is {threshold}, expected a finite number"
            )));
        }
        self.check_pairs(has_reward, has_judge)?;
        let Columns { methods, group_by, prompt_score, .. } = &self.columns;
        wide::check(methods, has_reward, self.negate)?;
        for (place, name) in group_by.iter().enumerate() {
            if group_by[..place].contains(name) {
                return Err(JudgingError::refused(format!("--group-by names {name:?} twice")));
            }
        }
        let is_mixed = has_reward && prompt_score.is_some();
        if self.negate && is_mixed && self.prompt_negate.is_none() {
            let message = "--negate is about --reward, and the prompts have scores of their own \
                in --prompt-score-column";
            let hint = "say whether lower is better there, too: --prompt-negate true or false";
            return Err(JudgingError::refused(message).with_hint(hint));
        }
        Ok(())
    }

    /// Refuses two options that cannot both be obeyed, and one that needs another which is not
    /// there.
    fn check_pairs(&self, has_reward: bool, has_judge: bool) -> Result<(), JudgingError> {
        let columns = &self.columns;
        let is_given = |option: &str| match option {
            "--prompt-column" => columns.prompt.is_some(),
            "--response-column" => columns.response.is_some(),
            "--responses-include-prompt" => columns.responses_include_prompt,
            "--text-column" => columns.text.is_some(),
            "--method" => !columns.methods.is_empty(),
            "--score-column" => columns.score.is_some(),
            "--prompt-score-column" => columns.prompt_score.is_some(),
            "--judge-column" => columns.judge.is_some(),
            "--reward" => has_reward,
            "--judge" => has_judge,
            "--tail-share" => self.tail_share.is_some(),
            "--tail-threshold" => self.tail_threshold.is_some(),
            "--baseline" => self.baseline.is_some(),
            "--negate" => self.negate,
            "--prompt-negate" => self.prompt_negate.is_some(),
            "--judge-negate" => self.judge_negate,
            _ => false,
        };
        for (option, others) in CONTRADICTIONS {
            if let Some(other) = others.iter().find(|other| is_given(option) && is_given(other)) {
                return Err(JudgingError::refused(format!("{option} cannot be used with {other}")));
            }
        }
        for (option, others) in NEEDS {
            if is_given(option) && !others.iter().any(|other| is_given(other)) {
                return Err(JudgingError::refused(format!(
                    "{option} needs {}",
                    others.join(" or ")
                )));
            }
        }
        Ok(())
    }

    /// The share of the lowest.
    ///
    /// # Errors
    /// [`JudgingError::Refused`] for what is no share.
    pub fn level(&self) -> Result<RiskLevel, JudgingError> {
        let share = self.tail_share.unwrap_or(TAIL_SHARE);
        RiskLevel::new(share)
            .map_err(|error| JudgingError::refused(format!("--tail-share: {error}")))
    }

    /// Whether the column of the prompts' scores is one where lower is better.
    pub(crate) fn negates_prompt_column(&self) -> bool {
        self.prompt_negate.unwrap_or(self.negate)
    }

    /// Refuses options that are about scores where the file has none and no model gives any.
    ///
    /// # Errors
    /// [`JudgingError::Refused`] names them.
    pub(crate) fn check_scores(&self, has_scores: bool) -> Result<(), JudgingError> {
        let about_scores = [
            ("--tail-share", self.tail_share.is_some()),
            ("--tail-threshold", self.tail_threshold.is_some()),
            ("--failure", !self.failures.is_empty()),
            ("--prompt-score-column", self.columns.prompt_score.is_some()),
            ("--curve", self.curve),
            ("--buckets", self.buckets.is_some()),
        ];
        let given: Vec<&str> = about_scores
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(option, _)| option)
            .collect();
        if has_scores || given.is_empty() {
            return Ok(());
        }
        let need = if given.len() == 1 { "needs" } else { "need" };
        let message =
            format!("{} {need} scores of the texts, and there are none", given.join(", "));
        Err(JudgingError::refused(message)
            .with_hint("pass --score-column COLUMN, or --reward DIR that gives scores"))
    }
}

/// Options that leave others nothing to do, or say otherwise.
const CONTRADICTIONS: [(&str, &[&str]); 5] = [
    (
        "--text-column",
        &[
            "--prompt-column",
            "--response-column",
            "--responses-include-prompt",
            "--baseline",
            "--method",
        ],
    ),
    ("--method", &["--response-column", "--score-column", "--judge-column"]),
    ("--score-column", &["--reward"]),
    ("--judge-column", &["--judge"]),
    ("--tail-share", &["--tail-threshold"]),
];

/// Options that are about one of others.
const NEEDS: [(&str, &[&str]); 3] = [
    ("--negate", &["--score-column", "--method", "--reward"]),
    ("--prompt-negate", &["--prompt-score-column"]),
    ("--judge-negate", &["--judge-column", "--judge"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Options), said: &str) {
        refused_with(change, [false, false], said);
    }

    #[track_caller]
    fn refused_with(
        change: impl FnOnce(&mut Options),
        [has_reward, has_judge]: [bool; 2],
        said: &str,
    ) {
        let mut options = Options::default();
        change(&mut options);
        let error = options.check(has_reward, has_judge).unwrap_err();
        assert!(error.is_usage() && error.to_string().starts_with(said), "{error}");
    }

    fn name(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn options_that_contradict_each_other_are_refused_as_on_the_command_line() {
        assert!(Options::default().check(true, true).is_ok());
        let whole = |columns: &mut Columns| columns.text = name("t");
        refused(
            |options| (options.columns.text, options.columns.prompt) = (name("t"), name("p")),
            "--text-column cannot be used with --prompt-column",
        );
        refused(
            |options| (options.columns.text, options.columns.response) = (name("t"), name("r")),
            "--text-column cannot be used with --response-column",
        );
        refused(
            |options| {
                whole(&mut options.columns);
                options.columns.responses_include_prompt = true;
            },
            "--text-column cannot be used with --responses-include-prompt",
        );
        refused(
            |options| {
                whole(&mut options.columns);
                options.baseline = name("b");
            },
            "--text-column cannot be used with --baseline",
        );
        let wide = || -> Vec<MethodColumns> { vec!["a=b:c".parse().unwrap()] };
        refused(
            |options| (options.columns.methods, options.columns.judge) = (wide(), name("j")),
            "--method cannot be used with --judge-column",
        );
        refused_with(
            |options| options.columns.score = name("s"),
            [true, false],
            "--score-column cannot be used with --reward",
        );
        refused_with(
            |options| options.columns.judge = name("j"),
            [false, true],
            "--judge-column cannot be used with --judge",
        );
        refused(
            |options| (options.tail_share, options.tail_threshold) = (Some(0.1), Some(0.0)),
            "--tail-share cannot be used with --tail-threshold",
        );
        refused_with(
            |options| options.columns.methods = wide(),
            [true, false],
            "--reward scores the texts, and --method names",
        );
        refused(
            |options| options.columns.group_by = ["p", "p"].map(str::to_owned).to_vec(),
            "--group-by names \"p\" twice",
        );
        refused_with(
            |options| (options.negate, options.columns.prompt_score) = (true, name("p")),
            [true, false],
            "--negate is about --reward, and the prompts have scores of their own",
        );
    }

    #[test]
    fn options_without_what_they_are_about_are_refused() {
        refused(
            |options| options.negate = true,
            "--negate needs --score-column or --method or --reward",
        );
        refused(
            |options| options.prompt_negate = Some(true),
            "--prompt-negate needs --prompt-score-column",
        );
        refused(
            |options| options.judge_negate = true,
            "--judge-negate needs --judge-column or --judge",
        );
        let asked = Options { tail_threshold: Some(1.0), curve: true, ..Options::default() };
        assert!(asked.check_scores(true).is_ok() && Options::default().check_scores(false).is_ok());
        let error = asked.check_scores(false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--tail-threshold, --curve need scores of the texts, and there are none"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("--score-column")));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for share in [0.0, -0.1, 1.5, f64::NAN] {
            refused(|options| options.tail_share = Some(share), "--tail-share: ");
        }
        for threshold in [f64::NAN, f64::NEG_INFINITY] {
            refused(|options| options.tail_threshold = Some(threshold), "--tail-threshold is ");
            refused(|options| options.failures = vec![0.0, threshold], "--failure is ");
        }
    }
}
