//! Sampling, tokenizers, greedy continuations and scores against the answers of the reference
//! implementations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

use burn::tensor::Device;
use serde_json::Value;
use tailguard_checkpoint::ModelDir;
use tailguard_gpt2::Gpt2;
use tailguard_lm::{TokenDistribution, ValueHead};
use tailguard_rollout::{
    DrawSeed, EndOfText, Generation, Prompt, SamplingConfig, Sequence, generate, log_probs_of,
    probabilities, prompts, token_nlls,
};
use tailguard_tests::{cases, close, close_scaled, count, counts, device_name, floats, golden};
use tokenizers::Tokenizer;

const DRAWS: DrawSeed = DrawSeed { seed: 0, stream: 0 };

fn entries<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"))
}

fn ids(value: &Value) -> Vec<u32> {
    counts(value)
        .into_iter()
        .map(|id| u32::try_from(id).unwrap_or_else(|_| panic!("{id} is no token id")))
        .collect()
}

/// Single-precision numbers as the fixtures mean them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fixtures' decimals read back to the same f32"
)]
fn singles(value: &Value) -> Vec<f32> {
    floats(value).into_iter().map(|number| number as f32).collect()
}

fn single(value: &Value) -> f32 {
    singles(&Value::Array(vec![value.clone()]))[0]
}

#[test]
fn golden_sampling_probabilities() {
    for (index, case) in entries(&cases("sampling/cases.json"), "cases").iter().enumerate() {
        let what = format!("case {index}, {}", case["what"]);
        let (temperature, top_p) = (single(&case["temperature"]), single(&case["top_p"]));
        let actual =
            probabilities(&singles(&case["logits"]), temperature, count(&case["top_k"]), top_p)
                .unwrap();
        close_scaled(&actual, &floats(&case["probabilities"]), 1e-5, &what);
        let kept: Vec<bool> =
            entries(case, "kept").iter().map(|kept| kept.as_bool().unwrap()).collect();
        assert_eq!(actual.iter().map(|&p| p > 0.0).collect::<Vec<_>>(), kept, "{what}");
    }
}

#[test]
fn golden_tokenizer_ids_and_texts() {
    let tokenizer = Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap();
    let fixture = cases("tokenizer/cases.json");
    assert_eq!(tokenizer.get_vocab_size(true), count(&fixture["vocab_size"]));
    for case in entries(&fixture, "cases") {
        let text = case["text"].as_str().unwrap().to_owned();
        let expected = ids(&case["ids"]);
        if expected.is_empty() {
            assert!(
                prompts(&tokenizer, &[text], 1)
                    .unwrap_err()
                    .to_string()
                    .contains("prompt 0 has no tokens")
            );
            continue;
        }
        let whole = &prompts(&tokenizer, std::slice::from_ref(&text), usize::MAX).unwrap()[0];
        assert_eq!(whole.ids, expected, "{text:?}");
        assert_eq!(whole.text, case["decoded"].as_str().unwrap());
        let response = Generation { response_ids: expected, ..Generation::default() };
        let responses = tailguard_rollout::responses(&tokenizer, &[response]).unwrap();
        assert_eq!(responses[0], case["decoded_skip_special"].as_str().unwrap());
    }
    for case in entries(&fixture, "cut_short") {
        // cut from the text that it is the beginning of, where that is among the cases
        let cut = ids(&case["ids"]);
        let whole =
            entries(&fixture, "cases").iter().find(|whole| ids(&whole["ids"]).starts_with(&cut));
        let text = match whole {
            Some(whole) => {
                let text = whole["text"].as_str().unwrap().to_owned();
                prompts(&tokenizer, &[text], cut.len()).unwrap().remove(0).text
            }
            None => tokenizer.decode(&cut, false).unwrap(),
        };
        assert_eq!(text, case["decoded"].as_str().unwrap(), "{cut:?}");
    }
}

/// The device that `TAILGUARD_DEVICE` names.
fn device() -> Device {
    tailguard_kernels::device(&device_name()).unwrap()
}

fn model() -> Gpt2 {
    let dir = ModelDir::open(golden("gpt2")).unwrap_or_else(|error| panic!("{error}"));
    Gpt2::load(&dir, &device()).unwrap_or_else(|error| panic!("{error}"))
}

/// The unpadded rows of a padded batch.
fn unpadded(batch: &Value) -> Vec<Prompt> {
    let rows = entries(batch, "input_ids").iter().zip(entries(batch, "attention_mask"));
    let real = |(row, mask): (&Value, &Value)| {
        ids(row).into_iter().zip(ids(mask)).filter(|&(_, m)| m == 1).map(|(id, _)| id).collect()
    };
    rows.map(|row| Prompt { ids: real(row), text: String::new() }).collect()
}

#[test]
fn golden_gpt2_greedy_continuations() {
    let greedy = &cases("gpt2/cases.json")["greedy"];
    let prompts = unpadded(greedy);
    let config = SamplingConfig {
        greedy: true,
        max_new_tokens: count(&greedy["max_new_tokens"]),
        ..SamplingConfig::default()
    };
    for batch_size in [1, prompts.len()] {
        let responses = generate(&model(), None, &prompts, &config, DRAWS, batch_size).unwrap();
        for (response, expected) in responses.iter().zip(entries(greedy, "new_tokens")) {
            assert_eq!(response.response_ids, ids(expected));
        }
    }
    let with_eos = &greedy["with_eos"];
    let end = ids(&Value::Array(vec![with_eos["eos_token_id"].clone()]))[0];
    let config = SamplingConfig { end_of_text: EndOfText::Stop(end), ..config };
    let responses = generate(&model(), None, &prompts, &config, DRAWS, prompts.len()).unwrap();
    for (response, expected) in responses.iter().zip(entries(with_eos, "new_tokens")) {
        // the fixture fills up behind the end token; responses end with it
        let expected = ids(expected);
        let length = expected.iter().position(|&id| id == end).map_or(expected.len(), |at| at + 1);
        assert_eq!(response.response_ids, expected[..length]);
    }
}

#[test]
fn golden_gpt2_scores_of_whole_sequences() {
    let fixture = &cases("gpt2/cases.json")["plain"];
    let rows: Vec<Vec<u32>> = entries(fixture, "input_ids").iter().map(ids).collect();
    let sequences: Vec<Sequence<'_>> =
        rows.iter().map(|row| Sequence { prompt: &row[..1], response: &row[1..] }).collect();
    let (model, device) = (model(), device());
    let head =
        ValueHead::load(&golden("gpt2/value_head.safetensors"), model.config().n_embd, &device)
            .unwrap();
    let scores =
        log_probs_of(&model, Some(&head), &sequences, &TokenDistribution::default(), rows.len())
            .unwrap();
    for (row, scores) in scores.iter().enumerate() {
        // one less than the tokens: the last state predicts nothing
        let scored = scores.log_probs.len();
        close(
            &scores.log_probs,
            &floats(&fixture["next_token_logprobs"][row]),
            1e-4,
            "log-probabilities",
        );
        close(&scores.values, &floats(&fixture["values"][row])[..scored], 1e-4, "values");
        close(&scores.entropies, &floats(&fixture["entropy"][row])[..scored], 1e-4, "entropies");
    }
}

#[test]
fn golden_gpt2_perplexities_from_token_nlls() {
    let fixture = cases("gpt2/cases.json");
    let texts: Vec<Vec<u32>> =
        entries(&fixture["perplexity"], "sequences").iter().map(ids).collect();
    let bos = ids(&Value::Array(vec![fixture["bos_token_id"].clone()]))[0];
    for (key, bos) in [("bos_prepended", Some(bos)), ("no_bos", None)] {
        let nlls = token_nlls(&model(), &texts, bos, 3).unwrap();
        for (nlls, expected) in nlls.iter().zip(entries(&fixture["perplexity"], key)) {
            if expected.is_null() {
                assert!(nlls.is_empty());
                continue;
            }
            let mean = nlls.iter().map(|&nll| f64::from(nll)).sum::<f64>() / nlls.len() as f64;
            close_scaled(&[mean.exp()], &floats(&Value::Array(vec![expected.clone()])), 1e-4, key);
        }
    }
}
