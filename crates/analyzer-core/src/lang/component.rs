//! Components: the scripts of single-file components (Vue, Svelte, Astro), each line and column where it stands in the file.

/// The scripts as they stand, with blanks in the place of everything else. Astro's script stands between two lines of
/// dashes at the top.
pub fn code(text: &str) -> String {
    let mut kept: Vec<std::ops::Range<usize>> = Vec::new();
    if let Some(rest) = text.trim_start().strip_prefix("---\n") {
        let start = text.len() - rest.len();
        kept.extend(rest.find("\n---").map(|end| start..start + end));
    }
    let mut at = kept.last().map_or(0, |range| range.end);
    while let Some(found) = text[at..].find("<script") {
        let Some(open) = text[at + found..].find('>') else { break };
        let start = at + found + open + 1;
        let length = text[start..].find("</script").unwrap_or(text.len() - start);
        kept.push(start..start + length);
        at = start + length;
    }
    let mut code = String::with_capacity(text.len());
    let blank =
        |outside: &str, code: &mut String| code.extend(outside.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
    let mut end = 0;
    for range in kept {
        blank(&text[end..range.start], &mut code);
        code.push_str(&text[range.clone()]);
        end = range.end;
    }
    blank(&text[end..], &mut code);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_stand_where_they_stand() {
        let svelte = "<h1>é</h1>\n<script lang=\"ts\">\n  import x from 'y';\n</script>\n<p>{x}</p>\n";
        let read = code(svelte);
        assert_eq!(read.len(), svelte.len());
        assert_eq!(read.find("import"), svelte.find("import"));
        assert!(!read.contains("h1") && !read.contains("{x}"));
        assert_eq!(code("---\nimport a from 'b';\n---\n<p/>").trim(), "import a from 'b';");
        assert_eq!(code("<script").trim(), "");
    }
}
