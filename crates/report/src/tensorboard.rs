//! Training logs as TensorBoard reads them: event files of scalars.
//!
//! An event file is a row of records (`TFRecord`): 8 bytes of length, 4 bytes of checksum of these,
//! the data, 4 bytes of checksum of the data, all little-endian. The checksum is CRC-32C, rotated
//! right by 15 bits, plus a constant. The data are a message `Event` of protocol buffers, of which
//! no more than four fields are needed here, so it is encoded by hand:
//!
//! ```text
//! Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//! Summary { repeated Value value = 1; }
//! Value { string tag = 1; float simple_value = 2; }
//! ```

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tailguard_files::{AppendFile, create_dirs};

use crate::error::ReportError;
use crate::log::LogRow;
use crate::trl::trl_scalars;

/// TensorBoard takes files that have `tfevents` in their name.
const FILE: &str = "events.out.tfevents.tailguard";
/// What the first event says.
const VERSION: &str = "brain.Event:2";

/// The event file of one training. Every row is in the file when [`append`](Self::append) returns,
/// so that TensorBoard shows a training that goes on.
#[derive(Debug)]
pub struct EventLog {
    file: AppendFile,
}

impl EventLog {
    /// Begins the event file of a folder, which is made if it is not there, with the rows of an
    /// interrupted training: a file that is there is replaced, in its place: TensorBoard may be
    /// reading it.
    ///
    /// The clock times of these rows are counted back from now, by the seconds that they took.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(folder: &Path, rows: &[LogRow]) -> Result<Self, ReportError> {
        create_dirs(folder)?;
        let mut left: f64 = rows.iter().map(seconds).sum();
        let now = now();
        let mut bytes = record(&version(now - left));
        for row in rows {
            left -= seconds(row);
            bytes.extend(record(&scalars(row, now - left)));
        }
        Ok(Self { file: AppendFile::begin_in_place(&folder.join(FILE), &bytes)? })
    }

    /// Adds a row, by the names of TRL.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, row: &LogRow) -> Result<(), ReportError> {
        Ok(self.file.append(&record(&scalars(row, now())))?)
    }

    /// Returns when all rows would survive a power cut.
    ///
    /// # Errors
    /// When the system cannot say so.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        Ok(self.file.sync()?)
    }
}

/// What an iteration took, as far as it is known.
fn seconds(row: &LogRow) -> f64 {
    ["rollout_s", "update_s"]
        .iter()
        .filter_map(|name| row.values.get(*name))
        .filter(|value| value.is_finite())
        .sum()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

/// CRC-32C as `TFRecord` has it: a checksum over data that hold checksums is no good unless these
/// look different.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn version(wall_time: f64) -> Vec<u8> {
    let mut event = double(1, wall_time);
    event.extend(bytes(3, VERSION.as_bytes()));
    event
}

fn scalars(row: &LogRow, wall_time: f64) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in trl_scalars(row) {
        let mut inner = bytes(1, tag.as_bytes());
        inner.extend(float(2, value));
        summary.extend(bytes(1, &inner));
    }
    let mut event = double(1, wall_time);
    event.extend(key(2, 0));
    event.extend(varint(row.iteration));
    event.extend(bytes(5, &summary));
    event
}

/// A field's number and the kind of what follows: 0 a varint, 1 eight bytes, 2 a length and as many
/// bytes, 5 four bytes.
fn key(field: u64, kind: u64) -> Vec<u8> {
    varint(field << 3 | kind)
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [key(field, 1), value.to_le_bytes().to_vec()].concat()
}

#[expect(clippy::cast_possible_truncation, reason = "scalars of TensorBoard are single precision")]
fn float(field: u64, value: f64) -> Vec<u8> {
    [key(field, 5), (value as f32).to_le_bytes().to_vec()].concat()
}

fn bytes(field: u64, data: &[u8]) -> Vec<u8> {
    [key(field, 2), varint(data.len() as u64), data.to_vec()].concat()
}

/// Seven bits to a byte, the lowest first; all but the last have the top bit set.
#[expect(clippy::cast_possible_truncation, reason = "seven bits are kept")]
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::trl::tests::row;

    /// A reader that knows the format and nothing of the writer.
    struct Reader<'a>(&'a [u8]);

    impl<'a> Reader<'a> {
        fn take(&mut self, count: usize) -> &'a [u8] {
            let (taken, rest) = self.0.split_at(count);
            self.0 = rest;
            taken
        }

        fn checked(&mut self, count: usize) -> &'a [u8] {
            let data = self.take(count);
            let found = u32::from_le_bytes(self.take(4).try_into().unwrap());
            // bit by bit, from the polynomial
            let mut crc = !0_u32;
            for byte in data {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                }
            }
            let crc = !crc;
            assert_eq!(found, crc.rotate_right(15).wrapping_add(0xa282_ead8), "checksum");
            data
        }

        fn records(mut self) -> Vec<&'a [u8]> {
            let mut records = Vec::new();
            while !self.0.is_empty() {
                let length = u64::from_le_bytes(self.checked(8).try_into().unwrap());
                records.push(self.checked(usize::try_from(length).unwrap()));
            }
            records
        }

        fn varint(&mut self) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = self.take(1)[0];
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }

        /// Fields by number, each as its bytes; a varint as eight.
        fn fields(mut self) -> Vec<(u64, Vec<u8>)> {
            let mut fields = Vec::new();
            while !self.0.is_empty() {
                let key = self.varint();
                let data = match key & 7 {
                    0 => self.varint().to_le_bytes().to_vec(),
                    1 => self.take(8).to_vec(),
                    2 => {
                        let length = usize::try_from(self.varint()).unwrap();
                        self.take(length).to_vec()
                    }
                    5 => self.take(4).to_vec(),
                    other => panic!("kind {other}"),
                };
                fields.push((key >> 3, data));
            }
            fields
        }
    }

    /// Step, clock time and scalars of an event.
    fn event(record: &[u8]) -> (u64, f64, BTreeMap<String, f64>) {
        let (mut step, mut time, mut scalars) = (0, 0.0, BTreeMap::new());
        for (field, data) in Reader(record).fields() {
            match field {
                1 => time = f64::from_le_bytes(data.try_into().unwrap()),
                2 => step = u64::from_le_bytes(data.try_into().unwrap()),
                5 => {
                    for (_, value) in Reader(&data).fields() {
                        let fields: BTreeMap<u64, Vec<u8>> =
                            Reader(&value).fields().into_iter().collect();
                        let tag = String::from_utf8(fields[&1].clone()).unwrap();
                        scalars.insert(
                            tag,
                            f64::from(f32::from_le_bytes(fields[&2].clone().try_into().unwrap())),
                        );
                    }
                }
                other => panic!("field {other}"),
            }
        }
        (step, time, scalars)
    }

    #[test]
    fn events_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tensorboard/ra-rlhf-seed3");
        let mut log = EventLog::begin(&folder, &[]).unwrap();
        log.append(&row(1)).unwrap();
        log.append(&row(300)).unwrap();
        let read = fs::read(folder.join(FILE)).unwrap();
        let records = Reader(&read).records();
        assert_eq!(records.len(), 3);
        let first = Reader(records[0]).fields();
        assert_eq!(first[1], (3, VERSION.as_bytes().to_vec()));
        for (record, iteration) in records[1..].iter().zip([1, 300]) {
            let (step, time, scalars) = event(record);
            // all of them are exact in single precision
            let expected = trl_scalars(&row(iteration)).into_iter().collect();
            assert_eq!((step, scalars), (iteration, expected));
            assert!((now() - time).abs() < 60.0, "{time}");
        }
    }

    #[test]
    fn a_resumed_training_has_its_rows_once_and_in_their_time() {
        let folder = tempfile::tempdir().unwrap();
        EventLog::begin(folder.path(), &[]).unwrap().append(&row(9)).unwrap();
        let mut rows = [row(1), row(2), row(3)];
        for row in &mut rows {
            row.values.extend([("rollout_s".to_owned(), 60.0), ("update_s".to_owned(), 40.0)]);
        }
        EventLog::begin(folder.path(), &rows).unwrap().append(&row(4)).unwrap();
        let read = fs::read(folder.path().join(FILE)).unwrap();
        let events: Vec<_> =
            Reader(&read).records()[1..].iter().map(|record| event(record)).collect();
        assert_eq!(events.iter().map(|(step, _, _)| *step).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let times: Vec<f64> = events.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        assert!(
            (times[0] - 100.0).abs() < 1e-3 && (times[1] - 100.0).abs() < 1e-3 && times[2] < 60.0,
            "{times:?}"
        );
    }

    #[test]
    fn checksums_are_those_of_the_specification() {
        // RFC 3720, B.4: 32 bytes of zeros
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(varint(300), [0xac, 0x02]);
    }
}
