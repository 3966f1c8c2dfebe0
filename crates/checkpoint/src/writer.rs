//! Writing one safetensors file.

use std::path::Path;

use burn::tensor::{DType, Tensor, TensorData};
use half::f16;
use tailguard_files::stream_file;

use crate::error::CheckpointError;
use crate::header::{self, Entry};

/// The number format of the weights in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// Single precision: exact.
    F32,
    /// Half precision: 11 significant bits, at most 65,504; half the size.
    F16,
}

impl WeightType {
    /// The name in a `config.json`'s `torch_dtype`: `float32` or `float16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
        }
    }

    fn in_header(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Collects tensors and writes them as one safetensors file.
///
/// The tensors stay on their device until they are written, one at a time.
pub struct WeightsWriter {
    weight_type: WeightType,
    tensors: Vec<Pending>,
}

struct Pending {
    name: String,
    shape: Vec<usize>,
    read: Box<dyn FnOnce() -> TensorData + Send>,
}

impl WeightsWriter {
    /// A writer without tensors yet.
    pub fn new(weight_type: WeightType) -> Self {
        Self { weight_type, tensors: Vec::new() }
    }

    /// Adds a tensor under the name that it shall have in the file. The order of insertion does not
    /// matter.
    pub fn insert<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        self.tensors.push(Pending {
            name: name.into(),
            shape,
            read: Box::new(move || tensor.into_data()),
        });
    }

    /// Writes the file, with the metadata `format: pt` that `transformers` asks for and the tensors
    /// sorted by name, so that equal weights give equal bytes. It appears under its name only when
    /// it is whole; a file of that name is replaced.
    ///
    /// # Errors
    /// A name given twice, a weight that is not finite in the chosen type, or what the file system
    /// says.
    pub fn write(mut self, path: &Path) -> Result<(), CheckpointError> {
        self.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = self.tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(CheckpointError::Duplicate {
                path: path.to_owned(),
                name: pair[0].name.clone(),
            });
        }
        let header = self.header(path)?;
        stream_file(path, |file| {
            file.write_all(&header).map_err(CheckpointError::io(path, "write"))?;
            for pending in self.tensors {
                let bytes = encode(pending, self.weight_type, path)?;
                file.write_all(&bytes).map_err(CheckpointError::io(path, "write"))?;
            }
            Ok(())
        })
    }

    fn header(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let mut entries = Vec::with_capacity(self.tensors.len());
        let mut end = 0_u64;
        for Pending { name, shape, .. } in &self.tensors {
            let begin = end;
            end += shape.iter().map(|&extent| extent as u64).product::<u64>()
                * self.weight_type.bytes();
            let dtype = self.weight_type.in_header().to_owned();
            entries.push((
                name.as_str(),
                Entry { dtype, shape: shape.clone(), data_offsets: [begin, end] },
            ));
        }
        header::write(&entries, "pt")
            .map_err(|source| CheckpointError::Json { path: path.to_owned(), source })
    }
}

/// The bytes of one tensor, little-endian.
fn encode(
    pending: Pending,
    weight_type: WeightType,
    path: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let Pending { name, read, .. } = pending;
    let data = read().convert_dtype(DType::F32);
    let values = data.as_slice::<f32>().map_err(|error| CheckpointError::Unreadable {
        path: path.to_owned(),
        name: name.clone(),
        reason: format!("{error:?}"),
    })?;
    let stored = |value: f32| match weight_type {
        WeightType::F32 => value,
        WeightType::F16 => f16::from_f32(value).to_f32(),
    };
    if let Some(index) = values.iter().position(|&value| !stored(value).is_finite()) {
        return Err(CheckpointError::NotFinite {
            path: path.to_owned(),
            name,
            index,
            found: values[index],
        });
    }
    Ok(match weight_type {
        WeightType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        WeightType::F16 => {
            values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::weights::Weights;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn written(
        weight_type: WeightType,
        tensors: &[(&str, &[f32])],
    ) -> Result<Vec<u8>, CheckpointError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let mut writer = WeightsWriter::new(weight_type);
        for (name, values) in tensors {
            writer.insert(*name, tensor(values));
        }
        let result = writer.write(&path);
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, usize::from(result.is_ok()), "no temporary file is left");
        result.map(|()| fs::read(&path).unwrap())
    }

    #[test]
    fn the_reference_implementation_reads_what_we_write() {
        let bytes = written(WeightType::F32, &[("b", &[1.0, -2.5]), ("a", &[3.0])]).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let b = file.tensor("b").unwrap();
        assert_eq!((b.dtype(), b.shape()), (safetensors::Dtype::F32, &[2][..]));
        assert_eq!(b.data(), [1.0_f32.to_le_bytes(), (-2.5_f32).to_le_bytes()].concat());
    }

    #[test]
    fn the_order_of_insertion_does_not_show() {
        let one = written(WeightType::F16, &[("b", &[1.0]), ("a", &[3.0])]).unwrap();
        let other = written(WeightType::F16, &[("a", &[3.0]), ("b", &[1.0])]).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn data_begin_at_a_multiple_of_eight() {
        for name in ["a", "ab", "abc", "abcd", "abcde"] {
            let bytes = written(WeightType::F32, &[(name, &[1.0])]).unwrap();
            assert_eq!((bytes.len() - 4) % 8, 0);
        }
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        for (weight_type, value) in [
            (WeightType::F32, f32::NAN),
            (WeightType::F32, f32::INFINITY),
            (WeightType::F16, 65_520.0),
        ] {
            let error = written(weight_type, &[("a", &[0.0]), ("b", &[1.0, value])]).unwrap_err();
            assert!(matches!(error, CheckpointError::NotFinite { index: 1, .. }), "{error}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let error =
            written(WeightType::F32, &[("a", &[0.0]), ("b", &[0.0]), ("a", &[1.0])]).unwrap_err();
        assert!(
            error.to_string().ends_with("a was given twice, expected each name once"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let mut writer = WeightsWriter::new(WeightType::F32);
        writer.insert("a", tensor(&[1.0]));
        let error = writer.write(Path::new("nowhere/at/all/model.safetensors")).unwrap_err();
        assert!(
            error.to_string().contains("nowhere/at/all/model.safetensors: cannot write"),
            "{error}"
        );
    }

    fn any_tensors() -> impl Strategy<Value = Vec<(usize, usize, Vec<f32>)>> {
        let values = |(rows, columns)| {
            (
                Just(rows),
                Just(columns),
                prop::collection::vec(-60_000.0_f32..60_000.0, rows * columns),
            )
        };
        prop::collection::vec((1_usize..5, 1_usize..5).prop_flat_map(values), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read_back(tensors in any_tensors(), half in any::<bool>()) {
            let (device, dir) = (Device::flex(), tempfile::tempdir().unwrap());
            let path = dir.path().join("model.safetensors");
            let mut writer =
                WeightsWriter::new(if half { WeightType::F16 } else { WeightType::F32 });
            for (index, (rows, columns, values)) in tensors.iter().enumerate() {
                let data = TensorData::new(values.clone(), [*rows, *columns]);
                writer.insert(format!("t.{index}"), Tensor::<2>::from_data(data, &device));
            }
            writer.write(&path).unwrap();
            let mut weights = Weights::open(&path).unwrap();
            for (index, (rows, columns, values)) in tensors.iter().enumerate() {
                let read =
                    weights.tensor(&format!("t.{index}"), [*rows, *columns], &device).unwrap();
                let stored =
                    |value: &f32| if half { f16::from_f32(*value).to_f32() } else { *value };
                prop_assert_eq!(
                    read.into_data().try_to_vec::<f32>().unwrap(),
                    values.iter().map(stored).collect::<Vec<_>>()
                );
            }
            weights.finish(|_| false).unwrap();
        }

        #[test]
        fn damage_to_the_header_is_an_error_or_harmless(at in 0_usize..120, byte in any::<u8>()) {
            let mut bytes = written(WeightType::F32, &[("a", &[1.0, 2.0]), ("b", &[3.0])]).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), bytes).unwrap();
            if let Ok(mut weights) = Weights::open(file.path()) {
                let _either = weights.tensor("a", [2], &Device::flex());
            }
        }
    }
}
