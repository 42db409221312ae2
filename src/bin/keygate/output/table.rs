//! Tables: drawn to the width of a terminal, and whole elsewhere.

use comfy_table::{ContentArrangement, presets};

use super::{plain, width};

/// Rows under headings, or names and values.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = drawn();
        table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
        Self(table)
    }

    /// One value beside its name on each row.
    pub(crate) fn of_values() -> Self {
        Self(drawn())
    }

    pub(crate) fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        self.0
            .add_row(cells.into_iter().map(|cell| plain(cell.as_ref())));
        self
    }

    /// The table, with a line end; nothing where it has no row.
    pub(crate) fn draw(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        // Cells have a blank on each side, also where there is nothing beside them.
        let whole =
            |line: String| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end());
        self.0.lines().map(whole).collect()
    }
}

fn drawn() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width() {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    table
}
