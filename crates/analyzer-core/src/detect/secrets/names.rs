//! Names that say their value is secret.

/// What kind of secret a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ApiKey,
    Token,
    ClientSecret,
    Password,
    Connection,
    PrivateKey,
    Webhook,
    /// `key`, `auth`, `credential`: only beside a known issuer.
    Weak,
}

impl Kind {
    /// The `type` of a finding.
    pub fn as_type(self) -> &'static str {
        match self {
            Kind::ApiKey | Kind::Weak => "api_key",
            Kind::Token => "oauth_token",
            Kind::ClientSecret => "client_secret",
            Kind::Password => "password",
            Kind::Connection => "connection_string",
            Kind::PrivateKey => "private_key",
            Kind::Webhook => "webhook_url",
        }
    }
}

/// Parts of words by which the one pass finds names; each word of [`classify`] holds one. Short words that stand in
/// many others (`pass`, `pat`) are looked for with what separates them.
pub const CUES: &[&str] = &[
    "key",
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "psw",
    "auth",
    "cred",
    "dsn",
    "connection",
    "conn_str",
    "connstr",
    "webhook",
    "bearer",
    "jwt",
    "_pass",
    "_pat",
    "_pw",
    "pass=",
    "pass:",
    "pass\"",
    "pass'",
    "pass =",
    "pw=",
    "pw:",
    "pw =",
    "identified",
    "contrase",
    "clave",
    "mot_de_passe",
    "motdepasse",
    "kennwort",
    "passwort",
    "senha",
    "wachtwoord",
    "haslo",
    "hasło",
    "heslo",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
    "senord",
    "adgangskode",
    "salasana",
    "jelszo",
    "jelszó",
    "sifre",
    "şifre",
    "cle_api",
    "cleapi",
    "apicle",
    "chave",
    "chiave",
    "schluessel",
    "schlüssel",
    "密钥",
    "密鑰",
    "秘钥",
];

/// What the values of a table of secrets are: `keys`, `tokens`, each under the name of whose it is.
pub fn of_table(name: &str) -> Option<Kind> {
    match words(name).last()?.as_str() {
        "keys" | "secrets" | "credentials" | "creds" => Some(Kind::ApiKey),
        "tokens" => Some(Kind::Token),
        "passwords" => Some(Kind::Password),
        _ => None,
    }
}

/// What each value of a table is whose name says so: `apiKeyByStage`, `TOKENS_PER_TENANT`.
pub fn of_each(name: &str) -> Option<Kind> {
    let words = words(name);
    let by = words.iter().position(|word| matches!(word.as_str(), "by" | "per"))?;
    classify(&words[..by]).or_else(|| of_table(&words[..by].join("_"))).filter(|kind| *kind != Kind::Weak)
}

/// Lower-case words of a name: `X-Api-Key`, `openaiApiKey`, `APIKey`.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().take(160).collect();
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = index.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(index + 1);
        let hump = c.is_uppercase()
            && (before.is_some_and(|b| b.is_lowercase() || b.is_ascii_digit())
                || before.is_some_and(char::is_uppercase) && after.is_some_and(|a| a.is_lowercase()));
        if hump {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Spelt as variables of the environment are: `DB_PASSWORD`.
pub fn is_shouted(name: &str) -> bool {
    name.contains('_') && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// What a name says of its value; none for a name that speaks of no secret.
pub fn classify(words: &[String]) -> Option<Kind> {
    let (at, kind) = (0..words.len()).rev().find_map(|at| Some((at, keyword(words, at)?)))?;
    let after = &words[at + 1..];
    let counted = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    if after.iter().any(|word| SPEAKS_OF.contains(&word.as_str()) || SPEAKS_OF.contains(&&*counted(word))) {
        return None;
    }
    // `secret_or_key`
    let (at, kind) = match (kind, at.checked_sub(2).filter(|_| words[at - 1] == "or")) {
        (Kind::Weak, Some(other)) => keyword(words, other).map_or((at, kind), |kind| (other, kind)),
        _ => (at, kind),
    };
    let before = &words[..at];
    if before.iter().any(|word| NOT_SECRET.contains(&word.as_str())) {
        return None;
    }
    Some(kind)
}

/// A secret is named by the word at this place.
fn keyword(words: &[String], at: usize) -> Option<Kind> {
    let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
    let word = words[at].trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match word {
        "keys" if SECRET_KEYS.contains(&before) => Kind::ApiKey,
        "passwords" => Kind::Password,
        "tokens" if at > 0 && !SPOKEN.contains(&before) => Kind::Token,
        "password" | "passwd" | "pwd" | "passphrase" | "psw" | "passwort" => Kind::Password,
        "pass" | "pw" if at + 1 == words.len() => Kind::Password,
        "key" if before == "private" => Kind::PrivateKey,
        "key" if SECRET_KEYS.contains(&before) => Kind::ApiKey,
        "apikey" | "accesskey" | "authkey" | "secretkey" | "subscriptionkey" | "apitoken" => Kind::ApiKey,
        "privatekey" => Kind::PrivateKey,
        "secret" if matches!(before, "client" | "app" | "oauth" | "consumer") => Kind::ClientSecret,
        "secret" => Kind::ApiKey,
        "secrets" if matches!(before, "client" | "app" | "oauth" | "consumer") => Kind::ClientSecret,
        "token" | "accesstoken" | "authtoken" | "bearer" | "jwt" | "pat" => match before {
            "api" => Kind::ApiKey,
            _ => Kind::Token,
        },
        "identified" if words.len() == 1 => Kind::Password, // `IDENTIFIED BY '…'`
        "passe" if before == "de" => Kind::Password,
        word if PASSWORDS.contains(&word) => match (before, words.get(at + 1).map(String::as_str)) {
            ("api", _) | (_, Some("api")) => Kind::ApiKey, // Spanish has one word for both.
            _ => Kind::Password,
        },
        word if KEYS.contains(&word) && (before == "api" || words.get(at + 1).is_some_and(|word| word == "api")) => {
            Kind::ApiKey
        }
        word if KEYS.contains(&word) && !word.is_ascii() && words.len() == 1 => Kind::ApiKey,
        "dsn" => Kind::Connection,
        "string" | "str" if matches!(before, "connection" | "conn") => Kind::Connection,
        "uri" | "url" if matches!(before, "webhook") => Kind::Webhook,
        "webhook" => Kind::Webhook,
        // `PGPASSWORD`, `openaiapikey`: words that nobody separated.
        long if long.len() > 8 && JOINED.iter().any(|(end, _)| long.ends_with(end)) => {
            let (end, kind) = *JOINED.iter().find(|(end, _)| long.ends_with(end))?;
            let rest = &long[..long.len() - end.len()];
            if NOT_SECRET.iter().any(|word| word.len() > 1 && rest == *word) {
                return None;
            }
            kind
        }
        "key" | "auth" | "authorization" | "credential" | "credentials" | "cred" | "creds" => Kind::Weak,
        _ => return None,
    })
}

/// Passwords in other languages.
const PASSWORDS: &[&str] = &[
    "contraseña",
    "contrasena",
    "clave",
    "motdepasse",
    "kennwort",
    "senha",
    "wachtwoord",
    "haslo",
    "hasło",
    "heslo",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
    "lösenord",
    "losenord",
    "adgangskode",
    "salasana",
    "jelszó",
    "jelszo",
    "şifre",
    "sifre",
    "parola",
];

/// Keys in other languages.
const KEYS: &[&str] = &[
    "clave",
    "llave",
    "clé",
    "cle",
    "chave",
    "chiave",
    "schlüssel",
    "schluessel",
    "sleutel",
    "klucz",
    "ключ",
    "密钥",
    "密鑰",
    "秘钥",
    "キー",
];

/// What a word ends with that holds a secret.
const JOINED: &[(&str, Kind)] = &[
    ("password", Kind::Password),
    ("passwd", Kind::Password),
    ("apikey", Kind::ApiKey),
    ("secretkey", Kind::ApiKey),
    ("apitoken", Kind::ApiKey),
    ("accesstoken", Kind::Token),
    ("authtoken", Kind::Token),
    ("bottoken", Kind::Token),
    ("clientsecret", Kind::ClientSecret),
    ("appsecret", Kind::ClientSecret),
    ("jwtsecret", Kind::ApiKey),
];

/// Words before `tokens` that mean pieces of text.
const SPOKEN: &[&str] = &[
    "of",
    "the",
    "all",
    "new",
    "more",
    "these",
    "used",
    "extra",
    "added",
    "response",
    "request",
    "sentence",
    "word",
    "words",
    "cached",
    "generated",
    "reasoning",
    "thinking",
    "budget",
    "text",
    "query",
    "doc",
    "token",
    "remaining",
    "context",
];

/// Words before `key` that make it one.
const SECRET_KEYS: &[&str] = &[
    "api",
    "access",
    "secret",
    "auth",
    "oauth",
    "signing",
    "encryption",
    "encrypt",
    "master",
    "admin",
    "account",
    "subscription",
    "license",
    "shared",
    "storage",
    "integration",
    "write",
    "server",
    "hmac",
    "jwt",
    "deploy",
    "fernet",
    "session",
    "secure",
    "rest",
    "ingest",
    "ingestion",
    "service",
    "functions",
    "function",
    "host",
    "application",
    "consumer",
    "billing",
    "live",
    "prod",
    "production",
    "root",
    "aes",
];

/// Behind the keyword: the name speaks of the secret and does not hold it.
const SPEAKS_OF: &[&str] = &[
    "name",
    "names",
    "id",
    "ids",
    "type",
    "types",
    "count",
    "counts",
    "limit",
    "limits",
    "file",
    "filename",
    "path",
    "paths",
    "dir",
    "folder",
    "url",
    "uri",
    "endpoint",
    "env",
    "var",
    "variable",
    "header",
    "headers",
    "prefix",
    "suffix",
    "length",
    "len",
    "size",
    "field",
    "fields",
    "label",
    "placeholder",
    "hint",
    "regex",
    "pattern",
    "version",
    "help",
    "description",
    "desc",
    "message",
    "msg",
    "error",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "arn",
    "ref",
    "reference",
    "provider",
    "manager",
    "store",
    "required",
    "policy",
    "usage",
    "cost",
    "price",
    "hash",
    "hashed",
    "digest",
    "sha256",
    "sha1",
    "md5",
    "fingerprint",
    "checksum",
    "algorithm",
    "alg",
    "scheme",
    "template",
    "format",
    "schema",
    "class",
    "cls",
    "function",
    "fn",
    "method",
    "alias",
    "title",
    "text",
    "input",
    "output",
    "prompt",
    "selector",
    "icon",
    "image",
    "color",
    "index",
    "idx",
    "position",
    "offset",
    "start",
    "end",
    "rate",
    "budget",
    "window",
    "strategy",
    "mode",
    "status",
    "state",
    "valid",
    "exists",
    "timeout",
    "encoder",
    "decoder",
    "counter",
    "stream",
    "scopes",
    "scope",
    "audience",
    "issuer",
    "region",
    "host",
    "user",
    "username",
    "email",
    "validator",
    "handler",
    "generator",
    "parser",
    "authenticator",
    "middleware",
    "key_id",
    "kid",
    "uuid",
    "guid",
    "pair",
    "map",
    "dict",
    "list",
    "set",
    "ring",
    "vault",
    "locator",
    "docs",
    "doc",
    "link",
    "page",
    "comment",
    "last",
    "used",
    "spec",
    "age",
    "date",
    "time",
    "created",
    "updated",
    "at",
    "on",
    "changed",
    "rotation",
    "strength",
    "rule",
    "rules",
    "requirement",
    "requirements",
    "complexity",
    "efficient",
    "validity",
    "duration",
    "enabled",
    "disabled",
    "allowed",
    "source",
    "kind",
    "hashes",
    "model",
    "address",
    "mint",
    "js",
    "ts",
    "css",
    "html",
    "md",
    "png",
    "svg",
];

/// Before the keyword: something else has this name.
const NOT_SECRET: &[&str] = &[
    "public",
    "pub",
    "publishable",
    "max",
    "min",
    "num",
    "n",
    "total",
    "count",
    "pad",
    "eos",
    "bos",
    "unk",
    "mask",
    "sep",
    "cls",
    "special",
    "stop",
    "next",
    "previous",
    "page",
    "continuation",
    "pagination",
    "primary",
    "foreign",
    "sort",
    "partition",
    "cache",
    "row",
    "dict",
    "object",
    "registry",
    "hot",
    "shortcut",
    "translation",
    "i18n",
    "site",
    "anon",
    "change",
    "no",
    "without",
    "missing",
    "invalid",
    "tokenizer",
    "input",
    "output",
    "completion",
    "prompt",
    "fake",
    "dummy",
    "mock",
    "example",
    "sample",
    "placeholder",
    "lookup",
    "group",
    "map",
    "idempotency",
    "dedup",
    "hash",
    "hashed",
    "salted",
    "cursor",
    "sync",
    "resume",
    "json",
    "event",
    "image",
    "video",
    "audio",
    "vocab",
    "csrf",
    "xsrf",
    "forgot",
    "reset",
    "show",
    "hide",
    "toggle",
    "require",
    "requires",
    "validate",
    "verify",
    "check",
    "is",
    "has",
    "get",
    "create",
    "delete",
    "list",
    "generate",
    "update",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<Kind> {
        classify(&words(name))
    }

    #[test]
    fn names_are_cut_into_words_in_every_spelling() {
        for name in ["X-Api-Key", "xApiKey", "X_API_KEY", "x.api.key"] {
            assert_eq!(words(name), ["x", "api", "key"], "{name}");
        }
        assert_eq!(words("APIKey"), ["api", "key"]);
    }

    #[test]
    fn a_name_that_holds_a_secret_is_told_from_one_that_speaks_of_it() {
        for name in ["OPENAI_API_KEY", "apiKey", "client_secret", "db_pass", "token", "GITHUB_PAT", "api_key_prod"] {
            assert!(kind(name).is_some_and(|k| k != Kind::Weak), "{name}");
        }
        for name in ["max_tokens", "eos_token", "api_key_name", "secret_id", "tokenizer", "public_key", "keyword"] {
            assert_eq!(kind(name), None, "{name}");
        }
        assert_eq!(kind("key"), Some(Kind::Weak));
    }

    #[test]
    fn other_languages_have_words_for_it() {
        for (name, expected) in [
            ("contraseña", Kind::Password),
            ("db_senha", Kind::Password),
            ("mot_de_passe", Kind::Password),
            ("密码", Kind::Password),
            ("clave_api", Kind::ApiKey),
            ("apiSchluessel", Kind::ApiKey),
            ("密钥", Kind::ApiKey),
        ] {
            assert_eq!(kind(name), Some(expected), "{name}");
        }
        for name in ["chave", "llave_maestra", "schluesselbund", "passe"] {
            assert_eq!(kind(name), None, "{name}");
        }
    }

    #[test]
    fn every_keyword_holds_a_cue() {
        for name in [
            "passphrase",
            "passwort",
            "bearer",
            "jwt_token",
            "github_pat",
            "db_pass",
            "dsn",
            "connection_string",
            "creds",
            "contraseña",
            "kennwort",
            "mot_de_passe",
            "пароль",
            "密码",
            "chave_api",
            "api_schlüssel",
        ] {
            assert!(CUES.iter().any(|cue| name.contains(cue)), "{name}");
        }
    }
}
