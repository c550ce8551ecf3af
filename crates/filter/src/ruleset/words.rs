//! The words of a line, with their places, and the error of reading them.

use std::{error::Error, fmt};

/// The most characters of a wrong word that the error quotes.
const MAX_QUOTED: usize = 64;

/// The error of reading a [`Ruleset`](crate::Ruleset), a [`Rule`](crate::Rule) or a
/// [`Verdict`](crate::Verdict) from a text: the place, the words that may stand there, and the word
/// that stands there.
///
/// ```
/// let error = "policy pass\ntcp dport https drop".parse::<brooklet_filter::Ruleset>().unwrap_err();
/// assert_eq!((error.line(), error.column()), (2, 11));
/// assert_eq!(
///     error.to_string(),
///     "line 2, column 11: expected a port or a range of ports, found `https`",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RulesetError {
    line: usize,
    column: usize,
    expected: &'static str,
    found: Option<String>,
}

impl RulesetError {
    /// Returns the number of the line; the first line is 1.
    ///
    /// ```
    /// let error = "pass\naccept".parse::<brooklet_filter::Ruleset>().unwrap_err();
    /// assert_eq!(error.line(), 2);
    /// ```
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns where the wrong word begins, in characters; the first character of a line is 1. The
    /// column behind the last word stands for the end of the line.
    ///
    /// ```
    /// let error = "  accept".parse::<brooklet_filter::Ruleset>().unwrap_err();
    /// assert_eq!(error.column(), 3);
    /// ```
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns what may stand at that place.
    ///
    /// ```
    /// let error = "reject with icmp".parse::<brooklet_filter::Rule>().unwrap_err();
    /// assert_eq!(error.expected(), "an ICMP reason such as `port-unreachable`");
    /// ```
    pub fn expected(&self) -> &'static str {
        self.expected
    }

    /// Returns the first characters of the wrong word, or `None` at the end of the line.
    ///
    /// ```
    /// let error = "accept".parse::<brooklet_filter::Rule>().unwrap_err();
    /// assert_eq!(error.found(), Some("accept"));
    /// ```
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }
}

impl fmt::Display for RulesetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column, expected) = (self.line, self.column, self.expected);
        write!(
            f,
            "line {line}, column {column}: expected {expected}, found "
        )?;
        match &self.found {
            Some(word) => write!(f, "`{word}`"),
            None => f.write_str("the end of the line"),
        }
    }
}

impl Error for RulesetError {}

/// The words of one line that are not read yet. White space separates words; `{`, `}`, `,` and `!=`
/// are words without it. `#` starts a comment.
#[derive(Clone)]
pub(crate) struct Words<'a> {
    line: usize,
    /// Behind the last word, in characters.
    end: usize,
    /// The last word first, each with its column.
    words: Vec<(usize, &'a str)>,
}

impl<'a> Words<'a> {
    /// `line` is the number of the line `text`.
    pub(crate) fn new(line: usize, text: &'a str) -> Self {
        let text = text
            .split_once('#')
            .map_or(text, |(text, _)| text)
            .trim_end();
        let mut words = Vec::new();
        let (mut rest, mut column) = (text, 1);
        while let Some(first) = rest.chars().next() {
            let len = match first {
                '{' | '}' | ',' => 1,
                '!' if rest.starts_with("!=") => 2,
                _ if first.is_whitespace() => first.len_utf8(),
                _ => rest.find(is_separator).unwrap_or(rest.len()),
            };
            let (word, behind) = rest.split_at(len);
            if !first.is_whitespace() {
                words.push((column, word));
            }
            column += word.chars().count();
            rest = behind;
        }
        words.reverse();
        let end = column;
        Self { line, end, words }
    }

    /// Returns the next word and keeps it.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.words.last().map(|(_, word)| *word)
    }

    /// Skips the next word.
    pub(crate) fn skip(&mut self) {
        self.words.pop();
    }

    /// Skips the next word if it is `word`, and returns whether it is.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        if is_next {
            self.skip();
        }
        is_next
    }

    /// Reads the next word by `read`, which says what it expected instead.
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Result<T, RulesetError> {
        let value =
            read(self.peek().unwrap_or_default()).map_err(|expected| self.error(expected))?;
        self.skip();
        Ok(value)
    }

    /// Expects the end of the line.
    pub(crate) fn end(&self) -> Result<(), RulesetError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the line")),
        }
    }

    /// Returns the error that the next word is not the `expected` one.
    pub(crate) fn error(&self, expected: &'static str) -> RulesetError {
        let next = self.words.last();
        RulesetError {
            line: self.line,
            column: next.map_or(self.end, |(column, _)| *column),
            expected,
            found: next.map(|(_, word)| word.chars().take(MAX_QUOTED).collect()),
        }
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | ',')
}
