//! What operators do with the binary: settings shown, data put aside and back, another key for what is sealed, an end that
//! loses nothing.

mod binary;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use binary::{KEY, Platform, folder};
use platform_api::store::{SealingKeys, Store};
use serde_json::{Value, json};

/// The operator's command over a data directory.
fn operate(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
    command.env_clear().arg(arguments[0]).arg("--data-dir").arg(data).args(&arguments[1..]).output().unwrap()
}

fn said(output: &Output, is_well: bool) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), is_well, "{out}{err}");
    format!("{out}{err}")
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("data")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn ask(platform: &Platform, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let address = platform.address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// A tool with a credential, which is sealed.
fn register(platform: &Platform, name: &str) {
    let tool = json!({"name": name, "base_url": "https://api.stripe.com", "auth_type": "APIKey",
        "credentials": {"api_key": format!("the-key-of-{name}")}});
    assert_eq!(ask(platform, "POST", "/api/tools", &tool).0, 201);
}

fn tools(platform: &Platform) -> Vec<String> {
    let (status, tools) = ask(platform, "GET", "/api/tools", &Value::Null);
    assert_eq!(status, 200, "{tools}");
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_string()).collect()
}

fn end(mut platform: Platform) {
    assert!(Command::new("kill").arg(platform.child.id().to_string()).status().unwrap().success());
    assert_eq!(platform.child.wait().unwrap().code(), Some(0));
}

/// What is sealed for a tool, opened with the keys of a file.
async fn sealed(data: &Path, keys: &Path, tool: &str) -> Result<Value, String> {
    let keys = SealingKeys::in_file(keys).map_err(|error| error.to_string())?;
    let store = Store::sqlite(&data.join("platform.db"), keys).await.map_err(|error| error.to_string())?;
    let mut tx = store.read().await.unwrap();
    let sealed = tx.unseal::<Value>("default", "tool", tool).await.map_err(|error| error.to_string())?;
    drop(tx);
    store.close().await;
    Ok(sealed.unwrap())
}

#[tokio::test]
async fn a_backup_of_a_running_platform_is_all_of_it_and_is_put_back() {
    let platform = Platform::start("operating-backup", |_| {});
    let home = data("operating-backup");
    assert_eq!((mode(&home), mode(&home.join("sealing-keys"))), (0o700, 0o600));
    register(&platform, "first");
    let file = folder("operating-backup-file").join("all.db");
    let name = file.to_str().unwrap();
    let told = said(&operate(&home, &["backup", name]), true);
    assert!(told.contains("sealing-keys") && mode(&file) == 0o600, "{told}");
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(16).any(|part| part == b"the-key-of-first"));
    assert!(said(&operate(&home, &["backup", name]), false).contains("exists already; name a file"));
    register(&platform, "second");

    // While it runs nothing is put in its place, and what is there not without being told so.
    assert!(said(&operate(&home, &["restore", name]), false).contains("say --replace if its data may go"));
    assert!(
        said(&operate(&home, &["restore", name, "--replace"]), false).contains("is in use; stop the platform first")
    );
    assert_eq!(tools(&platform), ["first", "second"]);
    end(platform);
    let broken = file.with_extension("broken");
    fs::write(&broken, "not a store").unwrap();
    let refused = said(&operate(&home, &["restore", broken.to_str().unwrap(), "--replace"]), false);
    assert!(refused.contains("is no SQLite file"), "{refused}");
    said(&operate(&home, &["restore", name, "--replace"]), true);
    let platform = Platform::again("operating-backup", |_| {});
    assert_eq!(tools(&platform), ["first"]);
    end(platform);
    let credential = sealed(&home, &home.join("sealing-keys"), "first").await.unwrap();
    assert_eq!(credential["api_key"], "the-key-of-first");

    // Elsewhere it opens with its key, and without that nobody believes that it does.
    let elsewhere = folder("operating-elsewhere");
    assert!(said(&operate(&elsewhere.join("data"), &["restore", name]), false).contains("sealed"));
    let _ = fs::remove_dir_all(elsewhere.join("data"));
    fs::create_dir(elsewhere.join("data")).unwrap();
    fs::copy(home.join("sealing-keys"), elsewhere.join("data/sealing-keys")).unwrap();
    said(&operate(&elsewhere.join("data"), &["restore", name]), true);
    let platform = Platform::again("operating-elsewhere", |_| {});
    assert_eq!(tools(&platform), ["first"]);
}

#[tokio::test]
async fn a_record_is_verified_while_the_platform_runs_and_what_was_changed_in_it_is_named() {
    let platform = Platform::start("operating-verify", |_| {});
    let home = data("operating-verify");
    register(&platform, "first");
    let told = said(&operate(&home, &["verify"]), true);
    assert!(told.contains("default: 1 changes, 0 ended runs and 0 events are as they were written"), "{told}");
    let anchor = told.lines().find_map(|line| line.strip_prefix("  anchor ")).unwrap();
    register(&platform, "second");
    said(&operate(&home, &["verify", "--anchor", anchor]), true);
    let elsewhere = anchor.replacen("default", "nobody", 1);
    assert!(said(&operate(&home, &["verify", "--anchor", &elsewhere]), false).contains("nobody: the chain of changes"));
    assert!(said(&operate(&home, &["verify", "--anchor", "x"]), false).contains("an anchor is a line"));
    // A folder that is named by mistake is no record that is whole.
    let nowhere = home.with_file_name("nowhere");
    assert!(said(&operate(&nowhere, &["verify"]), false).contains("there is no data in"));
    assert!(!nowhere.exists());

    end(platform);
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(home.join("platform.db"));
    let pool = sqlx::SqlitePool::connect_with(file).await.unwrap();
    sqlx::query("update audit set actor = 'nobody' where number = 2").execute(&pool).await.unwrap();
    pool.close().await;
    let told = said(&operate(&home, &["verify"]), false);
    assert!(told.contains("default: change 2 is not what was written"), "{told}");
}

#[tokio::test]
async fn another_key_seals_everything_anew_and_the_old_one_opens_nothing() {
    let platform = Platform::start("operating-rotate", |_| {});
    let home = data("operating-rotate");
    let file = home.join("sealing-keys");
    register(&platform, "first");
    // What a running platform seals with the old key would be lost.
    let refused = said(&operate(&home, &["rotate-sealing-key"]), false);
    assert!(refused.contains("is in use; stop the platform first"), "{refused}");
    end(platform);
    let old = home.with_file_name("old-keys");
    fs::copy(&file, &old).unwrap();
    let told = said(&operate(&home, &["rotate-sealing-key"]), true);
    assert!(told.contains("sealed with a new key"), "{told}");
    assert_ne!(fs::read(&file).unwrap(), fs::read(&old).unwrap());
    assert_eq!(mode(&file), 0o600);
    assert_eq!(sealed(&home, &file, "first").await.unwrap()["api_key"], "the-key-of-first");
    assert!(sealed(&home, &old, "first").await.is_err());
    let platform = Platform::again("operating-rotate", |_| {});
    register(&platform, "second");
    assert_eq!(tools(&platform), ["first", "second"]);
    end(platform);
    // A platform with another key does not start over this store.
    fs::copy(&old, &file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
    let started = command.env_clear().args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&home).output().unwrap();
    assert!(said(&started, false).contains("sealed"), "it starts");
}

#[test]
fn the_settings_in_force_are_printed_as_a_file_that_can_be_given_back() {
    let home = folder("operating-settings");
    let own = home.join("own.toml");
    fs::write(&own, "[limits]\nrequests_per_minute = 7\n").unwrap();
    let printed = |config: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command.env_clear().env("PLATFORM_API_KEY", KEY).env("PLATFORM_APPROVALS_HOLD_SECONDS", "3");
        command.env("DATABASE_URL", "postgres://me:hush@db/platform");
        command.args(["--print-config", "--listen", "127.0.0.1:7"]).arg("--config").arg(config);
        said(&command.output().unwrap(), true)
    };
    let text = printed(&own);
    let settings: toml::Table = text.parse().unwrap();
    assert_eq!(settings["listen"].as_str(), Some("127.0.0.1:7"));
    assert_eq!(settings["limits"]["requests_per_minute"].as_integer(), Some(7));
    assert_eq!(settings["approvals"]["hold_seconds"].as_integer(), Some(3));
    assert!(!text.contains(KEY) && !text.contains("hush"), "{text}");
    fs::write(&own, &text).unwrap();
    assert_eq!(printed(&own), text);
}

#[test]
fn plain_http_where_others_listen_is_warned_of() {
    let warned = |name: &str, listen: &str| {
        let log = folder(name).join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
        command
            .env_clear()
            .env("PLATFORM_RUNNER_KIND", "none")
            .args(["--listen", listen, "--data-dir"])
            .arg(data(name));
        let mut child = command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("listens on http://"), "{line}");
        let platform = Platform { child, address: String::new() };
        end(platform);
        fs::read_to_string(log).unwrap().contains("plain HTTP on an address that others reach")
    };
    assert!(warned("operating-everywhere", "0.0.0.0:0"));
    assert!(!warned("operating-here", "127.0.0.1:0"));
}

#[test]
fn a_request_under_way_is_answered_before_the_end_and_nobody_new_comes_in() {
    let mut platform = Platform::start("operating-end", |_| {});
    let address = platform.address.strip_prefix("http://").unwrap().to_string();
    let body = json!({"name": "late", "base_url": "https://a.io"}).to_string();
    let (begun, rest) = body.split_at(9);
    let mut stream = TcpStream::connect(&address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /api/tools HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{begun}"
    )
    .unwrap();
    // It is under way once the platform has said that somebody else's request, which came later, is done.
    assert_eq!(tools(&platform), [] as [&str; 0]);
    assert!(Command::new("kill").arg(platform.child.id().to_string()).status().unwrap().success());
    let until = (0..500).any(|_| {
        let closed = TcpStream::connect(&address).is_err();
        if !closed {
            #[expect(clippy::disallowed_methods, reason = "another process closes its door and tells nobody")]
            std::thread::sleep(Duration::from_millis(10));
        }
        closed
    });
    assert!(until, "the door is still open");
    assert!(platform.child.try_wait().unwrap().is_none(), "it ended before it answered");
    stream.write_all(rest.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
    assert_eq!(platform.child.wait().unwrap().code(), Some(0));
    let platform = Platform::again("operating-end", |_| {});
    assert_eq!(tools(&platform), ["late"]);
}
