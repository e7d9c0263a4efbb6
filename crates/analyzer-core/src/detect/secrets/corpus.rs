//! A corpus made from a seed: tokens of every format, in every context, beside what only looks like them.

use super::checksum::{Checksum, crc32, in_base};
use super::formats::{Formats, Key};
use super::shape::{Class, Piece, Shape};

/// A small generator of numbers: the same corpus on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub fn of(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| *self.pick(alphabet.as_bytes()) as char).collect()
    }
}

/// A random text of a shape.
pub fn token(shape: &Shape, rng: &mut Rng) -> String {
    let flat = rng.pick(&shape.flats).clone();
    let mut out = String::new();
    let last = flat.0.len() - 1;
    for (index, piece) in flat.0.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => out.push_str(std::str::from_utf8(literal).expect("shapes are text")),
            Piece::Run(class, min, max) => {
                let length = min + rng.below((max - min).min(24) + 1);
                out.push_str(&of_class(*class, length, index == last || index == 0, rng));
            }
        }
    }
    out
}

fn of_class(class: Class, length: usize, edge: bool, rng: &mut Rng) -> String {
    let all: Vec<u8> = (0..128).filter(|byte| class.has(*byte)).collect();
    let words: Vec<u8> = all.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    (0..length)
        .map(|i| {
            *rng.pick(if edge && (i == 0 || i + 1 == length) && !words.is_empty() { &words } else { &all }) as char
        })
        .collect()
}

/// A token of a format, with a checksum that is right.
pub fn token_of(key: &Key, shape: &Shape, rng: &mut Rng) -> String {
    for attempt in 0..200 {
        let mut token = token(shape, rng);
        match key.checksum {
            Some(Checksum::Crc32Base62) => {
                let at = token.rfind('_').map_or(0, |i| i + 1);
                let random = token[at..token.len() - 6].to_owned();
                token.replace_range(token.len() - 6.., &in_base(crc32(random.as_bytes()), 62, 6));
            }
            Some(Checksum::GitlabRoutable) if token.contains('.') => {
                let before = token.len() - 7;
                let sum = in_base(crc32(&token.as_bytes()[..before]), 36, 7).to_ascii_lowercase();
                token.replace_range(before.., &sum);
            }
            Some(Checksum::Snowflake) => {
                use base64::Engine;
                let digits = format!("1{}", rng.of("0123456789", 17));
                let first = base64::engine::general_purpose::STANDARD_NO_PAD.encode(digits);
                let rest = token.split_once('.').map_or("", |(_, rest)| rest).to_owned();
                token = format!("{first}.{rest}");
            }
            Some(Checksum::Macaroon) => {
                // The beginning is fixed by the shape; the bytes behind it are free.
                let rest = token.len() - token.find("AgEIcHlwaS5vcmc").unwrap_or(0);
                token.truncate(token.len() - rest % 4);
            }
            _ => {}
        }
        let digits = token.bytes().filter(u8::is_ascii_digit).count();
        if shape.is(&token) && (digits >= 3 || attempt >= 150) {
            return token;
        }
    }
    panic!("no token of shape {}", key.shape);
}

/// A format by its place.
pub fn of_format(formats: &Formats, format: usize, rng: &mut Rng) -> String {
    token_of(formats.key(format), &formats.formats[format].shape, rng)
}

/// A text with one secret in it, or with none.
pub struct Sample {
    pub file: String,
    pub text: String,
    pub context: &'static str,
    /// Provider and line; none for a look-alike.
    pub secret: Option<(String, u32)>,
    pub hard: bool,
}

/// Name of the context, file, text, hard. `{E}` the variable, `{K}` the token, `{K1}{K2}` its halves, `{B}` its base64,
/// `{C}` a client, `{I}` its import, `{H}` a host, `{W}` the issuer's word.
const CONTEXTS: &[(&str, &str, &str, bool)] = &[
    ("assignment", "a.py", "import os\n{E} = \"{K}\"\n", false),
    ("annotated", "a.py", "{E}: str = '{K}'\n", false),
    ("attribute", "a.py", "class Settings:\n    {e} = \"{K}\"\n", false),
    ("environment", "a.py", "import os\nos.environ[\"{E}\"] = \"{K}\"\n", true),
    ("setdefault", "a.py", "import os\nos.environ.setdefault(\"{E}\", \"{K}\")\n", true),
    ("getenv", "a.py", "import os\nkey = os.getenv(\"{E}\", \"{K}\")\n", true),
    ("or", "a.py", "import os\nkey = os.environ.get(\"{E}\") or \"{K}\"\n", true),
    ("keyword", "a.py", "{I}\nclient = {C}(api_key=\"{K}\")\n", false),
    ("variable", "a.py", "{I}\nsecret_value = \"{K}\"\nclient = {C}(api_key=secret_value)\n", true),
    ("dict", "a.py", "CONFIG = {\n    \"{W}\": {\"api_key\": \"{K}\"},\n}\n", false),
    (
        "header",
        "a.py",
        "import requests\nrequests.post(\"https://{H}/v1\", headers={\"Authorization\": \"Bearer {K}\"})\n",
        true,
    ),
    (
        "header name",
        "a.py",
        "import requests\nrequests.get(\"https://{H}/v1\", headers={\"X-API-Key\": \"{K}\"})\n",
        true,
    ),
    (
        "header variable",
        "a.py",
        "import httpx\nTOKEN = \"{K}\"\nurl = \"https://{H}/v1\"\nheaders = {\"Authorization\": f\"Bearer {TOKEN}\"}\nhttpx.get(url, headers=headers)\n",
        true,
    ),
    ("default", "a.py", "def call(prompt, {e}=\"{K}\"):\n    pass\n", true),
    ("argparse", "a.py", "parser.add_argument(\"--{d}\", default=\"{K}\")\n", true),
    ("pydantic", "a.py", "class Settings(BaseSettings):\n    {e}: str = Field(default=\"{K}\")\n", true),
    ("secret string", "a.py", "{e} = SecretStr(\"{K}\")\n", true),
    ("adjacent", "a.py", "{E} = (\n    \"{K1}\"\n    \"{K2}\"\n)\n", true),
    ("plus", "a.py", "{E} = \"{K1}\" + \"{K2}\"\n", true),
    ("join", "a.py", "{E} = \"\".join([\"{K1}\", \"{K2}\"])\n", true),
    ("f-string", "a.py", "PART = \"{K1}\"\n{E} = f\"{PART}{K2}\"\n", true),
    ("base64", "a.py", "import base64\n{E} = base64.b64decode(\"{B}\").decode()\n", true),
    ("commented out", "a.py", "x = 1\n# {E} = \"{K}\"\n", false),
    ("docstring", "a.py", "def f():\n    \"\"\"Call it.\n\n    Set {E}={K} before.\n    \"\"\"\n", false),
    ("prompt", "a.py", "PROMPT = \"\"\"You are an agent.\nUse {E}: {K} to log in.\n\"\"\"\n", true),
    ("const", "a.js", "const {n} = \"{K}\";\n", false),
    ("process.env", "a.ts", "const key = process.env.{E} || \"{K}\";\n", true),
    ("nullish", "a.ts", "const key = process.env.{E} ?? '{K}';\n", true),
    ("object", "a.ts", "export const config = { {W}: { apiKey: \"{K}\" } };\n", true),
    ("js header", "a.ts", "await fetch(\"https://{H}/v1\", { headers: { Authorization: `Bearer {K}` } });\n", true),
    ("zod", "a.ts", "const env = z.object({ {E}: z.string().default(\"{K}\") });\n", true),
    ("js plus", "a.js", "const {n} = \"{K1}\" +\n  \"{K2}\";\n", true),
    ("js join", "a.js", "const {n} = [\"{K1}\", \"{K2}\"].join(\"\");\n", true),
    ("js base64", "a.js", "const {n} = Buffer.from(\"{B}\", \"base64\").toString();\n", true),
    ("env file", ".env", "DEBUG=1\n{E}={K}\n", false),
    ("quoted env file", ".env.local", "export {E}=\"{K}\"\n", false),
    ("yaml", "a.yaml", "llm:\n  {e}: {K}\n", false),
    ("yaml parent", "a.yaml", "{W}:\n  api_key: \"{K}\"\n", true),
    ("yaml pair", "a.yaml", "env:\n  - name: {E}\n    value: \"{K}\"\n", true),
    ("compose", "docker-compose.yml", "services:\n  app:\n    environment:\n      - {E}={K}\n", false),
    ("json", "a.json", "{\n  \"{e}\": \"{K}\"\n}\n", false),
    ("mcp", "mcp.json", "{\"mcpServers\": {\"x\": {\"command\": \"npx\",\n \"env\": {\"{E}\": \"{K}\"}}}}\n", true),
    ("toml", "a.toml", "[{W}]\napi_key = \"{K}\"\n", true),
    ("dockerfile", "Dockerfile", "FROM python:3.12\nENV {E}={K}\n", false),
    ("dockerfile space", "Dockerfile", "FROM python:3.12\nENV {E} {K}\n", true),
    ("curl", "run.sh", "curl https://{H}/v1 -H \"Authorization: Bearer {K}\"\n", true),
    ("shell flag", "run.sh", "agent --{d} {K} --verbose\n", true),
    ("ini", "a.ini", "[{W}]\napi_key = {K}\n", true),
    (
        "notebook",
        "a.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"code\",\n   \"source\": [\n    \"import os\\n\",\n    \"os.environ[\\\"{E}\\\"] = \\\"{K}\\\"\\n\"\n   ]\n  }\n ]\n}\n",
        true,
    ),
];

/// Texts without a secret; `{hex}`, `{HEX40}`, `{uuid}`, `{b64}` are made anew each time.
const LOOK_ALIKES: &[(&str, &str, &str)] = &[
    (
        "environment",
        "a.py",
        "import os\nOPENAI_API_KEY = os.environ[\"OPENAI_API_KEY\"]\nkey = os.getenv(\"GROQ_API_KEY\", \"\")\n",
    ),
    ("environment", "a.ts", "const apiKey = process.env.OPENAI_API_KEY!;\nconst client = new OpenAI({ apiKey });\n"),
    ("environment", ".env.example", "OPENAI_API_KEY=\nGROQ_API_KEY=${GROQ_API_KEY}\nSECRET_KEY=$SECRET\n"),
    ("environment", "a.yaml", "api_key: ${OPENAI_API_KEY}\ntoken: {{ secrets.TOKEN }}\npassword: !env DB_PASSWORD\n"),
    (
        "environment",
        "a.py",
        "client = OpenAI(api_key=settings.openai_api_key, token=get_token(\"prod/agent/token-2\"))\n",
    ),
    (
        "placeholder",
        ".env.example",
        "OPENAI_API_KEY=sk-your-key-here\nANTHROPIC_API_KEY=sk-ant-...\nPINECONE_API_KEY=xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\n",
    ),
    (
        "placeholder",
        "a.py",
        "client = OpenAI(api_key=\"YOUR_API_KEY\", base_url=\"https://api.example.com\")\nTOKEN = \"<your token 123>\"\n",
    ),
    (
        "placeholder",
        "a.py",
        "api_key = \"sk-1234567890abcdef1234567890abcdef\"\npassword = \"changeme123\"\nsecret = \"replace-with-32-char-secret\"\n",
    ),
    (
        "placeholder",
        "README.md",
        "export OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nexport HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    ),
    (
        "dummy",
        "a.py",
        "client = OpenAI(base_url=\"http://localhost:11434/v1\", api_key=\"ollama\")\nother = OpenAI(api_key=\"EMPTY\")\nthird = OpenAI(api_key=\"sk-no-key-required\")\n",
    ),
    (
        "dummy",
        "a.py",
        "llm = ChatOpenAI(api_key=\"lm-studio\", base_url=\"http://127.0.0.1:1234/v1\")\nx = LiteLLM(api_key=\"sk-1234\")\n",
    ),
    (
        "hash",
        "a.py",
        "SHA256 = \"{hex64}\"\ncommit = \"{hex40}\"\nchecksum_md5 = \"{hex32}\"\napi_key_hash = \"{hex64}\"\n",
    ),
    ("hash", "requirements.txt", "openai==1.0.0 \\\n    --hash=sha256:{hex64}\n"),
    ("hash", "a.yaml", "image: repo/app@sha256:{hex64}\nrevision: {hex40}\nkey: deps-{hex40}\n"),
    (
        "uuid",
        "a.py",
        "session_id = \"{uuid}\"\ntenant = \"{uuid}\"\nrequest(client_id=\"{uuid}\", key_id=\"{uuid}\")\n",
    ),
    ("uuid", "a.json", "{\"id\": \"{uuid}\", \"workspaceId\": \"{uuid}\", \"key\": \"{uuid}\"}\n"),
    (
        "lock",
        "package-lock.json",
        "{\"node_modules/a\": {\"resolved\": \"https://registry.npmjs.org/a/-/a-1.0.0.tgz\", \"integrity\": \"sha512-{b64}==\"}}\n",
    ),
    (
        "lock",
        "poetry.lock",
        "files = [\n    {file = \"a.whl\", hash = \"sha256:{hex64}\"},\n]\ncontent-hash = \"{hex64}\"\n",
    ),
    (
        "public",
        "a.py",
        "ASSISTANT = \"asst_{an24}\"\nTHREAD = \"thread_{an24}\"\nstore = client.files.get(vector_store_id=\"vs_{an24}\")\n",
    ),
    ("public", "a.ts", "export const stripeKey = \"pk_live_{an24}\";\nconst publicKey = \"pk-lf-{uuid}\";\n"),
    ("public", "a.py", "PUBLIC_KEY = \"\"\"-----BEGIN PUBLIC KEY-----\n{b64}\n-----END PUBLIC KEY-----\"\"\"\n"),
    (
        "name",
        "a.py",
        "max_tokens = 4096\neos_token = \"<|endoftext|>\"\ntoken_url = \"https://auth.acme.com/oauth2/token\"\napi_key_header = \"X-API-Key-2\"\n",
    ),
    (
        "name",
        "a.py",
        "TOKENIZER = \"cl100k_base\"\nprimary_key = \"customer_id_2\"\ncache_key = f\"user:{uid}:v2\"\nsort_key = \"created_at_2024\"\n",
    ),
    (
        "model",
        "a.py",
        "MODEL = \"claude-3-5-sonnet-20241022\"\napi = Client(\"gpt-4o-mini-2024-07-18\", token=\"text-embedding-3-large\")\n",
    ),
    (
        "url",
        "a.py",
        "DB = \"postgresql://postgres:postgres@localhost:5432/app\"\nURL = f\"postgresql+asyncpg://{user}:{password}@{host}/db\"\n",
    ),
    (
        "url",
        "a.env",
        "DATABASE_URL=postgres://user:password@localhost/db\nREDIS_URL=redis://localhost:6379/0\nAMQP=amqp://guest:guest@rabbit:5672\n",
    ),
    (
        "example",
        "a.py",
        "AWS_ACCESS_KEY_ID = \"AKIAIOSFODNN7EXAMPLE\"\nAWS_SECRET_ACCESS_KEY = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n",
    ),
    ("image", "a.py", "ICON_TOKEN = \"data:image/png;base64,iVBORw0KGgo{b64}\"\nblob = \"iVBORw0KGgo{b64}\"\n"),
    (
        "css",
        "a.tsx",
        "const a = <input type=\"password\" id=\"password-input-1\" placeholder=\"Enter password 1\" autoComplete=\"current-password\" />;\n",
    ),
    (
        "path",
        "a.py",
        "key_file = \"/etc/ssl/private/server-2024.key\"\ncredentials = \"config/credentials_v2.json\"\nTOKEN_PATH = \"~/.cache/token1\"\n",
    ),
];

fn halves(token: &str) -> (&str, &str) {
    token.split_at(token.len() / 2)
}

/// Secrets of every format in contexts drawn by lot, and as many look-alikes.
pub fn corpus(formats: &Formats, seed: u64, per_format: usize) -> Vec<Sample> {
    use base64::Engine;
    let mut rng = Rng(seed);
    let mut samples = Vec::new();
    for (index, issuer) in formats.issuers.iter().enumerate() {
        for &format in formats.of_issuer(index) {
            let key = formats.key(format);
            let Some(env) = key.env.as_ref().or(issuer.env.first()) else { continue };
            let said = env.to_ascii_lowercase();
            let named = key.words.is_empty() || key.words.iter().any(|word| said.split('_').any(|part| part == word));
            if key.when == super::formats::When::Shared || !named || key.kind == "webhook_url" {
                continue;
            }
            // A token of an old shape that other issuers have under one name is no question with one answer.
            let mut made = 0;
            while made < per_format {
                let (context, file, template, hard) = *rng.pick(CONTEXTS);
                let host = issuer.hosts.iter().find(|host| !host.starts_with('*'));
                let client = issuer.clients.iter().find(|client| !client.contains('#') && !client.contains('.'));
                let plain = key.words.is_empty() && key.kind == "api_key";
                if template.contains("{H}") && (host.is_none() || !plain)
                    || template.contains("{C}") && (client.is_none() || !plain)
                    || template.contains("{W}") && (issuer.words.is_empty() || !plain)
                {
                    made += usize::from(rng.below(8) == 0);
                    continue;
                }
                let token = of_format(formats, format, &mut rng);
                let (first, second) = halves(&token);
                let camel: String = said
                    .split('_')
                    .enumerate()
                    .map(|(i, part)| if i == 0 { part.to_owned() } else { part[..1].to_ascii_uppercase() + &part[1..] })
                    .collect();
                let client = client.map_or("", String::as_str);
                let fill = |text: &str| {
                    text.replace("{E}", env)
                        .replace("{e}", &said)
                        .replace("{d}", &said.replace('_', "-"))
                        .replace("{n}", &camel)
                        .replace("{K1}", first)
                        .replace("{K2}", second)
                        .replace("{B}", &base64::engine::general_purpose::STANDARD.encode(&token))
                        .replace("{C}", client)
                        .replace("{I}", "")
                        .replace("{H}", host.map_or("", String::as_str))
                        .replace("{W}", issuer.words.first().map_or("", String::as_str))
                        .replace("{K}", &token)
                };
                // Parts that a name holds come together where the name is used.
                let marks = if context == "f-string" { ["{K2}"; 3] } else { ["{K}", "{K1}", "{B}"] };
                let mark = marks.iter().filter_map(|mark| template.find(mark)).min().unwrap_or(0);
                let line = template[..mark].matches('\n').count() as u32 + 1;
                let provider = issuer.opens.clone().unwrap_or_else(|| issuer.id.clone());
                samples.push(Sample {
                    file: file.into(),
                    text: fill(template),
                    context,
                    secret: Some((provider, line)),
                    hard,
                });
                made += 1;
            }
        }
    }
    const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..samples.len() / LOOK_ALIKES.len() / 2 + 1 {
        for &(context, file, template) in LOOK_ALIKES {
            let mut text = template.to_owned();
            let hex = |rng: &mut Rng, length| rng.of("0123456789abcdef", length);
            while let Some(at) = text
                .find("{hex")
                .or_else(|| text.find("{uuid"))
                .or_else(|| text.find("{b64"))
                .or_else(|| text.find("{an24"))
            {
                let end = at + text[at..].find('}').expect("closed");
                let made = match &text[at + 1..end] {
                    "hex64" => hex(&mut rng, 64),
                    "hex40" => hex(&mut rng, 40),
                    "hex32" => hex(&mut rng, 32),
                    "uuid" => [8, 4, 4, 4, 12].map(|length| hex(&mut rng, length)).join("-"),
                    "an24" => rng.of(ALNUM, 24),
                    _ => rng.of(ALNUM, 86),
                };
                text.replace_range(at..=end, &made);
            }
            samples.push(Sample { file: file.into(), text, context, secret: None, hard: false });
        }
    }
    samples
}
