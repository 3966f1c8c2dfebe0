//! Of which episodes the tail is: of all that an iteration has, or of those that answer one prompt.

use crate::{Batch, BatchShape, ObjectiveError};

/// The episodes over which a risk measure is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Over {
    /// All episodes of an iteration: the worst outputs of all, whatever their prompts.
    #[default]
    Batch,
    /// The episodes of each prompt by themselves: the worst that a prompt may get, averaged over
    /// prompts. An easy prompt has a tail of its own then, and a hopeless one cannot be the whole
    /// tail.
    Prompt,
}

impl Over {
    /// What settings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Prompt => "prompt",
        }
    }

    /// The places of the episodes that belong together, ascending; groups in the order of their
    /// first episodes.
    ///
    /// ```
    /// # use tailguard_risk::{Batch, Over};
    /// let batch = Batch { iteration: 1, values: &[0.5, 3.0, 1.0], prompts: &[7, 2, 7] };
    /// assert_eq!(Over::Prompt.groups(batch), [vec![0, 2], vec![1]]);
    /// assert_eq!(Over::Batch.groups(batch), [[0, 1, 2]]);
    /// ```
    pub fn groups(self, batch: Batch<'_>) -> Vec<Vec<usize>> {
        let mut places: Vec<usize> = (0..batch.values.len()).collect();
        if self == Self::Batch {
            return vec![places];
        }
        let prompt = |place: &usize| batch.prompts.get(*place).copied();
        places.sort_by_key(prompt); // stable: ascending within a prompt
        let mut groups: Vec<Vec<usize>> = places
            .chunk_by(|one, next| prompt(one) == prompt(next))
            .map(<[usize]>::to_vec)
            .collect();
        groups.sort_by_key(|group| group[0]);
        groups
    }

    /// How many episodes a group has in batches of this shape.
    ///
    /// # Errors
    /// A single response to each prompt, which has no tail of its own.
    pub fn size(self, shape: BatchShape) -> Result<usize, ObjectiveError> {
        match self {
            Self::Batch => Ok(shape.episodes),
            Self::Prompt if shape.responses > 1 => Ok(shape.responses),
            Self::Prompt => Err(format!(
                "over = \"prompt\" and {} response to each prompt: expected 2 responses or more, \
                 or over = \"batch\"",
                shape.responses
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn one_response_to_each_prompt_has_no_tail() {
        let shape = |responses| BatchShape { episodes: 8, responses };
        assert_eq!(Over::Batch.size(shape(1)).unwrap(), 8);
        assert_eq!(Over::Prompt.size(shape(4)).unwrap(), 4);
        assert_eq!([Over::Batch, Over::Prompt].map(Over::name), ["batch", "prompt"]);
        let message = Over::Prompt.size(shape(1)).unwrap_err().to_string();
        assert_eq!(
            message,
            "over = \"prompt\" and 1 response to each prompt: expected 2 responses or more, or \
             over = \"batch\""
        );
    }

    proptest! {
        #[test]
        fn every_episode_is_in_the_group_of_its_prompt(prompts in vec(0_usize..6, 1..40)) {
            let values = vec![0.0; prompts.len()];
            let groups =
                Over::Prompt.groups(Batch { iteration: 1, values: &values, prompts: &prompts });
            let mut all: Vec<usize> = groups.concat();
            prop_assert!(groups.iter().all(|group| group.is_sorted()));
            prop_assert!(
                groups
                    .iter()
                    .all(|group| group.iter().all(|&place| prompts[place] == prompts[group[0]]))
            );
            prop_assert!(groups.windows(2).all(|pair| pair[0][0] < pair[1][0]));
            prop_assert_eq!(
                groups.len(),
                prompts.iter().collect::<std::collections::BTreeSet<_>>().len()
            );
            all.sort_unstable();
            prop_assert_eq!(all, (0..prompts.len()).collect::<Vec<_>>());
        }
    }
}
