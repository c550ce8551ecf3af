use super::report::{cell, goodput};
use super::{Case, Run, Transfer};
use std::fmt::Write;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const RTT: Duration = Duration::from_millis(66);
const BYTES: usize = 64 << 20;
const MBIT: u64 = 1_000_000;

/// Rate of the link on which packets are reordered, in Mbit/s.
const REORDERED_RATE: u64 = 200;

/// More than the link's rate and [`RTT`] need, and less than the queue overflows with.
const REORDERED_BUFFER: usize = 2 << 20;

/// Rates of the long links, in Mbit/s.
const LONG_RATES: [u64; 2] = [200, 1000];

/// A stack that has a column in the tables of [`Beside`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Two brooklets with CUBIC, in virtual time.
    Brooklet,
    /// Two brooklets without congestion control, in virtual time.
    BrookletNone,
    /// Two kernels with CUBIC.
    Kernel,
    /// Two kernels with BBR.
    KernelBbr,
    /// A kernel with CUBIC for the client, and brooklet for the server.
    KernelToBrooklet,
}

impl Column {
    const ALL: [Self; 5] = [
        Self::Brooklet,
        Self::BrookletNone,
        Self::Kernel,
        Self::KernelBbr,
        Self::KernelToBrooklet,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Brooklet => "brooklet, CUBIC",
            Self::BrookletNone => "brooklet, `None`",
            Self::Kernel => "kernel, CUBIC",
            Self::KernelBbr => "kernel, BBR",
            Self::KernelToBrooklet => "kernel to brooklet, CUBIC",
        }
    }
}

/// The tables with a column for each stack: reordering, and a long path without loss.
///
/// Different programs measure the columns. Each program replaces its own columns in the document
/// and keeps the others.
#[derive(Debug)]
pub struct Beside {
    tables: Vec<Table>,
    /// When and how each column was measured, in the order of [`Column::ALL`].
    notes: [Option<String>; 5],
}

#[derive(Debug)]
struct Table {
    title: String,
    /// Titles of the cells that name a row.
    head: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// The cells that name the row, as they stand in the document.
    label: String,
    case: Case,
    /// Megabits per second that are shown as 1.
    unit: f64,
    /// In the order of [`Column::ALL`].
    figures: [Option<String>; 5],
}

impl Beside {
    /// Makes the tables with the figures of a document in which they stand already.
    pub fn parse(text: &str) -> Self {
        let mut tables = Self {
            tables: vec![reordering(), long_path()],
            notes: Default::default(),
        };
        for row in tables.tables.iter_mut().flat_map(|table| &mut table.rows) {
            let begin = format!("| {} |", row.label);
            let Some(rest) = text.lines().find_map(|line| line.strip_prefix(&begin)) else {
                continue;
            };
            for (figure, cell) in row.figures.iter_mut().zip(rest.split('|')) {
                *figure = Some(cell.trim().to_owned());
            }
        }
        for (note, column) in tables.notes.iter_mut().zip(Column::ALL) {
            let begin = note_begin(column);
            let rest = text.lines().find_map(|line| line.strip_prefix(&begin));
            *note = rest.map(str::to_owned);
        }
        tables
    }

    /// Measures a column anew. `run` carries out a case a few times.
    pub fn measure(
        &mut self,
        column: Column,
        note: impl Into<String>,
        mut run: impl FnMut(&Case) -> Vec<Run>,
    ) {
        self.notes[column as usize] = Some(note.into());
        for row in self.tables.iter_mut().flat_map(|table| &mut table.rows) {
            let (bytes, unit) = (row.case.bytes, row.unit);
            let show = |time| goodput(bytes)(time) / unit;
            row.figures[column as usize] = Some(cell(run(&row.case), show));
        }
    }

    /// Writes the tables as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let line = |out: &mut String, first: &str, cells: [&str; 5]| {
            writeln!(out, "| {first} | {} |", cells.join(" | "))
        };
        let mut write = || {
            for table in &self.tables {
                writeln!(out, "### {}\n", table.title)?;
                line(&mut out, table.head, Column::ALL.map(Column::title))?;
                let names = table.head.split('|').map(|_| "---");
                let names: Vec<_> = names.collect();
                line(&mut out, &names.join(" | "), ["---:"; 5])?;
                for row in &table.rows {
                    let figure = |n: usize| row.figures[n].as_deref().unwrap_or("-");
                    line(&mut out, &row.label, [0, 1, 2, 3, 4].map(figure))?;
                }
                writeln!(out)?;
            }
            for (note, column) in self.notes.iter().zip(Column::ALL) {
                if let Some(note) = note {
                    writeln!(out, "{}{note}", note_begin(column))?;
                }
            }
            writeln!(out)?;
            std::fmt::Result::Ok(())
        };
        write().expect("a string takes everything");
        out
    }
}

fn note_begin(column: Column) -> String {
    format!("- **{}**: ", column.title())
}

fn reordering() -> Table {
    let mut rows = Vec::new();
    for (transfer, name) in [(Transfer::OneWay, "one way"), (Transfer::Echo, "echo")] {
        let mut row = |label: &str, chance: f64, hold: Duration| {
            let mut case = Case::new(transfer, BYTES, RTT, 0.0);
            case.buffer = Some(REORDERED_BUFFER);
            case.link.rate = Some(REORDERED_RATE * MBIT);
            case.link.reorder = chance;
            case.link.reorder_delay = hold;
            rows.push(Row::new(format!("{name} | {label}"), case, 1.0));
        };
        row("none", 0.0, MS);
        for percent in [1, 10] {
            for late in [2, 20] {
                let label = format!("{percent} % by {late} ms");
                row(&label, f64::from(percent) / 100.0, late * MS);
            }
        }
    }
    Table {
        title: format!(
            "Reordering: {} MiB at an RTT of 66 ms and {REORDERED_RATE} Mbit/s, buffers of {} MiB, \
             Mbit/s",
            BYTES >> 20,
            REORDERED_BUFFER >> 20,
        ),
        head: "transfer | late packets",
        rows,
    }
}

fn long_path() -> Table {
    let rows = LONG_RATES.map(|rate| {
        let mut case = Case::new(Transfer::OneWay, BYTES, RTT, 0.0);
        case.buffer = None;
        case.link.rate = Some(rate * MBIT);
        // The bandwidth-delay product, in packets of 1,500 bytes: as much as a queue should hold
        // for one flow.
        case.link.queue = (rate * 66 * 1000 / 8 / 1500) as usize;
        Row::new(format!("{rate} Mbit/s"), case, rate as f64)
    });
    Table {
        title: format!(
            "A long path without loss: {} MiB one way at an RTT of 66 ms, default options, share \
             of the link",
            BYTES >> 20,
        ),
        head: "rate",
        rows: rows.into(),
    }
}

impl Row {
    fn new(label: String, case: Case, unit: f64) -> Self {
        Self {
            label,
            case,
            unit,
            figures: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_column_replaces_itself_only() {
        let took = |seconds| move |_: &Case| vec![Run::Took(Duration::from_secs(seconds))];
        let mut tables = Beside::parse("");
        assert!(
            tables
                .markdown()
                .contains("| 200 Mbit/s | - | - | - | - | - |")
        );
        tables.measure(Column::Kernel, "today", took(4));
        let mut tables = Beside::parse(&tables.markdown());
        tables.measure(Column::Brooklet, "five seeds", took(8));
        let text = tables.markdown();
        for line in [
            "| one way | 1 % by 20 ms | 67.11 (67.11) | - | 134.22 (134.22) | - | - |\n",
            "| 200 Mbit/s | 0.34 (0.34) | - | 0.67 (0.67) | - | - |\n",
            "- **brooklet, CUBIC**: five seeds\n- **kernel, CUBIC**: today\n\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(Beside::parse(&text).markdown(), text);
    }
}
