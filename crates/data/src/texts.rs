//! Columns of a large table without an allocation per row: texts end to end, names by number.

use std::collections::HashMap;

/// A column of texts, some of which may be missing. All of them are one piece of memory, so that a
/// million rows take little more than their letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    letters: String,
    /// Where each text ends.
    ends: Vec<usize>,
    is_there: Vec<bool>,
}

impl Texts {
    /// Adds a row.
    pub fn push(&mut self, text: Option<&str>) {
        self.letters.push_str(text.unwrap_or_default());
        self.ends.push(self.letters.len());
        self.is_there.push(text.is_some());
    }

    /// Rows, the missing texts included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a row; `None` where it is missing, or where there is no such row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        let begin = if row == 0 { 0 } else { *self.ends.get(row - 1)? };
        self.is_there.get(row)?.then(|| &self.letters[begin..self.ends[row]])
    }
}

impl<'a> FromIterator<Option<&'a str>> for Texts {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(rows: I) -> Self {
        let mut texts = Self::default();
        rows.into_iter().for_each(|text| texts.push(text));
        texts
    }
}

/// A column of few different names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    rows: Vec<usize>,
    numbers: HashMap<String, usize>,
}

impl Labels {
    /// Adds a row.
    pub fn push(&mut self, name: &str) {
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.numbers.insert(name.to_owned(), self.names.len() - 1);
            self.names.len() - 1
        });
        self.rows.push(number);
    }

    /// The name of a row, if there is such a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.names.get(*self.rows.get(row)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_comes_back(rows in prop::collection::vec(prop::option::of(".{0,12}"), 0..30)) {
            let texts: Texts = rows.iter().map(Option::as_deref).collect();
            prop_assert_eq!(
                (0..texts.len()).map(|row| texts.get(row).map(str::to_owned)).collect::<Vec<_>>(),
                rows
            );
            prop_assert_eq!(texts.get(texts.len()), None);
        }

        #[test]
        fn every_name_comes_back(rows in prop::collection::vec("[ab]{0,2}", 0..30)) {
            let mut labels = Labels::default();
            rows.iter().for_each(|name| labels.push(name));
            prop_assert_eq!(
                (0..rows.len()).map(|row| labels.get(row).unwrap().to_owned()).collect::<Vec<_>>(),
                rows
            );
        }
    }
}
