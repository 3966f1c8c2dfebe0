//! Whether an optimiser's record is that of a model.
//!
//! Burn keys a record by parameter ids. Moments of other ids are loaded without a word and never
//! used, and the model's own parameters begin with none: training goes on, and comes to other
//! numbers.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::burn_pack::Reader;
use burn::tensor::Tensor;

/// Refuses a record that holds moments of parameters that the model does not have, or of another
/// shape. It may lack some: what was not trained yet has no moments.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check<M: Module>(record: &Path, model: &M) -> Result<(), String> {
    let mut shapes = Shapes::default();
    model.visit(&mut shapes);
    let Shapes(shapes) = shapes;
    // data are read when they are asked for, and here they are not
    let tensors = Reader::from_file_exact(record)
        .and_then(Reader::into_tensors)
        .map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    for tensor in tensors {
        let id =
            tensor.param_id.ok_or_else(|| format!("{} belongs to no parameter", tensor.name))?;
        found.insert(id, tensor.shape.to_vec());
    }
    let known = found.keys().filter(|id| shapes.contains_key(id)).count();
    if known < found.len() {
        let (of_record, of_model) = (found.len(), shapes.len());
        return Err(format!(
            "it is of another model: {known} of its {of_record} parameters are among the \
             {of_model} of the model"
        ));
    }
    let differs = |(id, shape): (&u64, &Vec<usize>)| {
        shapes.get(id).filter(|expected| *expected != shape).cloned().map(|e| (shape.clone(), e))
    };
    match found.iter().find_map(differs) {
        Some((shape, expected)) => {
            Err(format!("it holds moments of shape {shape:?} of a parameter of shape {expected:?}"))
        }
        None => Ok(()),
    }
}

/// Shapes of the parameters by their ids.
#[derive(Default)]
struct Shapes(BTreeMap<u64, Vec<usize>>);

impl ModuleVisitor for Shapes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id.val(), param.val().dims().to_vec());
    }
}
