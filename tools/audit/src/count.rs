//! Counting `unsafe`.

use proc_macro2::{TokenStream, TokenTree};
use std::path::Path;
use std::{fs, io};

/// The number of times that the keyword `unsafe` stands in the Rust files below `folder`.
pub(crate) fn in_folder(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            count += in_folder(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            count += in_text(&String::from_utf8_lossy(&fs::read(path)?));
        }
    }
    Ok(count)
}

/// The number of times that the keyword `unsafe` stands in a Rust source, outside of comments and
/// strings. A file that is not a sequence of Rust tokens counts the word wherever it stands.
pub(crate) fn in_text(text: &str) -> usize {
    // Lexing takes longer than a search.
    if !text.contains("unsafe") {
        return 0;
    }
    match text.parse::<TokenStream>() {
        Ok(tokens) => in_tokens(tokens),
        Err(_) => text
            .split(|character: char| !character.is_alphanumeric() && character != '_')
            .filter(|word| *word == "unsafe")
            .count(),
    }
}

fn in_tokens(tokens: TokenStream) -> usize {
    let count = |token| match token {
        TokenTree::Group(group) => in_tokens(group.stream()),
        TokenTree::Ident(word) => usize::from(word == "unsafe"),
        TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
    };
    tokens.into_iter().map(count).sum()
}
