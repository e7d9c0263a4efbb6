//! Packages: what the manifest misses, does not need, or leaves to the day of the build.

use super::fix;
use super::view::{Draft, Place, Seen};
use crate::analysis::Confidence;
use crate::manifest::Declared;

pub fn missing(seen: &Seen, out: &mut Vec<Draft>) {
    let requirements = &seen.analysis.requirements;
    for name in &requirements.missing {
        let Some(package) = requirements.packages.iter().find(|package| package.name == *name) else { continue };
        let Some(place) = seen.line(&package.file, package.line) else { continue };
        let message = format!("`{}` is imported, and no manifest names the package `{name}`", package.import);
        let help = match package.ecosystem.as_str() {
            "npm" => format!("run `npm install {name}`"),
            _ => format!("add `{}` to the requirements", package.specifier),
        };
        out.push(Draft::new(place, message, help).fix(fix::add_requirement(seen, package)));
    }
}

pub fn unused(seen: &Seen, out: &mut Vec<Draft>) {
    for name in &seen.analysis.requirements.unused {
        let declared = seen.manifests.python.iter().chain(&seen.manifests.npm).find(|declared| declared.name == *name);
        let Some((declared, place)) = declared.and_then(|declared| Some((declared, place(seen, declared)?))) else {
            continue;
        };
        let message = format!("nothing imports `{}`, which {} installs", declared.name, declared.file);
        let help = "take it out, and with it what it may bring along";
        // Frameworks load packages that no code imports.
        out.push(Draft::new(place, message, help).confidence(Confidence::Medium));
    }
}

pub fn unpinned(seen: &Seen, out: &mut Vec<Draft>) {
    let run_time = seen.manifests.python.iter().chain(&seen.manifests.npm).filter(|declared| !declared.dev);
    for declared in run_time {
        let bare = declared.specifier.split(';').next().unwrap_or("").split(']').next_back().unwrap_or("");
        let is_free = match declared
            .specifier
            .split_once('@')
            .filter(|(before, _)| !before.is_empty() || declared.specifier.starts_with('@'))
        {
            // npm: `zod@*`, `zod@latest`.
            Some((_, version)) => matches!(version.rsplit('@').next().unwrap_or(version), "*" | "latest" | "x" | ""),
            None => !bare.contains(['=', '<', '>', '~', '^']) && !declared.specifier.contains("://"),
        };
        let Some(place) = place(seen, declared).filter(|_| is_free) else { continue };
        let message = format!("`{}` may be any version on the day of the build", declared.name);
        out.push(Draft::new(place, message, "give it a version or a range, or commit a lock file"));
    }
}

pub fn no_manifest(seen: &Seen, out: &mut Vec<Draft>) {
    if !seen.manifests.python.is_empty() || !seen.manifests.npm.is_empty() {
        return;
    }
    let Some(package) = seen.analysis.requirements.packages.iter().find(|package| !package.optional) else { return };
    let Some(place) = seen.line(&package.file, package.line) else { return };
    let count = seen.analysis.detected_requirements.len();
    let packages = if count == 1 { "package" } else { "packages" };
    let message = format!("the code needs {count} {packages}, and no requirements file or package.json is here");
    let list = seen.analysis.detected_requirements.join(" ");
    out.push(Draft::new(place, message, format!("write a manifest; the code needs: {list}")));
}

/// Where a manifest names a package: its name as a word of its own.
fn place(seen: &Seen, declared: &Declared) -> Option<Place> {
    let file = seen.file(&declared.file)?;
    let text = seen.text(file);
    let plain = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
    let same = |word: &str| {
        let bytes = word.bytes().map(|byte| plain(byte.to_ascii_lowercase()));
        word.len() == declared.name.len() && bytes.eq(declared.name.bytes().map(plain))
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '/');
        let mut at = 0;
        for word in line.split(|c: char| !is_part(c)) {
            let bare = if word.len() > 1 && word[1..].contains('@') {
                word.rsplit_once('@').map_or(word, |(name, _)| name)
            } else {
                word
            };
            if !bare.is_empty() && same(bare) && !line.trim_start().starts_with('#') {
                return Some(Place { file, span: start + at..start + at + bare.len() });
            }
            at += word.len() + line[at + word.len()..].chars().next().map_or(0, char::len_utf8);
        }
        start += line.len();
    }
    Some(seen.line_of(file, 1))
}
