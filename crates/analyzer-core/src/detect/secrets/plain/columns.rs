//! Values that a column names: tables of documents, rows of SQL.

use std::ops::Range;

use super::super::scan::floor;
use super::VALUE;

/// Rows of a table that are looked at, and bytes in front of a name in which its statement begins.
const ROWS: usize = 16;
const STATEMENT: usize = 400;

/// The values below a name that heads a column; none for any other name.
pub fn values(text: &str, name: &Range<usize>) -> Vec<Range<usize>> {
    match text[name.end..].trim_start_matches(['"', '`', ']', ' ']).as_bytes().first() {
        Some(b'|') => of_table(text, name),
        Some(b':') => listed(text, name.end),
        Some(b',' | b')') => inserted(text, name).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `api-key:` and, as items below, `- groq=…`.
fn listed(text: &str, name: usize) -> Vec<Range<usize>> {
    let mut lines = text[name..floor(text, name + VALUE)].split_inclusive('\n');
    let Some(head) = lines.next().filter(|head| head.trim_matches(['"', ' ', ':', '\r', '\n']).is_empty()) else {
        return Vec::new();
    };
    let mut at = name + head.len();
    let mut found = Vec::new();
    for line in lines.take(ROWS).take_while(|line| line.trim_start().starts_with("- ")) {
        let item = line.trim();
        let value = item.split_once('=').map_or("", |(_, value)| value).trim_matches(['"', '\'']);
        if value.len() >= 4 && !value.contains(' ') {
            let from = at + line.find(value).unwrap_or(0);
            found.push(from..from + value.len());
        }
        at += line.len();
    }
    found
}

/// `| User | Password |`, a line of dashes, and rows.
fn of_table(text: &str, name: &Range<usize>) -> Vec<Range<usize>> {
    let window = floor(text, name.start.saturating_sub(STATEMENT));
    let start = text[window..name.start].rfind('\n').map_or(window, |at| window + at + 1);
    let mut lines = text[start..floor(text, start + 2 * VALUE)].split_inclusive('\n');
    let (Some(head), Some(dashes)) = (lines.next(), lines.next()) else { return Vec::new() };
    let ruled = dashes.contains("--") && dashes.bytes().all(|b| b"|-: \r\n\t".contains(&b));
    if !ruled || !head.trim_start().starts_with('|') {
        return Vec::new();
    }
    let column = text[start..name.start].matches('|').count();
    let mut at = start + head.len() + dashes.len();
    let mut found = Vec::new();
    for row in lines.take(ROWS).take_while(|row| row.trim_start().starts_with('|')) {
        let cell = row.split('|').nth(column).unwrap_or("");
        let from = at + row.split('|').take(column).map(|cell| cell.len() + 1).sum::<usize>();
        let inner = cell.trim().trim_matches('`');
        if inner.len() >= 4 && !inner.contains(' ') {
            let from = from + cell.find(inner).unwrap_or(0);
            found.push(from..from + inner.len());
        }
        at += row.len();
    }
    found
}

/// `INSERT INTO t (name, api_key) VALUES ('a', '…')`.
fn inserted(text: &str, name: &Range<usize>) -> Option<Range<usize>> {
    let behind = &text[name.end..floor(text, name.end + VALUE)];
    let close = behind.find(')')?;
    let keyword = behind[close + 1..].trim_start();
    let rest =
        keyword.get(..6).filter(|word| word.eq_ignore_ascii_case("values")).map(|_| keyword[6..].trim_start())?;
    let window = floor(text, name.start.saturating_sub(STATEMENT));
    let before = text[window..name.start].rsplit(';').next()?;
    let open = before.rfind('(')?;
    if !before[..open].to_ascii_uppercase().contains("INSERT") {
        return None;
    }
    let column = before[open..].matches(',').count();
    let row = rest.strip_prefix('(')?;
    let cell = cells(row).nth(column)?;
    let from = name.end + behind.len() - row.len();
    (cell.len() >= 4).then_some(from + cell.start..from + cell.end)
}

/// `UPDATE t SET value = '…' WHERE name = 'NAME'`.
pub fn updated(text: &str, name: usize) -> Option<Range<usize>> {
    if !text[..name].ends_with("= '") && !text[..name].ends_with("', '") {
        return None;
    }
    let window = floor(text, name.saturating_sub(VALUE));
    let before = text[window..name].rsplit(['\n', ';']).next()?;
    // `create_secret('…', 'NAME')`
    if let Some(value) = before.strip_suffix("', '") {
        let (call, value) = value.rsplit_once("('")?;
        let from = name - 4 - value.len();
        return (call.ends_with("secret") && value.len() >= 4 && !value.contains('\''))
            .then_some(from..from + value.len());
    }
    let filter = before.to_ascii_uppercase().rfind(" WHERE ")?;
    let set = before[..filter].to_ascii_uppercase().find("SET ")?;
    let value = &before[set..filter];
    let open = value.find('\'')? + 1;
    let close = value.rfind('\'').filter(|close| *close >= open + 4)?;
    let from = name - before.len() + set;
    (!value[open..close].contains('\'')).then_some(from + open..from + close)
}

/// The texts in front of a value in its row: `VALUES ('groq', '…')`, `- groq=…`.
pub fn row(text: &str, line: usize, at: usize) -> Vec<String> {
    if let Some(item) = text[line..at]
        .trim_start()
        .strip_prefix("- ")
        .and_then(|item| item.trim_end_matches(['"', '\'']).strip_suffix('='))
    {
        return vec![item.trim_matches(['"', '\'']).to_owned()];
    }
    let before = &text[floor(text, line.max(at.saturating_sub(STATEMENT)))..at];
    let Some(values) = before.to_ascii_uppercase().rfind("VALUES") else { return Vec::new() };
    let Some(open) = before[values..].rfind('(') else { return Vec::new() };
    let row = &before[values + open + 1..];
    let texts = cells(row).map(|cell| row[cell].to_owned());
    texts.filter(|text| (2..=40).contains(&text.len())).take(8).collect()
}

/// What stands between the commas of a row, without quotes.
fn cells(row: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &row[at..];
        let start = at + rest.len() - rest.trim_start().len();
        let (from, end) = match row[start..].strip_prefix('\'') {
            Some(quoted) => (start + 1, start + 1 + quoted.find('\'')?),
            None => (start, start + row[start..].find([',', ')'])?),
        };
        at = end + row[end..].find(',').map_or(row.len() - end, |comma| comma + 1);
        Some(from..end)
    })
}
