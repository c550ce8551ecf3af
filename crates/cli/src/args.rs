//! The command line of the program.

mod common;
mod forward;
mod publish;
mod run;
mod timeouts;

pub(crate) use common::Observe;
pub(crate) use forward::Forward;
#[cfg(target_os = "linux")]
pub(crate) use publish::{Protocol, Publish};
pub(crate) use run::Run;

use crate::output;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// A network for a command or a TUN device, in user space.
#[derive(Debug, Parser)]
#[command(
    name = "brooklet",
    version,
    max_term_width = 100,
    after_help = "`brooklet COMMAND --help` lists the flags of a command."
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Forward(Forward),
    /// Print the completions for a shell.
    #[command(after_help = "\
For instance, for bash:
  brooklet completions bash >~/.local/share/bash-completion/completions/brooklet")]
    Completions {
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for `man -l`.
    Man,
}

impl Command {
    /// Checks what the parser cannot: flags that restrict each other.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Run(run) => run.check(),
            Self::Forward(forward) => forward.check(),
            Self::Completions { .. } | Self::Man => Ok(()),
        }
    }
}

/// A text that ends the program: the help that was asked for, or one line that says what is wrong with the
/// command line.
#[derive(Debug)]
pub(crate) struct Exit {
    text: String,
    status: u8,
}

impl Exit {
    /// Prints the text: an error on standard error, anything else on standard output.
    pub(crate) fn print(self) -> ExitCode {
        match self.status {
            0 => output::print(self.text),
            _ => output::eprint(self.text),
        }
        ExitCode::from(self.status)
    }
}

/// Parses the arguments of the process, of which the first is the name of the program.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let name = args.get(1).and_then(|name| name.to_str());
    // `run` has the exit statuses of a shell: those of its command, and 125 for its own faults.
    let status = if name == Some("run") { 125 } else { 2 };
    let name = name.filter(|name| Args::command().find_subcommand(name).is_some());
    let refuse = |why: &str| {
        let program = [Some("brooklet"), name]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        let text = format!("{program}: {why}; `{program} --help` lists the flags\n");
        Exit { text, status }
    };
    let args = Args::try_parse_from(&args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit {
            text: error.to_string(),
            status: 0,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit {
            text: error.to_string(),
            status,
        },
        _ => refuse(&one_line(&error)),
    })?;
    args.command.check().map_err(|why| refuse(&why))?;
    Ok(args.command)
}

/// Returns the parser's complaint and its hint in one line, without the usage.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraphs = text.split("\n\n").filter(|paragraph| {
        !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
    });
    let paragraphs: Vec<String> = paragraphs
        .map(|paragraph| {
            let words: Vec<_> = paragraph.split_whitespace().collect();
            let line = words.join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            line.strip_prefix("tip: ").unwrap_or(line).to_owned()
        })
        .collect();
    paragraphs.join(": ")
}

/// Returns the completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "brooklet", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the manual page of the program, with a section for each subcommand, as roff.
pub(crate) fn man() -> String {
    let mut command = Args::command();
    // The subcommands have their names, "brooklet run", from here on.
    command.build();
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = write_man(command, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_man(command: clap::Command, to: &mut Vec<u8>) -> std::io::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    page.render_options_section(to)?;
    let commands = command.get_subcommands();
    for sub in commands.filter(|sub| sub.get_name() != "help") {
        let page = clap_mangen::Man::new(sub.clone());
        let name = sub.get_name().to_uppercase();
        to.extend_from_slice(format!(".SH \"BROOKLET {name}\"\n").as_bytes());
        let mut text = Vec::new();
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        if sub.get_after_help().is_some() {
            page.render_extra_section(&mut text)?;
        }
        // The sections of a page are subsections of this one.
        let text = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
        let text = text.replace("\n.SS EXTRA\n", "\n.SS NOTES\n");
        to.extend_from_slice(text.as_bytes());
    }
    page.render_version_section(to)
}

#[cfg(test)]
mod tests;
