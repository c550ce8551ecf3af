//! A list of values that a field of a packet must have, or must not have.

use std::fmt;

/// The values of one field: any of them, or none of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Set<T> {
    pub(super) negated: bool,
    pub(super) values: Vec<T>,
}

impl<T> Set<T> {
    pub(super) fn any_of(values: impl IntoIterator<Item: Into<T>>) -> Self {
        Self {
            negated: false,
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    pub(super) fn none_of(values: impl IntoIterator<Item: Into<T>>) -> Self {
        Self {
            negated: true,
            ..Self::any_of(values)
        }
    }

    /// Whether a field matches that is equal to the values for which `is_equal` returns `true`.
    pub(super) fn matches(&self, is_equal: impl FnMut(&T) -> bool) -> bool {
        self.values.iter().any(is_equal) != self.negated
    }

    /// Writes the set as text, each value by `write`.
    pub(super) fn print(
        &self,
        f: &mut fmt::Formatter<'_>,
        write: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if self.negated {
            f.write_str("!= ")?;
        }
        if let [value] = &self.values[..] {
            return write(value, f);
        }
        f.write_str("{ ")?;
        for (nth, value) in self.values.iter().enumerate() {
            if nth > 0 {
                f.write_str(", ")?;
            }
            write(value, f)?;
        }
        f.write_str(if self.values.is_empty() { "}" } else { " }" })
    }
}
