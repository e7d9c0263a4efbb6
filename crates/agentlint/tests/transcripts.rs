//! What documents show of the command line is what it says.

use std::path::Path;

#[test]
fn every_transcript_in_the_documents_is_what_the_binary_says() {
    // Paths in documents are those of somebody who stands in the workspace.
    std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
    let transcripts = trycmd::TestCases::new();
    transcripts.register_bin("agentlint", Path::new(env!("CARGO_BIN_EXE_agentlint")));
    // A coding assistant that runs the tests is not who reads the documents.
    transcripts.env("AI_AGENT", "0").env("NO_COLOR", "1").env("COLUMNS", "100");
    transcripts.case("README.md").case("packaging/README.md").case("docs/PERFORMANCE.md").case("docs/ADDING.md");
}
