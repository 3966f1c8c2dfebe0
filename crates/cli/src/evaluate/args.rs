//! The command line of `evaluate` as it is typed.
//!
//! Which flags go together is said where each is defined, to clap, so that one that would have
//! nothing to do is refused: a test of `flags.rs` holds the whole table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use tailguard_experiment::settings::{Preset, Side, Task};
use tailguard_judging::{Columns, MethodColumns, Options};
use tailguard_report::NewRunDir;
use tailguard_reward::Label;

use crate::failure::Failure;
use crate::run_args::RunArgs;
use crate::{interrupt, typed};

/// `evaluate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["generations", "model"])))]
// what gives texts their scores, and what needs a device
#[command(group(ArgGroup::new("scored").multiple(true).args(["score_column", "method", "reward"])))]
#[command(group(ArgGroup::new("judged").multiple(true).args(["judge_column", "judge"])))]
#[command(group(ArgGroup::new("networks").multiple(true).args(["model", "reward", "judge"])))]
#[command(group(ArgGroup::new("scorers").multiple(true).args(["reward", "judge"])))]
pub struct EvaluateArgs {
    /// Parquet, CSV or JSONL file of texts that any tool has generated, one row each
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
    pub(crate) generations: Option<PathBuf>,
    /// Hugging Face directory of a GPT-2 that is to continue the held-out prompts of --task
    #[arg(long, value_name = "DIR", value_parser = typed::path(), requires = "task")]
    pub(crate) model: Option<PathBuf>,
    /// Hugging Face directory of the classifier that scores the texts
    /// [with --task: that of the preset]
    #[arg(long, value_name = "DIR", value_parser = typed::path(), conflicts_with = "score_column")]
    pub(crate) reward: Option<PathBuf>,
    /// Directory of a second scorer [with --task: that of the preset]
    #[arg(long, value_name = "DIR", value_parser = typed::path(), conflicts_with = "judge_column")]
    pub(crate) judge: Option<PathBuf>,
    /// The tail is this share of the prompts, those with the lowest scores; without scores of
    /// prompts, of the responses. Also the share of CVaR, with --model of CVaR alone [default: 0.1]
    #[arg(long, value_name = "SHARE", value_parser = typed::share, allow_negative_numbers = true)]
    pub(crate) tail_share: Option<f64>,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u64>,
    /// `flex`, `wgpu[:n]` or `cuda[:n]`, for models [default: flex]
    #[arg(long, value_name = "DEVICE", requires = "networks")]
    pub(crate) device: Option<String>,
    /// Directory to write results.json, generations.parquet, run.json, tail.csv, report.html and
    /// more into
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
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
#[group(conflicts_with = "model")]
#[command(next_help_heading = "Columns of --generations")]
pub(crate) struct ColumnArgs {
    /// Prompts [default: prompt, if there is such a column]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) prompt_column: Option<String>,
    /// Responses, without their prompts: --reward and --judge read a prompt and its response with
    /// nothing between them, so that a response begins with the space that parts the two
    /// [default: response]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) response_column: Option<String>,
    /// Each response begins with its prompt, which is cut off
    #[arg(long)]
    pub(crate) responses_include_prompt: bool,
    /// Whole texts, where prompts and responses are not kept apart
    #[arg(
        long,
        value_name = "COLUMN",
        conflicts_with_all = [
            "prompt_column",
            "response_column",
            "responses_include_prompt",
            "baseline",
        ]
    )]
    pub(crate) text_column: Option<String>,
    /// A method of a wide table, which has a row per prompt: its name, its columns of responses
    /// and, unless --reward scores them, of scores, as in --method "RLHF=rlhf text:rlhf score";
    /// once for each method, or for each of its texts of a prompt [--baseline: the first of them]
    #[arg(
        long,
        value_name = "NAME=RESPONSE[:SCORE]",
        conflicts_with_all = ["response_column", "text_column", "score_column", "judge_column"]
    )]
    pub(crate) method: Vec<MethodColumns>,
    /// Scores of prompt and response; higher is better, or see --negate
    /// [default: reward, if the file has the columns of a run, as is the case with those below]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) score_column: Option<String>,
    /// Scores of the prompts alone [default: `prompt_score`]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) prompt_score_column: Option<String>,
    /// Scores of prompt and response by another scorer; higher is better, or see --judge-negate
    /// [default: judge]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) judge_column: Option<String>,
    /// What tells rows apart: the first column names the method (unless --method does), `seed` the
    /// seed, any other is added to the method's name [default: method,seed]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) group_by: Vec<String>,
}

/// How the texts of the file are judged.
#[derive(Debug, Args)]
#[group(conflicts_with = "model")]
#[command(next_help_heading = "Judging --generations")]
pub(crate) struct JudgingArgs {
    /// The tail is the prompts that score at most this; without scores of prompts, the responses
    #[arg(
        long,
        value_name = "X",
        value_parser = typed::finite,
        allow_negative_numbers = true,
        conflicts_with = "tail_share"
    )]
    pub(crate) tail_threshold: Option<f64>,
    /// A text fails that scores at most this; may be repeated [default: 0 for --reward; -0.5 for
    /// toxicities, a column from 0 to 1 with --negate]
    #[arg(long, value_name = "T", value_parser = typed::finite, allow_negative_numbers = true)]
    pub(crate) failure: Vec<f64>,
    /// Compare every other method with this one, prompt by prompt
    #[arg(long, value_name = "METHOD")]
    pub(crate) baseline: Option<String>,
    /// Lower scores are better: take minus those of --score-column, --method or --reward, and those
    /// of the prompts likewise
    #[arg(long, requires = "scored")]
    pub(crate) negate: bool,
    /// Whether lower is better in --prompt-score-column [default: as --negate says]
    #[arg(long, value_name = "BOOL", requires = "prompt_score_column")]
    pub(crate) prompt_negate: Option<bool>,
    /// Lower is better with the judge: take minus the scores of --judge-column or --judge
    #[arg(long, requires = "judged")]
    pub(crate) judge_negate: bool,
    /// The label of --reward whose logit is the score, by number or by its name in id2label
    /// [default: the only one; of two the one that the names speak for, as in POSITIVE and
    /// NEGATIVE, or 1]
    #[arg(long, value_name = "LABEL", requires = "reward", conflicts_with = "score_column")]
    pub(crate) label: Option<Label>,
    /// The label of --judge whose logit is its score, likewise
    #[arg(long, value_name = "LABEL", requires = "judge", conflicts_with = "judge_column")]
    pub(crate) judge_label: Option<Label>,
    /// Where --reward and --judge cut texts that are longer than they read: `left` keeps the
    /// response, `right` is transformers' way [default: left]
    #[arg(long, value_name = "SIDE", value_parser = typed::side(), requires = "scorers")]
    pub(crate) truncation_side: Option<Side>,
    /// Count lengths in tokens of this tokenizer.json, or of the one in this directory
    #[arg(long, value_name = "PATH", value_parser = typed::path())]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Write also the curve of the reward against the quantile of the prompt score, for methods of
    /// one seed
    #[arg(long, requires = "out")]
    pub(crate) curve: bool,
    /// Write also the rewards of so many groups of prompts that score alike, for methods of one
    /// seed
    #[arg(long, value_name = "N", requires = "out")]
    pub(crate) buckets: Option<NonZeroUsize>,
}

/// What a model is evaluated on.
#[derive(Debug, Args)]
#[group(conflicts_with = "generations")]
#[command(next_help_heading = "Prompts of --model")]
pub(crate) struct TaskArgs {
    /// The task whose held-out prompts and settings are taken
    #[arg(long, value_parser = typed::task())]
    pub(crate) task: Option<&'static Task>,
    /// Its settings [default: embedded]
    #[arg(long, value_parser = typed::preset())]
    pub(crate) preset: Option<Preset>,
    /// TOML file with settings that replace the preset's
    #[arg(long, value_name = "FILE", value_parser = typed::path())]
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
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) data_dir: Option<PathBuf>,
}

impl EvaluateArgs {
    /// Refuses what clap cannot know to be wrong: values that contradict each other.
    ///
    /// # Errors
    /// What contradicts what.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.options().check(self.reward.is_some(), self.judge.is_some()).map_err(|error| {
            let failure = Failure::usage(error.to_string());
            if let Some(hint) = error.hint() { failure.hint(hint) } else { failure }
        })
    }

    /// How texts are judged.
    pub(super) fn options(&self) -> Options {
        let (columns, judging) = (&self.columns, &self.judging);
        Options {
            columns: Columns {
                prompt: columns.prompt_column.clone(),
                response: columns.response_column.clone(),
                responses_include_prompt: columns.responses_include_prompt,
                text: columns.text_column.clone(),
                methods: columns.method.clone(),
                score: columns.score_column.clone(),
                prompt_score: columns.prompt_score_column.clone(),
                judge: columns.judge_column.clone(),
                group_by: columns.group_by.clone(),
            },
            tail_share: self.tail_share,
            tail_threshold: judging.tail_threshold,
            failures: judging.failure.clone(),
            baseline: judging.baseline.clone(),
            negate: judging.negate,
            prompt_negate: judging.prompt_negate,
            judge_negate: judging.judge_negate,
            tokenizer: judging.tokenizer.clone(),
            curve: judging.curve,
            buckets: judging.buckets,
        }
    }

    /// Takes the directory of `--out`, if there is one: whether it can be written is found out
    /// before anything is read. Until the results are whole, Ctrl-C and errors leave nothing of it.
    ///
    /// # Errors
    /// A directory that holds something or cannot be written.
    pub(crate) fn reserve(&self) -> anyhow::Result<Option<NewRunDir>> {
        let out = self.out.as_deref().map(NewRunDir::reserve).transpose()?;
        if let Some(out) = &out {
            interrupt::listen(vec![out.traces()])?;
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
        usize::try_from(self.threads.unwrap_or(0))
            .map_err(|_| Failure::usage("--threads: expected fewer"))
    }
}
