//! The exact front: what the best policy could reach at each distance from a reference, as
//! `front.json` has it.

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tailguard_files::write_file;

use crate::error::ReportError;
use crate::figure::Figure;
use crate::results::Tail;

/// What tells the file of a front from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontKind {
    /// A front.
    Front,
}

/// What `front.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// That this is a front.
    pub kind: FrontKind,
    /// Name of the task.
    pub task: String,
    /// Name of the preset.
    pub preset: String,
    /// The kind of place that the prompts came from.
    pub data: String,
    /// Which prompts they are.
    pub split: String,
    /// What must be said wherever the figures are shown; `null` if nothing.
    pub notice: Option<String>,
    /// The device of the models.
    pub device: String,
    /// The seed of the samples.
    pub seed: u64,
    /// How many prompts, N.
    pub prompts: usize,
    /// How many responses to each were sampled from the reference, K.
    pub responses: usize,
    /// The prompts that `tail` is the mean over.
    pub tail: Tail,
    /// The most KL, where it is spent, of which K responses say something, in nats.
    pub most_kl: f64,
    /// The reference itself.
    pub reference: FrontPoint,
    /// The best policies, a line for each objective.
    pub lines: Vec<FrontLine>,
    /// The best of n responses of the reference.
    pub best_of: Vec<FrontPoint>,
    /// Trained policies, each by one response to each prompt.
    pub policies: Vec<FrontPoint>,
}

/// The best policies for one objective, by rising KL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontLine {
    /// The objective, as an arm of the settings writes it.
    pub objective: String,
    /// The policies.
    pub points: Vec<FrontPoint>,
    /// Those of which the samples say too little.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<FrontRefused>,
}

/// A policy of the front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontPoint {
    /// What it is called in its line: `"beta 0.15"`, `"best of 4"`, the name of a directory.
    pub name: String,
    /// The coefficient of the KL beside the utility; `null` for what has none.
    pub beta: Option<f64>,
    /// KL to the reference, nats per response.
    pub kl: Figure,
    /// The KL of the prompt on which a nat is spent, averaged over the nats; `null` for texts.
    pub kl_where_spent: Option<f64>,
    /// How many of its K responses a prompt has left, in effect; `null` for texts.
    pub effective_responses: Option<f64>,
    /// Mean reward.
    pub reward: Figure,
    /// Mean reward of the prompts in the tail; `null` where there are none.
    pub tail: Option<Figure>,
    /// Mean score by the judge; `null` if there was none.
    pub judge: Option<Figure>,
    /// The same over the prompts of the tail.
    pub judge_tail: Option<Figure>,
    /// `CVaR` of the rewards, by the share alpha.
    pub cvar: IndexMap<String, Figure>,
    /// What it has more than the best policy for the mean at the same KL; `null` where that is not
    /// known.
    pub gains: Option<FrontGains>,
}

/// What a policy has more than the best policy for the mean at the same KL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontGains {
    /// The coefficient of that policy.
    pub beta: f64,
    /// Of the mean reward.
    pub reward: Figure,
    /// Of the mean reward in the tail.
    pub tail: Option<Figure>,
    /// Of the judge's mean score.
    pub judge: Option<Figure>,
    /// Of the judge's in the tail.
    pub judge_tail: Option<Figure>,
    /// Of `CVaR`, by the share alpha.
    pub cvar: IndexMap<String, Figure>,
}

/// A policy of which the samples say too little.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontRefused {
    /// Its coefficient.
    pub beta: f64,
    /// Its KL by the samples, which is too low.
    pub kl: f64,
    /// The same where it is spent: above `most_kl`.
    pub kl_where_spent: f64,
}

impl Front {
    /// All policies, with the lines that they are on.
    pub fn points(&self) -> impl Iterator<Item = (&str, &FrontPoint)> {
        let lines = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| (line.objective.as_str(), point)));
        std::iter::once(("reference", &self.reference))
            .chain(lines)
            .chain(self.best_of.iter().map(|point| ("best_of", point)))
            .chain(self.policies.iter().map(|point| ("policy", point)))
    }

    /// The text of `front.json`.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`]: JSON has no infinity and no NaN.
    pub fn to_json(&self) -> Result<String, ReportError> {
        for (line, point) in self.points() {
            let numbers = point.figures().flat_map(|(_, figure)| figure.numbers());
            if let Some(found) = numbers.into_iter().find(|number| !number.is_finite()) {
                let what = format!("a figure of {line}, {}", point.name);
                return Err(ReportError::NotFinite { what, found });
            }
        }
        // strings, finite numbers and string keys always serialise
        Ok(serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }

    /// Writes `front.json`, as a whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`], or what the file system says.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        Ok(write_file(path, self.to_json()?.as_bytes())?)
    }
}

impl FrontPoint {
    /// Its figures and their keys; those of the gains begin with `gain_`.
    pub fn figures(&self) -> impl Iterator<Item = (String, Figure)> {
        let own = keyed("", self.reward, [self.tail, self.judge, self.judge_tail], &self.cvar);
        let gains = self.gains.iter().flat_map(|gains| {
            let others = [gains.tail, gains.judge, gains.judge_tail];
            keyed("gain_", gains.reward, others, &gains.cvar)
        });
        std::iter::once(("kl".to_owned(), self.kl)).chain(own).chain(gains)
    }
}

fn keyed<'a>(
    prefix: &'a str,
    reward: Figure,
    others: [Option<Figure>; 3],
    cvar: &'a IndexMap<String, Figure>,
) -> impl Iterator<Item = (String, Figure)> + 'a {
    let others = ["tail", "judge", "judge_tail"].into_iter().zip(others);
    let named = others.filter_map(|(key, figure)| Some((key.to_owned(), figure?)));
    let cvar = cvar.iter().map(|(alpha, &figure)| (format!("cvar_{alpha}"), figure));
    std::iter::once(("reward".to_owned(), reward))
        .chain(named)
        .chain(cvar)
        .map(move |(key, figure)| (format!("{prefix}{key}"), figure))
}
