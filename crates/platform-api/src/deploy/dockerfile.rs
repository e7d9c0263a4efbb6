//! Dockerfile: how source becomes an image, for each language.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The text of the file.
pub fn text(family: &str, entry_point: &str, has_requirements: bool, files: &BTreeMap<String, String>) -> String {
    match family {
        "node" => {
            let start = match entry_point {
                typescript if typescript.ends_with(".ts") => format!("[\"npx\", \"tsx\", {typescript:?}]"),
                script => format!("[\"node\", {script:?}]"),
            };
            let manifest = files.contains_key("package.json");
            let install = if manifest { "COPY package*.json ./\nRUN npm install --omit=dev\n" } else { "" };
            format!("FROM node:20-slim\nWORKDIR /app\n{install}COPY . .\nEXPOSE 8080\nCMD {start}\n")
        }
        _ => {
            let install = match has_requirements {
                true => "COPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\n",
                false => "",
            };
            format!(
                "FROM python:3.11-slim\nWORKDIR /app\n{install}COPY . .\nEXPOSE 8080\nCMD [\"python\", {entry_point:?}]\n"
            )
        }
    }
}

/// The same for the same content: the tag of the image.
pub fn print(files: &BTreeMap<String, String>, requirements: &[String], dockerfile: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for (path, text) in files {
        part(path);
        part(text);
    }
    requirements.iter().for_each(|line| part(line));
    part(dockerfile);
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
