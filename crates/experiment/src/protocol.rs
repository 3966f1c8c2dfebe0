//! The evaluation protocol: responses to each held-out prompt, and what is measured of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tailguard_checkpoint::Sums;
use tailguard_files::write_file;
use tailguard_gpt2::Gpt2;
use tailguard_lm::{CausalLm, TokenDistribution};
use tailguard_metrics::perplexity;
use tailguard_report::{Generation, RunDir, read_generations, write_generations};
use tailguard_reward::ScoredText;
use tailguard_rollout::{
    DrawSeed, Generation as Drawn, Prompt, Sequence, TokenScores, log_probs_of, responses,
    scored_text, token_nlls,
};

use crate::cost::Cost;
use crate::equal_kl::kls;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::{Asked, Made};
use crate::observer::{Event, Observer};
use crate::settings::Settings;

/// The streams of the run's seed that draw evaluation samples, one for each response to a prompt;
/// training draws from those below.
const EVALUATION: u64 = 1 << 50;

/// What was measured of a policy and seed, text by text.
pub(crate) struct Evaluated {
    /// The first response to each evaluation prompt, in their order; then the second, and so on.
    pub(crate) rows: Vec<Generation>,
    /// What the rows do not say.
    pub(crate) beside: Beside,
}

/// What the rows do not say. Written last: what has it is whole.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beside {
    /// Perplexity of each human text under the policy; nothing for one without a token to score.
    pub(crate) perplexity_human: Vec<Option<f64>>,
    /// Tokens that were sampled for each row; none in files of earlier versions.
    #[serde(default)]
    pub(crate) sampled_tokens: Vec<u64>,
    /// Texts that the reward model has scored for each row; likewise.
    #[serde(default)]
    pub(crate) reward_calls: Vec<u64>,
}

/// A policy and seed that are evaluated.
pub(crate) struct Subject<'a> {
    pub(crate) arm: &'a str,
    pub(crate) seed: u64,
    pub(crate) made: &'a Made,
    /// What its KL is measured to.
    pub(crate) reference: &'a Gpt2,
}

/// Takes responses to each prompt from a policy, measures them, and writes what was measured into
/// the run directory.
///
/// # Errors
/// When the model fails, or a file cannot be written.
pub(crate) fn evaluate(
    inputs: &Inputs,
    settings: &Settings,
    dir: &RunDir,
    subject: &Subject<'_>,
    observer: &mut dyn Observer,
) -> Result<(), ExperimentError> {
    let &Subject { arm, seed, made, reference } = subject;
    let samples =
        sample(inputs, settings, seed, made, Some(&inputs.base), Some(reference), observer)?;
    let (perplexity_human, perplexities) = samples.perplexities()?;
    let beside = Beside {
        perplexity_human,
        sampled_tokens: samples.costs.iter().map(|cost| cost.sampled_tokens).collect(),
        reward_calls: samples.costs.iter().map(|cost| cost.reward_calls).collect(),
    };
    let rows: Vec<Generation> = samples.rows(inputs, perplexities, arm, seed).collect();
    let (texts, path) = (dir.method_generations_path(arm, seed), dir.evaluation_path(arm, seed));
    write_generations(&texts, &rows)?;
    // lists of numbers are always JSON
    let beside = serde_json::to_string(&beside).unwrap_or_default();
    write_sums(&path, beside.as_bytes(), &texts)?;
    // last: what has this file is evaluated
    write_file(&path, beside.as_bytes())?;
    Ok(())
}

/// Whether a policy was evaluated, and its files are as they were written.
///
/// # Errors
/// Figures or texts that have changed.
pub(crate) fn is_evaluated(dir: &RunDir, arm: &str, seed: u64) -> Result<bool, ExperimentError> {
    let (path, texts) = (dir.evaluation_path(arm, seed), dir.method_generations_path(arm, seed));
    let (list, names) = sums_of(&path, &texts);
    let is_there = path.is_file() && list.is_file();
    if is_there {
        Sums::check(&list, &names.each_ref().map(String::as_str))?;
    }
    Ok(is_there)
}

/// Reads what [`evaluate`] wrote.
///
/// # Errors
/// A file that is missing or damaged.
pub(crate) fn evaluated(dir: &RunDir, arm: &str, seed: u64) -> Result<Evaluated, ExperimentError> {
    let path = dir.evaluation_path(arm, seed);
    let missing = || ExperimentError::failed(format!("{} is missing", path.display()));
    let text = dir.read_text(&path)?.ok_or_else(missing)?;
    let damaged =
        |error| ExperimentError::failed(format!("{} is damaged: {error}", path.display()));
    let beside = serde_json::from_str(&text).map_err(damaged)?;
    Ok(Evaluated { rows: read_generations(&dir.method_generations_path(arm, seed))?, beside })
}

/// Notes the digests of figures that are about to be written and of the texts that they are about:
/// a resumed run takes both as they are.
fn write_sums(path: &Path, figures: &[u8], texts: &Path) -> Result<(), ExperimentError> {
    let (list, [figures_name, texts_name]) = sums_of(path, texts);
    let mut sums = Sums::default();
    sums.bytes(figures, &figures_name);
    sums.file(list.parent().unwrap_or(path), &texts_name)?;
    Ok(sums.write(&list)?)
}

/// The list of digests, and the names of figures and texts as seen from it.
fn sums_of(path: &Path, texts: &Path) -> (PathBuf, [String; 2]) {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = texts.parent().map(name).unwrap_or_default();
    (path.with_extension("sha256"), [name(path), format!("../{folder}/{}", name(texts))])
}

/// What a policy made of the evaluation prompts, and of the human texts. The first entries are the
/// first responses to the prompts, in their order; then come the second, and so on.
pub struct Samples {
    /// The responses.
    pub responses: Vec<String>,
    /// Their scores.
    pub rewards: Vec<f32>,
    /// Their scores by the judge; none without one.
    pub judge: Option<Vec<f32>>,
    /// Response tokens.
    pub tokens: Vec<u32>,
    /// All that was sampled and scored for each response.
    pub costs: Vec<Cost>,
    /// To the reference, nats; none without one, or of what does not know its distribution.
    kl: Option<Vec<f64>>,
    /// Of the response's tokens under the base model; none without one.
    base_nlls: Option<Vec<Vec<f32>>>,
    /// Of the human texts' tokens under the policy; empty of what is no language model.
    human_nlls: Vec<Vec<f32>>,
}

/// Perplexity of each text; nothing for one without a token to score.
pub type Perplexities = Vec<Option<f64>>;

impl Samples {
    /// Perplexity of each human text under the policy, and of each response under the base model if
    /// there was one.
    ///
    /// # Errors
    /// Log-probabilities that are not finite.
    pub fn perplexities(&self) -> Result<(Perplexities, Option<Perplexities>), ExperimentError> {
        Ok((per_text(&self.human_nlls)?, self.base_nlls.as_deref().map(per_text).transpose()?))
    }

    fn rows(
        self,
        inputs: &Inputs,
        perplexities: Option<Perplexities>,
        arm: &str,
        seed: u64,
    ) -> impl Iterator<Item = Generation> {
        let perplexity =
            move |place: usize| perplexities.as_ref().and_then(|perplexities| perplexities[place]);
        let count = inputs.prompts.len();
        let row = move |(place, response): (usize, String)| Generation {
            prompt: inputs.prompts[place % count].text.clone(),
            prompt_score: inputs.prompt_scores[place % count],
            good: Some(inputs.prompt_good[place % count]),
            response,
            reward: self.rewards[place],
            judge: self.judge.as_ref().map(|scores| scores[place]),
            perplexity: perplexity(place),
            kl: self.kl.as_ref().map(|kl| kl[place]),
            tokens: Some(self.tokens[place]),
            method: arm.to_owned(),
            seed,
        };
        self.responses.into_iter().enumerate().map(row)
    }
}

/// Samples and scores: all that needs a model. Base and reference have the tokens of the model.
///
/// # Errors
/// A model that fails, texts that cannot be scored.
pub fn sample(
    inputs: &Inputs,
    settings: &Settings,
    seed: u64,
    made: &Made,
    base: Option<&Gpt2>,
    reference: Option<&Gpt2>,
    observer: &mut dyn Observer,
) -> Result<Samples, ExperimentError> {
    let batch_size = settings.evaluation.batch_size;
    let prompts: Vec<(usize, &Prompt)> = inputs.prompts.iter().enumerate().collect();
    let (mut generations, mut costs): (Vec<Drawn>, Vec<_>) = (Vec::new(), Vec::new());
    for round in 0..settings.evaluation.responses as u64 {
        let draws = DrawSeed { seed, stream: EVALUATION + (round << 32) };
        let asked = Asked { prompts: &prompts, draws, batch_size };
        for answer in made.answer(inputs, &asked)? {
            generations.push(answer.generation);
            costs.push(answer.cost);
        }
    }
    let responses = responses(&inputs.tokenizer, &generations)?;
    let prompts = || inputs.prompts.iter().cycle();
    let texts: Vec<ScoredText> =
        prompts().zip(&responses).map(|(prompt, text)| scored_text(prompt, text)).collect();
    let mut warn = |note: &str| observer.tell(Event::Warning(note));
    let rewards = inputs.reward.score(&texts, "evaluated texts", &mut warn)?;
    let judge = inputs
        .judge
        .as_ref()
        .map(|judge| judge.score(&texts, "evaluated texts", &mut warn))
        .transpose()?;
    let sequences: Vec<Sequence<'_>> = prompts()
        .zip(&generations)
        .map(|(prompt, generation)| Sequence {
            prompt: &prompt.ids,
            response: &generation.response_ids,
        })
        .collect();
    let under = |model: &Gpt2, distribution| {
        log_probs_of(model, None, &sequences, &distribution, batch_size)
    };
    let reference = reference.filter(|_| made.knows_its_distribution());
    let under_base = base.map(|base| under(base, TokenDistribution::default())).transpose()?;
    let kl = |reference| kls(reference, &inputs.prompts, &generations, inputs, batch_size);
    let nlls =
        |scores: TokenScores| scores.log_probs.into_iter().map(|log_prob| -log_prob).collect();
    let human_nlls = |model: &Gpt2| {
        let begin = model.config().bos_token_id.or(model.config().eos_token_id);
        // a control token in front takes a position, which the longest texts have no more
        let most = model.sizes().context.saturating_sub(usize::from(begin.is_some()));
        let texts: Vec<Vec<u32>> =
            inputs.human_texts.iter().map(|ids| ids[..ids.len().min(most)].to_vec()).collect();
        token_nlls(model, &texts, begin, batch_size)
    };
    let length = |ids: &[u32]| u32::try_from(ids.len()).unwrap_or(u32::MAX);
    Ok(Samples {
        responses,
        rewards,
        judge,
        tokens: generations.iter().map(|generation| length(&generation.response_ids)).collect(),
        costs,
        kl: reference.map(kl).transpose()?,
        base_nlls: under_base.map(|scores| scores.into_iter().map(nlls).collect()),
        human_nlls: made.model().map(human_nlls).transpose()?.unwrap_or_default(),
    })
}

/// [`Perplexities`] from the negative log-likelihoods of tokens.
fn per_text(nlls: &[Vec<f32>]) -> Result<Perplexities, ExperimentError> {
    let scored: Vec<&Vec<f32>> = nlls.iter().filter(|row| !row.is_empty()).collect();
    if scored.is_empty() {
        return Ok(vec![None; nlls.len()]);
    }
    let mut found = perplexity(&scored)?.per_text.into_iter();
    Ok(nlls.iter().map(|row| if row.is_empty() { None } else { found.next() }).collect())
}
