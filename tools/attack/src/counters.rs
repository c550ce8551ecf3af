//! The counters of a stack, as its text shows them.

use std::collections::BTreeMap;
use std::fmt;

/// The figures of a stack by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads the text of `Stats`, which leaves out what is 0.
    pub(crate) fn parse(text: &str) -> Self {
        let figures = text.lines().filter_map(|line| {
            let (name, figure) = line.rsplit_once(": ")?;
            Some((name.to_owned(), figure.parse().ok()?))
        });
        Self(figures.collect())
    }

    /// The figure with this name.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The sum of the figures with these names. A name that ends with `*` stands for all that begin like it.
    pub(crate) fn sum(&self, names: &[&str]) -> u64 {
        let is_one = |name: &str| {
            names.iter().any(|one| match one.strip_suffix('*') {
                Some(begin) => name.starts_with(begin),
                None => name == *one,
            })
        };
        let named = self.0.iter().filter(|(name, _)| is_one(name));
        named.map(|(_, figure)| figure).sum()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut figures = self.0.iter();
        figures.try_for_each(|(name, figure)| writeln!(f, "    {name}: {figure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_name_and_summed_by_names_and_their_beginnings() {
        let text =
            "packets in: 7\ndropped, UDP a: 2\ndropped, UDP b: 3\nTCP round-trip time: 3ms\n";
        let counters = Counters::parse(text);
        assert_eq!(counters.figure("packets in"), 7);
        assert_eq!(counters.figure("packets out"), 0);
        assert_eq!(counters.sum(&["dropped, UDP*", "packets"]), 5);
    }
}
