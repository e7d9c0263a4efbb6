//! The README shows an answer: it is the one that its own command gets.

use analyzer_core::{Options, Sources, analyze};
use serde_json::Value;

#[test]
fn the_answer_that_the_readme_shows_is_given() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let sent = readme.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a body to send");
    let shown = readme.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an answer");
    let sent: Value = serde_json::from_str(sent).expect("the body is JSON");
    let files = sent["files"].as_object().expect("files").iter();
    let sources = Sources::new(files.map(|(path, text)| (path.as_str(), text.as_str().expect("text")))).expect("clean");
    let given = serde_json::to_value(analyze(&sources, &Options::default())).expect("plain data");
    let shown: Value = serde_json::from_str(shown).expect("the answer is JSON");
    for (key, value) in shown.as_object().expect("an object") {
        assert_eq!(value, &given[key], "{key}");
    }
}
