use std::fmt;

/// One figure of a store: what it is, and what was measured.
pub(crate) type Figure = (String, String);

/// The figures by line, and the stores by column.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<&'static str>,
    lines: Vec<(String, Vec<String>)>,
}

/// Where a store has no such figure.
const NONE: &str = "–";

impl Table {
    pub(crate) fn add_column(&mut self, name: &'static str) {
        self.columns.push(name);
    }

    /// Puts figures into the last column.
    pub(crate) fn fill(&mut self, figures: Vec<Figure>) {
        let column = self.columns.len() - 1;
        for (what, figure) in figures {
            let cells = match self.lines.iter().position(|(line, _)| *line == what) {
                Some(line) => &mut self.lines[line].1,
                None => {
                    self.lines.push((what, Vec::new()));
                    &mut self.lines.last_mut().unwrap().1
                }
            };
            cells.resize(column, NONE.to_owned());
            cells.push(figure);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | {} |", self.columns.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(self.columns.len()))?;
        for (what, cells) in &self.lines {
            let none = std::iter::repeat_n(NONE, self.columns.len() - cells.len());
            let cells: Vec<&str> = cells.iter().map(String::as_str).chain(none).collect();
            writeln!(f, "| {what} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
