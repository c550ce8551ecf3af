use std::path::PathBuf;
use std::{fs, io};

/// A part of the document, between its marks.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Ours, in virtual time.
    Simulated,
    /// The kernel's, in real time.
    Kernel,
    /// The kernel with brooklet for its server, in real time.
    Mixed,
    /// The tables in which the stacks have a column each.
    Beside,
}

impl Part {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// If the document is not there, or not marked.
    pub fn read(self) -> io::Result<String> {
        let text = fs::read_to_string(path())?;
        Ok(self.cut(&text)?[1].to_owned())
    }

    /// Puts new text in its place.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and if the document cannot be written.
    pub fn replace(self, part: &str) -> io::Result<()> {
        let text = fs::read_to_string(path())?;
        let [before, _, after] = self.cut(&text)?;
        fs::write(path(), [before, part, after].concat())
    }

    /// The document before, in and after the part.
    fn cut(self, text: &str) -> io::Result<[&str; 3]> {
        let name = match self {
            Self::Simulated => "simulated",
            Self::Kernel => "kernel",
            Self::Mixed => "mixed",
            Self::Beside => "beside",
        };
        let begin = format!("<!-- {name} -->\n\n");
        let end = format!("<!-- end of {name} -->\n");
        let missing = || io::Error::other(format!("{}: no part {name}", path().display()));
        let at = text.find(&begin).ok_or_else(missing)? + begin.len();
        let until = at + text[at..].find(&end).ok_or_else(missing)?;
        Ok([&text[..at], &text[at..until], &text[until..]])
    }
}

/// The document.
fn path() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/LOSS.md").into()
}
