//! Tables: drawn to the width of a terminal, and whole elsewhere.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

use super::{plain, width};

/// No word longer than the first of these is kept whole, and than the others where the terminal is narrower.
const WHOLE: [u16; 4] = [32, 24, 20, 12];

/// What stands on both sides of a cell.
const PADDING: u16 = 2;

/// Rows under headings, or names and values.
pub(crate) struct Table {
    drawn: comfy_table::Table,
    /// The longest word of each column.
    words: Vec<u16>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self::across(width(), headings)
    }

    fn across(width: Option<u16>, headings: &[&str]) -> Self {
        let mut table = Self {
            drawn: drawn(width),
            words: Vec::new(),
        };
        let headings: Vec<String> = headings.iter().map(|text| text.to_uppercase()).collect();
        table.measure(&headings);
        table.drawn.set_header(headings);
        table
    }

    /// One value beside its name on each row.
    pub(crate) fn of_values() -> Self {
        Self {
            drawn: drawn(width()),
            words: Vec::new(),
        }
    }

    pub(crate) fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        let cells: Vec<String> = cells.into_iter().map(|cell| plain(cell.as_ref())).collect();
        self.measure(&cells);
        self.drawn.add_row(cells);
        self
    }

    fn measure(&mut self, cells: &[String]) {
        self.words.resize(self.words.len().max(cells.len()), 0);
        for (longest, cell) in self.words.iter_mut().zip(cells) {
            let words = cell.split(' ').map(|word| word.chars().count());
            let word = u16::try_from(words.max().unwrap_or(0)).unwrap_or(u16::MAX);
            *longest = word.max(*longest);
        }
    }

    /// The least width of each column at which no id, day or scope is broken in two, if the terminal is wide
    /// enough for that.
    fn least(&self) -> Option<Vec<u16>> {
        let width = self.drawn.width()?;
        let at_most = |most: u16| self.words.iter().map(move |&word| word.min(most) + PADDING);
        let fits = |most: &u16| at_most(*most).map(u32::from).sum::<u32>() <= width.into();
        let most = WHOLE.into_iter().find(fits)?;
        Some(at_most(most).collect())
    }

    /// The table, with a line end; nothing where it has no row.
    pub(crate) fn draw(mut self) -> String {
        if self.drawn.is_empty() {
            return String::new();
        }
        let least = self.least().unwrap_or_default();
        for (column, least) in self.drawn.column_iter_mut().zip(least) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
        // Cells have a blank on each side, also where there is nothing beside them.
        let whole =
            |line: String| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end());
        self.drawn.lines().map(whole).collect()
    }
}

fn drawn(width: Option<u16>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Table;

    const ROW: [&str; 4] = [
        "4KX9vQ2mB7tZ",
        "orders:write",
        "the nightly export of all the orders to the warehouse",
        "2026-12-10",
    ];

    fn at(width: u16) -> String {
        let mut table = Table::across(Some(width), &["key id", "scopes", "name", "created"]);
        table.row(ROW);
        table.draw()
    }

    #[test]
    fn what_is_copied_is_not_broken_in_two_where_there_is_room() {
        for width in [55, 60, 80] {
            let drawn = at(width);
            for word in [ROW[0], ROW[1], ROW[3], "warehouse"] {
                assert!(drawn.contains(word), "{width}: {drawn}");
            }
            let widest = drawn.lines().map(str::len).max();
            assert!(widest <= Some(width.into()), "{width}: {drawn}");
        }
    }

    #[test]
    fn a_narrow_terminal_is_not_overrun() {
        for width in [24, 32, 44] {
            let widest = at(width).lines().map(str::len).max();
            assert!(widest <= Some(width.into()), "{width}: {}", at(width));
        }
    }
}
