//! The store of samples: K responses to each of N prompts, drawn from a model and scored, kept so
//! that a later command takes them up. From them the exact front is computed, and on them a policy
//! is distilled.
//!
//! A store is a directory. Its `samples.json` says what the samples were made of: digests of the
//! model, the scorers and the prompts, how tokens are drawn, the seed and the round. Beside it lie
//! `response-0000`, `response-0001` and so on. Each holds one response to every prompt, as
//! `samples.parquet` with digests, and is there whole or not at all. So a store that was
//! interrupted goes on where it was, and one of 16 responses becomes one of 32 by 16 more. A store
//! that was made of anything else is refused.
//!
//! Response `j` to prompt `i` is drawn from a stream of its own, whatever the number of responses,
//! the batches and the threads are. No training and no evaluation draws from these streams.
//!
//! ```no_run
//! # use tailguard_experiment::{ExperimentError, Inputs, Observer, Sampler, Settings};
//! # fn f(inputs: &Inputs, settings: &Settings, digest: String, observer: &mut dyn Observer)
//! # -> Result<(), ExperimentError> {
//! let sampler =
//!     Sampler::of(inputs, settings, (&inputs.base, digest), &inputs.train_prompts, 1);
//! let set = sampler.open_or_draw("samples".as_ref(), 32, observer)?;
//! for (prompt, samples) in set.prompts.iter().zip(set.by_prompt()) {
//!     assert!(samples.len() == 32 && samples[0].score.is_finite(), "{}", prompt.text);
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tailguard_checkpoint::{Digest, SUMS_FILE, Sums};
use tailguard_files::{create_dirs, write_dir, write_file};
use tailguard_gpt2::Gpt2;
use tailguard_judging::Scorer;
use tailguard_lm::CausalLm;
use tailguard_report::{SampleRow, read_samples, write_samples};
use tailguard_reward::ScoredText;
use tailguard_rollout::{DrawSeed, Prompt, SamplingConfig, generate, responses, scored_text};
use tokenizers::Tokenizer;

use crate::digests::of_bytes;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::observer::{Event, Observer};
use crate::settings::{ScorerSection, Settings};

/// The streams of a seed that draw samples; training and evaluation draw from those below.
const SAMPLES: u64 = 1 << 60;
/// Streams of a round.
const ROUND: u64 = 1 << 52;
/// Streams of one response to every prompt.
const RESPONSE: u64 = 1 << 32;
/// Prompts that are answered and scored together: more need more memory, and fewer leave a GPU
/// idle.
const TOGETHER: usize = 1024;
/// One response to every prompt, or what kept it from being drawn.
type Drawn = Result<Vec<Sample>, ExperimentError>;

/// What a store was made of.
const ABOUT_FILE: &str = "samples.json";
/// The samples of one response to every prompt.
const SAMPLES_FILE: &str = "samples.parquet";

/// K responses to each of N prompts, with their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSet {
    /// The prompts, N of them.
    pub prompts: Vec<Prompt>,
    /// Responses to each prompt, K.
    pub responses: usize,
    /// All N K samples, by prompt, then by response.
    pub samples: Vec<Sample>,
}

/// One response to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The place of its prompt in [`SampleSet::prompts`].
    pub prompt: usize,
    /// Sampled tokens; the end token, if one ended the response, is the last of them.
    pub response_ids: Vec<u32>,
    /// The response as text, without special tokens.
    pub response: String,
    /// The reward model's score of prompt and response.
    pub score: f32,
    /// The judge's score of prompt and response, if there was a judge.
    pub judge: Option<f32>,
    /// Log-probability of the response under [`SamplingConfig::distribution`] of the model that it
    /// was sampled from: the sum over its tokens, in nats.
    pub log_prob: f64,
}

impl SampleSet {
    /// The samples of each prompt, in the order of the prompts; K each.
    pub fn by_prompt(&self) -> impl Iterator<Item = &[Sample]> {
        self.samples.chunks(self.responses)
    }
}

/// All that samples are drawn with.
pub struct Sampler<'a, M> {
    /// What is sampled from (the inference copy, without autodiff).
    pub model: &'a M,
    /// The model's.
    pub tokenizer: &'a Tokenizer,
    /// Gives the scores.
    pub reward: &'a Scorer,
    /// Gives a second score.
    pub judge: Option<&'a Scorer>,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// What is answered, at least one prompt and fewer than 2^32.
    pub prompts: &'a [Prompt],
    /// Decides the draws.
    pub seed: u64,
    /// Below 256: rounds of one seed draw different numbers.
    pub round: u8,
    /// Most rows in one forward pass; it changes no sample but by the rounding of logits.
    pub batch_size: usize,
    /// What model and scorers are, by name: digests and settings, which a store that is taken up
    /// must have as well.
    pub made_of: BTreeMap<String, String>,
}

impl<'a> Sampler<'a, Gpt2> {
    /// Draws from a model as the settings say, and scores with the scorers of an experiment; the
    /// round is 0. The model comes with what tells it from all others, such as its
    /// [digest](crate::of_model).
    #[must_use]
    pub fn of(
        inputs: &'a Inputs,
        settings: &Settings,
        (model, digest): (&'a Gpt2, String),
        prompts: &'a [Prompt],
        seed: u64,
    ) -> Self {
        let mut made_of = BTreeMap::from([("model".to_owned(), digest)]);
        let scorers = [
            ("reward model", Some(&inputs.reward), &settings.reward),
            ("judge", inputs.judge.as_ref(), &settings.judge),
        ];
        for (name, scorer, section) in scorers {
            let Some(scorer) = scorer else { continue };
            let digest = inputs.digests.get(name).cloned().unwrap_or_default();
            made_of.insert(name.to_owned(), digest);
            if !scorer.is_brought() {
                made_of.insert(format!("{name}'s settings"), scored_by(section));
            }
        }
        Self {
            model,
            tokenizer: &inputs.tokenizer,
            reward: &inputs.reward,
            judge: inputs.judge.as_ref(),
            sampling: inputs.sampling,
            prompts,
            seed,
            round: 0,
            batch_size: settings.sampling.batch_size,
            made_of,
        }
    }
}

impl<M: CausalLm> Sampler<'_, M> {
    /// Draws so many responses to each prompt, and keeps them in memory alone.
    ///
    /// # Errors
    /// [`ExperimentError::Stopped`] where the observer wants no more; no prompts or no responses; a
    /// model or a scorer that fails.
    pub fn draw(
        &self,
        responses: usize,
        observer: &mut dyn Observer,
    ) -> Result<SampleSet, ExperimentError> {
        self.check(responses)?;
        self.collect(responses, 0, observer, |response, observer| self.one_each(response, observer))
    }

    /// Takes up the samples in the directory, draws those that it lacks, and keeps them there. The
    /// directory may hold more responses than are asked for; the first ones are taken.
    ///
    /// # Errors
    /// As [`draw`](Self::draw); samples that were made of something else, or that have changed
    /// since they were written; a directory that holds something else; what cannot be written.
    pub fn open_or_draw(
        &self,
        dir: &Path,
        responses: usize,
        observer: &mut dyn Observer,
    ) -> Result<SampleSet, ExperimentError> {
        self.check(responses)?;
        self.open(dir)?;
        let done = (0..responses).filter(|&response| part(dir, response).is_dir()).count();
        if done > 0 {
            let (count, dir) = (self.prompts.len(), dir.display());
            observer.tell(Event::Info(&format!(
                "taking up {done} of {responses} responses to each of {count} prompts from {dir}"
            )));
        }
        self.collect(responses, done, observer, |response, observer| {
            let path = part(dir, response);
            if path.is_dir() {
                return self.read(&path, response);
            }
            let samples = self.one_each(response, observer)?;
            self.write(&path, response, &samples)?;
            Ok(samples)
        })
    }

    /// Tells what the samples are made of from anything else: 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        // a map of texts is always JSON
        of_bytes(serde_json::to_string(&self.about()).unwrap_or_default().as_bytes())
    }

    /// What the samples are made of, by name.
    fn about(&self) -> BTreeMap<String, String> {
        let SamplingConfig {
            temperature,
            top_k,
            top_p,
            max_new_tokens,
            min_new_tokens,
            end_of_text,
            greedy,
        } = self.sampling;
        let mut prompts = Digest::default();
        for prompt in self.prompts {
            prompts.update(&(prompt.ids.len() as u64).to_le_bytes());
            prompt.ids.iter().for_each(|id| prompts.update(&id.to_le_bytes()));
        }
        let mut about = self.made_of.clone();
        about.extend(
            [
                ("prompts", prompts.hex()),
                ("seed", self.seed.to_string()),
                ("round", self.round.to_string()),
                ("temperature", temperature.to_string()),
                ("top_k", top_k.to_string()),
                ("top_p", top_p.to_string()),
                ("max_new_tokens", max_new_tokens.to_string()),
                ("min_new_tokens", min_new_tokens.to_string()),
                ("end_of_text", format!("{end_of_text:?}")),
                ("greedy", greedy.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        about
    }

    fn check(&self, responses: usize) -> Result<(), ExperimentError> {
        if self.prompts.is_empty() || responses == 0 {
            let prompts = self.prompts.len();
            return Err(ExperimentError::refused(format!(
                "{responses} responses to each of {prompts} prompts were asked for, expected at \
                 least one of each"
            )));
        }
        Ok(())
    }

    /// Says what the store is made of, or refuses it for that.
    fn open(&self, dir: &Path) -> Result<(), ExperimentError> {
        let (path, own) = (dir.join(ABOUT_FILE), self.about());
        if !path.is_file() {
            let holds = fs::read_dir(dir).ok().and_then(|mut entries| entries.next()?.ok());
            if let Some(found) = holds {
                let (dir, found) = (dir.display(), found.file_name().display().to_string());
                return Err(ExperimentError::refused(format!(
                    "{dir} holds no samples, but something else ({found})"
                )));
            }
            create_dirs(dir)?;
            // a map of texts is always JSON
            let text = serde_json::to_string_pretty(&own).unwrap_or_default();
            return Ok(write_file(&path, text.as_bytes())?);
        }
        let damaged = |error: &dyn std::fmt::Display| {
            ExperimentError::failed(format!("{} is damaged: {error}", path.display()))
        };
        let text = fs::read_to_string(&path).map_err(|error| damaged(&error))?;
        let found: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        let names: BTreeSet<&String> = found.keys().chain(own.keys()).collect();
        let told = |value: Option<&String>| value.map_or("none".to_owned(), Clone::clone);
        let differing = names
            .into_iter()
            .filter(|name| found.get(*name) != own.get(*name))
            .map(|name| {
                let (found, own) = (told(found.get(name)), told(own.get(name)));
                format!("\n  {name}: {found}, expected {own}")
            })
            .collect::<String>();
        if differing.is_empty() {
            return Ok(());
        }
        let message =
            format!("the samples in {} were made of something else{differing}", dir.display());
        Err(ExperimentError::refused(message)
            .with_hint("name another directory, or remove this one"))
    }

    /// Puts together what each of the responses gives, prompt by prompt.
    fn collect(
        &self,
        responses: usize,
        done: usize,
        observer: &mut dyn Observer,
        mut samples_of: impl FnMut(usize, &mut dyn Observer) -> Drawn,
    ) -> Result<SampleSet, ExperimentError> {
        observer.tell(Event::Sampling { prompts: self.prompts.len(), total: responses, done });
        let mut each = Vec::with_capacity(responses);
        for response in 0..responses {
            let samples = samples_of(response, observer);
            if samples.is_err() {
                observer.tell(Event::Trained);
            }
            each.push(samples?.into_iter());
            if response >= done {
                observer.tell(Event::Sampled { done: response + 1 });
            }
        }
        observer.tell(Event::Trained);
        let mut samples = Vec::with_capacity(responses * self.prompts.len());
        for _ in self.prompts {
            samples.extend(each.iter_mut().filter_map(Iterator::next));
        }
        Ok(SampleSet { prompts: self.prompts.to_vec(), responses, samples })
    }

    /// Draws and scores one response to every prompt, in the order of the prompts.
    fn one_each(
        &self,
        response: usize,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Sample>, ExperimentError> {
        let mut samples = Vec::with_capacity(self.prompts.len());
        for prompts in self.prompts.chunks(TOGETHER) {
            if !observer.goes_on() {
                return Err(ExperimentError::Stopped);
            }
            let first = samples.len();
            let stream =
                SAMPLES + u64::from(self.round) * ROUND + response as u64 * RESPONSE + first as u64;
            let draws = DrawSeed { seed: self.seed, stream };
            let generations =
                generate(self.model, None, prompts, &self.sampling, draws, self.batch_size)?;
            let texts = responses(self.tokenizer, &generations)?;
            let scored: Vec<ScoredText> = prompts
                .iter()
                .zip(&texts)
                .map(|(prompt, text)| scored_text(prompt, text))
                .collect();
            let mut warn = |note: &str| observer.tell(Event::Warning(note));
            let scores = self.reward.score(&scored, "samples", &mut warn)?;
            let judge =
                self.judge.map(|judge| judge.score(&scored, "samples", &mut warn)).transpose()?;
            let rows = generations.into_iter().zip(texts).zip(scores).enumerate();
            samples.extend(rows.map(|(row, ((generation, response), score))| Sample {
                prompt: first + row,
                log_prob: generation.log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum(),
                response_ids: generation.response_ids,
                response,
                score,
                judge: judge.as_ref().map(|judge| judge[row]),
            }));
        }
        Ok(samples)
    }

    fn write(
        &self,
        path: &Path,
        response: usize,
        samples: &[Sample],
    ) -> Result<(), ExperimentError> {
        let row = |sample: &Sample| SampleRow {
            prompt_index: index(sample.prompt),
            response_index: index(response),
            prompt: self.prompts[sample.prompt].text.clone(),
            response_ids: sample.response_ids.clone(),
            response: sample.response.clone(),
            reward: sample.score,
            judge: sample.judge,
            log_prob: sample.log_prob,
        };
        let rows: Vec<SampleRow> = samples.iter().map(row).collect();
        write_dir(path, |dir| {
            write_samples(&dir.join(SAMPLES_FILE), &rows)?;
            Ok::<_, ExperimentError>(Sums::seal(dir)?)
        })
    }

    fn read(&self, path: &Path, response: usize) -> Result<Vec<Sample>, ExperimentError> {
        Sums::check(&path.join(SUMS_FILE), &[SAMPLES_FILE])?;
        let file = path.join(SAMPLES_FILE);
        let rows = read_samples(&file)?;
        let is_in_place = |(place, row): (usize, &SampleRow)| {
            row.prompt_index == index(place) && row.response_index == index(response)
        };
        if rows.len() != self.prompts.len() || !rows.iter().enumerate().all(is_in_place) {
            let (file, count) = (file.display(), self.prompts.len());
            return Err(ExperimentError::failed(format!(
                "{file}: expected response {response} to each of {count} prompts, in their order"
            )));
        }
        let sample = |row: SampleRow| Sample {
            prompt: row.prompt_index as usize,
            response_ids: row.response_ids,
            response: row.response,
            score: row.reward,
            judge: row.judge,
            log_prob: row.log_prob,
        };
        Ok(rows.into_iter().map(sample).collect())
    }
}

/// The directory of one response to every prompt.
fn part(dir: &Path, response: usize) -> PathBuf {
    dir.join(format!("response-{response:04}"))
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// What of the settings of a scorer decides its scores.
fn scored_by(section: &ScorerSection) -> String {
    let ScorerSection { label, negate, max_length, truncation_side, .. } = section;
    format!(
        "label {label:?}, negate {negate}, max_length {max_length}, truncation_side \
         {truncation_side:?}"
    )
}
