//! Packed files and archives, unpacked as they are read.
//!
//! `a.zip/b.csv` is the file `b.csv` of the archive `a.zip`. An archive of one file is that file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::DataError;
use crate::kind::{PACKED, ZIP, kind_of_name};

/// What is unpacked into memory, and not read as it is unpacked, is at most so many times as large
/// as it is packed...
const MOST_TIMES: u64 = 20;
/// ...or as large as this.
const MOST_BYTES: u64 = 1 << 26;
/// Packed files within packed files are unpacked so often.
const DEEPEST: usize = 4;

/// A file as it is without its packing.
pub(crate) struct Unpacked {
    path: PathBuf,
    /// The file's name, without the endings that say how it is packed.
    pub(crate) name: String,
    pub(crate) read: Box<dyn BufRead>,
    /// Bytes of the file that holds it.
    packed: u64,
    is_packed: bool,
}

/// What is read from any place on.
pub(crate) trait ReadAnywhere: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadAnywhere for T {}

/// What is unpacked so far.
enum Content {
    File(Box<dyn ReadAnywhere>),
    Stream(Box<dyn BufRead>),
}

impl Content {
    /// The first bytes, which stay to be read.
    fn begins(&mut self) -> io::Result<[u8; 4]> {
        let (mut begins, mut bytes) = ([0; 4], Vec::new());
        match self {
            Self::File(file) => {
                file.take(4).read_to_end(&mut bytes)?;
                file.rewind()?;
            }
            Self::Stream(stream) => {
                stream.take(4).read_to_end(&mut bytes)?;
                let rest = std::mem::replace(stream, Box::new(io::empty()));
                *stream = Box::new(Cursor::new(bytes.clone()).chain(rest));
            }
        }
        begins.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        Ok(begins)
    }

    fn stream(self) -> Box<dyn BufRead> {
        match self {
            Self::File(file) => buffered(file),
            Self::Stream(stream) => stream,
        }
    }
}

/// Anything that is read, in large pieces.
fn buffered(read: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(1 << 16, read))
}

/// Opens a file, or a file of an archive.
pub(crate) fn open(path: &Path) -> Result<Unpacked, DataError> {
    let (outer, mut inside) = parted(path);
    let failed = |error: io::Error| unreadable(path, &error);
    let metadata = std::fs::metadata(outer).map_err(failed)?;
    if !metadata.is_file() {
        return Err(unreadable(path, &"it is not a file"));
    }
    let (packed, mut is_packed) = (metadata.len(), false);
    let mut name = outer.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut content = Content::File(Box::new(File::open(outer).map_err(failed)?));
    for _ in 0..DEEPEST {
        let stream = match content.begins().map_err(failed)? {
            [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => {
                let archive = match content {
                    Content::File(file) => file,
                    Content::Stream(mut stream) => {
                        Box::new(Cursor::new(whole(path, &mut stream, packed)?))
                    }
                };
                let (inner, stream) = member(path, archive, inside.take().as_deref())?;
                name = inner;
                stream
            }
            [0x1f, 0x8b, ..] => buffered(MultiGzDecoder::new(content.stream())),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                buffered(zstd::Decoder::with_buffer(content.stream()).map_err(failed)?)
            }
            _ => break,
        };
        (content, is_packed) = (Content::Stream(stream), true);
        let lower = name.to_ascii_lowercase();
        if let Some(ending) =
            PACKED.iter().find(|ending| **ending != ZIP && lower.ends_with(**ending))
        {
            name.truncate(name.len() - ending.len());
        }
    }
    if let Some(inside) = inside {
        let reason =
            format!("{} is no archive, which could hold {}", outer.display(), inside.display());
        return Err(unreadable(path, &reason));
    }
    Ok(Unpacked { path: path.into(), name, read: content.stream(), packed, is_packed })
}

impl Unpacked {
    /// All of it, to be read back and forth: the file itself, or its bytes in memory.
    pub(crate) fn into_bytes(mut self) -> Result<Box<dyn ReadAnywhere>, DataError> {
        if self.is_packed {
            return Ok(Box::new(Cursor::new(whole(&self.path, &mut self.read, self.packed)?)));
        }
        Ok(Box::new(File::open(&self.path).map_err(|error| self.unreadable(&error))?))
    }

    /// Says that it cannot be read.
    pub(crate) fn unreadable(&self, error: &io::Error) -> DataError {
        let error = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "it is cut off: it ends before what is packed in it does".to_owned()
            }
            _ => error.to_string(),
        };
        unreadable(&self.path, &error)
    }
}

/// The names of the files of an archive; nothing for what is none.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let archive = File::open(path).ok().and_then(|file| ZipArchive::new(file).ok());
    archive.map(|archive| files(&archive)).unwrap_or_default()
}

/// The file that is there, and what is asked for within it.
fn parted(path: &Path) -> (&Path, Option<PathBuf>) {
    match path.ancestors().skip(1).find(|outer| outer.is_file()) {
        Some(outer) if !path.exists() => {
            (outer, path.strip_prefix(outer).ok().map(Path::to_path_buf))
        }
        _ => (path, None),
    }
}

fn files<R: Read + Seek>(archive: &ZipArchive<R>) -> Vec<String> {
    // what macOS adds
    let is_file = |name: &&str| {
        !name.ends_with('/') && !name.starts_with("__MACOSX/") && !name.ends_with(".DS_Store")
    };
    archive.file_names().filter(is_file).map(str::to_owned).collect()
}

/// The file of an archive that is asked for, or else the only one: its name and its content.
fn member(
    path: &Path,
    file: Box<dyn ReadAnywhere>,
    inside: Option<&Path>,
) -> Result<(String, Box<dyn BufRead>), DataError> {
    let failed = |error: ZipError| unreadable(path, &error);
    let mut archive = ZipArchive::new(file).map_err(failed)?;
    let names = files(&archive);
    let name = match (inside, names.as_slice()) {
        _ if names.iter().any(|name| name == "xl/workbook.xml") => return Err(excel(path)),
        (Some(inside), names) => {
            let name = names.iter().find(|name| Path::new(name) == inside);
            name.ok_or_else(|| {
                unreadable(path, &format!("the archive has no such file, but {}", names.join(", ")))
            })?
        }
        (None, [only]) => only,
        (None, names) => {
            let example = path.join(names.first().map_or("table.csv", String::as_str));
            let (count, names, example) = (names.len(), names.join(", "), example.display());
            let reason = format!(
                "it is an archive of {count} files ({names}), expected one: name a file as \
                 {example}"
            );
            return Err(unreadable(path, &reason));
        }
    };
    let place = archive.index_for_name(name).unwrap_or_default();
    let entry = archive.by_index_raw(place).map_err(failed)?;
    let (method, packed, bytes, expected) =
        (entry.compression(), entry.compressed_size(), entry.size(), entry.crc32());
    let is_known = matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated);
    let start = entry.data_start().filter(|_| is_known && !entry.encrypted());
    drop(entry);
    let start = start.ok_or_else(|| {
        unreadable(path, &"it is encrypted, or packed in a rare way: unpack the archive first")
    })?;
    let mut file = archive.into_inner();
    file.seek(SeekFrom::Start(start)).map_err(|error| unreadable(path, &error))?;
    let packed = file.take(packed);
    let read: Box<dyn Read> = match method {
        CompressionMethod::Stored => Box::new(packed),
        _ => Box::new(DeflateDecoder::new(packed)),
    };
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, buffered(Checked { read, sum: Crc::new(), expected, bytes })))
}

fn excel(path: &Path) -> DataError {
    let command = format!(
        "python3 -c 'import pandas; pandas.read_excel({path:?}).to_parquet(\"table.parquet\")'"
    );
    let (found, way_out) = ("an Excel file".into(), format!("this makes it readable: {command}"));
    DataError::Unsupported { path: path.into(), found, way_out }
}

/// All bytes of what has no other way to be read.
fn whole(path: &Path, read: &mut dyn BufRead, packed: u64) -> Result<Vec<u8>, DataError> {
    let (mut bytes, most) = (Vec::new(), packed.saturating_mul(MOST_TIMES).max(MOST_BYTES));
    read.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > most {
        return Err(unreadable(
            path,
            &format!(
                "unpacked it has more than {most} bytes, too many for the memory: unpack it first"
            ),
        ));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> DataError {
    DataError::unreadable(path, kind_of_name(path), reason)
}

/// Says at the end if what was read is not what was packed.
struct Checked {
    read: Box<dyn Read>,
    sum: Crc,
    expected: u32,
    bytes: u64,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(buffer)?;
        self.sum.update(&buffer[..read]);
        let is_whole = || {
            self.sum.sum() == self.expected
                && u64::from(self.sum.amount()) == self.bytes & 0xffff_ffff
        };
        if read == 0 && !buffer.is_empty() && !is_whole() {
            return Err(io::Error::other("it is damaged: its check sum is another"));
        }
        Ok(read)
    }
}
