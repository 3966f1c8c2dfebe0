//! The example of what RLHF is compared with, run as it stands on sizes of the preset `smoke`: what
//! the policies answer, what they cost, and that an interruption changes none of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use tailguard_experiment::{
    Event, Experiment, ExperimentError, Home, Inputs, Observer, Out, Settings, locate,
};
use tailguard_report::{
    Generation, MethodResults, Results, RunDir, Style, read_generations, read_log, table,
};
use tailguard_rollout::{DrawSeed, Prompt, generate, responses, scored_text};

const EXAMPLE: &str = include_str!("../examples/baselines.toml");
/// Where the streams of evaluation begin.
const EVALUATION: u64 = 1 << 50;
/// Tokens of a response, and prompts that are evaluated.
const TOKENS: f64 = 8.0;
const PROMPTS: usize = 48;

fn home() -> Home {
    Home::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets"))
}

/// Arms on sizes of the preset `smoke`, with one seed.
fn small(text: &str) -> Settings {
    let text = text.replace("imdb-embedded", "imdb-smoke");
    let mut settings = Settings::from_toml(&text).unwrap();
    (settings.run.seeds, settings.evaluation.prompts) = (1, PROMPTS);
    settings
}

fn run(settings: &Settings, out: Out<'_>) -> Results {
    Experiment::new(settings.clone()).prepare(&home(), out).unwrap().run(&mut ()).unwrap().results
}

/// The texts of an arm.
fn texts(out: &Path, arm: &str) -> Vec<Generation> {
    let mut rows = read_generations(&out.join("generations.parquet")).unwrap();
    rows.retain(|row| row.method == arm);
    assert_eq!(rows.len(), PROMPTS, "{arm}");
    rows
}

fn answers(out: &Path, arm: &str) -> Vec<String> {
    texts(out, arm).into_iter().map(|row| row.response).collect()
}

/// Means of what was spent: tokens and rewards to make it, tokens and rewards per answer.
fn costs(method: &MethodResults) -> [f64; 4] {
    let MethodResults { making_tokens, making_rewards, answer_tokens, answer_rewards, .. } = method;
    [making_tokens, making_rewards, answer_tokens, answer_rewards].map(|of| of.unwrap().mean)
}

fn same(found: &[f64], expected: &[f64], what: &str) {
    let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-9;
    let all = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(all, "{what}: {found:?}, expected {expected:?}");
}

/// Stops after so many iterations of PPO.
struct Stops(usize);

impl Observer for Stops {
    fn tell(&mut self, event: Event<'_>) {
        self.0 -= usize::from(matches!(event, Event::Iteration(_)));
    }

    fn goes_on(&mut self) -> bool {
        self.0 > 0
    }
}

#[test]
fn the_example_compares_what_it_says_and_an_interruption_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (out, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let settings = small(EXAMPLE);
    let results = run(&settings, Out::New(&out));
    let keys: Vec<&str> = results.methods.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["gpt2", "sft", "anti", "prompted", "dexperts", "best_of_4", "rlhf", "guarded"]
    );

    // the best of four beats the one response that it is compared with, prompt by prompt
    let (one, best) = (texts(&out, "sft"), texts(&out, "best_of_4"));
    let pairs = || one.iter().zip(&best);
    assert!(
        pairs().all(|(one, best)| one.prompt == best.prompt && best.reward > one.reward - 1e-4)
    );
    let better = pairs().filter(|(one, best)| best.response != one.response).count();
    assert!((PROMPTS / 2..PROMPTS).contains(&better), "{better} of {PROMPTS} are other responses");
    assert!(results.methods["best_of_4"].reward.mean > results.methods["sft"].reward.mean + 0.1);

    // the guard leaves alone what is good enough, and is content with the first that is
    let (free, guarded) = (texts(&out, "rlhf"), texts(&out, "guarded"));
    let good = |row: &&Generation| row.reward >= 0.0;
    for (free, guarded) in free.iter().zip(&guarded) {
        assert!(guarded.reward > free.reward - 1e-4);
        assert!(free.reward < 1e-4 || guarded.response == free.response, "{free:?}");
    }
    let [enough, passed] = [&free, &guarded].map(|rows| rows.iter().filter(good).count());
    assert!(0 < enough && enough < passed, "{enough} and {passed}");

    // nothing is sampled to make these but by PPO: 4 iterations of 8 episodes
    let of = |arm: &str| costs(&results.methods[arm]);
    for arm in ["gpt2", "sft", "anti", "prompted", "dexperts"] {
        same(&of(arm), &[0.0, 0.0, TOKENS, 0.0], arm);
    }
    same(&of("best_of_4"), &[0.0, 0.0, 4.0 * TOKENS, 4.0], "best of 4");
    same(&of("rlhf"), &[32.0 * TOKENS, 32.0, TOKENS, 0.0], "rlhf");
    let [tokens, rewards, per_answer, calls] = of("guarded");
    same(&[tokens, rewards, per_answer], &[32.0 * TOKENS, 32.0, TOKENS * calls], "guarded");
    // one call for what is good enough at once, at most four for the rest, four for what never is
    let (enough, failed) = (enough as f64, (PROMPTS - passed) as f64);
    let spent = calls * PROMPTS as f64;
    let rest = PROMPTS as f64 - enough - failed;
    let range = enough + 4.0 * failed + 2.0 * rest..=enough + 4.0 * (failed + rest);
    assert!(range.contains(&(spent.round())), "{spent} of {range:?}");
    let shown = table(&results, Style::Plain);
    assert!(shown.contains("rewards per answer") && shown.contains("KL at most"), "{shown}");

    // a bound is known of the best of four draws from the reference, and KL where it is measured
    let bound = |arm: &str| results.methods[arm].kl_bound.map(|bound| bound.mean);
    assert!((bound("best_of_4").unwrap() - (4f64.ln() - 0.75)).abs() < 1e-12);
    assert!(keys.iter().all(|&arm| arm == "best_of_4" || bound(arm).is_none()));
    let kl = |arm: &str| results.methods[arm].kl.map(|kl| kl.mean);
    assert_eq!((kl("best_of_4"), kl("guarded")), (None, None));
    assert!(kl("dexperts").unwrap() > 0.3 && kl("prompted").unwrap() > 0.1, "{results:?}");
    for arm in ["best_of_4", "guarded", "dexperts", "prompted"] {
        assert!(results.methods[arm].perplexity_human.is_none(), "{arm}");
    }
    assert_ne!(answers(&out, "dexperts"), answers(&out, "gpt2"));
    assert_ne!(answers(&out, "anti"), answers(&out, "sft"));

    // the same after an interruption, costs included
    let stopped = Experiment::new(settings.clone())
        .prepare(&home(), Out::New(&parts))
        .unwrap()
        .run(&mut Stops(3))
        .unwrap_err();
    assert!(matches!(stopped, ExperimentError::Stopped), "{stopped}");
    run(&settings, Out::Resumed(RunDir::open(&parts).unwrap()));
    let text = |out: &Path| fs::read_to_string(out.join("results.json")).unwrap();
    assert_eq!(text(&parts), text(&out));
    let log = read_log(&parts.join("logs/seed-1-rlhf.jsonl")).unwrap();
    assert_eq!(log.iter().map(|row| row.values["reward_calls"]).sum::<f64>().to_string(), "32");
}

#[test]
fn an_instruction_is_read_by_the_policy_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let settings = small(&(EXAMPLE.to_owned() + "[run]\narms = [\"gpt2\", \"prompted\"]\n"));
    let results = run(&settings, Out::New(&out));
    let dirs = locate(&settings, &home(), false).unwrap();
    let inputs = Inputs::load(&settings, &home(), &dirs, &Device::flex(), &mut ()).unwrap();
    let instruction = settings.prompted.instruction.as_str();
    let instruction = inputs.tokenizer.encode(instruction, false).unwrap().get_ids().to_vec();
    assert!(instruction.len() > 5);
    let behind = |prompt: &Prompt| Prompt {
        ids: [instruction.as_slice(), &prompt.ids].concat(),
        text: String::new(),
    };
    let prompts: Vec<Prompt> = inputs.prompts.iter().map(behind).collect();
    let draws = DrawSeed { seed: settings.run.seed, stream: EVALUATION };
    let drawn = generate(&inputs.base, None, &prompts, &inputs.sampling, draws, 16).unwrap();
    let drawn = responses(&inputs.tokenizer, &drawn).unwrap();
    let rows = texts(&out, "prompted");
    assert_eq!(rows.iter().map(|row| row.response.clone()).collect::<Vec<_>>(), drawn);
    let scored: Vec<_> =
        inputs.prompts.iter().zip(&drawn).map(|(of, text)| scored_text(of, text)).collect();
    let scores = inputs.reward.score(&scored, "texts", &mut |_| {}).unwrap();
    for ((row, prompt), score) in rows.iter().zip(&inputs.prompts).zip(scores) {
        assert_eq!((&row.prompt, row.tokens), (&prompt.text, Some(8)));
        assert!((row.reward - score).abs() < 1e-4, "{row:?}");
    }
    assert_ne!(answers(&out, "gpt2"), drawn);
    assert!(results.methods["prompted"].kl.is_some());
}

/// What the best of so many is, of each arm that answers by drawing tokens.
const BEST_OF: &str = "[[arm]]\nkey = \"best_of_sft\"\nrecipe = \"best_of_n\"\nfrom = \"sft\"\n\
    [[arm]]\nkey = \"best_of_prompted\"\nrecipe = \"best_of_n\"\nfrom = \"prompted\"\n\
    [[arm]]\nkey = \"best_of_dexperts\"\nrecipe = \"best_of_n\"\nfrom = \"dexperts\"\n\
    [[arm]]\nkey = \"best_of_best\"\nrecipe = \"best_of_n\"\nfrom = \"best_of_dexperts\"\n";

#[test]
fn the_best_of_one_is_what_the_other_arm_answers() {
    let folder = tempfile::tempdir().unwrap();
    let kept = "[run]\narms = [\"sft\", \"prompted\", \"dexperts\", \"best_of_sft\", \
        \"best_of_prompted\", \"best_of_dexperts\", \"best_of_best\"]\n";
    let made = |n: usize, out: &Path| {
        run(&small(&format!("{EXAMPLE}{BEST_OF}{kept}[best_of_n]\nn = {n}\n")), Out::New(out))
    };
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    made(1, &one);
    for arm in ["sft", "prompted", "dexperts"] {
        assert_eq!(answers(&one, &format!("best_of_{arm}")), answers(&one, arm));
    }
    assert_eq!(answers(&one, "best_of_best"), answers(&one, "dexperts"));
    // draws of draws are four different ones
    let results = made(2, &two);
    let [.., tokens, rewards] = costs(&results.methods["best_of_best"]);
    same(&[tokens, rewards], &[4.0 * TOKENS, 4.0 + 2.0], "two times the best of two");
    let rewards = |arm: &str| texts(&two, arm).into_iter().map(|row| row.reward);
    let better =
        rewards("best_of_best").zip(rewards("best_of_dexperts")).filter(|(a, b)| a > b).count();
    assert!(better > PROMPTS / 4, "{better}");
}

#[test]
fn what_a_policy_cannot_be_made_of_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let refused = |settings: Settings| {
        let prepared = Experiment::new(settings).prepare(&home(), Out::New(&out)).unwrap();
        let error = prepared.run(&mut ()).unwrap_err();
        assert!(error.is_usage() && !out.exists(), "{error}");
        error.to_string()
    };
    let mut settings = small(EXAMPLE);
    settings.prompted.instruction = "so good ".repeat(60);
    let message = refused(settings.clone());
    assert!(
        message.starts_with("arm \"prompted\": prompted.instruction has 1")
            && message.contains(
                "tokens: with data.prompt_tokens = 32 and sampling.max_new_tokens = 8 it needs 1"
            )
            && message.ends_with("positions, but the policy's context has 128"),
        "{message}"
    );
    settings.prompted.instruction.clear();
    assert_eq!(
        refused(settings.clone()),
        "arm \"prompted\": prompted.instruction is \"\", expected words"
    );
    // texts of one class alone
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for (split, bad) in [("train", 1), ("test", 0)] {
        let row = |row: usize| {
            let class = if row.is_multiple_of(2) { 1 } else { bad };
            format!("{},{class}\n", format!("Scene {row} of the {split} was fine. ").repeat(12))
        };
        let rows: String = (0..160).map(row).collect();
        fs::write(data.join(format!("{split}.csv")), format!("text,label\n{rows}")).unwrap();
    }
    let mut settings = small(EXAMPLE);
    settings.data.dir = data.display().to_string();
    settings.evaluation.tail_threshold = 100.0;
    assert_eq!(
        refused(settings),
        "arm \"anti\": sft.class is \"bad\", but no training text is of that class"
    );
}
