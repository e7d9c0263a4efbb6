//! Is a value random enough to open something, or is it there to be replaced?

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Entropy from which the documents call a base64-like value a secret whatever its name.
pub const DOCUMENTED_ENTROPY: f32 = 4.5;

/// Shannon entropy in bits per byte.
pub fn entropy(value: &str) -> f32 {
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|byte| counts[byte as usize] += 1);
    let total = value.len() as f32;
    counts.iter().filter(|count| **count > 0).map(|&count| count as f32 / total).map(|p| -p * p.log2()).sum()
}

/// Characters that a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    Hex,
    Uuid,
    /// Letters of one case and digits.
    Base36,
    Base64,
    Other,
}

pub fn alphabet(value: &str) -> Alphabet {
    let bytes = value.as_bytes();
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    let dashes = [8, 13, 18, 23];
    let all = |test: fn(&u8) -> bool| bytes.iter().all(test);
    if bytes.len() == 36 && bytes.iter().enumerate().all(|(i, b)| if dashes.contains(&i) { *b == b'-' } else { hex(b) })
    {
        Alphabet::Uuid
    } else if bytes.iter().all(hex) {
        Alphabet::Hex
    } else if all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        || all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    {
        Alphabet::Base36
    } else if all(|b| b.is_ascii_alphanumeric() || b"+/=_-.~".contains(b)) {
        Alphabet::Base64
    } else {
        Alphabet::Other
    }
}

/// Worth a closer look: long, without spaces, and with a digit unless it is very long.
pub fn plausible(value: &str) -> bool {
    value.len() >= 16
        && (value.len() >= 40 || value.bytes().any(|b| b.is_ascii_digit()))
        && !value.contains([' ', '\n', '(', '{'])
}

/// A key made by a machine: what a name such as `api_key` needs beside it.
pub fn machine_made(value: &str) -> bool {
    let length = value.len();
    if !(16..=1024).contains(&length) || placeholder(value) || invented(value) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    // A long text of letters alone is a key only when no language reads like it.
    if letters == 0 || digits == 0 && (length < 40 || language(value)) {
        return false;
    }
    let most = (length as f32).log2();
    // Separators do not make an alphabet larger: `{32 hex}-{8 hex}` is hexadecimal.
    let body: String = value.chars().filter(|c| !"-_.:/".contains(*c)).collect();
    let enough = match alphabet(&body) {
        _ if alphabet(value) == Alphabet::Uuid => return true,
        Alphabet::Hex => 2.8,
        Alphabet::Base36 => (most * 0.75).min(3.6),
        Alphabet::Base64 => (most * 0.78).min(DOCUMENTED_ENTROPY),
        Alphabet::Uuid | Alphabet::Other => (most * 0.75).min(3.8),
    };
    let mixed = value.bytes().any(|b| b.is_ascii_uppercase()) && value.bytes().any(|b| b.is_ascii_lowercase());
    let many = digits >= 2 || mixed && length >= 24 || length >= 40;
    let odd = value.bytes().filter(|b| !b.is_ascii_alphanumeric() && !b"+/=_-.".contains(b)).count();
    let code =
        odd * 4 > length || value.contains([' ', '(', '{', '<', '[', '\\', '\'', '"', ',']) || value.contains("://");
    // Drawn letters are a language's now and then; digits all through them never are.
    let drawn = mixed && length >= 24 && digits * 8 >= length && value.bytes().all(|b| b.is_ascii_alphanumeric());
    value.is_ascii() && many && !code && entropy(value) >= enough && (drawn || !language(value)) && !pathlike(value)
}

/// A word that everybody takes, with or without a number: `dev123`.
pub fn stand_in(value: &str) -> bool {
    let letters: String = value.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    COMMON.contains(&letters.as_str())
}

/// Long and mixed: of such a value only a token is made, and no identifier or checksum.
pub fn telling(value: &str) -> bool {
    value.len() >= 40
        && alphabet(value) == Alphabet::Base64
        && entropy(value) >= DOCUMENTED_ENTROPY
        && machine_made(value)
}

/// A password that somebody chose.
pub fn chosen(value: &str) -> bool {
    if !(6..=128).contains(&value.len()) || placeholder(value) || invented(value) || !latin(value) {
        return false;
    }
    if value.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || b"<>{}()[]\"'`\\".contains(&b)) {
        return false;
    }
    if value.starts_with(['/', '.', '#', '-', ':', '@', '*', '&'])
        || value.contains("://")
        || value.contains(":/")
        || value.ends_with([':', ',', '?'])
    {
        return false;
    }
    if value.len() >= 8 && value.bytes().filter(|b| b.is_ascii_digit() || b"-:.TZ/+".contains(b)).count() == value.len()
    {
        return false; // A date, a version, a number.
    }
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let (digit, upper, lower) = (has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    let symbol = value.bytes().any(|b| b"!#$%&*+,;:=?@^~|".contains(&b));
    if !digit && !symbol || !(upper || lower) {
        return false;
    }
    if stand_in(value) && !symbol || leet(&value.to_ascii_lowercase()) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    match wordy(value) {
        true => passphrase(&parts(value), digits, upper, value),
        false => digit || value.len() >= 8,
    }
}

/// Its letters are those of ASCII; a sign such as `§` may stand in it, and what a form masks with may not.
fn latin(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii() || !c.is_alphanumeric() && !"•●…·".contains(c))
}

/// Letters alone that a machine drew: of both cases or all large, and hardly a pair that words have.
pub fn scrambled(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let (pairs, common) = familiar(value);
    let mixed = has(u8::is_ascii_lowercase) && pairs * 8 < value.len() * 7; // Cases change within words.
    (16..=64).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphabetic())
        && (mixed || !has(u8::is_ascii_lowercase))
        && common * 100 < pairs * 40
        && entropy(value) >= 3.2
        && !placeholder(value)
        && !invented(value)
}

/// A password of small letters that are no word of any language, or of digits: only the name beside it can say that it is one.
pub fn typed(value: &str) -> bool {
    const SAID: &[&str] = &[
        "pass", "pwd", "secret", "user", "admin", "root", "test", "key", "token", "auth", "login", "name", "field",
        "text", "type", "null", "none", "true", "false", "sql", "conf", "param", "kwarg", "asdf", "qwer", "zxcv",
        "foo", "bar", "baz", "xyz", "abc", "crypt", "sha", "md5", "http", "html", "utf", "dev", "prod", "local",
        "host", "demo", "cli", "unknown", "smtp", "imap", "ldap", "ftp", "ssh", "tls", "rpc", "xml", "json", "yaml",
        "mqtt", "jdbc", "odbc", "hmac", "gcm", "cbc",
    ];
    if !(4..=40).contains(&value.len()) || placeholder(value) || invented(value) {
        return false;
    }
    if value.bytes().all(|b| b.is_ascii_digit()) {
        return (6..=12).contains(&value.len()) && !value.ends_with("00");
    }
    let parts = parts(value);
    let letters = parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_alphabetic()) && !language(part));
    let word = parts.concat();
    let humps = word.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
    let word = word.to_ascii_lowercase();
    let (pairs, common) = familiar(&word);
    let said = COMMON.contains(&word.as_str()) || SAID.iter().any(|said| word.contains(said));
    // Four letters may be an abbreviation, and a name of several words has few pairs at their borders.
    let most = if value.len() == 4 {
        1
    } else if humps > 0 {
        40
    } else {
        55
    };
    letters && parts.len() <= 4 && !said && common * 100 < pairs * most
}

fn parts(value: &str) -> Vec<&str> {
    value.split(['_', '-', '.', '/', ':', '!', '+']).filter(|part| !part.is_empty()).collect()
}

/// `oauth2_password`, `step-1-title`: words that happen to hold a digit.
pub fn wordy(value: &str) -> bool {
    let parts = parts(value);
    let word = |part: &&str| {
        let name = part.trim_end_matches(|c: char| c.is_ascii_digit());
        part.len() < 4 || language(name) && part.len() - name.len() <= 2 || name.len() == part.len()
    };
    parts.len() >= 2 && parts.iter().all(word)
}

/// A secret that somebody typed: not words, and of more than letters and a digit.
pub fn made_up(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let symbol = value.bytes().any(|b| b"!@#$%^&*?~".contains(&b));
    value.len() >= 8 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) && symbol && !wordy(value)
}

/// `s3cr3t`, `my-p4ssw0rd`: only the words themselves, spelt with digits.
pub fn leet(lower: &str) -> bool {
    const SAID: &[&str] = &["security", "password", "passwd", "secret", "super", "pass", "test", "admin", "root", "my"];
    let plain = |c: char| match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    let word: String = lower.chars().map(plain).filter(|c| !"-_.!".contains(*c)).collect();
    let mut rest = word.as_str();
    while let Some(said) = SAID.iter().find(|said| rest.starts_with(**said)) {
        rest = &rest[said.len()..];
    }
    rest.is_empty()
}

/// Words that somebody put together to remember them: a number among them and a capital, or many digits; and none that
/// interfaces are made of.
fn passphrase(parts: &[&str], digits: usize, upper: bool, value: &str) -> bool {
    const INTERFACE: &[&str] = &[
        "password", "passwd", "pass", "pwd", "secret", "token", "key", "auth", "oauth", "login", "user", "input",
        "field", "form", "label", "text", "page", "step", "title", "name", "reset", "confirm", "current", "new", "old",
        "change", "forgot", "show", "hide", "toggle", "icon", "button", "btn", "modal", "error", "message", "min",
        "max", "length", "level", "type", "version", "basic", "bearer", "sha", "hash", "utf", "api", "http", "https",
        "v", "prod", "dev", "staging", "test", "local", "file", "path", "vault", "env", "var", "ref", "id", "db",
        "app", "service", "client", "region", "east", "west", "us", "eu", "model", "mini", "small", "large", "turbo",
        "preview", "latest", "beta",
    ];
    let plain = |part: &&str| part.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let interface = parts.iter().any(|part| INTERFACE.contains(&plain(part).as_str()));
    let camel = value.bytes().skip(1).any(|b| b.is_ascii_uppercase()) || upper;
    !interface && value.len() >= 10 && (digits >= 1 && camel || digits >= 2)
}

/// What stands in configurations to be replaced, or to satisfy a client that insists on a password.
const COMMON: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "secret",
    "admin",
    "root",
    "test",
    "user",
    "guest",
    "postgres",
    "mysql",
    "mypassword",
    "mypass",
    "changeme",
    "default",
    "minioadmin",
    "demo",
    "token",
    "key",
    "apikey",
    "value",
    "string",
    "abc",
    "foo",
    "bar",
    "testpassword",
    "testpass",
    "pwd",
    "secretkey",
    "oauth",
    "sha",
    "md",
    "base",
    "utf",
    "basic",
    "bearer",
    "mysecret",
    "testing",
    "localhost",
    "username",
    "login",
    "letmein",
    "qwerty",
    "dev",
    "development",
    "local",
    "prod",
    "staging",
    "app",
    "db",
    "docker",
    "mongo",
    "mongodb",
    "redis",
    "sandbox",
    "temp",
    "welcome",
];

/// Texts that are looked for all at once.
fn any_of(texts: &[&str]) -> AhoCorasick {
    let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).prefilter(false).build(texts);
    automaton.expect("a few short texts")
}

/// What is written where a value belongs.
const STANDS_FOR: &[&str] = &[
    "your",
    "example",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "cambiame",
    "cámbiame",
    "changez",
    "tu-clave",
    "tu_clave",
    "votre",
    "replace",
    "insert",
    "dummy",
    "sample",
    "redacted",
    "xxxx",
    "fake",
    "enter",
    "put-",
    "put_",
    "-here",
    "_here",
    "not-needed",
    "not_needed",
    "notneeded",
    "not-real",
    "mock",
    "foobar",
    "lorem",
    "todo",
    "fixme",
    "<",
    "****",
    "....",
    "invalid",
    "no-key",
    "nokey",
    "-key-required",
    "not-a-",
    "not_a_",
    "test-key",
    "test_key",
    "testkey",
    "test-token",
    "test_token",
    "my-",
    "my_",
    "lm-studio",
    "undefined",
    "unused",
    "any-string",
    "ollama",
    "-----",
    "____",
    "secret-key",
    "secret_key",
    "api-key",
    "api_key",
    "apikey",
];

/// Somebody is asked to put a value here, or a program will.
pub fn placeholder(value: &str) -> bool {
    static SAID: LazyLock<AhoCorasick> = LazyLock::new(|| any_of(STANDS_FOR));
    if value.trim().is_empty() || template(value) {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    SAID.is_match(&lower) || matches!(lower.as_str(), "empty" | "none" | "null" | "na" | "n/a")
}

/// A password as it is kept for comparison: `$2b$12$…`, `pbkdf2:sha256:…`.
pub fn hashed(value: &str) -> bool {
    const SCHEMES: &[&str] =
        &["pbkdf2", "argon2", "scrypt", "bcrypt", "sha256", "sha512", "md5", "crypt", "SCRAM-SHA-256"];
    let crypt = value.strip_prefix('$').and_then(|rest| rest.find('$')).is_some_and(|end| (1..=16).contains(&end));
    let named = SCHEMES.iter().any(|scheme| {
        value.strip_prefix(scheme).is_some_and(|rest| rest.starts_with([':', '$', '-', '_']) && rest.len() > 16)
    });
    let ldap = value.starts_with("{S") && value.contains('}');
    crypt || named || ldap
}

/// Syntax that fetches a value from elsewhere.
pub fn template(value: &str) -> bool {
    static MARKS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        any_of(&[
            "\0",
            "…",
            "${",
            "{{",
            "$(",
            "%(",
            "<%",
            "#{",
            "}}",
            "$ENV",
            "%s",
            "env.",
            "process.env",
            "os.environ",
        ])
    });
    MARKS.is_match(value)
        || value.starts_with('$') && value[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        || value.starts_with('{') && value.ends_with('}')
        || value.starts_with('<') && value.ends_with('>')
        || value.starts_with('[') && value.ends_with(']')
        || value.len() > 2 && value.starts_with('%') && value.ends_with('%')
        || value.starts_with("__") && value.ends_with("__")
        || value.starts_with("secrets.")
        || value.starts_with("vault:")
        || value.starts_with("op://")
        || value.starts_with("arn:")
        || value.starts_with("data:")
}

/// Typed by a person to look like a token: one character again and again, counting up, a short period.
pub fn invented(value: &str) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 6 {
        return false;
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[*byte as usize] = true);
    if seen.iter().filter(|seen| **seen).count() <= 4.max(bytes.len() / 20) {
        return true;
    }
    let counting = bytes.windows(2).filter(|pair| {
        let (a, b) = (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase());
        b == a || b == a.wrapping_add(1) || (a, b) == (b'9', b'0') || b.wrapping_add(1) == a
    });
    if counting.count() * 2 > bytes.len() {
        return true;
    }
    // `sk-proj-1234567890`: half of it counts up in one go.
    let follows = |pair: &[u8]| pair[1] == pair[0] + 1 || pair == b"90";
    let (mut run, mut longest) = (1, 1);
    for pair in bytes.windows(2) {
        run = if pair.is_ascii() && follows(pair) { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    if longest >= 9 && longest * 2 >= bytes.len() {
        return true;
    }
    (1..=16).filter(|period| period * 2 <= bytes.len()).any(|period| {
        let same = bytes.iter().zip(&bytes[period..]).filter(|(a, b)| a == b).count();
        same * 20 >= (bytes.len() - period) * 19 && bytes.len() >= period * 2
    })
}

/// Pairs of letters that words are made of: about one in five of a random text's, four in five of a language's.
const PAIRS: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri \
    ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut \
    ss so rs un lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi \
    ci vi pl ig tu ev ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov \
    by rm ep tt oc fa";

/// Reads like words and not like chance.
pub fn language(value: &str) -> bool {
    let (pairs, common) = familiar(value);
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    pairs >= 3 && letters * 3 >= value.len() * 2 && common * 100 >= pairs * 62
}

/// Pairs of letters, and those of them that words are made of.
fn familiar(value: &str) -> (usize, usize) {
    static COMMON_PAIRS: LazyLock<[bool; 26 * 26]> = LazyLock::new(|| {
        let mut table = [false; 26 * 26];
        for pair in PAIRS.split_whitespace().map(str::as_bytes) {
            table[usize::from(pair[0] - b'a') * 26 + usize::from(pair[1] - b'a')] = true;
        }
        table
    });
    let (mut pairs, mut common) = (0, 0);
    for pair in value.as_bytes().windows(2) {
        let [a, b] = [pair[0], pair[1]];
        // A hump within a word is no pair of its language.
        if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && !(a.is_ascii_lowercase() && b.is_ascii_uppercase()) {
            pairs += 1;
            let place = usize::from(a.to_ascii_lowercase() - b'a') * 26 + usize::from(b.to_ascii_lowercase() - b'a');
            common += usize::from(COMMON_PAIRS[place]);
        }
    }
    (pairs, common)
}

/// A path, a dotted name, a model with its date: parts that are words or numbers.
fn pathlike(value: &str) -> bool {
    let parts: Vec<&str> = value.split(['/', '.', '-', '_']).filter(|part| !part.is_empty()).collect();
    let plain = |part: &&str| {
        let bytes = part.as_bytes();
        let word = bytes.iter().all(u8::is_ascii_lowercase) && (part.len() <= 3 || language(part));
        let title = bytes[0].is_ascii_uppercase() && bytes[1..].iter().all(u8::is_ascii_lowercase) && language(part);
        word || title || part.len() <= 8 && bytes.iter().all(u8::is_ascii_digit) || part.len() <= 3
    };
    parts.len() >= 3 && parts.iter().filter(|part| plain(part)).count() * 5 >= parts.len() * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_for_a_key_is_no_key() {
        for value in [
            "your-api-key-here",
            "sk-xxxxxxxxxxxxxxxxxxxx",
            "<token>",
            "${TOKEN}",
            "{{ token }}",
            "changeme",
            "EMPTY",
            "1234567890abcdef1234567890abcdef",
            "sk-proj-1234567890",
            "abcdefghijklmnopqrstuvwxyz123456",
            "prod/service/database-password-2024",
            "aaaaaaaaaaaaaaaaaaaaaaaa1",
            "gpt-4o-mini-2024-07-18",
            "text-embedding-3-small",
            "claude-sonnet-4-5-20250929",
        ] {
            assert!(!machine_made(value), "{value}");
        }
    }

    #[test]
    fn what_machines_write_is_one() {
        let digest: String = (0..4_u32)
            .map(|i| super::super::checksum::in_base(i.wrapping_mul(2_654_435_761) ^ 0xdead_beef, 62, 6))
            .collect();
        assert!(machine_made(&format!("q{digest}Zt7")), "{digest}");
        // Digits of no meaning, put where a language has none.
        let syllables = ["tele", "Sel", "Ran", "dor", "Tel", "Mas", "Ten", "Ter"];
        let drawn: String = syllables.iter().zip(2..).map(|(syllable, digit)| format!("{syllable}{digit}")).collect();
        assert!(machine_made(&drawn), "{drawn}");
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        assert!((entropy("aabb") - 1.0).abs() < 1e-6);
        assert_eq!(entropy("aaaa"), 0.0);
    }

    #[test]
    fn a_password_of_letters_is_told_from_a_word() {
        for value in ["jzkd", "wkqzvtpx", "xkqVzptrw", "szkvqt_wqpk"] {
            assert!(typed(value), "{value}");
        }
        for value in ["grpc", "smtp", "none", "default", "userName", "sequence", "myBatisPlus", "asdfgh", "plain"] {
            assert!(!typed(value), "{value}");
        }
    }

    #[test]
    fn a_chosen_password_is_told_from_a_word() {
        assert!(chosen("Tr0ub4dor&3"));
        for value in
            ["password", "password123", "dev123", "postgres", "db_password", "hunter", "current-password", "••••"]
        {
            assert!(!chosen(value), "{value}");
        }
    }
}
