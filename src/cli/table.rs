//! Tables that fit the terminal: words stay whole where they can, long ones
//! break where a reader would break them.

use comfy_table::{Cell, ColumnConstraint, Table, TableComponent, Width, presets};

use super::text::{cell, columns, letters};

/// Between two columns: the padding of the left one, and the line that the
/// headings are underlined with.
const GAP: usize = 2;
/// How many columns may be kept as they are, and on how many rows that is tried.
const MAX_CHOICES: usize = 7;
const MAX_TRIED: usize = 100;

/// A table of rows under headings; cells are escaped and cut.
pub(crate) struct Sheet {
    width: usize,
    /// The headings are the first row. A cell is several lines.
    rows: Vec<Vec<Vec<String>>>,
}

impl Sheet {
    /// A table that is at most `width` columns wide.
    pub(crate) fn new<const N: usize>(width: u16, headings: [&str; N]) -> Self {
        let headings = headings.into_iter().map(|text| vec![text.to_owned()]).collect();
        Self { width: usize::from(width), rows: vec![headings] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.into_iter().map(|text| vec![cell(text)]).collect());
    }

    /// Adds a row; a cell is several lines, each escaped by itself.
    pub(crate) fn lines<const N: usize>(&mut self, cells: [Vec<String>; N]) {
        let escaped = |lines: Vec<String>| {
            lines.iter().filter(|line| !line.is_empty()).map(|line| cell(line)).collect()
        };
        self.rows.push(cells.into_iter().map(escaped).collect());
    }

    /// The table as text, without spaces at the ends of lines.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let mut rows = self.rows.iter().map(|row| {
            row.iter()
                .zip(&widths)
                .map(|(lines, width)| Cell::new(wrapped(lines, *width).join("\n")))
                .collect::<Vec<_>>()
        });
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─')
            .set_header(rows.next().unwrap_or_default());
        table.add_rows(rows);
        for (column, width) in table.column_iter_mut().zip(&widths) {
            column.set_padding((0, 1));
            let width = u16::try_from(width + 1).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        table.trim_fmt()
    }

    /// How wide each column is: whole words first, then whole parts of words,
    /// then what there is room for.
    fn widths(&self) -> Vec<usize> {
        let natural = self.longest(columns);
        let gaps = natural.len().saturating_sub(1) * GAP + 1;
        let room = self.width.saturating_sub(gaps);
        let fits = |least: &Vec<usize>| least.iter().sum::<usize>() <= room;
        let mut least = [&[][..], &COARSE, &FINE]
            .map(|joints| {
                self.longest(|line| widest(line.split(' ').flat_map(|word| parts(word, joints))))
            })
            .into_iter();
        let least = least.find(fits).unwrap_or_else(|| self.longest(|line| widest(letters(line))));
        // Each choice of columns that are kept as wide as they are: the lowest
        // table is the best, and of two alike the first.
        let kept = |mask: usize| {
            let one = |(column, (least, natural))| {
                if (mask >> column) & 1 == 1 { natural } else { least }
            };
            least.iter().copied().zip(natural.iter().copied()).enumerate().map(one).collect()
        };
        let masks = 0..1_usize << natural.len().min(MAX_CHOICES);
        masks
            .map(kept)
            .filter(fits)
            .map(|least: Vec<usize>| spread(&least, &natural, room))
            .min_by_key(|widths| self.height(widths))
            .unwrap_or(least)
    }

    /// How many lines the first rows take.
    fn height(&self, widths: &[usize]) -> usize {
        let rows = self.rows.iter().take(MAX_TRIED);
        let lines = |(lines, width): (&Vec<String>, &usize)| wrapped(lines, *width).len();
        rows.map(|row| row.iter().zip(widths).map(lines).max().unwrap_or(0)).sum()
    }

    /// The most that `measure` gives in each column.
    fn longest(&self, measure: impl Fn(&str) -> usize) -> Vec<usize> {
        let mut most = Vec::new();
        for row in &self.rows {
            most.resize(row.len(), 1);
            for (most, lines) in most.iter_mut().zip(row) {
                *most = lines.iter().map(|line| measure(line)).fold(*most, usize::max);
            }
        }
        most
    }
}

/// The columns of the widest of some texts.
fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(columns).max().unwrap_or(0)
}

/// Columns between `least` and `natural` that fill the room, all as wide that
/// could be wider.
fn spread(least: &[usize], natural: &[usize], room: usize) -> Vec<usize> {
    let at = |level: usize| {
        let one = |(least, natural): (&usize, &usize)| level.min(*natural).max(*least);
        least.iter().zip(natural).map(one).collect::<Vec<_>>()
    };
    let fits = |widths: &Vec<usize>| widths.iter().sum::<usize>() <= room;
    (1..=room).rev().map(at).find(fits).unwrap_or_else(|| least.to_vec())
}

/// Text in lines of at most `width` columns.
pub(crate) fn paragraph(text: &str, width: u16) -> String {
    wrapped(&[text.to_owned()], usize::from(width)).join("\n")
}

/// Where a long word breaks, and where one that is still too long does.
const COARSE: [char; 2] = ['/', ','];
const FINE: [char; 6] = ['/', ',', '_', '-', '.', ':'];

/// A word in parts that end with a joint: `a/b_c` is `a/` and `b_c`, or finer
/// `a/`, `b_`, `c`.
fn parts<'a>(word: &'a str, joints: &[char]) -> impl Iterator<Item = &'a str> {
    word.split_inclusive(joints)
}

/// The lines, broken so that none is longer than `width`.
fn wrapped(lines: &[String], width: usize) -> Vec<String> {
    let mut text = Vec::new();
    for line in lines {
        let mut open = String::new();
        for word in line.split(' ') {
            let fits = open.is_empty() || columns(&open) + 1 + columns(word) <= width;
            if !fits {
                text.push(std::mem::take(&mut open));
            } else if !open.is_empty() {
                open.push(' ');
            }
            if columns(word) <= width {
                open.push_str(word);
            } else {
                parts(word, &COARSE).for_each(|part| add(part, width, &mut open, &mut text));
            }
        }
        text.push(open);
    }
    text
}

/// Adds a part of a word that is too long for a line: whole, in finer parts, or
/// cut.
fn add(part: &str, width: usize, open: &mut String, text: &mut Vec<String>) {
    if columns(open) + columns(part) > width && !open.is_empty() {
        text.push(std::mem::take(open));
    }
    let finer: Vec<&str> = parts(part, &FINE).collect();
    if columns(part) > width && finer.len() > 1 {
        return finer.into_iter().for_each(|part| add(part, width, open, text));
    }
    for letter in letters(part) {
        if columns(open) + columns(letter) > width && !open.is_empty() {
            text.push(std::mem::take(open));
        }
        open.push_str(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_to_its_width_and_escapes_cells() {
        let mut sheet = Sheet::new(80, ["parameter", "value", "source"]);
        sheet.row(["data_path", &"s3://lake/".repeat(12), "a template\u{1b}[2J"]);
        sheet.row(["a", &"x".repeat(200), ""]);
        let text = sheet.text();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("\\u{1b}"));
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn wide_letters_are_measured_by_their_columns() {
        let mut sheet = Sheet::new(60, ["parameter", "value", "layer"]);
        sheet.row(["title", &"漢字かな交じり文".repeat(9), "preset"]);
        sheet.row(["faces", &"🎉👍🏽🇩🇪".repeat(12), "definition"]);
        sheet.row(["korean", &"\u{1112}\u{1161}\u{11ab}".repeat(60), "override"]);
        sheet.row(["marks", &"e\u{301}".repeat(90), "override"]);
        let text = sheet.text();
        let wide = text.lines().map(columns).max();
        assert_eq!(wide, Some(60), "{text}");
        let row = text.lines().find(|line| line.starts_with("title")).unwrap();
        let before = row.split_once("preset").unwrap().0;
        let heading = text.split_once("layer").unwrap().0;
        assert_eq!(columns(before), columns(heading), "columns stay in line: {text}");
        let narrow = {
            sheet.width = 12;
            sheet.text()
        };
        assert!(narrow.contains('字'), "{narrow}");
    }

    #[test]
    fn words_break_only_where_they_must_and_then_at_their_joints() {
        let mut sheet = Sheet::new(40, ["name", "place"]);
        sheet.row(["learning_rate", "pipelines/iris-training.yaml:18 says so"]);
        assert_eq!(
            sheet.text(),
            "name           place\n\
             ────────────────────────────────────────\n\
             learning_rate  pipelines/\n               iris-training.yaml:18\n               says so"
        );
        let mut wide = Sheet::new(80, ["name", "place"]);
        wide.row(["learning_rate", "pipelines/iris-training.yaml:18"]);
        assert!(wide.text().contains("learning_rate  pipelines/iris-training.yaml:18"));
    }

    #[test]
    fn the_column_with_most_to_say_is_the_one_that_breaks() {
        let mut sheet = Sheet::new(40, ["type", "default", "description"]);
        sheet.row(["array of integer", "[1, 2]", "how many there are of each"]);
        sheet.row(["array of integer", "[1, 2]", ""]);
        sheet.row(["array of integer", "[1, 2]", ""]);
        assert_eq!(sheet.text().lines().count(), 7, "{}", sheet.text());
    }

    #[test]
    fn a_table_too_narrow_for_its_columns_is_still_one() {
        let mut sheet = Sheet::new(1, ["a", "b"]);
        sheet.row(["long words", ""]);
        assert!(sheet.text().contains('l'));
    }
}
