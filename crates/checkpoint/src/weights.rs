//! One safetensors file in, checked tensor by tensor, and out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};

use crate::directory::write_file;
use crate::error::CheckpointError;

/// Bytes of the length field before the header.
const LENGTH_BYTES: u64 = 8;

/// Where a tensor lies in the file.
#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    offset: u64,
    bytes: usize,
}

/// A safetensors file whose header was read and checked; tensors are read one by one, so that the file is never in memory
/// as a whole beside them.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    file: File,
    entries: BTreeMap<String, Entry>,
    used: BTreeSet<String>,
}

impl Weights {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] if the file is cut short, its header is no JSON, or tensors overlap or leave gaps.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let failed = || CheckpointError::io("read", path);
        let damaged = |reason: String| CheckpointError::Damaged { path: path.into(), reason };
        let mut file = File::open(path).map_err(failed())?;
        let size = file.metadata().map_err(failed())?.len();
        let mut length = [0; 8];
        if size < LENGTH_BYTES {
            return Err(damaged(format!("it has {size} bytes, expected at least {LENGTH_BYTES}")));
        }
        file.read_exact(&mut length).map_err(failed())?;
        let header = u64::from_le_bytes(length);
        if header > size - LENGTH_BYTES {
            return Err(damaged(format!("its header should have {header} bytes, but only {} follow", size - LENGTH_BYTES)));
        }
        let mut buffer = Vec::new();
        file.by_ref().take(header).read_to_end(&mut buffer).map_err(failed())?;
        let text = std::str::from_utf8(&buffer).map_err(|error| damaged(format!("its header is not UTF-8: {error}")))?;
        // reading the header this way also checks shapes, types and offsets against each other
        let metadata: Metadata = serde_json::from_str(text).map_err(|error| damaged(format!("its header: {error}")))?;
        let data = size - LENGTH_BYTES - header;
        if metadata.data_len() as u64 != data {
            return Err(damaged(format!("its header describes {} bytes of tensors, found {data}", metadata.data_len())));
        }
        let entry = |info: &TensorInfo| Entry {
            dtype: info.dtype,
            shape: info.shape.clone(),
            offset: LENGTH_BYTES + header + info.data_offsets.0 as u64,
            bytes: info.data_offsets.1 - info.data_offsets.0,
        };
        let entries = metadata.tensors().into_iter().map(|(name, info)| (name, entry(info))).collect();
        Ok(Self { path: path.into(), file, entries, used: BTreeSet::new() })
    }

    /// Makes every name that starts with `prefix` known without it.
    pub fn strip_prefix(&mut self, prefix: &str) {
        let entries = std::mem::take(&mut self.entries);
        let strip = |name: String| name.strip_prefix(prefix).map_or(name.clone(), str::to_owned);
        self.entries = entries.into_iter().map(|(name, entry)| (strip(name), entry)).collect();
    }

    /// Whether there is a tensor of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Shape of a tensor, if it is there.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// Missing, of another shape or type, or not finite: each names the file, the tensor, what was found and expected.
    pub fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, CheckpointError> {
        let (path, name_owned) = (self.path.clone(), name.to_owned());
        let Some(entry) = self.entries.get(name) else {
            return Err(CheckpointError::MissingTensor { path, name: name_owned, expected: shape.to_vec() });
        };
        if entry.shape != shape {
            let (found, expected) = (entry.shape.clone(), shape.to_vec());
            return Err(CheckpointError::Shape { path, name: name_owned, found, expected });
        }
        let mut bytes = vec![0; entry.bytes];
        let read = self.file.seek(SeekFrom::Start(entry.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(CheckpointError::io("read", &path))?;
        let halves = || bytes.as_chunks::<2>().0.iter();
        let values: Vec<f32> = match entry.dtype {
            Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F16 => halves().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => halves().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            other => {
                return Err(CheckpointError::ElementType { path, name: name_owned, found: format!("{other:?}") });
            }
        };
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(CheckpointError::NotFinite { path, name: name_owned, index, value: values[index] });
        }
        self.used.insert(name_owned);
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// Checks that every tensor was read, but for those to `ignore`: a model that silently leaves weights out is wrong.
    ///
    /// # Errors
    /// [`CheckpointError::UnknownTensors`] names the first of them.
    pub fn finish(self, ignore: impl Fn(&str) -> bool) -> Result<(), CheckpointError> {
        let unknown: Vec<&str> = self.names().filter(|name| !self.used.contains(*name) && !ignore(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let shown = unknown.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let names = if unknown.len() > 5 { format!("{shown}, ..") } else { shown };
        Err(CheckpointError::UnknownTensors { path: self.path.clone(), count: unknown.len(), names })
    }
}

/// Element type of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightType {
    /// Exact.
    F32,
    /// Half the size; eleven significant bits.
    F16,
}

impl WeightType {
    /// The name in Hugging Face's `torch_dtype`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
        }
    }
}

/// Tensors on their way into a safetensors file.
#[derive(Debug)]
pub struct WeightsWriter {
    weight_type: WeightType,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl WeightsWriter {
    /// No tensors yet.
    #[must_use]
    pub fn new(weight_type: WeightType) -> Self {
        Self { weight_type, tensors: BTreeMap::new() }
    }

    /// Adds a tensor; a name that is there already is replaced.
    pub fn insert<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        let data = tensor.into_data();
        let values = data.iter::<f32>();
        let bytes = match self.weight_type {
            WeightType::F32 => values.flat_map(f32::to_le_bytes).collect(),
            WeightType::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        };
        self.tensors.insert(name.into(), (shape, bytes));
    }

    /// Writes the file in Hugging Face's layout (`format: pt`), tensors in a fixed order, whole or not at all.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] names the file.
    pub fn write(self, path: &Path) -> Result<(), CheckpointError> {
        let damaged =
            |error: safetensors::SafeTensorError| CheckpointError::Damaged { path: path.into(), reason: error.to_string() };
        let dtype = match self.weight_type {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
        };
        let views = self.tensors.iter().map(|(name, (shape, bytes))| Ok((name, TensorView::new(dtype, shape.clone(), bytes)?)));
        let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(damaged)?;
        write_file(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn write(dir: &Path, header: &str, data: &[u8]) -> PathBuf {
        let path = dir.join("model.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Message of opening a file and reading `w` of shape [2].
    fn message(header: &str, data: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), header, data);
        let error = match Weights::open(&path) {
            Err(error) => error,
            Ok(mut weights) => weights.tensor("w", [2], &Device::flex()).map(|_| ()).unwrap_err(),
        };
        let text = error.to_string();
        assert!(text.contains("model.safetensors"), "names the file: {text}");
        text
    }

    const GOOD: &str = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

    #[test]
    fn every_kind_of_damage_has_its_own_message() {
        assert!(message(GOOD, &[0; 7]).contains("describes 8 bytes of tensors, found 7"));
        assert!(message(GOOD, &[0; 9]).contains("found 9"));
        assert!(message("{\"w\": nonsense}", &[]).contains("its header"));
        let overlap =
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
        assert!(message(overlap, &[0; 12]).contains("offset"));
        let wrong_size = r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
        assert!(message(wrong_size, &[0; 8]).contains("invalid shape"));
        assert!(message(&GOOD.replace("\"w\"", "\"v\""), &[0; 8]).contains("no tensor w (expected with shape [2])"));
        let shape = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        assert!(message(shape, &[0; 8]).contains("w has shape [1, 2], expected [2]"));
        let ints = r#"{"w":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#;
        assert!(message(ints, &[0; 16]).contains("w has type I64, expected F32, F16 or BF16"));
        let nan = [1.0f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
        assert!(message(GOOD, &nan).contains("w holds NaN at element 1"));
    }

    #[test]
    fn short_files_and_endless_headers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        for (bytes, expected) in [
            (vec![1, 2, 3], "it has 3 bytes"),
            (u64::MAX.to_le_bytes().to_vec(), "but only 0 follow"),
            ([&4u64.to_le_bytes()[..], &[0xff, 0xfe, 0, 0]].concat(), "UTF-8"),
        ] {
            fs::write(&path, bytes).unwrap();
            let text = Weights::open(&path).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn tensors_that_nobody_reads_are_an_error_unless_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), GOOD, &[0; 8]);
        let text = Weights::open(&path).unwrap().finish(|_| false).unwrap_err().to_string();
        assert!(text.contains("1 tensors that this model does not have: w"), "{text}");
        assert!(Weights::open(&path).unwrap().finish(|name| name == "w").is_ok());
        let mut weights = Weights::open(&path).unwrap();
        weights.tensor("w", [2], &Device::flex()).unwrap();
        assert!(weights.finish(|_| false).is_ok());
    }

    #[test]
    fn bf16_is_read_and_prefixes_are_stripped() {
        let dir = tempfile::tempdir().unwrap();
        let header = r#"{"transformer.w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
        let data = [bf16::from_f32(1.5).to_le_bytes(), bf16::from_f32(-2.0).to_le_bytes()].concat();
        let mut weights = Weights::open(&write(dir.path(), header, &data)).unwrap();
        weights.strip_prefix("transformer.");
        assert!(weights.contains("w") && weights.shape("w") == Some(&[2][..]));
        assert_eq!(weights.tensor("w", [2], &Device::flex()).unwrap().into_data().try_to_vec::<f32>().unwrap(), [1.5, -2.0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(-6e4f32..6e4, 6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("w.safetensors");
            for weight_type in [WeightType::F32, WeightType::F16] {
                let tensor = Tensor::<2>::from_data(TensorData::new(values.clone(), [2, 3]), &Device::flex());
                let mut writer = WeightsWriter::new(weight_type);
                writer.insert("b", tensor.clone());
                writer.insert("a", tensor.transpose());
                writer.write(&path).unwrap();
                let mut weights = Weights::open(&path).unwrap();
                let back = weights.tensor("b", [2, 3], &Device::flex()).unwrap().into_data().try_to_vec::<f32>().unwrap();
                let expected: Vec<f32> = match weight_type {
                    WeightType::F32 => values.clone(),
                    WeightType::F16 => values.iter().map(|&v| f16::from_f32(v).to_f32()).collect(),
                };
                prop_assert_eq!(back, expected);
                prop_assert_eq!(weights.shape("a"), Some(&[3, 2][..]));
            }
        }
    }
}
