//! What the story is written with: headings, facts, tables and a progress bar, as wide as the terminal and coloured where
//! colour is wanted.
//!
//! It knows how a verdict looks, and nothing else of what is told. What cannot be written is not written: whoever closes
//! the pipe has read enough, and the exit code still says how it ended.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};
use console::{StyledObject, Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::Verdict;

/// For a pipe or a file, which have no width.
const PLAIN_WIDTH: u16 = 100;

/// Narrower, and the tables cannot be read; wider, and the sentences cannot.
const WIDTHS: std::ops::RangeInclusive<u16> = 60..=120;

/// The columns that facts and tables are set in from the left.
const INDENT: &str = "  ";

/// Of the labels of facts, with the gap after them.
const LABEL_WIDTH: u16 = 16;

/// More of what speaks against a claim is only counted.
const MOST_COUNTEREXAMPLES: usize = 10;

/// Keeps words together, and is written as a space.
pub(crate) const NO_BREAK: char = '\u{a0}';

pub(crate) struct Console {
    terminal: Term,
    width: u16,
}

/// How far an audit is: a bar in a terminal, a line now and then elsewhere.
pub(crate) struct Progress<'a> {
    console: &'a Console,
    bar: ProgressBar,
    total: u64,
    next_line_at: u64,
}

impl Console {
    /// Standard output. `COLUMNS` says how wide it is if the terminal is not to be asked.
    pub(crate) fn new() -> Self {
        let terminal = Term::stdout();
        let demanded = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = demanded.or_else(|| terminal.size_checked().map(|(_, columns)| columns)).unwrap_or(PLAIN_WIDTH);
        Self { terminal, width: width.clamp(*WIDTHS.start(), *WIDTHS.end()) }
    }

    /// Writes nothing.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { terminal: Term::buffered_stdout(), width: PLAIN_WIDTH }
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.width >= 100
    }

    pub(crate) fn blank(&self) {
        self.write("");
    }

    pub(crate) fn title(&self, text: &str) {
        self.write(&style(text).bold().to_string());
    }

    /// A rule over the whole width, with the text in it.
    pub(crate) fn heading(&self, text: &str) {
        let rule = usize::from(self.width).saturating_sub(text.chars().count() + 4);
        self.write(&format!("\n── {} {}\n", style(text).bold(), style("─".repeat(rule)).dim()));
    }

    pub(crate) fn paragraph(&self, text: &str) {
        let mut table = self.table();
        table.add_row([text]);
        self.show(&table);
    }

    /// A line that is never wrapped, so that it can be opened or copied.
    pub(crate) fn verbatim(&self, text: &str) {
        self.write(&format!("{INDENT}{text}"));
    }

    /// Labels, and what is said about each. A label that comes again at once is written once.
    pub(crate) fn facts(&self, facts: impl IntoIterator<Item = (&'static str, String)>) {
        let mut table = self.table();
        let mut last = "";
        for (label, text) in facts {
            table.add_row([if label == last { "" } else { label }, &text]);
            last = label;
        }
        table.set_constraints([ColumnConstraint::Absolute(Width::Fixed(LABEL_WIDTH))]);
        for line in lines(&table) {
            match line.split_at_checked(usize::from(LABEL_WIDTH)) {
                Some((label, text)) => self.write(&format!("{INDENT}{}{}", style(label).dim(), painted(text))),
                None => self.write(&format!("{INDENT}{line}")),
            }
        }
    }

    /// A claim that was checked, with all that speaks against it.
    pub(crate) fn finding(&self, claim: &str, counterexamples: &[String]) {
        let mark = if counterexamples.is_empty() { style("✓").green() } else { style("✗").red().bold() };
        self.write(&format!("{INDENT}{mark} {claim}"));
        let mut table = self.table();
        for counterexample in counterexamples.iter().take(MOST_COUNTEREXAMPLES) {
            table.add_row([" ", counterexample]);
        }
        for line in lines(&table) {
            self.write(&format!("{INDENT}{}", style(line).red()));
        }
        let rest = counterexamples.len().saturating_sub(MOST_COUNTEREXAMPLES);
        if rest > 0 {
            self.write(&format!("{INDENT}  and {rest} more"));
        }
    }

    /// An empty table without lines, that wraps its cells between words.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width.saturating_sub(u16::try_from(INDENT.len()).unwrap_or_default()));
        table
    }

    pub(crate) fn show(&self, table: &Table) {
        for line in lines(table) {
            self.write(&format!("{INDENT}{}", painted(&line)));
        }
    }

    pub(crate) fn progress(&self, total: usize) -> Progress<'_> {
        let total = total.try_into().unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stdout());
        let look = ProgressStyle::with_template("  {bar:40.cyan/dim} {pos} of {len} accounts");
        bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
        Progress { console: self, bar, total, next_line_at: total / 4 }
    }

    fn write(&self, line: &str) {
        let _ = self.terminal.write_line(line);
    }
}

impl Progress<'_> {
    pub(crate) fn show(&mut self, done: usize) {
        let done = done.try_into().unwrap_or(u64::MAX);
        self.bar.set_position(done);
        if self.bar.is_hidden() && (self.next_line_at..self.total).contains(&done) {
            self.console.write(&format!("{INDENT}{done} of {} accounts", self.total));
            self.next_line_at = done + self.total / 4;
        }
    }

    /// Leaves nothing of the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        if self.bar.is_hidden() {
            self.console.blank();
        }
    }
}

/// The lines of a table. Cells have a column of padding on each side; the first one would only add to the indent.
fn lines(table: &Table) -> Vec<String> {
    let lines = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().replace(NO_BREAK, " "));
    lines.collect()
}

/// Colours the verdict that a text begins with. That comes after the layout, which would count the escape sequences.
fn painted(line: &str) -> String {
    let verdict = Verdict::ALL.into_iter().find(|verdict| line.starts_with(verdict.name()));
    match verdict {
        Some(verdict) => line.replacen(verdict.name(), &look_of(verdict).to_string(), 1),
        None if line.starts_with(['─', '═']) => style(line).dim().to_string(),
        None => line.to_owned(),
    }
}

fn look_of(verdict: Verdict) -> StyledObject<&'static str> {
    let name = style(verdict.name());
    match verdict {
        Verdict::Clean | Verdict::Stripped => name.green(),
        Verdict::CredentialsPresent => name.yellow(),
        Verdict::Unknown => name.magenta(),
        Verdict::Failed => name.red().bold(),
        Verdict::NotCovered => name.dim(),
    }
}
