//! Laws that hold for every input: order and threads do not matter, any prefix of any file is answered.

use analyzer_core::{Analysis, Options, Sources, analyze};
use proptest::prelude::*;
use test_bench::labels;

fn fixtures() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents");
    labels::sources(&folder).expect("readable").into_iter().filter(|(path, _)| path.contains("/input/")).collect()
}

fn answer(files: Vec<(String, String)>) -> Analysis {
    analyze(&Sources::new(files).expect("clean paths"), &Options::default())
}

fn bytes(analysis: &Analysis) -> String {
    serde_json::to_string(analysis).expect("plain data")
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| bytes(&answer(fixtures())))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_files_does_not_matter(seed in any::<u64>()) {
        let files = fixtures();
        let mut shuffled = files.clone();
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        prop_assert_eq!(bytes(&answer(files)), bytes(&answer(shuffled)));
    }

    #[test]
    fn any_prefix_of_any_file_is_answered(which in any::<prop::sample::Index>(), cut in 0.0..1.0f64) {
        let files = fixtures();
        let (path, text) = which.get(&files).clone();
        let mut end = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let analysis = answer(vec![(path, text[..end].to_owned())]);
        prop_assert!(!analysis.cancelled);
    }
}

/// Files that an editor may have open, and what may be typed into them.
const EDITS: [(&str, &str); 10] = [
    ("agent.py", "import helpers\nhelpers.call('https://api.stripe.com/v1/charges')\n"),
    ("agent.py", "import helpers\nhelpers.call('https://api.github.com/user'\n"),
    ("agent.py", ""),
    ("helpers.py", "import requests\ndef call(url):\n    return requests.get(url)\n"),
    ("helpers.py", "import httpx\ndef call(url):\n    return httpx.post(url)\n"),
    ("requirements.txt", "requests\n"),
    ("prompt.txt", "You are a clerk.\n"),
    (
        "app.ts",
        "import OpenAI from 'openai'\nnew OpenAI().chat.completions.create({ model: 'gpt-4o', messages: [] })\n",
    ),
    (".agentlint/pack.toml", "exclude = ['helpers.py']\n"),
    ("agent.py", "API_KEY = 'sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh'\n"),
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_edits_end_where_the_same_files_begin(
        steps in proptest::collection::vec((0..EDITS.len(), proptest::bool::weighted(0.2)), 1..8),
    ) {
        let mut session = analyzer_core::Session::new(Options::default());
        let lint = analyzer_core::lint::LintOptions::default();
        for (edit, remove) in steps {
            let (path, text) = EDITS[edit];
            match remove {
                true => session.remove(path),
                false => session.set(path, text),
            }
            let sources = session.sources().unwrap();
            let now = session.lint(&lint).unwrap();
            let anew = analyzer_core::lint::lint(&sources, &Options::default(), &lint);
            let bytes = |analysis| serde_json::to_string(analysis).unwrap();
            proptest::prop_assert_eq!(bytes(&now.analysis), bytes(&anew.analysis));
            proptest::prop_assert_eq!(now.findings, anew.findings);
        }
    }
}
