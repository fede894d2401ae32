//! Tables, numbers and names as people read them.

use std::fmt;

/// Which side of a column the text stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a head, columns two spaces apart.
#[derive(Clone, Debug)]
pub struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let head = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        Self { align: columns.iter().map(|(_, align)| *align).collect(), rows: vec![head] }
    }

    /// Adds a row; cells beyond the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.align.len()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &width), align) in row.iter().zip(&widths).zip(&self.align) {
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes with its thousands apart: `1,234,567`.
pub fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The longest name that is shown whole, in characters.
const NAME: usize = 44;

/// A tensor's or node's name, short enough for a line: the first of the names that a converter joined, and
/// of a long path its end. A label as diagnostics have it, `3 conv2d "a/b;c/d"`, keeps what stands before.
pub fn short(name: &str) -> String {
    if let Some((before, quoted)) = name.split_once('"') {
        let inner = quoted.strip_suffix('"').unwrap_or(quoted);
        return format!("{before}\"{}\"", short(inner));
    }
    let (first, joined) = name.split_once(';').map_or((name, ""), |(first, _)| (first, ";…"));
    let length = first.chars().count();
    if length <= NAME {
        return format!("{first}{joined}");
    }
    let end: String = first.chars().skip(length - (NAME - 1)).collect();
    format!("…{end}{joined}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("name", Align::Left), ("bytes", Align::Right)]);
        table.row(["a".to_owned(), bytes(1_234)]);
        table.row(["longer".to_owned(), bytes(7)]);
        assert_eq!(table.to_string(), "name    bytes\na       1,234\nlonger      7\n");
    }

    #[test]
    fn names_are_shortened() {
        assert_eq!(short("dense"), "dense");
        assert_eq!(short("a/Relu;a/conv;b"), "a/Relu;…");
        assert_eq!(short("3 conv2d \"a/Relu;b\""), "3 conv2d \"a/Relu;…\"");
        let long = short(&"path/".repeat(20));
        assert_eq!(long.chars().count(), NAME);
        assert!(long.starts_with('…') && long.ends_with("path/"));
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1_000, 1_234_567].map(bytes);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
