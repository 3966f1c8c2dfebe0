//! Parameters by name: read from a checkpoint, written to one, or drawn at random.
//!
//! A model is built once, with zeros, and then filled by walking over its parameters. The path of a
//! parameter (`layers.0.attention.query.weight`) becomes the checkpoint's name through a table of
//! the architecture, so that the same encoder serves several of them.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tailguard_checkpoint::{CheckpointError, Weights, WeightsWriter};

/// A piece of a path, and what a checkpoint's name has in its place.
pub(crate) type Rename = (&'static str, &'static str);

/// The layer norms' names in checkpoints that were made from TensorFlow's, as the first ones of
/// BERT were.
const OLD: &[Rename] =
    &[(".LayerNorm.weight", ".LayerNorm.gamma"), (".LayerNorm.bias", ".LayerNorm.beta")];

/// Our `Linear` is `[in, out]`, PyTorch's `[out, in]`: its weight is transposed on the way.
const TRANSPOSED: &str = "Struct:Linear";

/// Standard deviation of the initial weights, as in BERT.
const INITIAL_STD: f64 = 0.02;

/// Where in the model the walk is.
#[derive(Default)]
struct Place {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    fn name(&self, names: &[Rename]) -> String {
        rename(self.path.join("."), names)
    }

    fn is_transposed(&self, rank: usize) -> bool {
        rank == 2 && self.containers.last().is_some_and(|container| container == TRANSPOSED)
    }
}

/// Each piece is replaced once, in order.
fn rename(name: String, names: &[Rename]) -> String {
    names.iter().fold(name, |name, (ours, theirs)| name.replacen(ours, theirs, 1))
}

/// The checkpoint's name of a parameter, which may be the old one.
fn stored_name(place: &Place, names: &[Rename], weights: &Weights) -> String {
    let name = place.name(names);
    let old = rename(name.clone(), OLD);
    if weights.contains(&old) { old } else { name }
}

/// Holds the shape of a parameter that is to be made against the one in the checkpoint, where that
/// has it.
pub(crate) fn expect_shape(
    weights: &Weights,
    names: &[Rename],
    path: &str,
    shape: &[usize],
) -> Result<(), CheckpointError> {
    weights.expect_shape(&rename(path.to_owned(), names), shape)
}

/// Replaces every parameter by the checkpoint's tensor of its name.
pub(crate) fn load<M: Module>(
    model: M,
    weights: &mut Weights,
    names: &[Rename],
    device: &Device,
) -> Result<M, CheckpointError> {
    let mut lister = Lister { place: Place::default(), names, weights, found: Vec::new() };
    model.visit(&mut lister);
    let wanted = lister.found;
    weights.require(wanted)?;
    let mut loader = Loader { place: Place::default(), names, weights, device, error: None };
    let model = model.map(&mut loader);
    loader.error.map_or(Ok(model), Err)
}

/// Lists the names and shapes that a checkpoint should have.
struct Lister<'a> {
    place: Place,
    names: &'a [Rename],
    weights: &'a Weights,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Lister<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape = param.val().dims().to_vec();
        if self.place.is_transposed(D) {
            shape.reverse();
        }
        self.found.push((stored_name(&self.place, self.names, self.weights), shape));
    }
}

struct Loader<'a> {
    place: Place,
    names: &'a [Rename],
    weights: &'a mut Weights,
    device: &'a Device,
    /// The first thing that went wrong; the walk itself cannot stop.
    error: Option<CheckpointError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.val().dims();
        let name = stored_name(&self.place, self.names, self.weights);
        let read = match (self.place.is_transposed(D), shape.as_slice()) {
            // a view would be copied by every pass
            (true, &[rows, width]) => self
                .weights
                .transposed(&name, [rows, width], self.device)
                .map(|matrix| matrix.reshape(shape)),
            _ => self.weights.tensor(&name, shape, self.device),
        };
        match read {
            Ok(tensor) => Param::from_tensor(tensor),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

/// Adds every parameter to a checkpoint under its name.
pub(crate) fn store<M: Module>(model: &M, writer: &mut WeightsWriter, names: &[Rename]) {
    model.visit(&mut Storer { place: Place::default(), names, writer });
}

struct Storer<'a> {
    place: Place,
    names: &'a [Rename],
    writer: &'a mut WeightsWriter,
}

impl ModuleVisitor for Storer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let tensor = if self.place.is_transposed(D) { tensor.swap_dims(0, 1) } else { tensor };
        self.writer.insert(self.place.name(self.names), tensor);
    }
}

/// Draws matrices from a normal distribution, as BERT does; biases become 0 and the scales of layer
/// norms 1.
pub(crate) fn randomize<M: Module>(model: M, seed: u64, device: &Device) -> M {
    model.map(&mut Random { place: Place::default(), rng: ChaCha8Rng::seed_from_u64(seed), device })
}

struct Random<'a> {
    place: Place,
    rng: ChaCha8Rng,
    device: &'a Device,
}

impl ModuleMapper for Random<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let is_scale =
            self.place.containers.last().is_some_and(|container| container == "Struct:LayerNorm")
                && self.place.path.last().is_some_and(|name| name == "weight");
        let tensor = match D {
            1 if is_scale => Tensor::ones(shape, self.device),
            1 => Tensor::zeros(shape, self.device),
            _ => {
                #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
                let draw = |normal: f64| (INITIAL_STD * normal) as f32;
                let values: Vec<f32> = (0..shape.iter().product())
                    .map(|_| draw(StandardNormal.sample(&mut self.rng)))
                    .collect();
                Tensor::from_data(TensorData::new(values, shape), self.device)
            }
        };
        Param::from_tensor(tensor)
    }
}
