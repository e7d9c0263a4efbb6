//! Any text with holes is an address or none; an address has a host, and writes itself as one that reads the same.
#![no_main]

use analyzer_core::resolve::url::{is_external, join, parse, path};
use analyzer_core::resolve::Piece;
use libfuzzer_sys::fuzz_target;

/// Text between zero bytes is known, every second one is a hole.
fn pieces(text: &str) -> Vec<Piece> {
    let part = |(index, part): (usize, &str)| match index % 3 {
        1 => Piece::Hole(part.to_owned()),
        2 => Piece::Env { name: part.to_owned(), default: part.strip_prefix('!').map(str::to_owned) },
        _ => Piece::Lit(part.to_owned()),
    };
    text.split('\0').enumerate().map(part).collect()
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (base, rest) = text.split_once('\u{1}').unwrap_or((&text, ""));
    let (base, rest) = (pieces(base), pieces(rest));
    let _ = path(&base);
    for pieces in [join(&base, &rest), base] {
        let Some(address) = parse(&pieces) else { continue };
        let _ = is_external(address.bare_host());
        let base_url = address.base_url();
        let again = parse(&[Piece::Lit(base_url.clone())]);
        if let Some(again) = again {
            assert_eq!(again.base_url(), base_url);
        }
    }
});
