use proptest::prelude::*;

use super::*;

fn read(files: &[(&str, &str)]) -> Manifests {
    Manifests::read(&Sources::new(files.iter().map(|(path, text)| (*path, *text))).unwrap())
}

fn python(files: &[(&str, &str)]) -> Vec<String> {
    read(files).python.into_iter().map(|declared| declared.specifier).collect()
}

fn starts(files: &[(&str, &str)]) -> Vec<String> {
    read(files).starts.into_iter().map(|start| format!("{} {}: {}", start.rank, start.file, start.reason)).collect()
}

#[test]
fn requirements_files_are_read_with_what_they_include() {
    let files = [
        (
            "requirements.txt",
            "# top\n-r base.in\n--index-url https://x.org/simple\nopenai>=1 # why\nhttpx \\\n  ==0.27 --hash=sha256:00\n\
             -e git+https://x.org/w.git#egg=w\n<<<<<<< HEAD\n",
        ),
        ("base.in", "crewai[tools]>=0.8; python_version > '3.9'\n-r requirements.txt\n"),
    ];
    assert_eq!(
        python(&files),
        ["crewai[tools]>=0.8; python_version > '3.9'", "httpx==0.27", "openai>=1", "w @ git+https://x.org/w.git#egg=w"]
    );
}

#[test]
fn pyproject_is_read_in_all_its_dialects() {
    let text = r#"
[build-system]
requires = ["hatchling"]
[project]
name = "my-agent"
dependencies = ["openai>=1"]
[project.optional-dependencies]
voice = ["elevenlabs"]
dev = ["ruff"]
[dependency-groups]
test = ["pytest", {include-group = "x"}]
[tool.poetry.dependencies]
python = "^3.11"
langchain = { version = "^0.3", extras = ["x"] }
fork = { git = "https://x.org/f.git" }
[project.scripts]
agent = "my_agent.cli:main"
"#;
    let found = read(&[("pyproject.toml", text), ("src/my_agent/cli.py", "")]);
    let all: Vec<_> = found.python.iter().map(|d| (d.specifier.as_str(), d.dev, d.optional)).collect();
    assert_eq!(
        all,
        [
            ("elevenlabs", false, true),
            ("fork @ git+https://x.org/f.git", false, false),
            ("langchain[x]>=0.3,<0.4", false, false),
            ("openai>=1", false, false),
            ("pytest", true, false),
            ("ruff", true, true),
        ]
    );
    assert_eq!(found.starts[0].file, "src/my_agent/cli.py");
    assert_eq!(found.package_names[0].name, "my_agent");
}

#[test]
fn older_manifests_are_read_too() {
    let setup = "from setuptools import setup\nDEPS = ['a>=1']\nsetup(name='me', install_requires=DEPS + [])\n\
                 setup(install_requires=['b'])\nsetup(install_requires=DEPS)";
    assert_eq!(python(&[("setup.py", setup)]), ["a>=1", "b"]);
    let cfg = "[metadata]\nname = me\n[options]\ninstall_requires =\n    a\n    b>=2 # why\n[options.extras_require]\nx = c\n";
    assert_eq!(python(&[("setup.cfg", cfg)]), ["a", "b>=2", "c"]);
    assert_eq!(python(&[("Pipfile", "[packages]\na = \"*\"\n[dev-packages]\nb = \"==2\"")]), ["a", "b==2"]);
    let conda =
        "name: x\ndependencies:\n  - python=3.11\n  - numpy=1.26\n  - pip\n  - pip:\n      - openai>=1\nprefix: /x\n";
    assert_eq!(python(&[("environment.yml", conda)]), ["numpy", "openai>=1"]);
    assert_eq!(
        python(&[("Dockerfile", "FROM x\nRUN pip install --no-cache-dir -r r.txt 'a>=1' b && pip install c")]),
        ["a>=1", "b", "c"]
    );
}

#[test]
fn the_nearest_manifest_counts() {
    let found = read(&[
        ("requirements.txt", "openai>=1"),
        ("svc/requirements.txt", "openai>=2"),
        ("dev-requirements.txt", "openai"),
    ]);
    assert_eq!(found.python_declared("openai", "svc/a.py").unwrap().specifier, "openai>=2");
    assert_eq!(found.python_declared("openai", "b.py").unwrap().specifier, "openai>=1");
    assert_eq!(found.python_declared("opena", "b.py"), None);
}

#[test]
fn package_json_gives_packages_names_and_starts() {
    let text = r##"{"name": "@a/b", "main": "dist/index.js", "dependencies": {"zod": "^3"}, "devDependencies": {"tsx": "4"},
        "imports": {"#db": "./src/db.ts"}, "exports": {".": {"import": "./dist/lib.js"}},
        "scripts": {"start": "node --env-file=.env dist/server.js", "dev": "tsx watch src/index.ts"}}"##;
    let found = read(&[("package.json", text), ("src/index.ts", ""), ("src/server.ts", "")]);
    assert_eq!(found.npm.iter().map(|d| &*d.specifier).collect::<Vec<_>>(), ["tsx@4", "zod@^3"]);
    assert_eq!(found.package_names[0].entries, ["dist/index.js", "dist/lib.js"]);
    assert_eq!(found.path_aliases[0].targets, ["src/db.ts"]);
    let files: Vec<_> = found.starts.iter().map(|s| (s.rank, &*s.file)).collect();
    assert_eq!(files, [(1, "src/server.ts"), (2, "src/index.ts"), (3, "src/index.ts")]);
}

#[test]
fn aliases_come_from_typescript_and_deno() {
    let found = read(&[
        (
            "app/tsconfig.json",
            "{ // c\n \"extends\": \"../tsconfig.base.json\", \"compilerOptions\": {\"paths\": {\"@/*\": [\"./src/*\"],}}}",
        ),
        ("tsconfig.base.json", "{\"compilerOptions\": {\"baseUrl\": \"./lib\"}}"),
        ("deno.json", "{\"imports\": {\"openai\": \"npm:openai@4\", \"lib/\": \"./lib/\"}}"),
    ]);
    let alias = |folder: &str, pattern: &str, target: &str| PathAlias {
        folder: folder.into(),
        pattern: pattern.into(),
        targets: vec![target.into()],
    };
    for expected in [
        alias("app", "@/*", "app/src/*"),
        alias("app", "", "lib"),
        alias("", "openai", "npm:openai@4"),
        alias("", "lib/*", "lib/*"),
    ] {
        assert!(found.path_aliases.contains(&expected), "{expected:?} in {:#?}", found.path_aliases);
    }
}

#[test]
fn files_that_something_starts_are_known() {
    let app = ("app/main.py", "");
    for (manifest, text) in [
        ("Dockerfile", "FROM a AS b\nCMD x.py\nFROM c\nCMD [\"uvicorn\", \"app.main:app\", \"--port\", \"80\"]"),
        ("Dockerfile", "FROM c\nCMD python -m \\\n  app.main"),
        ("Dockerfile", "FROM c\nENTRYPOINT [\"python\", \"/srv/app/main.py\"]"),
        ("Procfile", "web: gunicorn app.main:app"),
        ("runagents.yaml", "name: x\nentry_point: app/main.py\n"),
        ("langgraph.json", "{\"graphs\": {\"agent\": \"./app/main.py:graph\"}}"),
        ("serverless.yml", "functions:\n  hello:\n    handler: app/main.handler\n"),
        ("template.yaml", "Resources:\n  F:\n    Properties:\n      CodeUri: app/\n      Handler: main.handler\n"),
    ] {
        let found = starts(&[app, (manifest, text)]);
        assert!(found.len() == 1 && found[0].contains("app/main.py"), "{manifest}: {found:?}");
    }
    assert_eq!(
        starts(&[("src/index.ts", ""), ("wrangler.jsonc", "{/* c */ \"main\": \"src/index.ts\"}")]),
        ["0 src/index.ts: `main` of wrangler.jsonc starts it"]
    );
}

#[test]
fn a_broken_manifest_is_a_note() {
    let deep = "[".repeat(100_000);
    let found = read(&[
        ("a/package.json", "{\n \"name\": }"),
        ("b/package.json", &deep),
        ("pyproject.toml", "[project\nname = 1"),
        ("Pipfile", &format!("a = {deep}")),
    ]);
    let notes: Vec<_> = found.notes.iter().map(|note| (&*note.file, note.line, &*note.code)).collect();
    assert_eq!(
        notes,
        [
            ("Pipfile", 1, "manifest"),
            ("a/package.json", 2, "manifest"),
            ("b/package.json", 1, "manifest"),
            ("pyproject.toml", 1, "manifest")
        ]
    );
}

const NAMES: &[&str] = &[
    "requirements.txt",
    "pyproject.toml",
    "setup.cfg",
    "Pipfile",
    "environment.yml",
    "package.json",
    "deno.json",
    "tsconfig.json",
    "langgraph.json",
    "wrangler.toml",
    "serverless.yml",
    "runagents.yaml",
    "Procfile",
    "Dockerfile",
];

const WORDS: &str = "(\\{|\\}|\\[|\\]|\"|'|:|,|/\\*|//|#|\\\\|\n|  |- |=|\\^|~|;|@|é|-r |-e |a\\.py|dependencies|name|main|\
                     imports|paths|extends|CMD |pip|1\\.2|[a-z]{1,4}|\\[project\\])";

proptest! {
    #[test]
    fn no_text_of_a_manifest_panics(name in proptest::sample::select(NAMES), words in proptest::collection::vec(WORDS, 0..60)) {
        let text = words.concat();
        let sources = Sources::new([(name, text.as_str()), ("a.py", "")]).unwrap();
        prop_assert_eq!(Manifests::read(&sources), Manifests::read(&sources));
    }
}
