//! What is wrong with a body is said so that its sender can put it right.

use proptest::prelude::*;

use crate::app::{App, files};

const SEND: &str = r#"send {"files": {"agent.py": "<its source text>"}}"#;

#[tokio::test]
async fn each_mistake_has_its_sentence() {
    let app = App::new();
    let cases = [
        ("", "the request body is empty; send a JSON object".to_string()),
        ("[]", "the request body must be a JSON object".into()),
        ("files=x", "the request body must be a JSON object".into()),
        ("{}", format!("files is required; {SEND}")),
        (r#"{"files": null}"#, format!("files is required; {SEND}")),
        (r#"{"files": {}}"#, format!("files is empty; {SEND}")),
        (
            r#"{"files": 1}"#,
            format!(
                "invalid type: integer `1`, expected files to be an object of file names and source texts; {SEND} at \
                 line 1 column 11"
            ),
        ),
        (
            r#"{"files": {"a.py": null}}"#,
            r#"invalid type: null, expected the text of "a.py" in files to be a string at line 1 column 23"#.into(),
        ),
        (
            r#"{"files": {"a.py": ""}"#,
            "the request body is not valid JSON: EOF while parsing an object at line 1 column 22".into(),
        ),
        (
            r#"{"files": {"a.py": "", "a.py": ""}}"#,
            r#"file path "a.py" is submitted twice (paths are compared after removing `./` and `//`)"#.into(),
        ),
        (
            r#"{"files": {"../a.py": ""}}"#,
            r#"file path "../a.py" is not allowed: it leaves the project with `..`"#.into(),
        ),
        (
            r#"{"files": {"/a.py": ""}}"#,
            r#"file path "/a.py" is not allowed: it is absolute; submit paths relative to the project"#.into(),
        ),
    ];
    for (body, sentence) in cases {
        for path in ["/analyze", "/requirements"] {
            assert_eq!(app.post(path, body).await.error(), (400, sentence.clone()), "{body}");
        }
    }
}

#[tokio::test]
async fn depth_is_refused_and_not_followed() {
    let app = App::new();
    for key in ["files", "other"] {
        let body = format!("{{\"{key}\": {}", "[".repeat(1_000_000));
        assert_eq!(app.post("/analyze", body).await.status, 400);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is sent is answered with 201, 400 or 413, and an error is always JSON.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..60) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sound = files([("agent.py", "import os\nprint('\u{e9}')\n"), ("b.txt", "")]);
        let spoilt: Vec<u8> = sound.bytes().take(cut).chain(bytes.clone()).chain(sound.bytes().skip(cut)).collect();
        runtime.block_on(async {
            let app = App::new();
            for body in [bytes, spoilt] {
                let reply = app.post("/analyze", body).await;
                if reply.status != 201 {
                    let (status, text) = reply.error();
                    assert!([400, 413].contains(&status) && !text.is_empty());
                }
            }
        });
    }
}
