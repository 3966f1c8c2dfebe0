//! Where the weights come from and go to: random numbers, or a Hugging Face directory.

use std::path::Path;

use burn::module::Param;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Tensor, TensorData, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Deserialize;
use tailguard_checkpoint::{
    CheckpointError, ModelDir, WeightType, Weights, WeightsWriter, write_config,
    write_generation_config,
};
use tailguard_kernels::Linear;

use crate::config::Gpt2Config;
use crate::error::Gpt2Error;
use crate::model::{Attention, Block, Gpt2, LayerNorm, Mlp};

/// The prefix that Hugging Face puts before every name but the head's.
const PREFIX: &str = "transformer.";

/// The output head, where it is not the embedding.
const HEAD: &str = "lm_head.weight";
/// The embedding of the tokens.
const EMBEDDING: &str = "wte.weight";
/// The beginning of the names of a value head, TRL's or trlX's.
const VALUE_HEAD: &str = "v_head.";

/// Something that gives a tensor for a name and a shape.
trait Source {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, Gpt2Error>;
}

/// Weights from a file.
struct Stored<'a> {
    weights: Weights,
    device: &'a Device,
}

impl Source for Stored<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, Gpt2Error> {
        Ok(self.weights.tensor(name, shape, self.device)?)
    }
}

/// GPT-2's initial weights.
struct Random<'a> {
    rng: ChaCha8Rng,
    std: f64,
    residual_std: f64,
    device: &'a Device,
}

impl Source for Random<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, Gpt2Error> {
        if D == 1 {
            let ones = name.contains("ln_") && name.ends_with("weight");
            return Ok(if ones {
                Tensor::ones(shape, self.device)
            } else {
                Tensor::zeros(shape, self.device)
            });
        }
        let std = if name.ends_with("c_proj.weight") { self.residual_std } else { self.std };
        #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
        let values = (0..shape.iter().product())
            .map(|_| {
                let normal: f64 = StandardNormal.sample(&mut self.rng);
                (std * normal) as f32
            })
            .collect::<Vec<f32>>();
        Ok(Tensor::from_data(TensorData::new(values, shape), self.device))
    }
}

/// What `config.json` calls a GPT-2.
const MODEL_TYPE: &str = "gpt2";

/// What `config.json` says of any model.
#[derive(Deserialize)]
struct KindOfModel {
    #[serde(default)]
    model_type: Option<String>,
}

impl Gpt2Config {
    /// A model with random weights that depend on `seed` alone: normal with `initializer_range`,
    /// projections back into the residual stream divided by `sqrt(2 n_layer)`, biases 0, as GPT-2
    /// was initialised.
    ///
    /// # Errors
    /// [`Gpt2Error::Config`] if the settings are not a model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Gpt2, Gpt2Error> {
        #[expect(clippy::cast_precision_loss, reason = "the number of layers is small")]
        let residual_std = self.initializer_range / (2.0 * self.n_layer as f64).sqrt();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Gpt2::build(
            self,
            &mut Random { rng, std: self.initializer_range, residual_std, device },
            device,
        )
    }
}

impl Gpt2 {
    /// Reads `config.json` and the weights of a Hugging Face directory: f32, f16 or bf16, in one
    /// file or several, names with or without `transformer.` and what trainers put before it, head
    /// tied or stored. A value head beside the model, as TRL stores it, is left.
    ///
    /// # Errors
    /// Missing, misshapen, unknown or non-finite tensors and settings that the model does not have,
    /// by name.
    pub fn load(dir: &ModelDir, device: &Device) -> Result<Self, Gpt2Error> {
        // before the sizes, which other models call otherwise; old files do not say their type
        let KindOfModel { model_type } = dir.config()?;
        if let Some(found) = model_type.filter(|found| found != MODEL_TYPE) {
            return Err(Gpt2Error::Architecture { path: dir.path().to_owned(), found });
        }
        let config = Gpt2Config::read(dir)?;
        config.validate()?;
        let mut weights = dir.weights()?;
        weights.strip_wrappers();
        weights.strip_prefix(PREFIX);
        if config.tie_word_embeddings {
            // of two tensors in one memory a file holds one, under either name
            weights.rename(HEAD, EMBEDDING);
        }
        weights.require(tensors(&config))?;
        let mut source = Stored { weights, device };
        let model = Self::build(&config, &mut source, device)?;
        // old checkpoints carry the causal mask, and tied ones may carry a copy of the embedding as
        // the head
        let unneeded = |name: &str| {
            name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || name.starts_with(VALUE_HEAD)
                || (config.tie_word_embeddings && name == HEAD)
        };
        source.weights.finish(unneeded)?;
        Ok(model)
    }

    fn build(
        config: &Gpt2Config,
        source: &mut impl Source,
        device: &Device,
    ) -> Result<Self, Gpt2Error> {
        config.validate()?;
        let (d, inner) = (config.n_embd, config.inner());
        let all = source.tensor(EMBEDDING, [config.written().vocab_size, d])?;
        let (drawn, control) = split_control(all, config);
        let wte = embedding(drawn, device);
        let wpe = embedding(source.tensor("wpe.weight", [config.n_positions, d])?, device);
        let mut h = Vec::with_capacity(config.n_layer);
        for layer in 0..config.n_layer {
            let name = |part: &str| format!("h.{layer}.{part}");
            h.push(Block {
                ln_1: layer_norm(source, &name("ln_1"), config)?,
                attn: Attention {
                    c_attn: linear(source, &name("attn.c_attn"), [d, 3 * d])?,
                    c_proj: linear(source, &name("attn.c_proj"), [d, d])?,
                    n_head: config.n_head,
                },
                ln_2: layer_norm(source, &name("ln_2"), config)?,
                mlp: Mlp {
                    c_fc: linear(source, &name("mlp.c_fc"), [d, inner])?,
                    c_proj: linear(source, &name("mlp.c_proj"), [inner, d])?,
                },
            });
        }
        let ln_f = layer_norm(source, "ln_f", config)?;
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => {
                let all = source.tensor(HEAD, [config.written().vocab_size, d])?;
                Some(Param::from_tensor(split_control(all, config).0))
            }
        };
        let control = control.map(Param::from_tensor);
        Ok(Self { wte, wpe, h, ln_f, lm_head, control, config: config.clone() })
    }

    /// What other programs must know to draw no control token: `suppress_tokens` of transformers'
    /// `generation_config.json`. None without control tokens.
    fn generation_settings(&self) -> Option<serde_json::Value> {
        let Gpt2Config { vocab_size, control_tokens, bos_token_id, eos_token_id, .. } = self.config;
        (control_tokens > 0).then(|| {
            serde_json::json!({
                "bos_token_id": bos_token_id,
                "eos_token_id": eos_token_id,
                "suppress_tokens": (vocab_size..vocab_size + control_tokens).collect::<Vec<_>>(),
            })
        })
    }

    /// Writes `config.json` and `model.safetensors` as Hugging Face does; with control tokens,
    /// which are the last of the vocabulary there, `generation_config.json`, too.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub(crate) fn write(&self, dir: &Path, weight_type: WeightType) -> Result<(), CheckpointError> {
        let mut config = serde_json::json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": MODEL_TYPE,
            "torch_dtype": weight_type.name(),
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        });
        let settings = serde_json::to_value(self.config.written()).unwrap_or_default();
        if let (Some(config), serde_json::Value::Object(settings)) =
            (config.as_object_mut(), settings)
        {
            config.extend(settings);
        }
        write_config(dir, &config)?;
        if let Some(settings) = self.generation_settings() {
            write_generation_config(dir, &settings)?;
        }
        // the control tokens are the last rows of both ends of the model
        let with_control =
            |rows: Tensor<2>, control: Tensor<2>| Tensor::cat(vec![rows, control], 0);
        let mut weights = WeightsWriter::new(weight_type);
        let mut put =
            |name: &str, tensor: Tensor<2>| weights.insert(format!("{PREFIX}{name}"), tensor);
        put(
            EMBEDDING,
            match &self.control {
                Some(control) => with_control(self.wte.weight.val(), control.val()),
                None => self.wte.weight.val(),
            },
        );
        put("wpe.weight", self.wpe.weight.val());
        for (layer, block) in self.h.iter().enumerate() {
            let name = |part: &str| format!("{PREFIX}h.{layer}.{part}");
            for (part, linear) in [
                ("attn.c_attn", &block.attn.c_attn),
                ("attn.c_proj", &block.attn.c_proj),
                ("mlp.c_fc", &block.mlp.c_fc),
                ("mlp.c_proj", &block.mlp.c_proj),
            ] {
                weights.insert(name(&format!("{part}.weight")), linear.weight.val());
                weights.insert(name(&format!("{part}.bias")), linear.bias.val());
            }
            for (part, norm) in [("ln_1", &block.ln_1), ("ln_2", &block.ln_2)] {
                weights.insert(name(&format!("{part}.weight")), norm.weight.val());
                weights.insert(name(&format!("{part}.bias")), norm.bias.val());
            }
        }
        weights.insert(format!("{PREFIX}ln_f.weight"), self.ln_f.weight.val());
        weights.insert(format!("{PREFIX}ln_f.bias"), self.ln_f.bias.val());
        if let Some(head) = &self.lm_head {
            let head = head.val();
            weights.insert(
                HEAD,
                match &self.control {
                    Some(control) => with_control(head, control.val().zeros_like()),
                    None => head,
                },
            );
        }
        weights.write(&dir.join("model.safetensors"))
    }
}

/// Names and shapes of all tensors, in the order of [`Gpt2::build`].
fn tensors(config: &Gpt2Config) -> impl Iterator<Item = (String, Vec<usize>)> {
    let (d, inner) = (config.n_embd, config.inner());
    let vocab = config.written().vocab_size;
    let whole = [(EMBEDDING, vec![vocab, d]), ("wpe.weight", vec![config.n_positions, d])];
    let block = move |layer: usize| {
        let parts = [
            ("ln_1.weight", vec![d]),
            ("ln_1.bias", vec![d]),
            ("attn.c_attn.weight", vec![d, 3 * d]),
            ("attn.c_attn.bias", vec![3 * d]),
            ("attn.c_proj.weight", vec![d, d]),
            ("attn.c_proj.bias", vec![d]),
            ("ln_2.weight", vec![d]),
            ("ln_2.bias", vec![d]),
            ("mlp.c_fc.weight", vec![d, inner]),
            ("mlp.c_fc.bias", vec![inner]),
            ("mlp.c_proj.weight", vec![inner, d]),
            ("mlp.c_proj.bias", vec![d]),
        ];
        parts.map(|(part, shape)| (format!("h.{layer}.{part}"), shape))
    };
    let head = (!config.tie_word_embeddings).then(|| (HEAD, vec![vocab, d]));
    let last = [("ln_f.weight", vec![d]), ("ln_f.bias", vec![d])].into_iter().chain(head);
    let named = |(name, shape): (&str, Vec<usize>)| (name.to_owned(), shape);
    whole.into_iter().map(named).chain((0..config.n_layer).flat_map(block)).chain(last.map(named))
}

/// The rows of the tokens that are drawn, and those of the control tokens, if there are any.
fn split_control(all: Tensor<2>, config: &Gpt2Config) -> (Tensor<2>, Option<Tensor<2>>) {
    if config.control_tokens == 0 {
        return (all, None);
    }
    let drawn = config.vocab_size;
    (all.clone().slice(s![..drawn, ..]), Some(all.slice(s![drawn.., ..])))
}

fn embedding(rows: Tensor<2>, device: &Device) -> Embedding {
    let mut embedding = EmbeddingConfig::new(1, 1).init(device);
    embedding.weight = Param::from_tensor(rows);
    embedding
}

/// Hugging Face's `Conv1D` stores `[in, out]`, as Burn does: no transpose.
fn linear(source: &mut impl Source, name: &str, shape: [usize; 2]) -> Result<Linear, Gpt2Error> {
    Ok(Linear::new(
        source.tensor(&format!("{name}.weight"), shape)?,
        source.tensor(&format!("{name}.bias"), [shape[1]])?,
    ))
}

fn layer_norm(
    source: &mut impl Source,
    name: &str,
    config: &Gpt2Config,
) -> Result<LayerNorm, Gpt2Error> {
    Ok(LayerNorm {
        weight: Param::from_tensor(source.tensor(&format!("{name}.weight"), [config.n_embd])?),
        bias: Param::from_tensor(source.tensor(&format!("{name}.bias"), [config.n_embd])?),
        epsilon: config.layer_norm_epsilon,
    })
}
