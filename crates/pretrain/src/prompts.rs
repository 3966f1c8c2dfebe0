//! Tables of texts drawn from a language model, where the real ones may not be passed on.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use rayon::prelude::*;
use serde_json::{Value, json};
use tailguard_checkpoint::ModelDir;
use tailguard_data::text_hash;
use tailguard_files::{create_dirs, write_file};
use tailguard_gpt2::Gpt2;
use tailguard_reward::{RewardModel, ScoredText};
use tailguard_rollout::{
    DrawSeed, EndOfText, Prompt, SamplingConfig, generate, responses, score_texts,
};
use tokenizers::Tokenizer;

use crate::error::PretrainError;
use crate::event::Event;

/// A text that shares this many tokens in a row with a text that it must not repeat is thrown away.
const RUN: usize = 8;
/// Texts drawn at a time, side by side.
const BATCH: usize = 512;
const SIDE_BY_SIDE: usize = 64;
/// One text of so many, by its hash, is for evaluation.
const EVALUATION_SHARE: u64 = 4;
/// Rounds after which the model is taken to be unable to fill a class.
const MOST_ROUNDS: usize = 200;

/// Which prompts are drawn, and where they are written.
pub struct PromptOptions {
    /// Hugging Face directory of the language model.
    pub policy: PathBuf,
    /// Scores texts: above 0 is good.
    pub reward: Box<dyn RewardModel>,
    /// Texts that must not be repeated.
    pub forbidden: Vec<String>,
    /// Texts that are taken before any is drawn.
    pub added: Vec<String>,
    /// Texts to train on: good ones, bad ones.
    pub train: [usize; 2],
    /// Texts to evaluate on: good ones, bad ones.
    pub test: [usize; 2],
    /// Longest text, in tokens.
    pub tokens: usize,
    /// Shortest text that is drawn, in tokens.
    pub min_tokens: usize,
    /// Shortest text, drawn or added, in characters.
    pub min_chars: usize,
    /// Decides the draws.
    pub seed: u64,
    /// Where `train.jsonl` and `test.jsonl` are written.
    pub out: PathBuf,
    /// How their columns are called.
    pub columns: Columns,
    /// Where to compute.
    pub device: Device,
}

/// Where what is known of a text is written; a dot makes an object, as in `prompt.text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text, or its beginning.
    pub text: String,
    /// What follows the first `prompt_tokens` tokens; without it, texts are written whole.
    pub continuation: Option<String>,
    /// Tokens of a text before its continuation.
    pub prompt_tokens: usize,
    /// 1 for bad texts.
    pub label: String,
}

impl Columns {
    /// Refuses columns that would overwrite each other.
    fn check(&self) -> Result<(), PretrainError> {
        let names: Vec<&String> =
            [&self.text, &self.label].into_iter().chain(&self.continuation).collect();
        for (at, name) in names.iter().enumerate() {
            for (_, other) in names.iter().enumerate().filter(|(place, _)| *place != at) {
                let is_inside = other
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
                if is_inside {
                    return Err(PretrainError::failed(format!(
                        "columns {name:?} and {other:?} are to be written, expected none that is \
                         another or in another"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Takes the added texts, draws until both classes of both splits are full, and writes the two
/// tables.
///
/// # Errors
/// Columns that overwrite each other; a model or a tokenizer that does not serve; a model that does
/// not fill a class; files that cannot be written.
pub fn draw_prompts(
    options: &PromptOptions,
    tell: &mut dyn FnMut(&Event),
) -> Result<(), PretrainError> {
    options.columns.check()?;
    create_dirs(&options.out)?;
    let dir = ModelDir::open(&options.policy)?;
    let model = Gpt2::load(&dir, &options.device)?;
    let tokenizer = dir.tokenizer(model.config().vocab_size)?;
    let end = model.config().eos_token_id;
    let end =
        end.ok_or_else(|| PretrainError::failed("the model's config.json has no eos_token_id"))?;
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
    let mut tables = Tables { train: Table::new(options.train), test: Table::new(options.test) };
    let added = filter.keep(&tokenizer, &options.added, 1)?;
    tables.offer(&*options.reward, &added)?;
    tell(&Event::Added { fit: added.len(), texts: options.added.len(), filled: tables.filled() });
    let mut round = 0;
    while !(tables.train.is_full() && tables.test.is_full()) {
        if round == MOST_ROUNDS {
            let filled = tables.filled();
            return Err(PretrainError::failed(format!(
                "{MOST_ROUNDS} rounds gave {filled}: ask for fewer texts"
            )));
        }
        let draws = DrawSeed { seed: options.seed, stream: (round * BATCH) as u64 };
        let drawn =
            generate(&model, None, &vec![start.clone(); BATCH], &sampling, draws, SIDE_BY_SIDE)?;
        let fit = filter.keep(&tokenizer, &responses(&tokenizer, &drawn)?, options.min_tokens)?;
        tables.offer(&*options.reward, &fit)?;
        round += 1;
        tell(&Event::Drawn {
            texts: round * BATCH,
            fit: fit.len(),
            round: BATCH,
            filled: tables.filled(),
        });
    }
    tables.train.write(&options.out.join("train.jsonl"), &tokenizer, &options.columns)?;
    tables.test.write(&options.out.join("test.jsonl"), &tokenizer, &options.columns)
}

/// What makes a text fit to be kept.
struct Filter {
    /// Hashes of all runs of tokens of the forbidden texts.
    forbidden: HashSet<u64>,
    /// Beginnings that are taken.
    begun: HashSet<Vec<u32>>,
    min_chars: usize,
}

impl Filter {
    fn new(tokenizer: &Tokenizer, options: &PromptOptions) -> Result<Self, PretrainError> {
        if options.min_tokens < RUN {
            let found = options.min_tokens;
            return Err(PretrainError::failed(format!(
                "--min-tokens is {found}, expected at least {RUN}"
            )));
        }
        let forbidden = encode(tokenizer, &options.forbidden)?;
        let forbidden = forbidden.par_iter().flat_map_iter(|ids| runs(ids)).collect();
        Ok(Self { forbidden, begun: HashSet::new(), min_chars: options.min_chars })
    }

    /// The texts that are fit, in their order.
    fn keep(
        &mut self,
        tokenizer: &Tokenizer,
        texts: &[String],
        min_tokens: usize,
    ) -> Result<Vec<String>, PretrainError> {
        // a word at the beginning is another token than the same word after a space: it must not
        // repeat in either form
        let spaced: Vec<String> = texts.iter().map(|text| format!(" {text}")).collect();
        let (ids, spaced) = (encode(tokenizer, texts)?, encode(tokenizer, &spaced)?);
        let is_new = |ids: &[u32]| !runs(ids).any(|run| self.forbidden.contains(&run));
        let new: Vec<bool> =
            ids.iter().zip(&spaced).map(|(ids, spaced)| is_new(ids) && is_new(spaced)).collect();
        let rows = texts
            .iter()
            .zip(&ids)
            .zip(new)
            .filter(|((text, ids), new)| *new && self.is_fit(text, ids, min_tokens));
        let rows = rows.map(|(row, _)| row);
        Ok(rows.map(|(text, _)| text.clone()).collect())
    }

    /// Whether a text is long enough, whole characters throughout, and new in its first tokens.
    fn is_fit(&mut self, text: &str, ids: &[u32], min_tokens: usize) -> bool {
        let is_long =
            ids.len() >= min_tokens && text.chars().take(self.min_chars).count() == self.min_chars;
        let is_whole = !text.contains(['\u{FFFD}', '\0']) && text.trim() == text;
        is_long && is_whole && self.begun.insert(ids[..RUN.min(ids.len())].to_vec())
    }
}

/// The token ids of texts, as a policy would read them.
fn encode(tokenizer: &Tokenizer, texts: &[String]) -> Result<Vec<Vec<u32>>, PretrainError> {
    let encodings = tokenizer.encode_batch_fast(texts.iter().map(String::as_str).collect(), false);
    let encodings = encodings.map_err(PretrainError::tokenizer("cut the texts into tokens"))?;
    Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
}

/// A hash of each run of [`RUN`] tokens.
fn runs(ids: &[u32]) -> impl Iterator<Item = u64> {
    ids.windows(RUN).map(|run| {
        run.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &id| {
            (hash ^ u64::from(id)).wrapping_mul(0x0100_0000_01b3)
        })
    })
}

/// Both splits on their way.
struct Tables {
    train: Table,
    test: Table,
}

impl Tables {
    /// Gives every text to the split that its hash decides, in the class that its score decides.
    fn offer(&mut self, reward: &dyn RewardModel, texts: &[String]) -> Result<(), PretrainError> {
        let whole: Vec<ScoredText> = texts.iter().map(ScoredText::whole).collect();
        for (text, score) in texts.iter().zip(score_texts(reward, &whole)?.scores) {
            let is_test = text_hash(text).is_multiple_of(EVALUATION_SHARE);
            if is_test { &mut self.test } else { &mut self.train }.offer(text, score > 0.0);
        }
        Ok(())
    }

    fn filled(&self) -> String {
        format!("training {}, evaluation {}", self.train.filled(), self.test.filled())
    }
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

    fn write(
        &self,
        path: &Path,
        tokenizer: &Tokenizer,
        columns: &Columns,
    ) -> Result<(), PretrainError> {
        let mut lines = String::new();
        for (text, good) in &self.rows {
            let mut row = json!({});
            match &columns.continuation {
                Some(column) => {
                    let (prompt, continuation) = cut(tokenizer, text, columns.prompt_tokens)?;
                    put(&mut row, &columns.text, prompt.into());
                    put(&mut row, column, continuation.into());
                }
                None => put(&mut row, &columns.text, text.as_str().into()),
            }
            put(&mut row, &columns.label, u8::from(!good).into());
            lines += &format!("{row}\n");
        }
        Ok(write_file(path, lines.as_bytes())?)
    }
}

/// The first `tokens` tokens of a text, and what follows them.
fn cut<'a>(
    tokenizer: &Tokenizer,
    text: &'a str,
    tokens: usize,
) -> Result<(&'a str, &'a str), PretrainError> {
    let refused =
        |error| PretrainError::Tokenizer { doing: format!("cut {text:?} into tokens"), error };
    let encoding = tokenizer.encode(text, false).map_err(refused)?;
    // the end of the last token: the next one begins with a space, which belongs to the
    // continuation
    let last = tokens.checked_sub(1).and_then(|last| encoding.get_offsets().get(last));
    let at = if tokens < encoding.len() { last.map_or(0, |&(_, end)| end) } else { text.len() };
    let within = || {
        PretrainError::failed(format!(
            "{text:?} cannot be cut after {tokens} tokens: byte {at} is in a character"
        ))
    };
    text.split_at_checked(at).ok_or_else(within)
}

/// Sets a value of a row, in the object that the column's name reaches into.
fn put(row: &mut Value, column: &str, value: Value) {
    let place = column.split('.').fold(row, |object, name| &mut object[name]);
    *place = value;
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
        assert_eq!(
            table.rows.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(),
            ["a", "b", "d"]
        );
        assert!(table.is_full());
    }

    /// The tokenizer of the embedded models.
    fn tokenizer() -> Tokenizer {
        Tokenizer::from_file(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../datasets/gpt2-comments/tokenizer.json"
        ))
        .unwrap()
    }

    #[test]
    fn texts_that_repeat_forbidden_ones_or_each_other_are_thrown_away() {
        let tokenizer = tokenizer();
        let comment = "one two three four five six seven eight nine ten eleven twelve".to_owned();
        let forbidden = encode(&tokenizer, &[comment]).unwrap();
        let mut filter = Filter {
            forbidden: runs(&forbidden[0]).collect(),
            begun: HashSet::new(),
            min_chars: 20,
        };
        let texts = [
            "A new text that has enough tokens to be kept here.",
            "A new text that has enough tokens but begins as the first.",
            "It says: two three four five six seven eight nine ten, as it was said.",
            "two three four five six seven eight nine ten, though its first token is another.",
            "Two three four, and five six seven, which are too few to count as a run.",
            "Too few tokens here.",
            "Half a character \u{FFFD} in a text that has enough tokens to be kept.",
            " A space in front of a text that has enough tokens to be kept here.",
        ];
        let kept = filter.keep(&tokenizer, &texts.map(str::to_owned), 10).unwrap();
        assert_eq!(kept, [texts[0], texts[4]]);
    }

    #[test]
    fn a_text_is_cut_behind_a_token_and_loses_nothing() {
        let tokenizer = tokenizer();
        assert_eq!(cut(&tokenizer, "one two three", 2).unwrap(), ("one two", " three"));
        assert_eq!(cut(&tokenizer, "one two three", 9).unwrap(), ("one two three", ""));
        assert_eq!(cut(&tokenizer, "one two three", 0).unwrap(), ("", "one two three"));
    }

    #[test]
    fn columns_that_overwrite_each_other_are_refused() {
        let check = |text: &str, continuation: Option<&str>, label: &str| {
            let (text, label, continuation) =
                (text.to_owned(), label.to_owned(), continuation.map(str::to_owned));
            Columns { text, continuation, prompt_tokens: 8, label }.check()
        };
        assert!(check("text", None, "label").is_ok());
        assert!(check("prompt.text", Some("continuation.text"), "prompt.toxicity").is_ok());
        assert!(check("prompt", None, "prompt.toxicity").is_err());
        assert!(check("text", Some("text"), "label").is_err());
    }

    #[test]
    fn a_dot_in_a_column_makes_an_object() {
        let mut row = json!({});
        put(&mut row, "prompt.text", "a".into());
        put(&mut row, "prompt.toxicity", 1.into());
        put(&mut row, "label", 0.into());
        assert_eq!(row, json!({"prompt": {"text": "a", "toxicity": 1}, "label": 0}));
    }
}
