//! The platform as its user starts it: the binary, its banner, its key, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const KEY: &str = "a-key-of-my-own-for-scripts";

struct Platform {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The banner up to the line to paste.
    banner: String,
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
    command.env_clear().args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command
}

impl Platform {
    fn start(command: &mut Command) -> Platform {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("  curl ") {
            assert!(out.read_line(&mut banner).unwrap() > 0, "{banner}");
        }
        Platform { child, out, banner }
    }

    fn between(&self, before: &str, after: &str) -> &str {
        self.banner.split_once(before).unwrap().1.split_once(after).unwrap().0
    }

    /// What the line to paste does, without asking for curl: its address, its body, the given key.
    fn paste(&self, key: &str) -> String {
        let (address, path) = self.between("curl -s http://", " -H").split_once('/').unwrap();
        let body = self.between("-d '", "'\n");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    /// Ends it as a service manager does, and gives what else it printed.
    fn end(mut self) -> String {
        let ended = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(ended.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn the_first_start_shows_a_key_and_a_line_that_works() {
    let folder = folder("first");
    let platform = Platform::start(&mut command(&folder));
    let key = platform.between("Bearer ", "\"").to_string();
    assert!(key.starts_with("ra_live_"), "{}", platform.banner);
    let reply = platform.paste(&key);
    assert!(reply.starts_with("HTTP/1.1 201 ") && reply.contains("\"tools\""), "{reply}");
    platform.end();

    let again = Platform::start(&mut command(&folder));
    assert!(!again.banner.contains("ra_live_") && again.banner.contains("Bearer $PLATFORM_API_KEY"));
    assert!(again.paste(&key).starts_with("HTTP/1.1 201 "));
    again.end();
}

#[test]
fn a_preset_key_opens_and_is_never_shown() {
    let platform = Platform::start(command(&folder("preset")).env("PLATFORM_API_KEY", KEY));
    assert!(platform.paste(KEY).starts_with("HTTP/1.1 201 "));
    assert!(platform.paste("another").starts_with("HTTP/1.1 401 "));
    let banner = platform.banner.clone();
    assert!(!(banner + &platform.end()).contains(KEY));
}

#[test]
fn what_cannot_work_is_said_and_not_tried() {
    let folder = folder("refused");
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused.toml");
    std::fs::write(&config, "[http]\nbody_byte = 1\n").unwrap();
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let misspelt = said(command(&folder).arg("--config").arg(&config));
    assert!(misspelt.ends_with("refused.toml:2: unknown setting `http.body_byte`; did you mean `http.body_bytes`?\n"));
    assert!(said(command(&folder).env("PLATFORM_API_KEY", "short")).contains("shorter than 16 characters"));
    assert!(said(command(&folder).env("PLATFORM_LISTN", "x")).contains("did you mean PLATFORM_LISTEN?"));
    assert!(said(command(&folder).env("PLATFORM_LOG_FORMAT", "xml")).contains("xml"));
    // Whoever set this for a model of their own must not find their source elsewhere.
    let elsewhere = said(command(&folder).env("PLATFORM_ENRICHMENT_ENDPOINT", "http://127.0.0.1:9/v1"));
    assert!(elsewhere.ends_with("PLATFORM_ENRICHMENT_ENDPOINT: this is no setting of this server\n"), "{elsewhere}");
}

#[test]
fn the_data_goes_to_a_folder_of_its_own_in_the_users_data_directory() {
    let home = folder("home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-api"));
    let platform = Platform::start(command.env_clear().env("HOME", &home).args(["--listen", "127.0.0.1:0"]));
    platform.end();
    let shares = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    assert!(home.join(shares).join("platform-api/platform.db").is_file());
}
