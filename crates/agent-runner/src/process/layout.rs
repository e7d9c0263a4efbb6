//! Layout: what an agent finds where, in a sandbox of its own and on a host that gives none. Pure but for looking
//! which system folders exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::folders::{EnvironmentNotes, Folders};
use crate::launcher::mounts;
use crate::launcher::plan::Plan;
use crate::{Isolation, Language, Workload};

/// The port at which an agent with a network of its own finds its gateway.
pub const GATEWAY: u16 = 8099;

/// The port at which such an agent listens.
const PORT: u16 = 8080;

/// Where code and environment are in a sandbox.
const APP: &str = "/app";
const ENVIRONMENT: &str = "/environment";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where else programs look for certificates that nobody told them about.
const OTHER_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Variables that name the file of certificates to trust.
const TRUST: [&str; 6] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// Starts the published runtime: on the loopback where the network is the host's, and with what its handlers would not be
/// told otherwise.
const START: &str = include_str!("start.py");

/// All that a plan is made of.
pub struct Given<'a> {
    pub workload: &'a Workload,
    pub folders: &'a Folders,
    pub notes: &'a EnvironmentNotes,
    pub isolation: Isolation,
    /// Whom to become, where we are root.
    pub user: Option<u32>,
    /// Of the authority that vouches for every name.
    pub certificate: &'a str,
    /// On the host's network: the agent's port, the gateway's, and a folder of its own.
    pub on_host: Option<OnHost<'a>>,
    pub limit_memory: bool,
    pub limit_processes: bool,
}

/// What an agent has of the host's own.
pub struct OnHost<'a> {
    pub port: u16,
    pub gateway: u16,
    pub scratch: &'a Path,
}

/// The plan of an agent's sandbox.
pub fn plan(given: &Given<'_>) -> Plan {
    let Given { workload, folders, notes, .. } = given;
    let artifact = &workload.artifact;
    let code = folders.code(&artifact.digest);
    let environment = folders.environment(&artifact.environment);
    let (mut shown, mut links) = mounts::system();
    // What lies in folders that are shown already needs no place of its own.
    let covered = |path: &Path| ["/usr", "/bin", "/lib"].iter().any(|folder| path.starts_with(folder));
    shown.extend(notes.needs.iter().filter(|path| !covered(path)).map(|path| (path.clone(), path.clone())));
    let mut plan = Plan {
        isolation: given.isolation,
        user: given.user,
        root: folders.all("run"),
        shown: vec![],
        hidden: vec![folders.data().to_path_buf()],
        links: vec![],
        texts: vec![],
        writable: vec![],
        listen: vec![],
        port: PORT,
        connect: vec![],
        limits: workload.limits,
        limit_memory: given.limit_memory,
        limit_processes: given.limit_processes,
        command: vec![],
        folder: PathBuf::new(),
        environment: BTreeMap::new(),
    };
    let (app, home, at, trusted) = match &given.on_host {
        None => {
            shown.push((code, APP.into()));
            shown.push((environment, ENVIRONMENT.into()));
            links.push(("/node_modules".into(), format!("{ENVIRONMENT}/node_modules")));
            links.extend(OTHER_CERTIFICATES.map(|path| (path.into(), CERTIFICATES.to_string())));
            links.push(("/var/tmp".into(), "/tmp".into()));
            plan.texts = texts(given.certificate);
            plan.writable = vec!["/tmp".into(), "/dev/shm".into()];
            // Ports that are somebody's in there cannot be the world's.
            let others = workload.ports.iter().copied().filter(|port| ![53, 80, 443, PORT, GATEWAY].contains(port));
            plan.listen = [80, 443, GATEWAY].into_iter().chain(others.take(MOST_PORTS)).collect();
            (PathBuf::from(APP), PathBuf::from("/tmp"), PathBuf::from(ENVIRONMENT), PathBuf::from(CERTIFICATES))
        }
        Some(host) => {
            let modules = folders.artifact(&artifact.digest).join("node_modules");
            shown.extend([&code, &environment, &modules].map(|path| (path.clone(), path.clone())));
            let files = ["hosts", "passwd", "group", "nsswitch.conf", "host.conf", "ssl/certs"];
            shown.extend(files.map(|name| Path::new("/etc").join(name)).map(|path| (path.clone(), path)));
            plan.writable = vec![host.scratch.join("tmp")];
            shown.push((host.scratch.to_path_buf(), host.scratch.to_path_buf()));
            plan.port = host.port;
            plan.connect = vec![host.gateway];
            (code, host.scratch.join("tmp"), environment, host.scratch.join("certificates.pem"))
        }
    };
    let interpreter = at.join(&notes.interpreter).display().to_string();
    plan.command = match artifact.language {
        Language::Python => [&interpreter, "-c", START].map(str::to_string).to_vec(),
        Language::Node => vec![interpreter, at.join("runner.mjs").display().to_string()],
    };
    plan.environment = variables(given, &app, &home, &at, &trusted, plan.port);
    (plan.shown, plan.links, plan.folder) = (shown, links, app);
    plan
}

/// Beside 80, 443 and the gateway's own.
const MOST_PORTS: usize = 32;

/// Files that programs expect of a system.
fn texts(certificate: &str) -> Vec<(PathBuf, String)> {
    let files = [
        ("/etc/hosts", "127.0.0.1 localhost agent\n"),
        ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("/etc/passwd", "root:x:0:0::/nonexistent:/usr/sbin/nologin\nagent:x:1000:1000::/tmp:/bin/sh\n"),
        ("/etc/group", "root:x:0:\nagent:x:1000:\n"),
        (CERTIFICATES, certificate),
    ];
    files.map(|(path, text)| (path.into(), text.to_string())).to_vec()
}

/// The caller's variables, and over them those that only the runner knows.
fn variables(
    given: &Given<'_>,
    app: &Path,
    home: &Path,
    environment: &Path,
    trusted: &Path,
    port: u16,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in [("LANG", "C.UTF-8"), ("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")] {
        all.insert(name.to_string(), value.to_string());
    }
    let own = given.workload.environment.0.iter().filter(|(name, _)| !name.is_empty() && !name.contains(['=', '\0']));
    all.extend(own.filter(|(_, value)| !value.contains('\0')).map(|(name, value)| (name.clone(), value.clone())));
    let mut set = |name: &str, value: String| all.insert(name.to_string(), value);
    let (home, trusted) = (home.display().to_string(), trusted.display().to_string());
    if let Some(entry_point) = &given.workload.artifact.entry_point {
        // As it was built, which is not always as it was submitted.
        set("USER_ENTRY_POINT", entry_point.clone());
    }
    set("PORT", port.to_string());
    set("RUNAGENTS_USER_CODE_DIR", app.display().to_string());
    set("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", environment.join("bin").display()));
    set("HOME", home.clone());
    set("TMPDIR", home);
    TRUST.iter().for_each(|name| drop(set(name, trusted.clone())));
    if let Some(host) = &given.on_host {
        let proxy = format!("http://127.0.0.1:{}", host.gateway);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            set(name, proxy.clone());
            set(&name.to_ascii_lowercase(), proxy.clone());
        }
        set("NO_PROXY", "127.0.0.1,localhost".into());
        set("no_proxy", "127.0.0.1,localhost".into());
        // Of the interpreters that leave proxies to their programs, this one can be told.
        set("NODE_USE_ENV_PROXY", "1".into());
        set("AGENT_LISTEN_HOST", "127.0.0.1".into());
    }
    all
}
