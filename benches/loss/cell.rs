use super::Run;
use std::path::Path;
use std::{fs, io};

const HEADER: &str = "case,congestion,runs,failed,p10_s,low_s,median_s,high_s,p90_s";

/// Durations of all runs of one case under one congestion control, in seconds.
///
/// A failed run counts as infinitely long.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The transfer and the link, as [`Case`](super::Case) displays them.
    pub case: String,
    /// The congestion control.
    pub congestion: String,
    /// Number of runs, one for each seed.
    pub runs: usize,
    /// Number of runs that did not complete: no end, stalled, or broken.
    pub failed: usize,
    /// 10th percentile.
    pub p10: f64,
    /// Lower bound of the confidence interval of the median, at 95 %.
    pub low: f64,
    /// Median; the upper one of the middle two where the number of runs is even.
    pub median: f64,
    /// Upper bound of the confidence interval of the median.
    pub high: f64,
    /// 90th percentile.
    pub p90: f64,
}

impl Cell {
    /// Summarizes the runs of a case.
    ///
    /// # Panics
    ///
    /// If there are no runs.
    pub fn new(case: String, congestion: String, runs: &[Run]) -> Self {
        assert!(!runs.is_empty(), "no runs of {case}");
        let seconds = |run: &Run| match run {
            Run::Took(time) => time.as_secs_f64(),
            Run::NoEnd | Run::Stalled | Run::Broken => f64::INFINITY,
        };
        let mut sorted: Vec<f64> = runs.iter().map(seconds).collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        // The number of runs below the true median is binomial with a chance of one half: it is
        // within 1.96 standard deviations, of sqrt(n) / 2 each, in 95 % of all samples.
        let half = (0.98 * (n as f64).sqrt()).ceil() as usize;
        Self {
            case,
            congestion,
            runs: n,
            failed: sorted.iter().filter(|time| time.is_infinite()).count(),
            p10: sorted[n / 10],
            low: sorted[((n - 1) / 2).saturating_sub(half)],
            median: sorted[n / 2],
            high: sorted[(n / 2 + half).min(n - 1)],
            p90: sorted[(n - 1) - n / 10],
        }
    }

    /// Writes cells as CSV.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_csv(path: &Path, cells: &[Self]) -> io::Result<()> {
        let lines = cells.iter().map(Self::line);
        let text: String = lines.map(|line| line + "\n").collect();
        fs::write(path, format!("{HEADER}\n{text}"))
    }

    /// Reads what [`write_csv`](Self::write_csv) has written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not of this format.
    pub fn read_csv(path: &Path) -> io::Result<Vec<Self>> {
        let text = fs::read_to_string(path)?;
        let mut lines = text.lines();
        let cells = match lines.next() {
            Some(HEADER) => lines.map(Self::parse).collect(),
            _ => None,
        };
        cells.ok_or_else(|| {
            let text = format!("{}: not a file of `--csv`", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    fn line(&self) -> String {
        let Self {
            case,
            congestion,
            runs,
            failed,
            p10,
            low,
            median,
            high,
            p90,
        } = self;
        format!("{case},{congestion},{runs},{failed},{p10},{low},{median},{high},{p90}")
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split(',').collect();
        let [case, congestion, runs, failed, times @ ..] = &fields[..] else {
            return None;
        };
        let times: Result<Vec<f64>, _> = times.iter().map(|time| time.parse()).collect();
        let [p10, low, median, high, p90] = times.ok()?[..] else {
            return None;
        };
        Some(Self {
            case: (*case).to_owned(),
            congestion: (*congestion).to_owned(),
            runs: runs.parse().ok()?,
            failed: failed.parse().ok()?,
            p10,
            low,
            median,
            high,
            p90,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cell(runs: &[Run]) -> Cell {
        Cell::new("case".to_owned(), "Cubic".to_owned(), runs)
    }

    #[test]
    fn percentiles_of_fifty_runs_are_ranks() {
        let runs: Vec<_> = (1..=50).rev().map(Duration::from_secs).collect();
        let runs: Vec<_> = runs.into_iter().map(Run::Took).collect();
        let cell = cell(&runs);
        assert_eq!((cell.runs, cell.failed), (50, 0));
        assert_eq!((cell.p10, cell.p90), (6.0, 45.0));
        // Ranks 18 and 33 of 50 hold the median in 96.7 % of all samples.
        assert_eq!((cell.low, cell.median, cell.high), (18.0, 26.0, 33.0));
    }

    #[test]
    fn failed_runs_are_the_slowest() {
        let second = Run::Took(Duration::from_secs(1));
        let cell = cell(&[Run::Stalled, second, Run::Broken]);
        assert_eq!((cell.failed, cell.p10), (2, 1.0));
        assert_eq!(cell.median, f64::INFINITY);
    }

    #[test]
    fn a_cell_survives_its_line() {
        let runs = [Run::Took(Duration::from_millis(1234)), Run::NoEnd];
        let cell = cell(&runs);
        assert_eq!(Cell::parse(&cell.line()), Some(cell));
        assert_eq!(Cell::parse("case,Cubic,2,1,1"), None);
        assert_eq!(Cell::parse("case,Cubic,two,1,1,1,1,1,1"), None);
    }
}
