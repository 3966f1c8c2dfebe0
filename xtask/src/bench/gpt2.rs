//! `cargo xtask bench gpt2`: what a PPO iteration is made of, by the functions that training calls.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value, json};
use tailguard::failure::say;
use tailguard::{Program, device};
use tailguard_benchmarks::Spread;
use tailguard_gpt2::Gpt2;
use tailguard_lm::{Policy, TokenBatch, TokenDistribution};
use tailguard_ppo::{adam_w, next_token_step};
use tailguard_rollout::{DrawSeed, Prompt, Sequence, generate, log_probs_of};

use super::args::Gpt2Args;
use super::flops;
use super::head::Head;
use super::iteration::sampling;
use super::machine::OtherProcesses;
use super::products::Product;
use super::sizes::Sizes;

/// Rate of the training step.
const LEARNING_RATE: f64 = 1.41e-5;
/// `AdamW`'s default in PyTorch.
const WEIGHT_DECAY: f32 = 0.01;

/// Runs the command.
///
/// # Errors
/// Sizes that make no sense, a device that is not there, a pass that fails.
pub(crate) fn run(args: &Gpt2Args, program: &Program) -> Result<()> {
    let sizes = Sizes::resolve(&args.size)?;
    device::set_threads(args.size.timing.threads)?;
    let device = device::select_with(&args.size.device, args.size.precision, program)?;
    let policy = Policy::new(sizes.model(&device)?);
    let parameters = policy.num_params();
    let mut bench =
        Bench { sizes: &sizes, device: &device, figures: Figures::default(), others: None };
    bench.forward(&policy)?;
    bench.generate(&policy)?;
    bench.train(&policy)?;
    let matrix_products = bench.products(args.product_seconds)?;
    let Bench { figures, others, .. } = bench;
    let others = others.and_then(OtherProcesses::most);
    let head = Head {
        benchmark: "gpt2",
        size: args.size.size,
        sizes: &sizes,
        parameters,
        device: &args.size.device,
        precision: args.size.precision,
        others,
    };
    say(head.line(figures.with(matrix_products))?)?;
    Ok(())
}

/// One object per figure, with an entry for each thing that was timed.
#[derive(Default)]
struct Figures {
    seconds: Map<String, Value>,
    tokens_per_s: Map<String, Value>,
    gflops: Map<String, Value>,
}

impl Figures {
    fn with(self, matrix_products: Map<String, Value>) -> Value {
        json!({
            "seconds": self.seconds,
            "tokens_per_s": self.tokens_per_s,
            "gflops": self.gflops,
            "matrix_product_gflops": matrix_products,
        })
    }
}

struct Bench<'a> {
    sizes: &'a Sizes,
    device: &'a Device,
    figures: Figures,
    others: Option<OtherProcesses>,
}

impl Bench<'_> {
    /// Passes over a minibatch without gradients: logits everywhere, and log-probabilities of the
    /// responses alone.
    fn forward(&mut self, policy: &Policy<Gpt2>) -> Result<()> {
        let Sizes { mini_batch, prompt_len, gen_len, width, .. } = *self.sizes;
        let rows = self.sizes.random_rows(mini_batch, self.sizes.episode_tokens());
        let views: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let batch = TokenBatch::right_padded(&views, 0, self.device)?;
        let tokens = mini_batch * self.sizes.episode_tokens();
        let work =
            |predicted| flops::forward(self.sizes, mini_batch, prompt_len + gen_len, predicted);
        let (all, responses) = (work(prompt_len + gen_len), work(gen_len));
        let gpt2 = &policy.lm;
        self.measure("forward", tokens, Some(all), || {
            let _logits = gpt2.logits(gpt2.hidden(&batch)?.reshape([tokens, width]));
            Ok(())
        })?;
        let halves = views.iter().map(|row| row.split_at(prompt_len));
        let sequences: Vec<Sequence<'_>> =
            halves.map(|(prompt, response)| Sequence { prompt, response }).collect();
        self.measure("forward_response_logits_only", tokens, Some(responses), || {
            log_probs_of(gpt2, None, &sequences, &TokenDistribution::default(), mini_batch)?;
            Ok(())
        })
    }

    /// Sampling, with log-probabilities and values noted.
    fn generate(&mut self, policy: &Policy<Gpt2>) -> Result<()> {
        let Sizes { batch, prompt_len, gen_len, seed, .. } = *self.sizes;
        let rows = self.sizes.random_rows(batch, prompt_len);
        let prompts: Vec<Prompt> =
            rows.into_iter().map(|ids| Prompt { ids, text: String::new() }).collect();
        let (config, draws) = (sampling(self.sizes), DrawSeed { seed, stream: 0 });
        self.measure("generate", batch * gen_len, None, || {
            let sampled =
                generate(&policy.lm, Some(&policy.value_head), &prompts, &config, draws, batch)?;
            ensure!(
                sampled.iter().all(|response| response.response_ids.len() == gen_len),
                "a response ended early"
            );
            Ok(())
        })
    }

    /// Cross-entropy over all positions of a minibatch, backward pass, `AdamW`.
    fn train(&mut self, policy: &Policy<Gpt2>) -> Result<()> {
        let Sizes { mini_batch, .. } = *self.sizes;
        let tokens = self.sizes.episode_tokens();
        let rows = self.sizes.random_rows(mini_batch, tokens);
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let mut optimizer = adam_w(WEIGHT_DECAY);
        let mut model = Some(policy.lm.clone().train());
        let work = flops::training(self.sizes, mini_batch, tokens, tokens - 1);
        self.measure("train", mini_batch * tokens, Some(work), || {
            let before = model.take().context("the last training step failed")?;
            let (after, loss) =
                next_token_step(before, &mut optimizer, &rows, LEARNING_RATE, None, 1)?;
            ensure!(loss.is_finite(), "the loss is {loss}");
            model = Some(after);
            Ok(())
        })
    }

    /// Rates of bare matrix products, GFLOP/s by shape.
    fn products(&mut self, seconds: f64) -> Result<Map<String, Value>> {
        let mut rates = Map::new();
        for product in Product::all(self.sizes, self.device) {
            let run = || {
                product.run();
                Ok(())
            };
            timed(self.device, run)?; // warms up
            let (mut times, mut total) = (Vec::new(), 0.0);
            while times.len() < 3 || total < seconds {
                let time = timed(self.device, run)?;
                times.push(time);
                total += time;
            }
            self.lap();
            let median = Spread::of(&times).context("nothing was timed")?.median;
            let rate =
                2e-9 * product.sizes.iter().map(|&size| size as f64).product::<f64>() / median;
            tracing::info!("matrix product {}: {rate:.1} GFLOP/s", product.name);
            rates.insert(product.name, rate.into());
        }
        Ok(rates)
    }

    /// Times `work` `iters` times after one to warm up; `tokens` and `flops` are what one call
    /// does.
    fn measure(
        &mut self,
        name: &str,
        tokens: usize,
        flops: Option<f64>,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut times = Vec::with_capacity(self.sizes.iters);
        timed(self.device, &mut work).with_context(|| format!("{name} failed"))?;
        self.others.get_or_insert_with(OtherProcesses::watch);
        for _ in 0..self.sizes.iters {
            times.push(timed(self.device, &mut work).with_context(|| format!("{name} failed"))?);
        }
        self.lap();
        let Spread { median, min, .. } = Spread::of(&times).context("nothing was timed")?;
        let rate = tokens as f64 / median;
        tracing::info!("{name}: {median:.3} s, {rate:.0} tokens/s");
        let Figures { seconds, tokens_per_s, gflops } = &mut self.figures;
        seconds.insert(name.to_owned(), json!({"median": median, "min": min}));
        tokens_per_s.insert(name.to_owned(), rate.into());
        if let Some(flops) = flops {
            gflops.insert(name.to_owned(), (flops / median / 1e9).into());
        }
        Ok(())
    }

    fn lap(&mut self) {
        if let Some(others) = &mut self.others {
            others.lap();
        }
    }
}

/// Seconds of one call, until the device has finished it.
fn timed(device: &Device, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    device.sync()?;
    Ok(begun.elapsed().as_secs_f64())
}
