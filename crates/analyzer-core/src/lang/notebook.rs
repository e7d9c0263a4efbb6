//! Notebooks: the code of their cells, each line where it stands in the file.

/// Code whose lines have the numbers they have in the notebook's own file; what is no code is an empty line.
pub fn code(json: &str) -> String {
    let mut code = String::new();
    let (mut line, mut counted) = (1, 0);
    for (place, text) in lines(json) {
        line += json[counted..place].matches('\n').count();
        counted = place;
        let so_far = code.matches('\n').count() + 1;
        code.extend(std::iter::repeat_n('\n', usize::saturating_sub(line, so_far)));
        // Magic and shell lines are no Python.
        let plain = !text.trim_start().starts_with(['%', '!']);
        code.push_str(if plain { text.trim_end_matches(['\n', '\r']) } else { "" });
        code.push('\n');
    }
    code
}

/// Lines of the `source` of each cell whose `cell_type` is `code`, with their place in the file: read by strings
/// alone, so a broken notebook still gives its cells.
fn lines(json: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let (mut is_code, mut at) = (false, 0);
    while let Some((span, after)) = string_at(json, at) {
        at = after;
        match &json[span] {
            "cell_type" => {
                let Some((value, after)) = string_at(json, at) else { break };
                is_code = &json[value] == "code";
                at = after;
            }
            "source" => {
                let is_list = json[at..].trim_start_matches([':', ' ', '\n', '\r', '\t']).starts_with('[');
                while let Some((span, after)) = string_at(json, at) {
                    if is_list && json[at..span.start].contains(']') {
                        break;
                    }
                    if is_code {
                        let text = serde_json::from_str(&json[span.start - 1..span.end + 1]).unwrap_or_default();
                        lines.push((span.start, text));
                    }
                    at = after;
                    if !is_list {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    lines
}

/// The next JSON string: its content, and where it ends.
fn string_at(json: &str, at: usize) -> Option<(std::ops::Range<usize>, usize)> {
    let start = json[at..].find('"')? + at + 1;
    let bytes = json.as_bytes();
    let mut end = start;
    while *bytes.get(end)? != b'"' {
        end += 1 + usize::from(bytes[end] == b'\\');
    }
    Some((start..end, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_code_has_the_number_it_has_in_the_file() {
        let json = "{\"cells\": [\n{\"cell_type\": \"markdown\", \"source\": [\n\"# no\"]},\n\
            {\"cell_type\": \"code\",\n \"source\": [\n  \"%pip install x\\n\",\n  \"import os\\n\",\n  \"print(1)\"]}]}";
        let code = code(json);
        let at = |wanted: &str, text: &str| text.lines().position(|line| line.contains(wanted));
        assert_eq!(at("import os", &code), at("import os", json));
        assert_eq!(at("print(1)", &code), at("print(1)", json));
        assert!(!code.contains("pip") && !code.contains("# no"));
    }

    #[test]
    fn a_broken_notebook_gives_the_cells_before_the_break() {
        for cut in 0..40 {
            code(&"{\"cells\": [{\"cell_type\": \"code\", \"source\": [\"a\\n\"]}"[..cut]);
        }
    }
}
