//! Columns of text, for people. Knows nothing of jobs.

/// Puts rows under their headings; columns are as wide as their widest cell, the last one is not padded. `paint` gets
/// each padded cell with its row and column and may colour it.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
    paint: impl Fn(String, usize, usize) -> String,
) -> Vec<String> {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let padded =
        |cell: &str, column: usize| format!("{cell:width$}", width = if column + 1 < N { widths[column] } else { 0 });
    let head: Vec<String> = headings.iter().enumerate().map(|(column, heading)| padded(heading, column)).collect();
    let mut lines = vec![head.join("  ").trim_end().to_owned()];
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| paint(padded(cell, column), number, column));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["a".to_owned(), "longer".to_owned(), String::new()], ["öö".to_owned(), "b".to_owned(), "end".to_owned()]];
        let lines = table(["ONE", "TWO", "THREE"], &rows, |cell, _, _| cell);
        assert_eq!(lines, ["ONE  TWO     THREE", "a    longer", "öö   b       end"]);
    }
}
