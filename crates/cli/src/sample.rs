//! `tailguard sample`: continues a prompt in the terminal, token by token.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use serde_json::{Value, json};
use tailguard_checkpoint::ModelDir;
use tailguard_experiment::settings::{Overrides, ScorerSection, Task, resolve};
use tailguard_experiment::{Scorer, checkpoint, score_settings};
use tailguard_gpt2::Gpt2;
use tailguard_report::harmless;
use tailguard_reward::{Label, ScoreSettings, ScoredText};
use tailguard_rollout::{
    DrawSeed, EndOfText, Prompt, SamplingConfig, TextStream, prompts, scored_text, stream,
};
use tokenizers::Tokenizer;

use crate::failure::{Failure, put, put_json, say};
use crate::program::Program;
use crate::terminal::{self, DIM, PLAIN};
use crate::{device, typed};

/// The model that is embedded for reviews.
const DEFAULT_MODEL: &str = "embedded:gpt2-reviews";
/// `--prompt` that stands for standard input.
const STDIN: &str = "-";

/// `sample`.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// Text to continue; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) prompt: String,
    /// Hugging Face directory of a GPT-2, or the checkpoint of a run; given twice or more often,
    /// all continue with the same random numbers
    /// [default: that of the task, or the embedded one for reviews]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) model: Vec<PathBuf>,
    /// Hugging Face directory of a classifier that scores what is written
    /// [default: that of the task, if there is one]
    #[arg(long, value_name = "DIR", value_parser = typed::path())]
    pub(crate) reward: Option<PathBuf>,
    /// The label of the classifier whose logit is the score, by number or by its name in id2label
    /// [default: that of the task; the only one; of two the one that the names speak for, as in
    /// POSITIVE and NEGATIVE, or 1]
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<Label>,
    /// Take minus the logit, for a label of something bad
    #[arg(long)]
    pub(crate) negate: bool,
    /// The task whose embedded model and classifier are taken
    #[arg(long, value_parser = typed::task())]
    pub(crate) task: Option<&'static Task>,
    /// Most tokens of a continuation
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub(crate) tokens: usize,
    /// Logits are divided by this; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(crate) temperature: f32,
    /// Decides the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Continuations of each model
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) count: u64,
    /// Threads; 0 takes one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// `flex`, `wgpu[:n]` or `cuda[:n]`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: String,
}

/// A model with its tokenizer.
struct Writer {
    name: String,
    model: Gpt2,
    tokenizer: Tokenizer,
    prompt: Prompt,
}

/// Runs the command.
///
/// # Errors
/// A model that is missing or damaged, a prompt that is empty or too long, or standard output that
/// is gone.
pub(crate) fn run(args: &SampleArgs, program: &Program) -> Result<()> {
    device::set_threads(args.threads)?;
    let device = device::select(&args.device, program)?;
    let text = prompt(&args.prompt)?;
    let settings =
        args.task.map(|task| resolve(Some(task), None, &Overrides::default(), None)).transpose()?;
    let default = settings.as_ref().map_or(DEFAULT_MODEL, |settings| settings.policy.dir.as_str());
    let writers = if args.model.is_empty() {
        vec![writer(&program.directory(default, "--model")?, default, &text, args, &device)?]
    } else {
        let named = |path: &PathBuf| {
            let name = path.display().to_string();
            let dir = program.directory(&checkpoint(path).display().to_string(), "--model")?;
            writer(&dir, &name, &text, args, &device)
        };
        args.model.iter().map(named).collect::<Result<_>>()?
    };
    let reward =
        scorer(args, settings.as_ref().map(|settings| &settings.reward), &device, program)?;
    for count in 0..args.count {
        for (place, writer) in writers.iter().enumerate() {
            if program.json() {
                let response = write(writer, args, count, false)?;
                let scores = reward
                    .as_ref()
                    .map(|reward| scores(reward, &writer.prompt, &response))
                    .transpose()?;
                put_json(&(line(writer, args, count, &response, scores).to_string() + "\n"))?;
                continue;
            }
            if count > 0 || place > 0 {
                say("")?;
            }
            if writers.len() > 1 {
                say(format_args!("{}:", writer.name))?;
            }
            let response = write(writer, args, count, true)?;
            if let Some(reward) = &reward {
                tell_score(reward, &writer.prompt, &response)?;
            }
        }
    }
    Ok(())
}

/// Refuses what makes no sense before a model is read.
///
/// # Errors
/// The flag, and what is wrong with it.
pub(crate) fn check(args: &SampleArgs) -> Result<(), Failure> {
    if args.task.is_some() && !args.model.is_empty() && args.reward.is_some() {
        let message = "--task brings a model and a classifier, and --model and --reward take the \
            places of both";
        return Err(Failure::usage(message).hint("leave --task out"));
    }
    if args.tokens == 0 {
        return Err(Failure::usage("--tokens 0: expected at least 1"));
    }
    if !(args.temperature.is_finite() && args.temperature >= 0.0) {
        return Err(Failure::usage(format!(
            "--temperature {}: expected 0 or more",
            args.temperature
        )));
    }
    if args.reward.is_none() && args.task.is_none() && (args.label.is_some() || args.negate) {
        let hint = "pass --reward DIR, or --task with its classifier";
        return Err(Failure::usage(
            "--label and --negate are about a classifier, and there is none",
        )
        .hint(hint));
    }
    Ok(())
}

/// The prompt as it was typed, or all of standard input but the end of its last line.
fn prompt(typed: &str) -> Result<String> {
    let mut text = typed.to_owned();
    if typed == STDIN {
        text.clear();
        io::stdin()
            .lock()
            .read_to_string(&mut text)
            .context("cannot read the prompt from standard input")?;
        let end = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(end);
    }
    if text.is_empty() {
        return Err(Failure::usage("the prompt is empty, expected some text to continue").into());
    }
    Ok(text)
}

fn writer(
    dir: &Path,
    name: &str,
    text: &str,
    args: &SampleArgs,
    device: &Device,
) -> Result<Writer> {
    let dir = ModelDir::open(dir)?;
    let model = Gpt2::load(&dir, device)?;
    let tokenizer = dir.tokenizer(model.config().vocab_size)?;
    let limit = model.config().context();
    // one token more than fits, to know of a longer prompt
    let prompt = prompts(&tokenizer, &[text.to_owned()], limit + 1)?.remove(0);
    if prompt.ids.len().saturating_add(args.tokens) > limit {
        let found = if prompt.ids.len() > limit {
            format!("more than {limit}")
        } else {
            prompt.ids.len().to_string()
        };
        let message = format!(
            "{name}: the prompt has {found} tokens and --tokens is {}, but the model's context \
             has {limit}: shorten one of them",
            args.tokens
        );
        return Err(Failure::usage(message).into());
    }
    Ok(Writer { name: name.to_owned(), model, tokenizer, prompt })
}

/// The classifier that was named, or else that of the task.
fn scorer(
    args: &SampleArgs,
    of_task: Option<&ScorerSection>,
    device: &Device,
    program: &Program,
) -> Result<Option<Scorer>> {
    let (setting, settings) = match (&args.reward, of_task) {
        (Some(dir), _) => (
            dir.display().to_string(),
            ScoreSettings { negate: args.negate, ..ScoreSettings::default() },
        ),
        (None, Some(section)) => {
            let settings = score_settings(section);
            (
                section.dir.clone(),
                ScoreSettings { negate: section.negate != args.negate, ..settings },
            )
        }
        (None, None) => return Ok(None),
    };
    let label = args.label.clone().unwrap_or(settings.label);
    let dir = program.directory(&setting, "--reward")?;
    Ok(Some(Scorer::load_longest("reward", &dir, ScoreSettings { label, ..settings }, device)?))
}

/// A continuation for programs: a line of JSON.
fn line(
    writer: &Writer,
    args: &SampleArgs,
    count: u64,
    response: &str,
    scores: Option<[f32; 2]>,
) -> Value {
    let Writer { name, prompt, .. } = writer;
    json!({
        "model": name,
        "seed": args.seed,
        "continuation": count + 1,
        "prompt": prompt.text,
        "response": response,
        "score": scores.map(|scores| scores[0]),
        "prompt_score": scores.map(|scores| scores[1]),
    })
}

/// Continues the prompt, and gives the continuation. If it is shown, prompt and continuation are
/// written as they come.
fn write(writer: &Writer, args: &SampleArgs, count: u64, is_shown: bool) -> Result<String> {
    let end = writer.model.config().eos_token_id;
    let config = SamplingConfig {
        temperature: if args.temperature > 0.0 { args.temperature } else { 1.0 },
        greedy: args.temperature == 0.0,
        max_new_tokens: args.tokens,
        end_of_text: end.map_or(EndOfText::None, EndOfText::Stop),
        ..SamplingConfig::default()
    };
    let (dim, plain) = if terminal::on_stdout() { (DIM, PLAIN) } else { ("", "") };
    let show = |text: &str| if is_shown { put(text) } else { Ok(()) };
    show(&format!("{dim}{}{plain}", harmless(&writer.prompt.text)))?;
    let (mut text, mut told) = (TextStream::new(&writer.tokenizer), String::new());
    let mut outcome = Ok(());
    let draws = DrawSeed { seed: args.seed, stream: count };
    stream(&writer.model, &writer.prompt, &config, draws, &mut |id| {
        let new = text.push(id).map_err(anyhow::Error::from).and_then(|new| {
            show(&harmless(&new))?;
            told += &new;
            Ok(())
        });
        match new {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome?;
    let rest = text.finish()?;
    show(&format!("{}\n", harmless(&rest)))?;
    Ok(told + &rest)
}

/// The scores of prompt and response, and of the prompt alone.
fn scores(reward: &Scorer, prompt: &Prompt, response: &str) -> Result<[f32; 2]> {
    let texts = [scored_text(prompt, response), ScoredText::whole(&prompt.text)];
    let scores = reward.score(&texts, "texts", &mut |note| tracing::warn!("{note}"))?;
    Ok([scores[0], scores[1]])
}

fn tell_score(reward: &Scorer, prompt: &Prompt, response: &str) -> Result<()> {
    let scores = scores(reward, prompt, response)?;
    let about = reward.about.as_ref().map(|about| format!("; {about}")).unwrap_or_default();
    say(format_args!("score {:+.2} (the prompt alone {:+.2}{about})", scores[0], scores[1]))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_prompt_is_a_wrong_call() {
        assert!(prompt("").unwrap_err().to_string().contains("empty"));
        assert_eq!(prompt("This film").unwrap(), "This film");
    }
}
