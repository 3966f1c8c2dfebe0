//! The texts of two methods from a file, judged by a reward of one's own: short answers are good
//! ones.
//!
//! `cargo run --release -p tailguard-judging --example two_methods`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io::Write;

use tailguard_judging::{Columns, MethodColumns, Options, Scorer, Scorers, judge};
use tailguard_report::{EvaluatedTail, Style, evaluation_table};
use tailguard_reward::from_fn;

/// A wide table: a row per prompt, and a column of answers for each method.
const TEXTS: &str = "\
question,polite,brief
Is it late?,\" Yes, I am afraid that it is\",\" Yes, it is\"
Is it far?,\" No, not at all\",\" No\"
Is it cold outside today?,\" Yes, you had better wear a coat\",\" Yes\"
Is there tea?,\" There is\",\" Yes\"
";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile_in(&folder)?;
    file.write_all(TEXTS.as_bytes())?;

    // of a prompt that is scored alone, it is the words of the prompt
    let words =
        from_fn(|_prompt: &str, response: &str| Ok(-(response.split_whitespace().count() as f32)));
    let scorers = Scorers { reward: Some(Scorer::brought("reward", Box::new(words))), judge: None };
    let method = |name: &str| MethodColumns {
        name: name.to_owned(),
        response: name.to_owned(),
        score: None,
    };
    let options = Options {
        columns: Columns {
            prompt: Some("question".to_owned()),
            methods: vec![method("polite"), method("brief")],
            ..Columns::default()
        },
        tail_share: Some(0.25),
        ..Options::default()
    };
    let judged = judge(file.path(), &options, &scorers, &mut |_| {})?;

    println!("{}", evaluation_table(&judged.evaluation, Style::Plain));
    judged.notes.iter().for_each(|note| println!("note: {note}"));

    let rewards = |name: &str| judged.evaluation.methods[name].reward.map(|figure| figure.mean);
    assert_eq!((rewards("polite"), rewards("brief")), (Some(-5.0), Some(-1.5)));
    // the longest question is the tail
    let tail = EvaluatedTail::PromptScores { threshold: -5.0, share: Some(0.25), prompts: Some(1) };
    assert_eq!(judged.evaluation.tail, Some(tail));
    assert_eq!(judged.evaluation.methods["polite"].tail.map(|figure| figure.mean), Some(-7.0));
    // compared with the first of the methods, question by question
    let gain = &judged.evaluation.comparisons[0];
    assert_eq!(
        (gain.method.as_str(), gain.over.as_str(), gain.prompts, gain.reward.mean),
        ("brief", "polite", 4, 3.5)
    );
    Ok(())
}
