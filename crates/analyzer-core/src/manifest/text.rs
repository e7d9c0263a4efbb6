//! Small readings that several manifests share.

/// The folder of a path, `""` for the root.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a path lies in a folder or below it.
pub fn is_under(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// A path seen from a folder: `.` and `..` resolved; none when it leaves the project.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The line of a byte offset, from 1.
pub fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

/// JSON without the comments and trailing commas that configuration files allow themselves. Lines stay where they are.
pub fn plain_json(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/', '}', ']']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let taken = match found.as_bytes() {
            [b'"', ..] => {
                let taken = string_length(found);
                out.push_str(&found[..taken]);
                taken
            }
            [b'/', b'/', ..] => found.find('\n').unwrap_or(found.len()),
            [b'/', b'*', ..] => {
                let taken = found.find("*/").map_or(found.len(), |end| end + 2);
                out.extend(found[..taken].matches('\n'));
                taken
            }
            [close, ..] => {
                if *close != b'/' {
                    let kept = out.trim_end().len();
                    if out[..kept].ends_with(',') {
                        out.replace_range(kept - 1..kept, " ");
                    }
                }
                out.push(char::from(*close));
                1
            }
            [] => 0,
        };
        rest = &found[taken..];
    }
    out.push_str(rest);
    out
}

/// Length of the string literal that a text starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A line of the block style that configuration in YAML is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YamlLine<'a> {
    /// Columns before the first character; `- ` counts as columns of what follows it.
    pub indent: usize,
    /// An item of a list.
    pub item: bool,
    /// Key before `: `, empty for a bare scalar.
    pub key: &'a str,
    /// Scalar without quotes and comment, empty when the value stands on the following lines.
    pub value: &'a str,
}

/// The lines of a YAML text, each by itself: enough for `key: scalar` and lists of scalars at known places, without
/// anchors to expand or depth to recurse into.
pub fn yaml_lines(text: &str) -> impl Iterator<Item = YamlLine<'_>> {
    text.lines().filter_map(|line| {
        let mut content = line.trim_start();
        let mut indent = line.len() - content.len();
        let item = content == "-" || content.starts_with("- ");
        if item {
            let inner = content[1..].trim_start();
            indent += content.len() - inner.len();
            content = inner;
        }
        if content.starts_with(['#', '%']) || content.starts_with("---") || content.is_empty() && !item {
            return None;
        }
        let (key, value) = match content.split_once(": ").or_else(|| Some((content.strip_suffix(':')?, ""))) {
            Some((key, value)) if !key.starts_with(['"', '\'', '[', '{']) && !key.contains(" #") => (key.trim(), value),
            _ => ("", content),
        };
        Some(YamlLine { indent, item, key, value: scalar(value) })
    })
}

fn scalar(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or(rest);
        }
    }
    let value = value.split(" #").next().unwrap_or(value).trim();
    if value.starts_with(['|', '>', '&', '*', '#']) { "" } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_within_the_project() {
        assert_eq!(join("a/b", "../c/./d.py").as_deref(), Some("a/c/d.py"));
        assert_eq!(join("", "./x.ts").as_deref(), Some("x.ts"));
        assert_eq!(join("a", "../../x"), None);
        assert!(is_under("a/b.py", "a") && !is_under("ab/c.py", "a") && is_under("x", ""));
    }

    #[test]
    fn comments_and_trailing_commas_leave_json_readable() {
        let text = "{ // one\n \"a\": \"// no comment /* \\\" */\", /* two\n lines */ \"b\": [1, 2,],\n}";
        let value: serde_json::Value = serde_json::from_str(&plain_json(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": "// no comment /* \" */", "b": [1, 2]}));
        assert_eq!(plain_json(text).lines().count(), text.lines().count());
    }

    #[test]
    fn yaml_is_read_by_line() {
        let lines: Vec<_> = yaml_lines("a: 'x' # c\n# no\nb:\n  - pip:\n    - y==1 # c\n").collect();
        let line = |indent, item, key, value| YamlLine { indent, item, key, value };
        assert_eq!(
            lines,
            [line(0, false, "a", "x"), line(0, false, "b", ""), line(4, true, "pip", ""), line(6, true, "", "y==1")]
        );
    }
}
