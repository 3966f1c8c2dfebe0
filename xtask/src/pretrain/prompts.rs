//! `cargo xtask pretrain prompts`: texts drawn from a language model, where the real ones may not be passed on.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use burn::tensor::Device;
use rayon::prelude::*;
use tailguard_checkpoint::{ModelDir, write_file};
use tailguard_data::text_hash;
use tailguard_gpt2::Gpt2;
use tailguard_reward::RewardModel;
use tailguard_rollout::{DrawSeed, EndOfText, Generation, Prompt, SamplingConfig, generate, responses, score_texts};
use tokenizers::Tokenizer;
use tracing::info;

/// A text that shares this many tokens in a row with a text that it must not repeat is thrown away.
const RUN: usize = 8;
/// Texts drawn at a time, side by side.
const BATCH: usize = 512;
const SIDE_BY_SIDE: usize = 64;
/// One text of so many, by its hash, is for evaluation.
const EVALUATION_SHARE: u64 = 4;
/// Rounds after which the model is taken to be unable to fill a class.
const MOST_ROUNDS: usize = 200;

/// What `cargo xtask pretrain prompts` is asked to do.
pub(crate) struct PromptOptions {
    /// Hugging Face directory of the language model.
    pub(crate) policy: PathBuf,
    /// Scores texts: above 0 is good.
    pub(crate) reward: Box<dyn RewardModel>,
    /// Texts that must not be repeated.
    pub(crate) forbidden: Vec<String>,
    /// Texts of each split: good ones, bad ones.
    pub(crate) train: [usize; 2],
    pub(crate) test: [usize; 2],
    /// Longest text, in tokens.
    pub(crate) tokens: usize,
    /// Shortest text, in tokens.
    pub(crate) min_tokens: usize,
    pub(crate) seed: u64,
    /// Where `train.jsonl` and `test.jsonl` are written.
    pub(crate) out: PathBuf,
    pub(crate) text_column: String,
    pub(crate) label_column: String,
    pub(crate) device: Device,
}

/// Draws until both classes of both splits are full, and writes the two tables; a label of 1 means bad.
pub(crate) fn run(options: &PromptOptions) -> Result<()> {
    let dir = ModelDir::open(&options.policy)?;
    let model = Gpt2::load(&dir, &options.device)?;
    let path = dir.tokenizer_path()?;
    let tokenizer = Tokenizer::from_file(&path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
    let end = model.config().eos_token_id.context("the model's config.json has no eos_token_id")?;
    let start = Prompt { ids: vec![end], text: String::new() };
    let sampling = SamplingConfig {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        max_new_tokens: options.tokens,
        min_new_tokens: 0,
        end_of_text: EndOfText::Stop(end),
        greedy: false,
    };
    let mut filter = Filter::new(&tokenizer, options)?;
    let (mut train, mut test) = (Table::new(options.train), Table::new(options.test));
    for round in 0..MOST_ROUNDS {
        let draws = DrawSeed { seed: options.seed, stream: (round * BATCH) as u64 };
        let drawn = generate(&model, None, &vec![start.clone(); BATCH], &sampling, draws, SIDE_BY_SIDE)?;
        let texts = responses(&tokenizer, &drawn)?;
        let kept: Vec<String> = filter.keep(&drawn, texts);
        for (text, score) in kept.iter().zip(score_texts(&*options.reward, &kept)?) {
            let table = if text_hash(text).is_multiple_of(EVALUATION_SHARE) { &mut test } else { &mut train };
            table.offer(text, score > 0.0);
        }
        info!("{} texts drawn; training {}, evaluation {}", (round + 1) * BATCH, train.filled(), test.filled());
        if train.is_full() && test.is_full() {
            train.write(&options.out.join("train.jsonl"), options)?;
            return test.write(&options.out.join("test.jsonl"), options);
        }
    }
    Err(anyhow!("{MOST_ROUNDS} rounds gave training {}, evaluation {}: ask for fewer texts", train.filled(), test.filled()))
}

/// What makes a drawn text fit to be kept.
struct Filter {
    /// Hashes of all runs of tokens of the forbidden texts.
    forbidden: HashSet<u64>,
    /// Beginnings that are taken.
    begun: HashSet<Vec<u32>>,
    min_tokens: usize,
}

impl Filter {
    fn new(tokenizer: &Tokenizer, options: &PromptOptions) -> Result<Self> {
        let texts: Vec<&str> = options.forbidden.iter().map(String::as_str).collect();
        let encodings = tokenizer.encode_batch_fast(texts, false).map_err(|error| anyhow!("cannot tokenize a text: {error}"))?;
        let forbidden = encodings.par_iter().flat_map_iter(|encoding| runs(encoding.get_ids())).collect();
        ensure!(options.min_tokens >= RUN, "--min-tokens is {}, expected at least {RUN}", options.min_tokens);
        Ok(Self { forbidden, begun: HashSet::new(), min_tokens: options.min_tokens })
    }

    /// The texts that are long enough, whole characters throughout, new in their first tokens, and repeat nothing forbidden.
    fn keep(&mut self, drawn: &[Generation], texts: Vec<String>) -> Vec<String> {
        let rows = drawn.iter().zip(texts).filter(|(generation, text)| {
            let ids = &generation.response_ids;
            let fits = ids.len() >= self.min_tokens && !text.contains(['\u{FFFD}', '\0']) && text.trim() == text.as_str();
            fits && !runs(ids).any(|run| self.forbidden.contains(&run)) && self.begun.insert(ids[..RUN].to_vec())
        });
        rows.map(|(_, text)| text).collect()
    }
}

/// A hash of each run of [`RUN`] tokens.
fn runs(ids: &[u32]) -> impl Iterator<Item = u64> {
    ids.windows(RUN)
        .map(|run| run.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &id| (hash ^ u64::from(id)).wrapping_mul(0x0100_0000_01b3)))
}

/// A split on its way: the texts of each class, good ones first, and how many there shall be.
struct Table {
    wanted: [usize; 2],
    rows: Vec<(String, bool)>,
}

impl Table {
    fn new(wanted: [usize; 2]) -> Self {
        Self { wanted, rows: Vec::new() }
    }

    fn count(&self, good: bool) -> usize {
        self.rows.iter().filter(|(_, of)| *of == good).count()
    }

    fn offer(&mut self, text: &str, good: bool) {
        if self.count(good) < self.wanted[usize::from(!good)] {
            self.rows.push((text.to_owned(), good));
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() == self.wanted[0] + self.wanted[1]
    }

    fn filled(&self) -> String {
        let [good, bad] = self.wanted;
        format!("{}/{good} good and {}/{bad} bad", self.count(true), self.count(false))
    }

    fn write(&self, path: &Path, options: &PromptOptions) -> Result<()> {
        let mut lines = Vec::new();
        for (text, good) in &self.rows {
            let row = serde_json::json!({ options.text_column.as_str(): text, options.label_column.as_str(): u8::from(!good) });
            writeln!(lines, "{row}")?;
        }
        Ok(write_file(path, &lines)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_no_more_of_a_class_than_it_wants() {
        let mut table = Table::new([2, 1]);
        for (text, good) in [("a", true), ("b", true), ("c", true), ("d", false), ("e", false)] {
            table.offer(text, good);
        }
        assert_eq!(table.rows.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert!(table.is_full());
    }

    #[test]
    fn texts_that_repeat_forbidden_ones_or_each_other_are_thrown_away() {
        let forbidden: Vec<u32> = (100..140).collect();
        let mut filter = Filter { forbidden: runs(&forbidden).collect(), begun: HashSet::new(), min_tokens: 10 };
        let drawn = |ids: Vec<u32>| Generation { response_ids: ids, ..Generation::default() };
        let rows = [
            drawn((0..12).collect()),                  // new
            drawn((0..8).chain(50..60).collect()),     // begins as the first
            drawn((20..30).chain(110..118).collect()), // repeats eight tokens
            drawn((30..40).chain(110..117).collect()), // repeats seven
            drawn((60..65).collect()),                 // short
        ];
        let texts = ["new", "same start", "repeats", "nearly", "short"].map(str::to_owned).to_vec();
        assert_eq!(filter.keep(&rows, texts), ["new", "nearly"]);
    }
}
