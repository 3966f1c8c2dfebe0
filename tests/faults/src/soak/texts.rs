//! Texts for a run that is soon begun: to read the embedded ones takes longer than to train.

use std::path::Path;

use anyhow::Result;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tailguard_files::{create_dirs, write_file};

const THINGS: [&str; 6] = ["film", "story", "cast", "music", "ending", "script"];
const GOOD: [&str; 6] = ["wonderful", "great", "moving", "brilliant", "a joy", "perfect"];
const BAD: [&str; 6] = ["awful", "boring", "terrible", "a waste of time", "dull", "the worst"];
/// Rows of each table, half of them good.
const TABLES: [(&str, usize); 2] = [("train", 240), ("test", 120)];
/// Sentences of a text: more than two hundred characters.
const SENTENCES: usize = 14;

/// Writes the tables of a task of reviews, always the same.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write(folder: &Path) -> Result<()> {
    create_dirs(folder)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for (split, rows) in TABLES {
        let mut table = "text,label\n".to_owned();
        for row in 0..rows {
            let words = if row % 2 == 1 { GOOD } else { BAD };
            for _ in 0..SENTENCES {
                let (thing, word) = (
                    THINGS.choose(&mut rng).unwrap_or(&"film"),
                    words.choose(&mut rng).unwrap_or(&"long"),
                );
                table += &format!(
                    "The {thing} is {word} {}. ",
                    if rng.random() { "at first" } else { "in the end" }
                );
            }
            table += &format!(",{}\n", row % 2);
        }
        write_file(&folder.join(format!("{split}.csv")), table.as_bytes())?;
    }
    Ok(())
}
