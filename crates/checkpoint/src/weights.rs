//! Reading safetensors files, tensor by tensor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};

use crate::error::{CheckpointError, listed};
use crate::header::{self, Entry};

/// What trainers put before every name of the model that they wrap: PyTorch's `compile` and
/// `DataParallel`, TRL's and trlX's models with a value head, and PEFT's.
const WRAPPERS: &[&str] =
    &["_orig_mod.", "module.", "pretrained_model.", "base_model.model.", "base_model."];

/// The weights of a model: one open safetensors file, or several, whose headers have been read and
/// checked.
///
/// Tensors are read one by one when asked for, so that a file never lies in memory whole. It is
/// remembered which ones were asked for: [`Weights::finish`] reports the others.
#[derive(Debug)]
pub struct Weights {
    /// The file, or the index of several.
    path: PathBuf,
    files: Vec<OpenFile>,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    /// Position of the first data byte.
    data: u64,
}

#[derive(Debug)]
struct Stored {
    entry: Entry,
    /// Index into the files.
    file: usize,
    used: bool,
}

/// The names in a file, each with its place.
type Contents = (OpenFile, BTreeMap<String, Entry>);

fn open(path: &Path) -> Result<Contents, CheckpointError> {
    let mut file = File::open(path).map_err(CheckpointError::io(path, "read"))?;
    let (entries, data) = header::read(&mut file, path)?;
    Ok((OpenFile { path: path.to_owned(), file, data }, entries))
}

impl Weights {
    /// Opens a file and checks its header: its size, its text, and that the tensors lie end to end
    /// up to the file's end.
    ///
    /// # Errors
    /// A file that cannot be read, was cut short, or whose header is damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Ok(Self::of(path, vec![open(path)?]))
    }

    /// Opens the files that an index, `model.safetensors.index.json`, names for each tensor.
    ///
    /// # Errors
    /// An index that is none; files that are not there, all by name; a tensor that is not in the
    /// file that the index names, or is in two files; those of [`Weights::open`].
    pub fn open_sharded(index: &Path) -> Result<Self, CheckpointError> {
        let places = crate::shards::read(index)?;
        let mut files: Vec<Contents> = Vec::new();
        for shard in crate::shards::files(index, &places)? {
            files.push(open(&shard)?);
        }
        crate::shards::check(index, &places, |shard, name| {
            let found = files
                .iter()
                .find(|(file, _)| file.path.file_name().is_some_and(|found| found == shard));
            found.is_some_and(|(_, entries)| entries.contains_key(name))
        })?;
        let mut seen: BTreeMap<&String, &Path> = BTreeMap::new();
        for (file, name) in
            files.iter().flat_map(|(file, entries)| entries.keys().map(move |name| (file, name)))
        {
            if let Some(other) = seen.insert(name, &file.path) {
                let (path, name, other) = (file.path.clone(), name.clone(), other.to_owned());
                return Err(CheckpointError::InTwoFiles { path, name, other });
            }
        }
        Ok(Self::of(index, files))
    }

    fn of(path: &Path, contents: Vec<Contents>) -> Self {
        let (mut files, mut tensors) = (Vec::new(), BTreeMap::new());
        for (file, entries) in contents {
            let at = files.len();
            tensors.extend(
                entries
                    .into_iter()
                    .map(|(name, entry)| (name, Stored { entry, file: at, used: false })),
            );
            files.push(file);
        }
        let weights = Self { path: path.to_owned(), files, tensors };
        tracing::debug!("{}: {}", path.display(), weights.summary());
        weights
    }

    /// How many tensors of which types: `148 tensors (BF16)`.
    fn summary(&self) -> String {
        let mut types: Vec<&str> =
            self.tensors.values().map(|stored| stored.entry.dtype.as_str()).collect();
        types.sort_unstable();
        types.dedup();
        format!("{} tensors ({})", self.tensors.len(), types.join(", "))
    }

    /// Makes names that start with `prefix` known without it. A name that would then exist twice is
    /// left as it is.
    pub fn strip_prefix(&mut self, prefix: &str) {
        let longer: Vec<String> =
            self.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        for name in longer {
            let short = &name[prefix.len()..];
            if !self.tensors.contains_key(short)
                && let Some(stored) = self.tensors.remove(&name)
            {
                self.tensors.insert(short.to_owned(), stored);
            }
        }
    }

    /// Makes names known without the prefixes that trainers put before those of the model that they
    /// wrap: `_orig_mod.`, `module.`, `pretrained_model.`, `base_model.`, in any order.
    pub fn strip_wrappers(&mut self) {
        while let Some(prefix) = WRAPPERS
            .iter()
            .find(|prefix| self.tensors.keys().any(|name| name.starts_with(**prefix)))
        {
            let before = self.tensors.keys().filter(|name| name.starts_with(prefix)).count();
            self.strip_prefix(prefix);
            let after = self.tensors.keys().filter(|name| name.starts_with(prefix)).count();
            tracing::debug!(
                "{}: {} names without their {prefix:?}",
                self.path.display(),
                before - after
            );
            if after == before {
                // they would exist twice
                break;
            }
        }
    }

    /// Makes a tensor known by another name, if there is none of that name.
    pub fn rename(&mut self, from: &str, to: &str) {
        if !self.tensors.contains_key(to)
            && let Some(stored) = self.tensors.remove(from)
        {
            self.tensors.insert(to.to_owned(), stored);
        }
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| stored.entry.shape.as_slice())
    }

    /// Refuses a tensor that is there and has another shape.
    ///
    /// # Errors
    /// Both shapes.
    pub fn expect_shape(&self, name: &str, shape: &[usize]) -> Result<(), CheckpointError> {
        match self.tensors.get(name) {
            Some(Stored { entry, file, .. }) if entry.shape != shape => {
                let (path, name, found) =
                    (self.files[*file].path.clone(), name.to_owned(), entry.shape.clone());
                Err(CheckpointError::Shape { path, name, found, expected: shape.to_vec() })
            }
            _ => Ok(()),
        }
    }

    /// Refuses weights that lack some of these tensors, each with the shape that it should have.
    ///
    /// # Errors
    /// All that are missing.
    pub fn require(
        &self,
        wanted: impl IntoIterator<Item = (String, Vec<usize>)>,
    ) -> Result<(), CheckpointError> {
        let mut missing =
            wanted.into_iter().filter(|(name, _)| !self.contains(name)).take(MOST_MISSING);
        match missing.next() {
            None => Ok(()),
            Some((name, expected)) => {
                let others = missing.map(|(name, _)| name).collect();
                Err(CheckpointError::MissingTensor {
                    path: self.path.clone(),
                    name,
                    expected,
                    others,
                })
            }
        }
    }

    /// Reads one tensor as f32 and marks it as used. It may be f32, f16 or bf16 in the file.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape or another type, or holds a number that is not
    /// finite.
    pub fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, CheckpointError> {
        let values = self.values(name, &shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// Reads a matrix that the file holds transposed, as PyTorch's `Linear` has its weight: `shape`
    /// is that of the result, whose rows stand one after another.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn transposed(
        &mut self,
        name: &str,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<Tensor<2>, CheckpointError> {
        let values = self.values(name, &[shape[1], shape[0]])?;
        Ok(Tensor::from_data(TensorData::new(transpose(&values, shape), shape), device))
    }

    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        self.expect_shape(name, shape)?;
        let Some(Stored { entry, file, used }) = self.tensors.get_mut(name) else {
            let (path, expected) = (self.path.clone(), shape.to_vec());
            return Err(CheckpointError::MissingTensor {
                path,
                name: name.to_owned(),
                expected,
                others: Vec::new(),
            });
        };
        let OpenFile { path, file, data } = &mut self.files[*file];
        let (path, name) = (&*path, || name.to_owned());
        let decode = match entry.dtype.as_str() {
            "F32" => decode_f32,
            "F16" => decode_f16,
            "BF16" => decode_bf16,
            found => {
                return Err(CheckpointError::Type {
                    path: path.clone(),
                    name: name(),
                    found: found.to_owned(),
                });
            }
        };
        let [begin, end] = entry.data_offsets;
        let too_large = |_| CheckpointError::TooLarge {
            path: path.clone(),
            name: name(),
            shape: shape.to_vec(),
        };
        let mut bytes = vec![0; usize::try_from(end - begin).map_err(too_large)?];
        file.seek(SeekFrom::Start(*data + begin)).map_err(CheckpointError::io(path, "read"))?;
        file.read_exact(&mut bytes).map_err(CheckpointError::io(path, "read"))?;
        let values = decode(&bytes);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let found = values[index];
            return Err(CheckpointError::NotFinite {
                path: path.clone(),
                name: name(),
                index,
                found,
            });
        }
        *used = true;
        Ok(values)
    }

    /// Ends the reading: every tensor must have been used, or be one that `ignore` knows.
    ///
    /// # Errors
    /// The names of the tensors that nobody asked for: the file belongs to another model than the
    /// configuration says.
    pub fn finish(self, ignore: impl Fn(&str) -> bool) -> Result<(), CheckpointError> {
        let left =
            self.tensors.into_iter().filter(|(_, stored)| !stored.used).map(|(name, _)| name);
        let (ignored, names): (Vec<String>, Vec<String>) = left.partition(|name| ignore(name));
        if !ignored.is_empty() {
            tracing::debug!(
                "{}: {} tensors are not used: {}",
                self.path.display(),
                ignored.len(),
                listed(&ignored)
            );
        }
        if names.is_empty() {
            Ok(())
        } else {
            Err(CheckpointError::Unused { path: self.path, names })
        }
    }
}

/// Names of missing tensors that a message counts: a wrong architecture lacks all of them.
const MOST_MISSING: usize = 1_000;

/// The rows of a matrix of this shape, whose columns stand one after another.
fn transpose(columns: &[f32], [rows, width]: [usize; 2]) -> Vec<f32> {
    /// Rows written side by side, so that they stay in the cache.
    const TILE: usize = 32;
    let mut values = vec![0.0; columns.len()];
    for begin in (0..rows).step_by(TILE) {
        let end = rows.min(begin + TILE);
        for column in 0..width {
            for row in begin..end {
                values[row * width + column] = columns[column * rows + row];
            }
        }
    }
    values
}

fn decode_f32(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn decode_f16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
}

fn decode_bf16(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()
}

#[cfg(test)]
mod tests;
