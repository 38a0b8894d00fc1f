//! Tables that fit the terminal.

use comfy_table::{Cell, ContentArrangement, Table, TableComponent, presets};

use super::text::cell;

/// A table of rows under headings; cells are escaped and cut.
pub(crate) struct Sheet(Table);

impl Sheet {
    /// A table that is at most `width` columns wide.
    pub(crate) fn new<const N: usize>(width: u16, headings: [&str; N]) -> Self {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─')
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width)
            .set_header(headings);
        // Narrow gaps: 80 columns are few.
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        Self(table)
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.0.add_row(cells.map(|text| Cell::new(cell(text))));
    }

    /// Adds a row; a cell is several lines, each escaped by itself.
    pub(crate) fn lines<const N: usize>(&mut self, cells: [Vec<String>; N]) {
        let joined = cells.map(|lines| {
            lines
                .iter()
                .filter(|line| !line.is_empty())
                .map(|line| cell(line))
                .collect::<Vec<_>>()
                .join("\n")
        });
        self.0.add_row(joined.map(Cell::new));
    }

    /// The table as text, without spaces at the ends of lines.
    pub(crate) fn text(&self) -> String {
        self.0.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_to_its_width_and_escapes_cells() {
        let mut sheet = Sheet::new(80, ["parameter", "value", "source"]);
        sheet.row(["data_path", &"s3://lake/".repeat(12), "a template\u{1b}[2J"]);
        let text = sheet.text();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("\\u{1b}"));
        assert!(!text.contains('\u{1b}'));
    }
}
