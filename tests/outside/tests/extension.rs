//! A program of somebody else's: arms, a recipe, an objective and a reward model of its own, and
//! not a line of ours is touched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::path::Path;

use tailguard_experiment::{
    Answer, Answers, Asked, Event, Experiment, ExperimentError, Home, Inputs, Made, Observer, Out,
    Recipe, Settings, Work,
};
use tailguard_report::{ResultsFile, read_log, trl_scalars};
use tailguard_reward::from_fn;
use tailguard_risk::{Batch, Objective, ObjectiveError};
use tailguard_rollout::{responses, scored_text};

/// The best of so many responses, by the reward model.
struct BestOf(u64);

struct Best {
    model: Made,
    of: u64,
}

impl Recipe for BestOf {
    fn sections(&self) -> &[&str] {
        &[]
    }

    fn makes_model(&self) -> bool {
        false
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let model = work.model_to_begin_with()?.clone();
        Ok(Made::answers(Best { model: model.into(), of: self.0 }))
    }
}

impl Answers for Best {
    fn answer(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Answer>, ExperimentError> {
        let mut best: Vec<(f32, Answer)> = Vec::new();
        for round in 0..self.of {
            // the first round has the random numbers of all other arms
            let asked = Asked { draws: asked.draws.nth(0, round), ..*asked };
            let found = self.model.answer(inputs, &asked)?;
            let drawn: Vec<_> = found.iter().map(|answer| answer.generation.clone()).collect();
            let texts = responses(&inputs.tokenizer, &drawn)?;
            let texts: Vec<_> = asked
                .prompts
                .iter()
                .zip(&texts)
                .map(|((_, prompt), text)| scored_text(prompt, text))
                .collect();
            let scores = inputs.reward.score(&texts, "candidates", &mut |_| {})?;
            for (place, mut candidate) in scores.into_iter().zip(found).enumerate() {
                candidate.1.cost.reward_calls += 1;
                let Some(known) = best.get_mut(place) else {
                    best.push(candidate);
                    continue;
                };
                let cost = known.1.cost + candidate.1.cost;
                if candidate.0 > known.0 {
                    *known = candidate;
                }
                known.1.cost = cost;
            }
        }
        Ok(best.into_iter().map(|(_, answer)| answer).collect())
    }
}

/// The policy as it comes, as the recipe `base` gives it.
struct AsItIs;

impl Recipe for AsItIs {
    fn sections(&self) -> &[&str] {
        &[]
    }

    fn needs_from(&self) -> bool {
        false
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        Ok(work.inputs.base.clone().into())
    }
}

/// What is above a bar has nothing to win.
struct GoodEnough(f64);

impl Objective for GoodEnough {
    fn utilities(&self, scores: Batch<'_>) -> Result<Vec<f64>, ObjectiveError> {
        Ok(scores.values.iter().map(|score| score.min(self.0)).collect())
    }
}

const SETTINGS: &str = r#"
task = "short"
preset = "imdb-smoke"

[run]
seeds = 1

[data]
dir = "FOLDER"

[judge]
dir = ""

[evaluation]
reference = "small"
tail_threshold = -1.0

[[arm]]
key = "small"
recipe = "base"

[[arm]]
key = "best"
title = "best of 3"
recipe = "best_of"
from = "small"
compared_with = ["small"]

[[arm]]
key = "enough"
title = "good enough"
recipe = "ppo"
from = "small"
objective = { good_enough = -6 }
compared_with = ["small", "best"]
set = { "ppo.iterations" = 2 }
"#;

/// The settings of an experiment on a few texts, which are written into a folder.
fn settings(folder: &Path) -> String {
    let words =
        [["awful", "boring", "dull", "the worst"], ["wonderful", "great", "moving", "a joy"]];
    for (split, rows) in [("train", 240), ("test", 160)] {
        let text = |row: usize| {
            (0..16)
                .map(|n| format!("Scene {} is {}. ", row + n, words[row % 2][row * n % 4]))
                .collect::<String>()
        };
        let lines = (0..rows).map(|row| format!("{},{}\n", text(row), row % 2)).collect::<String>();
        std::fs::write(folder.join(format!("{split}.csv")), format!("text,label\n{lines}"))
            .unwrap();
    }
    SETTINGS.replace("FOLDER", &folder.display().to_string())
}

fn home() -> Home {
    Home::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets"))
}

/// Rewards short words.
fn experiment(settings: &str) -> Experiment {
    let short = from_fn(|_prompt, response| {
        let words: Vec<&str> = response.split_whitespace().collect();
        let letters: usize = words.iter().map(|word| word.chars().count()).sum();
        Ok(-(letters as f32) / words.len().max(1) as f32)
    });
    Experiment::new(Settings::from_toml(settings).unwrap())
        .with_recipe("best_of", BestOf(3))
        .with_objective("good_enough", |context| {
            match context.value.and_then(|value| value.as_integer()) {
                Some(bar) => Ok(GoodEnough(bar as f64)),
                None => Err("good_enough needs a whole number".into()),
            }
        })
        .with_reward("short words", short)
}

/// Counts what it is told, and stops after so many iterations.
#[derive(Default)]
struct Counts {
    iterations: usize,
    stop_after: Option<usize>,
}

impl Observer for Counts {
    fn tell(&mut self, event: Event<'_>) {
        self.iterations += usize::from(matches!(event, Event::Iteration(_)));
    }

    fn goes_on(&mut self) -> bool {
        self.stop_after.is_none_or(|most| self.iterations < most)
    }
}

#[test]
fn arms_recipe_objective_and_reward_model_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut counts = Counts::default();
    let finished = experiment(&settings(folder.path()))
        .prepare(&home(), Out::New(&out))
        .unwrap()
        .run(&mut counts)
        .unwrap();
    let results = &finished.results;
    assert_eq!(counts.iterations, 2, "the arm has settings of its own");
    assert_eq!(results.methods.keys().collect::<Vec<_>>(), ["small", "best", "enough"]);
    let reward = |arm: &str| results.methods[arm].reward.mean;
    assert!(reward("best") > reward("small") + 0.1, "{} and {}", reward("best"), reward("small"));
    // what answers prompts and is no language model has no KL, and its texts are measured like all
    // others; what a recipe of one's own costs to make is known if its log says it
    let best = &results.methods["best"];
    assert!(best.kl.is_none() && best.perplexity_human.is_none() && best.making_tokens.is_none());
    let [tokens, rewards] = [best.answer_tokens, best.answer_rewards].map(|of| of.unwrap().mean);
    assert!((tokens - 3.0 * best.length.mean).abs() < 1e-9 && (rewards - 3.0).abs() < 1e-9);
    assert!(
        results.methods["best"].perplexity_generated.mean > 1.0
            && results.methods["enough"].kl.is_some()
    );
    let compared: Vec<_> =
        results.comparisons.iter().map(|gain| (gain.method.as_str(), gain.over.as_str())).collect();
    assert_eq!(compared, [("enough", "best"), ("best", "small"), ("enough", "small")]);
    let log = read_log(&finished.dir.log_path("enough", 1)).unwrap();
    for row in &log {
        let value = |name: &str| row.values[name];
        assert!(
            value("utility") < value("reward") - 0.1,
            "the objective takes something off: {row:?}"
        );
        let non_score = trl_scalars(row)
            .into_iter()
            .find(|(name, _)| name == "ppo/mean_non_score_reward")
            .unwrap()
            .1;
        let penalty = value("kl_coef") * value("kl");
        assert!(
            (non_score * value("length") + penalty).abs() < 1e-3,
            "the KL penalty, and nothing else: {row:?}"
        );
    }
    assert_eq!(tailguard_report::Results::read(&finished.dir.results_path()).unwrap(), *results);
    assert_eq!(
        (results.arms[1].title.as_str(), results.reference.as_str()),
        ("best of 3", "small")
    );
}

#[test]
fn a_run_that_is_stopped_goes_on_to_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let text = |out: &Path| std::fs::read_to_string(out.join("results.json")).unwrap();
    experiment(&settings(folder.path()))
        .prepare(&home(), Out::New(&whole))
        .unwrap()
        .run(&mut ())
        .unwrap();

    let mut counts = Counts { stop_after: Some(1), ..Counts::default() };
    let stopped = experiment(&settings(folder.path()))
        .prepare(&home(), Out::New(&parts))
        .unwrap()
        .run(&mut counts)
        .unwrap_err();
    assert!(matches!(stopped, ExperimentError::Stopped), "{stopped}");
    let dir = tailguard_report::RunDir::open(&parts).unwrap();
    experiment(&settings(folder.path()))
        .prepare(&home(), Out::Resumed(dir))
        .unwrap()
        .run(&mut ())
        .unwrap();
    assert_eq!(text(&whole), text(&parts));
}

#[test]
fn a_run_goes_on_only_with_its_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut counts = Counts { stop_after: Some(1), ..Counts::default() };
    experiment(&settings(folder.path()))
        .prepare(&home(), Out::New(&out))
        .unwrap()
        .run(&mut counts)
        .unwrap_err();
    let resumed = |settings: &str| {
        let dir = tailguard_report::RunDir::open(&out).unwrap();
        experiment(settings)
            .prepare(&home(), Out::Resumed(dir))
            .err()
            .map(|error| error.to_string())
    };
    let other =
        resumed(&settings(folder.path()).replace("tail_threshold = -1.0", "tail_threshold = -2.0"))
            .unwrap();
    assert!(
        other.contains("evaluation.tail_threshold is -1.0 there, -2.0 was asked for"),
        "{other}"
    );
    assert_eq!(resumed(&settings(folder.path())), None);

    // neither another reward nor another recipe under the same name goes unnoticed
    let text = settings(folder.path());
    let go_on = |experiment: Experiment| {
        let dir = tailguard_report::RunDir::open(&out).unwrap();
        experiment
            .prepare(&home(), Out::Resumed(dir))
            .unwrap()
            .run(&mut ())
            .err()
            .map(|error| error.to_string())
    };
    let other = go_on(
        experiment(&text)
            .with_reward("few letters", from_fn(|_, response| Ok(-(response.len() as f32)))),
    )
    .unwrap();
    assert!(other.contains("begun with other contents of: reward model"), "{other}");
    let other = go_on(experiment(&text).with_recipe("base", AsItIs)).unwrap();
    assert!(other.contains("begun with other contents of: recipe base"), "{other}");

    // changed by code, and checked all the same
    let mut settings = Settings::from_toml(&settings(folder.path())).unwrap();
    settings.ppo.clip = 2.0;
    let refused = Experiment::new(settings)
        .prepare(&home(), Out::New(&folder.path().join("other")))
        .err()
        .unwrap();
    assert_eq!(refused.to_string(), "the settings: ppo.clip = 2, expected a number in (0, 1)");
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (from, to, expected) in [
        (
            "{ good_enough = -6 }",
            "\"good_enough\"",
            "arm \"enough\": good_enough needs a whole number",
        ),
        (
            "\"best_of\"",
            "\"best-of\"",
            "there is no recipe \"best-of\", expected one of base, best_of, best_of_n, dexperts, \
             distill, interpolate, ppo, prompted, quark, sft",
        ),
        (
            "{ good_enough = -6 }",
            "\"enough\"",
            "there is no objective \"enough\", expected one of cvar, entropic, good_enough, \
             keep_lowest, mean, mixture, spectral, worst_of",
        ),
        (
            "reference = \"small\"",
            "reference = \"best\"",
            "arm \"best\": evaluation.reference names it, but KL is measured to a language model, \
             and it is none",
        ),
        (
            "recipe = \"ppo\"\nfrom = \"small\"",
            "recipe = \"ppo\"\nfrom = \"best\"",
            "from = \"best\", but the recipe \"ppo\" begins with a language model, and that is \
             none",
        ),
    ] {
        let error = experiment(&settings(folder.path()).replace(from, to))
            .prepare(&home(), Out::New(&out))
            .err()
            .unwrap();
        assert!(error.to_string().contains(expected) && error.is_usage(), "{error}");
        assert!(!out.exists());
    }
}
