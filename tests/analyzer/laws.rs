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
