//! Texts longer than a classifier reads: which side of them goes, and what is said of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use burn::tensor::Device;
use tailguard_checkpoint::ModelDir;
use tailguard_reward::{
    Classifier, Label, RewardError, RewardModel, ScoreSettings, Scored, ScoredText, TruncationSide,
};
use tailguard_tests::golden;

const MODELS: [&str; 3] = ["distilbert", "bert", "roberta"];
const PROMPT: &str = "the movie was not good at all and the story was long";

fn classifier(model: &str, max_length: usize, truncation_side: TruncationSide) -> Classifier {
    let settings = ScoreSettings {
        label: Label::Number(0),
        max_length,
        truncation_side,
        ..Default::default()
    };
    Classifier::load(&ModelDir::open(golden(model)).unwrap(), settings, &Device::flex()).unwrap()
}

/// Scores of responses to the prompt.
fn scored(
    max_length: usize,
    side: TruncationSide,
    responses: &[&str],
) -> Result<Scored, RewardError> {
    let texts: Vec<ScoredText> =
        responses.iter().map(|response| ScoredText::new(PROMPT, response)).collect();
    classifier("distilbert", max_length, side).score_responses(&texts)
}

/// Tokens of the prompt in the model, the special ones included.
fn prompt_tokens() -> usize {
    classifier("distilbert", 32, TruncationSide::Left).encode(&[PROMPT.to_owned()]).unwrap()[0]
        .len()
}

#[test]
fn one_side_goes_and_the_special_tokens_stay() {
    for model in MODELS {
        let ids = |length, side| {
            classifier(model, length, side).encode(&[PROMPT.to_owned()]).unwrap().remove(0)
        };
        let whole = ids(48, TruncationSide::Left);
        assert!(
            whole == ids(48, TruncationSide::Right) && (8..48).contains(&whole.len()),
            "{model}: {whole:?}"
        );
        let (first, last) = (whole[0], whole[whole.len() - 1]);
        let inner = &whole[1..whole.len() - 1];
        let (left, right) = (&inner[inner.len() - 5..], &inner[..5]);
        assert_eq!(ids(7, TruncationSide::Left), [&[first], left, &[last]].concat(), "{model}");
        assert_eq!(ids(7, TruncationSide::Right), [&[first], right, &[last]].concat(), "{model}");
    }
}

#[test]
fn the_end_of_a_response_is_always_read_when_the_left_side_goes() {
    let responses = [" bad", " good", ""];
    let Scored { scores, cut } =
        scored(prompt_tokens() - 3, TruncationSide::Left, &responses).unwrap();
    assert_eq!(cut, [true, true, true]);
    assert_ne!(scores[0].to_bits(), scores[1].to_bits());
    // a text within the limit is read whole, whatever the side
    let whole = [TruncationSide::Left, TruncationSide::Right]
        .map(|side| scored(32, side, &responses).unwrap());
    assert_eq!(whole[0], whole[1]);
    assert_eq!(whole[0].cut, [false; 3]);
}

#[test]
fn a_response_of_which_nothing_is_left_is_refused() {
    let length = prompt_tokens();
    let error = scored(length, TruncationSide::Right, &["", " ", " bad"]).unwrap_err();
    let RewardError::NothingOfResponse { index, max_length } = error else { panic!("{error}") };
    assert_eq!((index, max_length), (2, length));
    assert!(error.to_string().contains("truncation_side = \"left\""), "{error}");
    // a part of it is enough
    let part = scored(length + 1, TruncationSide::Right, &[" bad bad bad bad bad"]).unwrap();
    assert_eq!(part.cut, [true]);
    // and of a prompt alone nothing can be lost
    assert_eq!(scored(length - 2, TruncationSide::Right, &[""]).unwrap().cut, [true]);
}
