//! The command line of `evaluate` as it is typed.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use tailguard_report::NewRunDir;
use tailguard_reward::Label;

use crate::args::{PresetName, RunArgs};
use crate::config::Side;
use crate::failure::Failure;
use crate::interrupt;
use crate::task::{self, Task};

/// `evaluate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["generations", "model"])))]
#[command(group(ArgGroup::new("scorers").multiple(true).args(["reward", "judge"])))]
pub(crate) struct EvaluateArgs {
    /// Parquet, CSV or JSONL file of texts that any tool has generated, one row each
    #[arg(long, value_name = "FILE")]
    pub(crate) generations: Option<PathBuf>,
    /// Hugging Face directory of a GPT-2 that is to continue the held-out prompts of --task
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Hugging Face directory of the classifier that scores the texts [with --task: that of the preset]
    #[arg(long, value_name = "DIR", conflicts_with = "score_column")]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of a second scorer [with --task: that of the preset]
    #[arg(long, value_name = "DIR", conflicts_with = "judge_column")]
    pub(crate) judge: Option<PathBuf>,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u64>,
    /// `flex`, `wgpu[:n]` or `cuda[:n]` [default: flex]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Directory to write results.json, generations.parquet, run.json and report.html into
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    // last, as their headings would go on over what follows
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    #[command(flatten)]
    pub(crate) judging: JudgingArgs,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
}

/// Where in the file things are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns of --generations")]
pub(crate) struct ColumnArgs {
    /// Prompts [default: prompt, if there is such a column]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) prompt_column: Option<String>,
    /// Responses, without their prompts: --reward and --judge read a prompt and its response with nothing between them, so that
    /// a response begins with the space that parts the two [default: response]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) response_column: Option<String>,
    /// Whole texts, where prompts and responses are not kept apart
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["prompt_column", "response_column"])]
    pub(crate) text_column: Option<String>,
    /// Scores of prompt and response; higher is better [default: reward, if the file has the columns of a run, as is the case with those
    /// below]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) score_column: Option<String>,
    /// Scores of the prompts alone [default: `prompt_score`]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) prompt_score_column: Option<String>,
    /// Scores of prompt and response by another scorer [default: judge]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) judge_column: Option<String>,
    /// What tells rows apart: the first column names the method, `seed` the seed, any other is added to the method's name
    /// [default: method,seed]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) group_by: Vec<String>,
}

/// How the texts of the file are judged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judging --generations")]
pub(crate) struct JudgingArgs {
    /// The tail is the prompts that score at most this; without scores of prompts, the responses
    #[arg(long, value_name = "X", allow_negative_numbers = true, conflicts_with = "tail_share")]
    pub(crate) tail_threshold: Option<f64>,
    /// The tail is this share of the prompts, those with the lowest scores; without scores of prompts, of the responses. Also the share
    /// of CVaR
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub(crate) tail_share: f64,
    /// Compare every other method with this one, prompt by prompt
    #[arg(long, value_name = "METHOD")]
    pub(crate) baseline: Option<String>,
    /// The label of --reward whose logit is the score, by number or by its name in id2label [default: the only one; of two the one
    /// that the names speak for, as in POSITIVE and NEGATIVE, or 1]
    #[arg(long, value_name = "LABEL", requires = "reward")]
    pub(crate) label: Option<Label>,
    /// Take minus the logit of --reward, for a label of something bad
    #[arg(long, requires = "reward")]
    pub(crate) negate: bool,
    /// The label of --judge whose logit is its score, likewise
    #[arg(long, value_name = "LABEL", requires = "judge")]
    pub(crate) judge_label: Option<Label>,
    /// Take minus the logit of --judge
    #[arg(long, requires = "judge")]
    pub(crate) judge_negate: bool,
    /// Where --reward and --judge cut texts that are longer than they read: `left` keeps the response, `right` is transformers' way
    /// [default: left]
    #[arg(long, value_name = "SIDE", requires = "scorers")]
    pub(crate) truncation_side: Option<Side>,
    /// Count lengths in tokens of this tokenizer.json, or of the one in this directory
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Write also the curve of the reward against the quantile of the prompt score, for methods of one seed
    #[arg(long, requires = "out")]
    pub(crate) curve: bool,
    /// Write also the rewards of so many groups of prompts that score alike, for methods of one seed
    #[arg(long, value_name = "N", requires = "out")]
    pub(crate) buckets: Option<NonZeroUsize>,
}

/// What a model is evaluated on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompts of --model")]
pub(crate) struct TaskArgs {
    /// The task whose held-out prompts and settings are taken
    #[arg(long, value_parser = task::parser())]
    pub(crate) task: Option<&'static Task>,
    /// Its settings [default: embedded]
    #[arg(long)]
    pub(crate) preset: Option<PresetName>,
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting that replaces the preset's and the file's; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// First seed of the samples [run.seed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Number of seeds [run.seeds]
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// Directory with the task's data [data.dir]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl EvaluateArgs {
    /// Refuses flags that are about the other of --generations and --model. clap does not: it takes what a flag requires for given
    /// where that would conflict with something else.
    ///
    /// # Errors
    /// All of them, and what they go with.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let refused = |flags: &[(&str, bool)], with: &str, given: &str, instead: &str| {
            let flags: Vec<&str> = flags.iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| *flag).collect();
            let (go, them) = if flags.len() == 1 { ("goes", "it") } else { ("go", "them") };
            if flags.is_empty() {
                return Ok(());
            }
            let message =
                format!("{} {go} with {with}, and the call has {given}: leave {them} out, as {instead}", flags.join(", "));
            Err(Failure::usage(message))
        };
        if self.model.is_some() {
            let scored = "the prompts and scorers of a model are those of --task, or --reward and --judge";
            refused(&self.of_generations(), "--generations", "--model", scored)
        } else {
            refused(&self.of_model(), "--model", "--generations", "the texts of a file have prompts and seeds of their own")
        }
    }

    fn of_generations(&self) -> [(&'static str, bool); 17] {
        let (columns, judging) = (&self.columns, &self.judging);
        [
            ("--prompt-column", columns.prompt_column.is_some()),
            ("--response-column", columns.response_column.is_some()),
            ("--text-column", columns.text_column.is_some()),
            ("--score-column", columns.score_column.is_some()),
            ("--prompt-score-column", columns.prompt_score_column.is_some()),
            ("--judge-column", columns.judge_column.is_some()),
            ("--group-by", !columns.group_by.is_empty()),
            ("--tail-threshold", judging.tail_threshold.is_some()),
            ("--baseline", judging.baseline.is_some()),
            ("--label", judging.label.is_some()),
            ("--negate", judging.negate),
            ("--judge-label", judging.judge_label.is_some()),
            ("--judge-negate", judging.judge_negate),
            ("--truncation-side", judging.truncation_side.is_some()),
            ("--tokenizer", judging.tokenizer.is_some()),
            ("--curve", judging.curve),
            ("--buckets", judging.buckets.is_some()),
        ]
    }

    fn of_model(&self) -> [(&'static str, bool); 7] {
        let task = &self.task;
        [
            ("--task", task.task.is_some()),
            ("--preset", task.preset.is_some()),
            ("--config", task.config.is_some()),
            ("--set", !task.set.is_empty()),
            ("--seed", task.seed.is_some()),
            ("--seeds", task.seeds.is_some()),
            ("--data-dir", task.data_dir.is_some()),
        ]
    }

    /// Takes the directory of `--out`, if there is one: whether it can be written is found out before anything is read. Until the
    /// results are whole, Ctrl-C and errors leave nothing of it.
    ///
    /// # Errors
    /// A directory that holds something or cannot be written.
    pub(crate) fn reserve(&self) -> anyhow::Result<Option<NewRunDir>> {
        let out = self.out.as_deref().map(NewRunDir::reserve).transpose()?;
        if let Some(out) = &out {
            interrupt::listen(Some(out.traces()))?;
        }
        Ok(out)
    }

    /// As `reproduce` has them, with the policy of the preset or another one.
    pub(crate) fn run_args(&self, policy: Option<&Path>) -> RunArgs {
        RunArgs {
            config: self.task.config.clone(),
            set: self.task.set.clone(),
            seed: self.task.seed,
            seeds: self.task.seeds,
            threads: self.threads,
            device: self.device.clone(),
            policy: policy.map(Path::to_owned),
            reward: self.reward.clone(),
            judge: self.judge.clone(),
            data_dir: self.task.data_dir.clone(),
            ..RunArgs::default()
        }
    }

    /// The number of threads, for texts of a file.
    ///
    /// # Errors
    /// A number that no machine has.
    pub(crate) fn thread_count(&self) -> Result<usize, Failure> {
        usize::try_from(self.threads.unwrap_or(0)).map_err(|_| Failure::usage("--threads: expected fewer"))
    }
}
