//! Claims about sampling.

use std::iter::repeat_n;

use super::*;
use crate::config::EndOfText;
use crate::fixtures::{SEED, model, prompts, sampling, value_head};
use crate::score::{Sequence, log_probs_of};
use burn::module::{Module, ModuleMapper, Param};
use tailguard_gpt2::Gpt2Config;
use tailguard_tests::close;

fn sample(prompts: &[Prompt], config: &SamplingConfig, batch_size: usize) -> Vec<Generation> {
    generate(&model(1), Some(&value_head()), prompts, config, SEED, batch_size).unwrap()
}

fn refused(prompts: &[Prompt], config: &SamplingConfig) -> RolloutError {
    generate(&model(1), None, prompts, config, SEED, 4).unwrap_err()
}

#[test]
fn what_is_noted_while_sampling_equals_a_recomputation() {
    let prompts = prompts(&[5, 3, 5, 7, 5, 5]);
    for end_of_text in [EndOfText::None, EndOfText::Stop(4), EndOfText::Mask(4)] {
        let config =
            SamplingConfig { temperature: 0.8, top_k: 50, top_p: 0.9, end_of_text, ..sampling(9) };
        let sampled = sample(&prompts, &config, 4);
        let sequences: Vec<Sequence<'_>> = prompts
            .iter()
            .zip(&sampled)
            .map(|(prompt, generation)| Sequence {
                prompt: &prompt.ids,
                response: &generation.response_ids,
            })
            .collect();
        let again =
            log_probs_of(&model(1), Some(&value_head()), &sequences, &config.distribution(), 3)
                .unwrap();
        for (sampled, again) in sampled.iter().zip(&again) {
            close(&sampled.log_probs, &again.log_probs, 1e-4, "log-probabilities");
            close(&sampled.values, &again.values, 1e-4, "values");
            close(&sampled.entropies, &again.entropies, 1e-4, "entropies");
            assert!(sampled.values.iter().any(|value| value.abs() > 0.01));
        }
    }
}

#[test]
fn a_padded_row_is_sampled_as_it_is_alone() {
    let prompts = prompts(&[2, 6, 4, 3]);
    let together = sample(&prompts, &sampling(8), 4);
    for (episode, prompt) in prompts.iter().enumerate() {
        let draws = DrawSeed { stream: SEED.stream + episode as u64, ..SEED };
        let alone = generate(
            &model(1),
            Some(&value_head()),
            std::slice::from_ref(prompt),
            &sampling(8),
            draws,
            1,
        )
        .unwrap();
        assert_eq!(together[episode].response_ids, alone[0].response_ids, "episode {episode}");
        close(&together[episode].log_probs, &alone[0].log_probs, 1e-4, "log-probabilities");
        close(&together[episode].values, &alone[0].values, 1e-4, "values");
    }
}

#[test]
fn batches_and_rows_that_leave_them_change_no_token() {
    let prompts = prompts(&[5, 5, 4, 5, 5, 3, 5, 5, 5, 4]);
    // with a hot distribution over 401 tokens, each of these ends rows at different times in
    // some episode
    let ends = |config: &SamplingConfig| {
        sample(&prompts, config, 16).iter().map(|g| g.response_ids.len()).collect::<Vec<_>>()
    };
    let config = (0..401)
        .map(|end| SamplingConfig { end_of_text: EndOfText::Stop(end), ..sampling(16) })
        .find(|config| ends(config).iter().filter(|&&length| length < 16).count() >= 5)
        .expect("some token ends half of the rows");
    let whole = sample(&prompts, &config, 16);
    for batch_size in [1, 2, 3, 7] {
        let parts = sample(&prompts, &config, batch_size);
        for (whole, part) in whole.iter().zip(&parts) {
            assert_eq!(whole.response_ids, part.response_ids, "batch size {batch_size}");
            close(&whole.log_probs, &part.log_probs, 1e-4, "log-probabilities");
        }
    }
}

#[test]
fn several_responses_to_a_prompt_are_those_to_the_same_prompt_several_times() {
    let prompts = prompts(&[5, 4, 6, 5]);
    let config = SamplingConfig { end_of_text: EndOfText::Stop(3), ..sampling(12) };
    let times = |count: usize| {
        prompts.iter().flat_map(|prompt| repeat_n(prompt.clone(), count)).collect::<Vec<_>>()
    };
    let each = |responses, batch_size| {
        let head = value_head();
        generate_each(&model(1), Some(&head), &prompts, responses, &config, SEED, batch_size)
            .unwrap()
    };
    for (responses, batch_size) in [(3, 16), (3, 2), (2, 5), (1, 4)] {
        let several = each(responses, batch_size);
        let repeated = sample(&times(responses), &config, batch_size);
        assert_eq!(several.len(), repeated.len());
        for (several, repeated) in several.iter().zip(&repeated) {
            assert_eq!(several.response_ids, repeated.response_ids, "{responses}, {batch_size}");
            close(&several.log_probs, &repeated.log_probs, 1e-4, "log-probabilities");
            close(&several.values, &repeated.values, 1e-4, "values");
        }
        assert!(several.iter().any(|one| one.response_ids != several[0].response_ids));
    }
    assert_eq!(each(1, 4), sample(&prompts, &config, 4));
    let none = generate_each(&model(1), None, &prompts, 0, &config, SEED, 4).unwrap_err();
    assert_eq!(none.to_string(), "sampling setting responses is 0, expected at least 1");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let prompts = prompts(&[5, 5, 4, 5, 5, 3]);
    let config = SamplingConfig { end_of_text: EndOfText::Stop(3), ..sampling(12) };
    let [one, two] = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sample(&prompts, &config, 4))
    });
    assert_eq!(one, two);
}

/// On software Vulkan, say; in a build without wgpu there is nothing to compare.
#[test]
fn a_gpu_draws_the_tokens_of_the_cpu() {
    let Ok(device) = tailguard_kernels::device("wgpu") else { return };
    let prompts = prompts(&[5, 3, 5, 4, 5, 5, 3, 5]);
    for end_of_text in [EndOfText::None, EndOfText::Stop(4), EndOfText::Mask(4)] {
        let config =
            SamplingConfig { temperature: 0.8, min_new_tokens: 2, end_of_text, ..sampling(16) };
        let [cpu, gpu] = [Device::flex(), device.clone()].map(|device| {
            let model = Gpt2Config::new(61, 24, 16, 2, 2).init(3, &device).unwrap();
            let prompts: Vec<Prompt> = prompts
                .iter()
                .map(|prompt| prompt.ids.iter().map(|id| id % 61).collect())
                .map(prompt)
                .collect();
            generate(&model, Some(&ValueHead::init(16, &device)), &prompts, &config, SEED, 8)
                .unwrap()
        });
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            assert_eq!(cpu.response_ids, gpu.response_ids, "{end_of_text:?}");
            close(&gpu.log_probs, &cpu.log_probs, 1e-4, "log-probabilities");
            close(&gpu.entropies, &cpu.entropies, 1e-4, "entropies");
            close(&gpu.values, &cpu.values, 1e-4, "values");
        }
    }
}

fn prompt(ids: Vec<u32>) -> Prompt {
    Prompt { ids, text: String::new() }
}

#[test]
fn another_seed_or_stream_samples_something_else() {
    let prompts = prompts(&[5, 5]);
    let draws = |seed, stream| {
        generate(&model(1), None, &prompts, &sampling(8), DrawSeed { seed, stream }, 2).unwrap()
    };
    assert_eq!(draws(1, 0), draws(1, 0));
    assert_ne!(draws(1, 0), draws(2, 0));
    assert_ne!(draws(1, 0), draws(1, 2));
}

#[test]
fn a_masked_end_token_gives_responses_of_one_length_without_it() {
    let free = sample(&prompts(&[5; 6]), &sampling(12), 6);
    let end = free[0].response_ids[0];
    let masked = SamplingConfig { end_of_text: EndOfText::Mask(end), ..sampling(12) };
    let fixed = sample(&prompts(&[5; 6]), &masked, 6);
    assert!(fixed.iter().all(|g| g.response_ids.len() == 12 && !g.response_ids.contains(&end)));
}

#[test]
fn a_stop_token_is_the_last_of_its_response_and_comes_after_the_minimum() {
    let prompts = prompts(&[5; 6]);
    let end = sample(&prompts, &sampling(12), 6)[0].response_ids[0];
    let stop = SamplingConfig { end_of_text: EndOfText::Stop(end), ..sampling(12) };
    let stopped = sample(&prompts, &stop, 6);
    assert_eq!(stopped[0].response_ids, [end]);
    let minimum = SamplingConfig { min_new_tokens: 5, ..stop };
    for generation in stopped.iter().chain(&sample(&prompts, &minimum, 6)) {
        let ids = &generation.response_ids;
        assert!(ids.iter().position(|&id| id == end).is_none_or(|at| at + 1 == ids.len()));
        assert!(ids.len() == 12 || ids.last() == Some(&end));
        assert_eq!(
            [generation.log_probs.len(), generation.values.len(), generation.entropies.len()],
            [ids.len(); 3]
        );
    }
    assert!(sample(&prompts, &minimum, 6).iter().all(|g| g.response_ids.len() > 5));
}

#[test]
fn without_a_value_head_there_are_no_values() {
    let sampled = generate(&model(1), None, &prompts(&[4]), &sampling(3), SEED, 4).unwrap();
    assert!(sampled[0].values.is_empty() && sampled[0].log_probs.len() == 3);
}

#[test]
fn no_prompts_give_no_responses() {
    assert_eq!(sample(&[], &sampling(3), 4), []);
}

#[test]
fn what_cannot_be_sampled_is_refused_by_row() {
    let unfit = |lengths: &[usize], new| refused(&prompts(lengths), &sampling(new)).to_string();
    assert_eq!(
        unfit(&[4, 25], 1),
        "row 1: 25 prompt tokens and 1 response tokens do not fit the context of 24 tokens"
    );
    assert!(unfit(&[4, 20], 5).contains("row 1: 20 prompt tokens and 5 response tokens"));
    assert!(generate(&model(1), None, &prompts(&[20]), &sampling(4), SEED, 4).is_ok());
    assert!(matches!(
        refused(&prompts(&[4, 0]), &sampling(2)),
        RolloutError::EmptyPrompt { row: 1 }
    ));
    let mut unknown = prompts(&[4, 4]);
    unknown[1].ids[2] = 401;
    let error = refused(&unknown, &sampling(2)).to_string();
    assert_eq!(error, "token id 401 in row 1 is outside the vocabulary of 401 tokens");
    assert!(refused(&prompts(&[4]), &sampling(0)).to_string().contains("max_new_tokens is 0"));
    let error = generate(&model(1), None, &prompts(&[4]), &sampling(2), SEED, 0).unwrap_err();
    assert!(error.to_string().contains("batch_size is 0"));
}

#[test]
fn a_training_model_is_refused() {
    let training = model(1).train();
    let error = generate(&training, None, &prompts(&[4]), &sampling(2), SEED, 4).unwrap_err();
    assert!(matches!(error, RolloutError::Trainable));
}

#[test]
fn a_diverged_model_is_named_with_row_and_token() {
    struct Diverge;
    impl ModuleMapper for Diverge {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor * f32::NAN)
        }
    }
    let diverged = model(1).map(&mut Diverge);
    let error = generate(&diverged, None, &prompts(&[4]), &sampling(2), SEED, 4).unwrap_err();
    assert!(
        matches!(error, RolloutError::NotFinite { what: "logits", row: 0, position: 0 }),
        "{error}"
    );
}

#[test]
fn some_episodes_of_many_are_answered_as_they_are_among_all() {
    let prompts = prompts(&[5, 3, 5, 4]);
    let all = generate(&model(1), None, &prompts, &sampling(8), SEED, 4).unwrap();
    let decoder = model(1).decoder();
    let some = [(3, &prompts[3]), (1, &prompts[1])];
    let found = generate_by(&decoder, None, &some, &sampling(8), SEED, 4).unwrap();
    assert_eq!(found[0].response_ids, all[3].response_ids);
    assert_eq!(found[1].response_ids, all[1].response_ids);
    let other = [(2, &prompts[1])];
    let other = generate_by(&decoder, None, &other, &sampling(8), SEED, 4).unwrap();
    assert_ne!(other[0].response_ids, all[1].response_ids, "its stream is another one");
}
