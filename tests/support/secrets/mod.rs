//! A corpus of credentials and of what only looks like them, made from a seed when it is asked for: none is kept.

mod contexts;
mod fifth;
mod fourth;
mod kinds;
mod look_alikes;
mod score;
mod sixth;
mod third;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

pub use contexts::Context;
pub use kinds::{KINDS, Kind};
pub use score::{Finding, Score};

/// A text with one credential in it, or with none.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Path of its file.
    pub file: String,
    /// The file.
    pub text: String,
    /// The kind of credential or look-alike.
    pub kind: &'static str,
    /// The context; that of a look-alike is its kind.
    pub context: &'static str,
    /// It stands in a hard context.
    pub hard: bool,
    /// What is to be found; none for a look-alike.
    pub secret: Option<Expected>,
}

/// A credential that is to be found.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Id of what it opens; empty when it is nobody's in particular.
    pub provider: &'static str,
    /// First and last line of what it is put together from.
    pub lines: (u32, u32),
    /// Itself, so that a test can see that it is shown nowhere.
    pub value: String,
}

/// Contexts and look-alikes that were written at one time, before the detector was asked about any of them.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Where credentials stand.
    pub contexts: &'static [Context],
    /// Kind, file name and text of what only looks like one.
    pub look_alikes: &'static [(&'static str, &'static str, &'static str)],
}

/// All rounds; the first holds two, whose first figures `docs/ACCURACY.md` has.
pub const ROUNDS: &[Round] = &[
    Round { contexts: contexts::CONTEXTS, look_alikes: look_alikes::LOOK_ALIKES },
    Round { contexts: third::CONTEXTS, look_alikes: third::LOOK_ALIKES },
    Round { contexts: fourth::CONTEXTS, look_alikes: fourth::LOOK_ALIKES },
    Round { contexts: fifth::CONTEXTS, look_alikes: fifth::LOOK_ALIKES },
    Round { contexts: sixth::CONTEXTS, look_alikes: sixth::LOOK_ALIKES },
];

/// A small generator of numbers: the same corpus on every machine.
#[derive(Debug)]
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn of(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(alphabet.as_bytes()))).collect()
    }
}

const DIGITS: &str = "0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const WORDS: &[&str] = &[
    "anvil", "beacon", "copper", "dahlia", "ember", "fjord", "gravel", "harbor", "indigo", "juniper", "kestrel",
    "lantern", "mirror", "nickel", "onset", "pepper", "quarry", "russet", "saffron", "trellis", "umber", "velvet",
    "walnut", "yonder", "zephyr",
];

/// Makes a text of a specification: literals, and in braces what is made: `{an:20}` twenty letters and digits, `al`
/// letters, `A` capitals and digits, `l` small letters and digits, `h` and `H` hexadecimal, `d` digits, `w` as in URLs, `b64`, `b32`,
/// `uuid`, `crc62` the checksum of what stands behind the last `_`, `pw` and `phrase` a person's password, `jwt:role`, `pypi:n`,
/// `snowflake`.
pub fn make(spec: &str, rng: &mut Rng) -> String {
    let mut out = String::new();
    let mut rest = spec;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let Some((what, behind)) = rest[at + 1..].split_once('}') else { break };
        match hole(what, &out, rng) {
            Some(made) => {
                out.push_str(&made);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

fn hole(what: &str, before: &str, rng: &mut Rng) -> Option<String> {
    let (name, argument) = what.split_once(':').unwrap_or((what, ""));
    let length = argument.parse().unwrap_or(0);
    let alnum = [DIGITS, UPPER, LOWER].concat();
    Some(match name {
        "an" => rng.of(&alnum, length),
        "al" => rng.of(&[UPPER, LOWER].concat(), length),
        "A" => rng.of(&[UPPER, DIGITS].concat(), length),
        "l" => rng.of(&[LOWER, DIGITS].concat(), length),
        "h" => rng.of("0123456789abcdef", length),
        "H" => rng.of("0123456789ABCDEF", length),
        "d" => rng.of("123456789", 1) + &rng.of(DIGITS, length - 1),
        "b32" => rng.of(&[UPPER, "234567"].concat(), length),
        "b64" => rng.of(&alnum, 1) + &rng.of(&[&alnum, "+/"].concat(), length.saturating_sub(2)) + &rng.of(&alnum, 1),
        "w" => rng.of(&alnum, 1) + &rng.of(&[&alnum, "-_"].concat(), length.saturating_sub(2)) + &rng.of(&alnum, 1),
        "uuid" => [8, 4, 4, 4, 12].map(|length| rng.of("0123456789abcdef", length)).join("-"),
        "crc62" => {
            let random = before.rsplit('_').next().unwrap_or("");
            in_base62(crc32(random.as_bytes()))
        }
        "pw" => match rng.below(3) {
            0 => rng.of(&alnum, 16) + &rng.of(DIGITS, 2),
            1 => format!(
                "{}{}{}{}",
                word(rng, true),
                rng.pick(&["!", "-", ".", "_", "~"]),
                rng.of(DIGITS, 3),
                rng.of(LOWER, 3)
            ),
            _ => format!(
                "{}{}{}{}",
                rng.of(UPPER, 2),
                rng.of(&alnum, 7),
                rng.pick(&["!", "-", ".", "*"]),
                rng.of(DIGITS, 2)
            ),
        },
        "phrase" => match rng.below(3) {
            0 => format!("{}{}-{}-{}", word(rng, true), rng.below(10), word(rng, true), word(rng, true)),
            1 => format!("{}-{}-{}-{}", word(rng, false), word(rng, true), 10 + rng.below(90), word(rng, false)),
            _ => format!("{}.{}.{}{}", word(rng, false), word(rng, false), word(rng, false), 100 + rng.below(900)),
        },
        "jwt" => {
            let id = rng.of(LOWER, 20);
            let payload = match argument {
                "user" => format!("{{\"sub\":\"{id}\",\"iss\":\"https://auth.acme.io\",\"exp\":1893456000}}"),
                role => format!(
                    "{{\"iss\":\"supabase\",\"ref\":\"{id}\",\"role\":\"{role}\",\"iat\":1690000000,\"exp\":2005576000}}"
                ),
            };
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let signature: Vec<u8> = (0..32).map(|_| rng.below(256) as u8).collect();
            [part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), part(&payload), URL_SAFE_NO_PAD.encode(signature)].join(".")
        }
        "pypi" => {
            let mut body = b"\x02\x01\x08pypi.org\x02\x24".to_vec();
            body.extend((0..length).map(|_| rng.below(256) as u8));
            format!("pypi-{}", URL_SAFE_NO_PAD.encode(body))
        }
        "snowflake" => STANDARD_NO_PAD.encode(format!("1{}", rng.of(DIGITS, 17))),
        _ => return None,
    })
}

fn word(rng: &mut Rng, capital: bool) -> String {
    let word = rng.pick(WORDS);
    if capital { word[..1].to_ascii_uppercase() + &word[1..] } else { word.to_owned() }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn in_base62(mut number: u32) -> String {
    let digits = [DIGITS, UPPER, LOWER].concat();
    let mut out = [b'0'; 6];
    for place in out.iter_mut().rev() {
        *place = digits.as_bytes()[(number % 62) as usize];
        number /= 62;
    }
    out.into_iter().map(char::from).collect()
}

/// The corpus of a seed and these rounds: every kind in `per_kind` contexts drawn by lot, private keys, and each look-alike `repeats` times.
pub fn corpus(rounds: &[Round], seed: u64, per_kind: usize, repeats: usize) -> Vec<Sample> {
    let mut rng = Rng(seed);
    let mut samples = Vec::new();
    for kind in KINDS {
        let contexts = rounds.iter().flat_map(|round| round.contexts);
        let fitting: Vec<&Context> = contexts.filter(|context| fits(kind, context)).collect();
        for _ in 0..per_kind {
            samples.push(sample(kind, rng.pick(&fitting), &mut rng));
        }
    }
    private_keys(per_kind, &mut rng, &mut samples);
    for _ in 0..repeats {
        for &(kind, file, text) in rounds.iter().flat_map(|round| round.look_alikes) {
            let text = make(text, &mut rng);
            samples.push(Sample { file: file.into(), text, kind, context: kind, hard: false, secret: None });
        }
    }
    for (index, sample) in samples.iter_mut().enumerate() {
        sample.file = format!("{index:05}/{}", sample.file);
    }
    samples
}

/// Every kind in some contexts and every context with some kinds, drawn by lot, and private keys: what shows nothing of
/// these shows nothing.
pub fn whole(seed: u64, times: usize) -> Vec<Sample> {
    let mut samples = corpus(ROUNDS, seed, times, 0);
    let mut rng = Rng(seed.wrapping_add(1));
    for context in ROUNDS.iter().flat_map(|round| round.contexts) {
        let fitting: Vec<&'static Kind> = KINDS.iter().filter(|kind| fits(kind, context)).collect();
        for _ in 0..times {
            let mut sample = sample(rng.pick(&fitting), context, &mut rng);
            sample.file = format!("{:05}/{}", samples.len(), sample.file);
            samples.push(sample);
        }
    }
    samples
}

/// What nobody may see of a sample's credential: all but the prefix by which everybody knows its issuer, and of an address
/// only what is secret in it.
pub fn hidden(sample: &Sample) -> &str {
    let Some(Expected { value, .. }) = &sample.secret else { return "" };
    let Some(kind) = KINDS.iter().find(|kind| kind.id == sample.kind) else { return value };
    let public = match kind.spec {
        // The same for all tokens of the issuer: the algorithm, the name of the index.
        spec if spec.starts_with("{jwt") => value.find('.').map_or(0, |at| at + 1),
        spec if spec.starts_with("{pypi") => "pypi-AgEIcHlwaS5vcmcCJ".len(),
        spec => spec.find('{').unwrap_or(0),
    };
    let known_end =
        if kind.spec.contains("://") { kind.spec.rfind('}').map_or(0, |at| kind.spec.len() - at - 1) } else { 0 };
    &value[public..value.len() - known_end]
}

/// Contexts of a login's password beside a host.
const LOGINS: &[&str] = &[
    "py auth tuple",
    "py basic auth",
    "curl login",
    "netrc",
    "git remote",
    "py aiohttp login",
    "js axios login",
    "js btoa",
];

/// What says that a key stands there, and no password or address.
const KEY_WORDS: &[&str] = &[
    "api_key",
    "apiKey",
    "Api-Key",
    "API-Key",
    "api-key",
    "Bearer",
    "Token {K}",
    "token={K}",
    "API key",
    "API_KEYS",
    "apikey=",
    "X-API-KEY",
    "ApiKey",
    "API_KEY={K}",
    "client_secret",
    "ENCRYPTION_KEY",
    "clave_api",
    "cle_api",
    "apiSchluessel",
    "chaveApi",
    "chiave_api",
    "密钥",
];

/// Nobody sends an address as a bearer token, or gives it to a client as its key.
fn fits(kind: &Kind, context: &Context) -> bool {
    let asks = |hole: &str| context.text.contains(hole);
    let address = kind.spec.contains("://");
    let chosen = matches!(kind.id, "password" | "passphrase");
    let login = LOGINS.contains(&context.id);
    let key_word = KEY_WORDS.iter().any(|word| asks(word));
    let nameless = !["{E}", "{e}", "{d}", "{n}", "{H}", "{C}", "{P}"].iter().any(|hole| asks(hole));
    !(nameless && (!kind.provider.is_empty() || address || kind.id == "jwt")
        || asks("{K}@") && (kind.spec.contains("b64") || kind.spec.contains('/'))
        || asks("{H}") && (kind.host.is_empty() && !(chosen && login))
        || asks("{C}") && kind.client.is_empty()
        || asks("{P}") && kind.provider.is_empty()
        || (address || chosen) && key_word
        || address && (asks("{H}") || asks("{d}"))
        || login && !chosen && kind.env.contains("ID"))
}

/// A credential in a context.
pub fn sample(kind: &'static Kind, context: &'static Context, rng: &mut Rng) -> Sample {
    let token = make(kind.spec, rng);
    let third = token.len() / 3;
    let (half, thirds) = (token.len() / 2, context.text.contains("{K3}"));
    let (first, second) = if thirds { (third, 2 * third) } else { (half, token.len()) };
    let small = kind.env.to_ascii_lowercase();
    let camel: String = small
        .split('_')
        .enumerate()
        .map(|(i, part)| if i == 0 { part.to_owned() } else { part[..1].to_ascii_uppercase() + &part[1..] })
        .collect();
    let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
    let host = if kind.host.is_empty() { "erp.acme.io" } else { kind.host };
    let text = context
        .text
        .replace("{E}", kind.env)
        .replace("{e}", &small)
        .replace("{d}", &small.replace('_', "-"))
        .replace("{n}", &camel)
        .replace("{H}", host)
        .replace("{C}", kind.client)
        .replace("{P}", kind.provider)
        .replace("{K1}", &token[..first])
        .replace("{K2}", &token[first..second])
        .replace("{K3}", &token[second..])
        .replace("{B}", &STANDARD.encode(&token))
        .replace("{X}", &hex)
        .replace("{K}", &token);
    let expected = Expected { provider: kind.provider, lines: lines(context.text), value: token };
    Sample {
        file: context.file.into(),
        text,
        kind: kind.id,
        context: context.id,
        hard: context.hard,
        secret: Some(expected),
    }
}

/// Where a finding may stand: the line of the credential, or all lines that put it together.
fn lines(template: &str) -> (u32, u32) {
    let whole = template.contains("{K}");
    let holes: &[&str] = if whole { &["{K}"] } else { &["{K1}", "{K2}", "{K3}", "{B}", "{X}", "{E}", "{n}"] };
    let hit = |line: &str| holes.iter().any(|hole| line.contains(hole));
    let numbers = template.lines().enumerate().filter(|(_, line)| hit(line)).map(|(index, _)| index as u32 + 1);
    let numbers: Vec<u32> = numbers.collect();
    (numbers[0], numbers[numbers.len() - 1])
}

/// Private keys in every wrapping.
fn private_keys(count: usize, rng: &mut Rng, samples: &mut Vec<Sample>) {
    let alphabet = [DIGITS, UPPER, LOWER, "+/"].concat();
    for index in 0..count * 3 {
        let title = rng.pick(&[
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
        ]);
        let body: Vec<String> = (0..6).map(|_| rng.of(&alphabet, 64)).collect();
        let pem = format!("-----BEGIN {title}-----\n{}\n-----END {title}-----\n", body.join("\n"));
        let escaped = pem.replace('\n', "\\n");
        let encoded = STANDARD.encode(&pem);
        let id = rng.of("0123456789abcdef", 40);
        let (context, file, text, provider, lines) = match index % 6 {
            0 => ("pem file", "agent.pem", pem.clone(), "", (1, 8)),
            1 => ("pem py", "agent.py", format!("KEY = \"\"\"{pem}\"\"\"\n"), "", (1, 8)),
            2 => ("pem one line", "agent.ts", format!("const privateKey = '{escaped}';\n"), "", (1, 1)),
            3 => ("pem env", ".env", format!("PRIVATE_KEY=\"{escaped}\"\n"), "", (1, 1)),
            4 => ("pem base64", "config.yaml", format!("model: gpt-4o\nsigning_key: {encoded}\n"), "", (2, 2)),
            _ => {
                let json = format!(
                    "{{\n  \"type\": \"service_account\",\n  \"private_key_id\": \"{id}\",\n  \"private_key\": \"{escaped}\",\n  \
                     \"client_email\": \"agent@acme-1.iam.gserviceaccount.com\"\n}}\n"
                );
                ("service account", "credentials.json", json, "google-cloud", (3, 4))
            }
        };
        let expected = Expected { provider, lines, value: body[0].clone() };
        samples.push(Sample {
            file: file.into(),
            text,
            kind: "pem",
            context,
            hard: index % 6 > 0,
            secret: Some(expected),
        });
    }
}
