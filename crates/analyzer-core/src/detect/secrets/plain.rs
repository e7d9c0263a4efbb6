//! Names and values in text that has no tree: `.env`, YAML, JSON, TOML, Dockerfiles, shell, prose, comments.

mod around;
mod columns;
mod value;

use std::ops::Range;

use super::names;
use around::indent;
pub use around::{
    called, enclosing, enclosing_lines, field, host_of, is_host, is_sealed, name_before, nearby_hosts, nearby_hosts_of,
    told_hosts, whose,
};
use value::{colour, named_value, value_at};

/// A name and the value beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub name: Range<usize>,
    pub value: Range<usize>,
    /// It is written as an assignment is, and not as words of a sentence are.
    pub assigned: bool,
}

/// The longest name, and the most space between a name and its value.
const NAME: usize = 80;
const GAP: usize = 48;
const VALUE: usize = 2048;

/// The pairs whose names stand at these places.
pub fn pairs(text: &str, cues: &[usize]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut done = 0;
    for &cue in cues {
        if cue < done {
            continue;
        }
        let Some(name) = name_around(text, cue) else { continue };
        done = name.end;
        let columns = columns::values(text, &name);
        if !columns.is_empty() {
            pairs.extend(columns.into_iter().map(|value| Pair { name: name.clone(), value, assigned: true }));
            continue;
        }
        if let Some(value) = value_after(text, &name) {
            let assigned = is_assigned(text, &name, &value);
            pairs.push(Pair { name, value, assigned });
        }
    }
    pairs
}

/// Names of several words, `=`, quotes, flags, and lines that hold nothing else: what no sentence has.
fn is_assigned(text: &str, name: &Range<usize>, value: &Range<usize>) -> bool {
    let called = &text[name.clone()];
    let compound = called.contains(['_', '.']) || names::words(called).len() > 1 && !called.contains(' ');
    let between = text.get(name.end..value.start).unwrap_or("");
    let flag = text[..name.start].ends_with('-');
    // A line is looked at as far as a name and a value reach.
    let window = super::scan::floor(text, name.start.saturating_sub(NAME));
    let start = text[window..name.start].rfind('\n').map_or(window, |at| window + at + 1);
    let before = text[start..name.start].trim_start_matches([' ', '\t', '-', '#', '/', '*', '{', '"', '\'']);
    let behind = &text[value.end..super::scan::floor(text, value.end + NAME)];
    let behind = behind.split('\n').next().unwrap_or("");
    let alone = before.is_empty() && behind.trim_matches(['"', '\'', ',', ' ', '\r', '}']).is_empty();
    compound || flag || alone || between.contains(['=', '"', '\'', '`'])
}

impl Pair {
    /// A command sets it, by a name of its own: `keys set NAME --value …`.
    pub fn is_set(&self, text: &str) -> bool {
        let between = text.get(self.name.end..self.value.start).unwrap_or("");
        between.starts_with(" set ") && !between.contains(['=', ':'])
    }

    /// Two texts of a list stand beside each other, of which the first looks like a name.
    pub fn is_listed(&self, text: &str) -> bool {
        text.get(self.name.end..self.value.start).is_some_and(|between| between.contains(',') && between.len() <= 8)
    }
}

/// The name that a cue is part of, with the word before it in prose: `API key`.
pub fn name_around(text: &str, cue: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // Letters of other alphabets are of several bytes; punctuation of theirs is looked at behind.
    let part = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b) || !b.is_ascii();
    let before = bytes[cue.saturating_sub(NAME)..cue].iter().rev().take_while(|b| part(b)).count();
    let after = bytes[cue..(cue + NAME).min(bytes.len())].iter().take_while(|b| part(b)).count();
    let (mut start, end) = (cue - before, cue + after);
    if before + after >= NAME {
        return None;
    }
    if start >= 2 && bytes[start - 1] == b' ' && bytes[start - 2].is_ascii_alphabetic() {
        let word = bytes[start.saturating_sub(16)..start - 1].iter().rev().take_while(|b| b.is_ascii_alphabetic());
        let longer = start - 1 - word.count();
        let known = ["api", "access", "secret", "auth", "client", "private", "connection", "bearer", "account"];
        if known.contains(&text[longer..start - 1].to_ascii_lowercase().as_str()) {
            start = longer;
        }
    }
    while end > start && bytes[start] == b'-' {
        start += 1;
    }
    // `"…\nAPI_KEY=…"`: the letter of an escape is none of the name.
    if start > 0 && start < cue && bytes[start - 1] == b'\\' && b"nrt".contains(&bytes[start]) {
        start += 1;
    }
    let name = text.get(start..end)?;
    let letters = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    match name.char_indices().find(|(_, c)| !letters(*c)) {
        None => (start < end).then_some(start..end),
        // `密码：…`: the name ends before what is no letter, or begins behind it.
        Some((at, _)) if start + at > cue => Some(start..start + at),
        Some(_) => {
            let own = text.get(start..cue)?.char_indices().rfind(|(_, c)| !letters(*c))?;
            let (start, rest) = (start + own.0 + own.1.len_utf8(), text.get(cue..end)?);
            Some(start..cue + rest.find(|c| !letters(c)).unwrap_or(rest.len()))
        }
    }
}

/// What the name is given: behind `=`, `:`, `=>`, a flag's space, the next element of a list, or the `value:` of the
/// next line.
fn value_after(text: &str, name: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let blank = |mut i: usize| {
        let end = i + GAP;
        while i < end && (at(i) == b' ' || at(i) == b'\t') {
            i += 1;
        }
        i
    };
    // `--password`, and PowerShell's `-Password`.
    let flag = bytes[..name.start].ends_with(b"--")
        || bytes[..name.start].ends_with(b" -") && bytes[name.start].is_ascii_uppercase();
    let mut i = name.end + colour(&text[name.end..]);
    let quoted = matches!(at(i), b'"' | b'\'' | b'`') || at(i) == b'\\' && matches!(at(i + 1), b'"' | b'\'');
    while matches!(at(i), b'"' | b'\'' | b'`' | b']' | b')' | b'\\' | b'*') && i < name.end + 4 {
        i += 1;
    }
    i += colour(&text[i..]);
    let separator = blank(i);
    // `env:"NAME" default:"…"`: the tag of a field.
    if let Some(value) =
        text[i..super::scan::floor(text, i + GAP)].trim_start().strip_prefix("default:").filter(|_| quoted)
    {
        return value
            .starts_with('"')
            .then(|| value_at(text, value.as_ptr() as usize - text.as_ptr() as usize))
            .flatten();
    }
    if let Some(start) = otherwise(text, name.end, i) {
        return value_at(text, start);
    }
    let before = || piped(text, name.start).or_else(|| columns::updated(text, name.start));
    let behind = || declared(text, separator).or_else(|| unset(text, name, separator));
    if let Some(value) = markup(text, name, i).or_else(behind).or_else(before) {
        return Some(value);
    }
    // `CREATE USER agent WITH PASSWORD '…'`
    let sql = || {
        let start = super::scan::floor(text, name.start.saturating_sub(160));
        let before = text[start..name.start].rsplit(['\n', ';']).next().unwrap_or("").to_ascii_uppercase();
        let statement = ["USER", "ROLE", "LOGIN"].iter().any(|word| before.contains(word));
        statement && text[name.clone()].eq_ignore_ascii_case("password")
    };
    let after = match (at(separator), at(separator + 1)) {
        (b'=', b'=') => return None, // A comparison.
        // `printf 'NAME=%s' 'value'`
        (b'=', b'%') => {
            let rest = &text[separator + 1..super::scan::floor(text, separator + 16)];
            let end = rest.find(['"', '\''])? + 1;
            let value = blank(separator + 1 + end);
            return (rest.starts_with("%s") && value > separator + 1 + end).then(|| value_at(text, value)).flatten();
        }
        // `IDENTIFIED BY '…'`
        (b'W' | b'w', b'I' | b'i') if text[name.clone()].eq_ignore_ascii_case("identified") => {
            let rest = &text[separator..super::scan::floor(text, separator + GAP)];
            separator + rest.to_ascii_uppercase().find(" BY '")? + 4
        }
        (b'B' | b'b', b'Y' | b'y')
            if at(separator + 2) == b' ' && text[name.clone()].eq_ignore_ascii_case("identified") =>
        {
            separator + 3
        }
        (b'=', b'>') | (b':' | b'?', b'=') => separator + 2,
        (b'=', _) | (b':', _) if at(separator + 1) != b':' => separator + 1,
        (b',', _) if quoted => separator + 1,
        (b'\'', _) if separator > i && sql() => separator,
        // `setPassword("…")`, `.withToken("…")`
        (b'(', b'"' | b'\'') if separator == name.end && is_setter(&text[name.clone()]) => separator + 1,
        (0xef, 0xbc) if at(separator + 2) == 0x9a => separator + 3, // The colon of Chinese and Japanese.
        (b',', _) if text[..name.start].ends_with("env:") => separator + 1, // `${env:NAME, 'value'}`
        // `{ name: NAME, value: "…" }`
        (b',', _)
            if named_value(text[separator + 1..super::scan::floor(text, separator + GAP)].trim_start()).is_some() =>
        {
            separator + 1
        }
        (b'"', _) if separator > i && name.start > 0 && bytes[name.start - 1] == b':' => separator, // `:api-key "…"`
        (b'|', _) if bytes[..name.start].ends_with(b"| ") || bytes[..name.start].ends_with(b"| `") => {
            // A table of a document: its next cell, unless that describes the value.
            let cell = text[separator + 1..].split(['|', '\n']).next().unwrap_or("").trim();
            let describes = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_alphabetic());
            if !cell.starts_with(['`', '"']) && cell.split_once(' ').is_some_and(describes) {
                return None;
            }
            separator + 1
        }
        // `api_key (str): The key, for now "…".`
        (b'(', _) if separator > i => described(text, separator)?,
        // `${NAME}    value`
        (b'}', _) if text[..name.start].ends_with("\n${") && text[separator..].starts_with("}  ") => separator + 1,
        (b'i', b's') if separator > i && at(separator + 2) == b' ' => separator + 3, // "The API key is …"
        (b'-', _) if separator > i => option(text, separator)?,
        // `--with-token <<< "…"`
        (b'<', b'<') if flag => separator + 3,
        _ if flag && separator > name.end && !quoted => separator,
        (b's', b'e') if separator > i => command(text, separator)?,
        _ if separator > i && spaced(text, name.start) => separator,
        (b'`', _) if separator > i && names::is_shouted(&text[name.clone()]) => separator, // "the TOKEN `…`"
        (b'\n' | b'\r', _) => return next_line(text, separator).or_else(|| below_heading(text, name.start, separator)),
        _ if separator > i => typed(text, separator).or_else(|| said_later(text, separator))?,
        _ => return None,
    };
    let mut start = blank(after);
    start += colour(&text[start..]);
    // `"key": "NAME", "value": "…"`, `{ name: NAME, value: "…" }`
    if at(separator) == b',' {
        let quote = usize::from(matches!(at(start), b'"' | b'\''));
        let rest = &text[start + quote..super::scan::floor(text, start + GAP)];
        let own = named_value(rest);
        start = own.map_or(start, |value| start + quote + rest.len() - value.len());
        // `"description": "NAME", "password": true, "default": "…"`
        if own.is_none() && names::is_shouted(&text[name.clone()]) {
            let entry = text[start..super::scan::floor(text, start + GAP * 4)].split(['\n', '}', '{']).next()?;
            let mut entries = entry.match_indices(", \"").map(|(at, _)| &entry[at + 3..]);
            if let Some(value) = entries.find_map(named_value) {
                start = value.as_ptr() as usize - text.as_ptr() as usize;
            }
        }
    }
    // `"api_key": {"type": "str", "value": "…"}`
    if at(start) == b'{' {
        let block = text[start + 1..super::scan::floor(text, start + 240)].split(['}', '{']).next().unwrap_or("");
        let entries = block.match_indices([',', '\n']).map(|(at, _)| at + 1);
        let value = std::iter::once(0).chain(entries).find_map(|at| {
            let key = block[at..].trim_start_matches([' ', '\n', '\r', '\t', '"', '\'']);
            Some(start + 1 + block.len() - named_value(key)?.len())
        });
        return value.and_then(|value| value_at(text, value));
    }
    // A value on the line below: YAML's folded scalars, JSON printed wide.
    if matches!(at(start), b'>' | b'|') && matches!(at(start + 1), b'\n' | b'-') {
        let line = bytes[start..(start + 4).min(bytes.len())].iter().position(|b| *b == b'\n')? + start;
        start = blank(line + 1);
    } else if matches!(at(start), b'\n' | b'\r') {
        return next_line(text, start);
    }
    // The type of a declaration: `token: str = "…"`, `TOKEN: &'static str = "…"`.
    let annotated = &text[start..super::scan::floor(text, start + GAP)];
    let is_type = |c: char| c.is_ascii_alphanumeric() || "&'_<>[]|?.: ".contains(c);
    if let Some(end) = annotated.find(" = ")
        && annotated[..end].chars().all(is_type)
        && annotated[end + 3..].starts_with(['"', '\'', 'r', 'b', 'f'])
    {
        start += end + 3;
    }
    value_at(text, start)
}

/// A method that is told a secret: `dataSource.setPassword`, `.apiKey`.
fn is_setter(name: &str) -> bool {
    let (path, method) = name.rsplit_once('.').map_or((None, name), |(path, method)| (Some(path), method));
    let words = names::words(method);
    words.len() >= 2 && matches!(words[0].as_str(), "set" | "with") && names::classify(&words[1..]).is_some()
        || path.is_some() && names::classify(&words).is_some_and(|kind| kind != names::Kind::Weak)
}

/// What a look-up takes when there is nothing: `env("NAME") ?? "…"`, `getenv("NAME") ?: "…"`, `ENV['NAME'] || '…'`,
/// `var("NAME").unwrap_or("…")`. Where the text begins.
fn otherwise(text: &str, name: usize, behind: usize) -> Option<usize> {
    let rest = &text[behind..super::scan::floor(text, behind + GAP)];
    let quoted = |rest: &str| rest.trim_start_matches(['@', '$']).starts_with(['"', '\'']);
    let operator = rest.trim_start();
    if let Some(value) = ["??", "?:", "||"].iter().find_map(|sign| operator.strip_prefix(sign)) {
        let value = value.trim_start();
        return quoted(value).then(|| behind + (rest.len() - value.len()));
    }
    let method = rest.strip_prefix('.').filter(|_| behind > name)?;
    let (method, value) = method.split_once('(')?;
    let fallback = ["or", "else", "default"].iter().any(|word| names::words(method).iter().any(|w| w == word));
    let value = value.trim_start_matches("||").trim_start();
    (fallback && quoted(value)).then(|| behind + (rest.len() - value.len()))
}

/// `param name string = '…'`, `var name string = "…"`: a type between a name and what it is.
fn typed(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..super::scan::floor(text, at + GAP)];
    let (kind, value) = rest.split_once(" = ")?;
    let word = !kind.is_empty()
        && kind.len() <= 24
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || "*<>[]?.".contains(c));
    (word && value.starts_with(['"', '\''])).then(|| at + rest.len() - value.len())
}

/// `set NAME --value …`: where the value of the option begins.
fn command(text: &str, at: usize) -> Option<usize> {
    let line = text[at..super::scan::floor(text, at + NAME + GAP)].split('\n').next()?;
    let (_, rest) = line.strip_prefix("set ")?.split_once(' ')?;
    rest.starts_with("--").then(|| option(text, at + line.len() - rest.len())).flatten()
}

/// `(str): The key, for now "…".`: the one text that its description quotes.
fn described(text: &str, at: usize) -> Option<usize> {
    let line = text[at..super::scan::floor(text, at + NAME + VALUE)].split('\n').next()?;
    let said = line.find("):")? + 2;
    let quote = line[said..].find(['"', '`'])? + said;
    (line[1..said - 2].chars().all(|c| c.is_alphanumeric() || "_ |,.[]".contains(c))).then_some(at + quote)
}

/// "The key for https://… is `…`": in a sentence, later on its line.
fn said_later(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..super::scan::floor(text, at + NAME + GAP)].split('\n').next()?;
    let said = rest.find(" is `")?;
    (!rest[..said].contains(['`', '"', ';', '|'])).then_some(at + said + 4)
}

/// `## NAME` and, below the heading, its value as code.
fn below_heading(text: &str, name: usize, at: usize) -> Option<Range<usize>> {
    let window = super::scan::floor(text, name.saturating_sub(NAME));
    let start = text[window..name].rfind('\n').map_or(window, |i| window + i + 1);
    let rest = &text[at..super::scan::floor(text, at + GAP)];
    let value = rest.trim_start_matches(['\n', '\r', ' ']);
    let from = at + rest.len() - value.len();
    (text[start..].starts_with('#') && from - at <= 4 && value.starts_with('`')).then(|| value_at(text, from)).flatten()
}

/// Statements that put a space between the name and its value: Dockerfiles, shells, `.netrc`.
fn spaced(text: &str, name: usize) -> bool {
    let start = super::scan::floor(text, name.saturating_sub(160));
    let line = text[start..name].rsplit('\n').next().unwrap_or("").trim_start_matches([' ', '\t', '"']).trim_end();
    const STATEMENTS: &[&str] = &[
        "ENV", "ARG", "env", "setx", "set -x", "set -gx", "set -Ux", "setenv", "machine", "#define", "%env",
        "%set_env", "SetEnv", "Header",
    ];
    let sets = [" configure set", " config set", " config --global"].iter().any(|command| line.ends_with(command));
    // `.netrc` puts each word on a line of its own.
    let below = || {
        let before = text[start..name].rsplit('\n').nth(1).unwrap_or("").trim_start();
        line.is_empty() && before.starts_with("login ") && text[name..].starts_with("password ")
    };
    sets || below() || STATEMENTS.contains(&line) || line.starts_with("machine ") && line.contains(" login ")
}

/// `echo "…" | vercel env add NAME`: what is piped into the command that names it.
fn piped(text: &str, name: usize) -> Option<Range<usize>> {
    let start = super::scan::floor(text, name.saturating_sub(VALUE));
    let line = text[start..name].rsplit('\n').next().unwrap_or("");
    let command = line.trim_start();
    let rest = ["echo -n ", "echo ", "printf '%s' ", "printf %s ", "printf "]
        .iter()
        .find_map(|word| command.strip_prefix(word))?;
    let at = name - rest.len();
    let value = value_at(text, at)?;
    let behind = text.get(value.end..name)?.trim_start_matches(['"', '\'']).trim_start();
    behind.starts_with('|').then_some(value)
}

/// `secret set NAME --body value`: where the value of the option begins.
fn option(text: &str, at: usize) -> Option<usize> {
    const OPTIONS: &[&str] = &["--body", "-b", "--value", "-Value", "--data", "--secret-string", "--plaintext"];
    let mut at = at;
    for _ in 0..8 {
        let given = OPTIONS.iter().find_map(|option| {
            let rest = text[at..].strip_prefix(option)?;
            rest.starts_with([' ', '=']).then_some(at + option.len() + 1)
        });
        if given.is_some() {
            return given;
        }
        // Another option, with what it is given: `--type SecureString --value …`
        let window = &text[at..super::scan::floor(text, at + NAME + GAP)];
        let line = window.split('\n').next().filter(|line| line.starts_with("--"))?;
        at += line[2..].find(" -").map(|next| next + 3)?;
    }
    None
}

/// `value := os.Getenv("NAME")` and, where that is empty, `value = "…"`.
fn unset(text: &str, name: &Range<usize>, at: usize) -> Option<Range<usize>> {
    if !text[..name.start].ends_with("(\"") && !text[..name.start].ends_with("('") {
        return None;
    }
    let start = super::scan::floor(text, name.start.saturating_sub(NAME + GAP));
    let line = text[start..name.start].rsplit('\n').next()?;
    let variable = line.split_once('=')?.0.trim_end_matches([':', ' ', '\t']);
    let variable = &variable[variable.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len()..];
    let window = &text[at..super::scan::floor(text, at + 240)];
    let mut lines = window.split_inclusive('\n').skip(1).take(3);
    let asked = lines.next()?;
    let words =
        |line: &str| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == variable);
    if variable.is_empty() || !asked.trim_start().starts_with("if") || !words(asked) {
        return None;
    }
    lines.find_map(|line| {
        let rest = line.trim_start().strip_prefix(variable)?.trim_start().strip_prefix('=')?.trim_start();
        let from = line.as_ptr() as usize - window.as_ptr() as usize + line.len() - rest.len();
        rest.starts_with(['"', '\'', '`']).then(|| value_at(text, at + from)).flatten()
    })
}

/// `<name>value<`, `name="NAME">value<`, `key="NAME" value="value"`. `behind` is the place behind the name's quote.
fn markup(text: &str, name: &Range<usize>, behind: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // `<key>NAME</key> <string>value</string>`: property lists, Hadoop's files.
    if name.start > 0 && bytes[name.start - 1] == b'>' {
        let window = &text[name.end..super::scan::floor(text, name.end + NAME + VALUE)];
        let next = window.strip_prefix("</key>").or_else(|| window.strip_prefix("</name>"))?.trim_start();
        let content = next.strip_prefix("<string>").or_else(|| next.strip_prefix("<value>"))?;
        let start = name.end + window.len() - content.len();
        let length = content.find(['<', '\n'])?;
        return (length >= 4).then_some(start..start + length);
    }
    let element = name.start > 0 && bytes[name.start - 1] == b'<';
    let attribute = behind > name.end && text[..name.start].ends_with(['"', '\'']);
    if !element && !attribute {
        return None;
    }
    let window = &text[behind..super::scan::floor(text, behind + NAME + VALUE)];
    if let Some(content) = window.strip_prefix('>') {
        let value = &content[..content.find(['<', '\n'])?];
        let ends = &content[value.len()..];
        // `<user>:<password>@host` are holes that a person fills.
        if ends.starts_with('<') && !ends.starts_with("</") {
            return None;
        }
        let start = behind + 1 + value.len() - value.trim_start().len();
        return (value.trim().len() >= 4).then(|| start..start + value.trim().len());
    }
    let rest = window.trim_start();
    let given = ["value=", "content=", "defaultValue="].iter().find_map(|given| rest.strip_prefix(given));
    let value = given.filter(|_| attribute)?;
    value_at(text, behind + window.len() - value.len())
}

/// `variable "NAME" {` and, some lines below, `default = "value"`; `Name { get; set; } = "value"`.
fn declared(text: &str, at: usize) -> Option<Range<usize>> {
    let window = text[at..super::scan::floor(text, at + 240)].strip_prefix('{')?;
    let block = &window[..window.find('}')?];
    let from = at + 1;
    if !block.contains('\n') {
        let rest = &window[block.len() + 1..];
        let value = rest.strip_prefix(" = ")?;
        return value_at(text, from + window.len() - value.len());
    }
    let line = block.match_indices('\n').take(8).find_map(|(i, _)| {
        let line = block[i + 1..].trim_start();
        let value = line.strip_prefix("default").or_else(|| line.strip_prefix("value"))?.trim_start();
        Some(value.strip_prefix('=')?.trim_start().len())
    })?;
    value_at(text, from + block.len() - line)
}

/// `name: KEY` and, a line below, `value: …`.
fn next_line(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let line = bytes[at..(at + 3).min(bytes.len())].iter().position(|b| *b == b'\n')? + at + 1;
    let rest = &text[line..super::scan::floor(text, line + GAP * 2)];
    let key = rest.trim_start_matches([' ', '\t', '"', '\'']);
    if let Some(value) = named_value(key) {
        return value_at(text, line + rest.len() - value.len());
    }
    // The default of an input, some lines below it and deeper: `NAME:`, `type: string`, `default: "…"`.
    let own = indent(text[..at].rsplit('\n').next()?);
    let block = &text[line..super::scan::floor(text, line + VALUE / 4)];
    let mut lines = block.split_inclusive('\n').take(6).take_while(|line| indent(line) > own);
    let value = lines.find_map(|line| {
        let key = line.trim_start();
        named_value(key).or_else(|| key.strip_prefix("Default: "))
    })?;
    value_at(text, value.as_ptr() as usize - text.as_ptr() as usize)
}

/// What a shell appends to on the next line, `NAME+="…"`: where it stands, and the whole.
pub fn continued(text: &str, pair: &Pair) -> Option<(Range<usize>, String)> {
    let name = &text[pair.name.clone()];
    let mut whole = text[pair.value.clone()].to_owned();
    let mut end = pair.value.end;
    // `printf '%s%s' 'first' 'second'`
    if text.get(pair.name.end..pair.value.start).is_some_and(|between| between.contains("$(printf '%s%s")) {
        while let Some(next) = text[end..].strip_prefix("' '").filter(|_| whole.len() < VALUE) {
            let part = next.split(['\'', '\n']).next()?;
            whole.push_str(part);
            end += 3 + part.len();
        }
    }
    while whole.len() < VALUE {
        let rest = text[end..].trim_start_matches(['"', '\'']);
        let next = rest.trim_start_matches(['\r', '\n']).trim_start_matches([' ', '\t']);
        let Some(value) = next.strip_prefix(name).and_then(|next| next.strip_prefix("+=")) else { break };
        let Some(value) = value_at(text, text.len() - value.len()) else { break };
        whole.push_str(&text[value.clone()]);
        end = value.end;
    }
    (end > pair.value.end).then_some((pair.value.start..end, whole))
}

/// What the use of a variable says: `KEY=…` and, later, `"x-api-key: $KEY"`.
pub fn used_as(text: &str, pair: &Pair) -> Option<names::Kind> {
    let name = text.get(pair.name.clone())?;
    let later = &text[pair.value.end..super::scan::floor(text, pair.value.end + VALUE)];
    let before = [format!("${name}"), format!("${{{name}}}")].iter().find_map(|use_| later.find(use_))?;
    let before = later[..before].trim_end_matches([' ', '"', '\'']);
    let before = before.strip_suffix("Bearer").map_or(before, str::trim_end).strip_suffix([':', '='])?.trim_end();
    let start = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c)).len();
    let used = &before[start..];
    match used.eq_ignore_ascii_case("authorization") {
        true => Some(names::Kind::Token),
        false => kind(used).filter(|kind| *kind != names::Kind::Weak),
    }
}

/// What a name's words say, for a name in text.
pub fn kind(name: &str) -> Option<names::Kind> {
    names::classify(&names::words(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_before_a_value_starts_behind_any_character() {
        let text = "¡token = {\"v\"}";
        let value = text.find('"').unwrap_or(0);
        assert_eq!(name_before(text, value).map(|name| &text[name]), Some("token"));
    }

    #[test]
    fn what_stands_for_a_value_or_describes_it_is_none() {
        assert_eq!(only("<password>@localhost:5432/<name>"), None);
        assert_eq!(only("| `APP_PASSWORD` | 16-character password of the app |"), None);
        assert_eq!(only("  object_key = aws_s3_object.layer1.key"), None);
        assert_eq!(only("<password>hunter22</password>"), Some(("password", "hunter22")));
        // Parts that a machine made are a token's, whatever joins them.
        let token = format!("acme_live.k{:x}.d{:x}", 0x9e37_79b9_7f4a_7c15_u64, 0xbf58_476d_1ce4_e5b9_u64);
        assert_eq!(only(&format!("API_KEY = {token}")), Some(("API_KEY", token.as_str())));
    }

    fn only(text: &str) -> Option<(&str, &str)> {
        let cues: Vec<usize> =
            ["KEY", "key", "Key", "token", "pass"].iter().flat_map(|c| text.match_indices(c)).map(|m| m.0).collect();
        let pairs = pairs(text, &cues);
        pairs.first().map(|pair| (&text[pair.name.clone()], &text[pair.value.clone()]))
    }

    #[test]
    fn a_pair_is_seen_in_every_syntax() {
        for text in [
            "export API_KEY=abcd1234",
            "API_KEY: 'abcd1234'",
            "{\"API_KEY\": \"abcd1234\"}",
            "ENV API_KEY abcd1234",
            "API_KEY = \"abcd1234\"",
            "- name: API_KEY\n  value: abcd1234",
            "[\"--API_KEY\", \"abcd1234\"]",
            "run --API_KEY abcd1234",
            "API_KEY := `abcd1234`",
            "os.environ[\"API_KEY\"] = \"abcd1234\"",
            "getEnv(\"API_KEY\") ?? \"abcd1234\"",
            "System.getenv(\"API_KEY\") ?: \"abcd1234\"",
            "ENV['API_KEY'] || 'abcd1234'",
            "var(\"API_KEY\").unwrap_or(\"abcd1234\".to_string())",
            "String.fromEnvironment('API_KEY', defaultValue: 'abcd1234')",
            "${env:API_KEY, 'abcd1234'}",
            "param API_KEY string = 'abcd1234'",
            "NSString *const API_KEY = @\"abcd1234\";",
            "{ name: API_KEY, value: \"abcd1234\" }",
            "{\"API_KEY\": {\"type\": \"str\", \"value\": \"abcd1234\"}}",
            "printf 'API_KEY=%s\\n' 'abcd1234'",
            "Use the API_KEY `abcd1234` here.",
            "## API_KEY\n\n`abcd1234`\n",
            "<meta name=\"API_KEY\" content=\"abcd1234\">",
            "API_KEY = new Secret(\"abcd1234\")",
        ] {
            assert_eq!(only(text), Some(("API_KEY", "abcd1234")), "{text}");
        }
        assert_eq!(only("The API key: abcd1234").map(|p| p.1), Some("abcd1234"));
    }

    #[test]
    fn code_is_no_value() {
        for text in [
            "key = os.environ['X']",
            "key == \"abcd1234\"",
            "key::abcd1234",
            "if key:\n    pass",
            "getEnv(\"API_KEY\") ?? fallback",
            "var(\"API_KEY\").expect(\"abcd1234\")",
            "API_KEY\n\n`abcd1234`\n",
            "{\"API_KEY\": {\"type\": \"str\"}, \"value\": \"abcd1234\"}",
            "key = prompt(\"abcd1234\")",
        ] {
            assert_eq!(only(text), None, "{text}");
        }
    }

    #[test]
    fn an_assignment_is_told_from_a_sentence() {
        let assigned = |text: &str| {
            let cues: Vec<usize> = text.match_indices("pass").map(|found| found.0).collect();
            pairs(text, &cues).first().map(|pair| pair.assigned)
        };
        for text in [
            "db_password: abcd",
            "{password: 'abcd'}",
            "- password: abcd\n",
            "run --password abcd",
            "password = abcd x",
        ] {
            assert_eq!(assigned(text), Some(true), "{text}");
        }
        assert_eq!(assigned("Then the password: abcd is asked for"), Some(false));
    }

    #[test]
    fn a_variable_is_what_it_is_used_as() {
        let used = |text: &str| used_as(text, &pairs(text, &[0])[0]);
        assert_eq!(used("key='abcd1234'\ncurl -H \"x-api-key: $key\""), Some(names::Kind::ApiKey));
        assert_eq!(used("key='abcd1234'\ncurl -H \"Authorization: Bearer ${key}\""), Some(names::Kind::Token));
        assert_eq!(used("key='abcd1234'\necho \"cache: $key\""), None);
    }

    #[test]
    fn the_mapping_around_a_value_is_known() {
        let text = "models:\n  mistral:\n    api_key: x\n";
        assert_eq!(enclosing(text, text.find("api_key").unwrap()), ["mistral", "models"]);
    }
}
