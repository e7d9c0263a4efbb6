//! What an agent can reach, and what it cannot.

use std::collections::BTreeSet;

use agent_runner::{Isolation, Limits, Runner};
use serde_json::{Value, json};

use crate::support::Host;

/// Runs Python that tries something and answers `open` if it worked, else the error's class.
const TRY: &str = "
import socket, os
def attempt(what):
    try:
        value = what()
    except Exception as error:
        return type(error).__name__ + ':' + str(getattr(error, 'errno', ''))
    return 'open'
def dial(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        s.connect(address)
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn an_agent_reaches_its_gateway_by_any_name() {
    let host = Host::new("gateway", Isolation::Netns).await;
    let agent = host.obedient("default.one", &[], Limits::default()).await;
    let code = "import urllib.request, json\n\
                result = [json.load(urllib.request.urlopen(url)) for url in ['https://api.stripe.com/v1/charges', \
                'http://example.com/', 'http://127.0.0.1:8099/llm', 'http://db.internal:9000/x']]";
    let called = host.run(&agent, code).await;
    let known = |one: &Value| json!([one["name"], one["port"], one["gateway"], one["tls"]]);
    let known: Vec<_> = called.as_array().unwrap().iter().map(known).collect();
    assert_eq!(
        known,
        [
            json!(["api.stripe.com", 443, false, true]),
            json!(["example.com", 80, false, false]),
            json!([null, 8099, true, false]),
            json!(["db.internal", 9000, false, false]),
        ]
    );
    assert_eq!(host.runner.gateway(&agent).unwrap(), "127.0.0.1:8099");
    let seen = host.run(&agent, "import os; result = [os.environ['GIVEN'], os.getcwd()]").await;
    assert_eq!(seen, json!(["as it was", "/app"]));
}

/// A listener of the host that an agent would reach, were it not kept apart.
fn outside() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn no_host_is_reached_past_the_gateway() {
    let host = Host::new("network", Isolation::Netns).await;
    let agent = host.obedient("default.one", &[], Limits::default()).await;
    let (_listener, port) = outside();
    let code = format!(
        "{TRY}
import subprocess, sys
child = 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 3)'
def query():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.sendto(b'x', ('8.8.8.8', 53))
result = dict(
    loopback=attempt(lambda: dial(socket.AF_INET, ('127.0.0.1', {port}))),
    address=attempt(lambda: dial(socket.AF_INET, ('1.1.1.1', 443))),
    six=attempt(lambda: dial(socket.AF_INET6, ('2606:4700:4700::1111', 443))),
    loopback_six=attempt(lambda: dial(socket.AF_INET6, ('::1', {port}))),
    name=attempt(lambda: dial(socket.AF_INET, ('example.com', {port}))),
    raw=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
    packet=attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    machine=attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)),
    dns=attempt(query),
    child=str(subprocess.run([sys.executable, '-c', child], capture_output=True).returncode),
    namespace=str(subprocess.run(['unshare', '-Urn', 'true'], capture_output=True).returncode != 0),
    resolved=socket.getaddrinfo('nobody.example', 443, socket.AF_INET)[0][4][0],
    devices=sorted(name for _, name in socket.if_nameindex()),
)"
    );
    let tried = host.run(&agent, &code).await;
    for way in ["loopback", "address", "six", "loopback_six", "name", "raw", "packet", "machine", "dns"] {
        assert_ne!(tried[way], "open", "{way}: {tried}");
    }
    assert_eq!((&tried["child"], &tried["namespace"]), (&json!("1"), &json!("True")), "{tried}");
    assert!(tried["resolved"].as_str().unwrap().starts_with("127.77."), "{tried}");
    assert_eq!(tried["devices"], json!(["lo"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn an_agent_sees_no_file_process_or_port_that_is_not_its_own() {
    let host = Host::new("apart", Isolation::Netns).await;
    let one = host.obedient("default.one", &[], Limits::default()).await;
    let other = host.obedient("default.other", &[], Limits::default()).await;
    std::fs::write(host.data.join("platform.db"), "secret").unwrap();
    let data = host.data.canonicalize().unwrap();
    let (data, here) = (data.display(), std::process::id());
    host.run(&other, "open('/tmp/mine', 'w').write('x'); result = 1").await;
    let code = format!(
        "{TRY}
def write(path):
    open(path, 'w').write('x')
def descriptor(fd):
    try:
        kind = os.readlink('/proc/self/fd/' + fd).split(':')[0]
        if kind != 'socket':
            return kind
        with socket.socket(fileno=os.dup(int(fd))) as s:
            return s.family.name
    except OSError:
        return 'closed'
def status():
    return dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
result = dict(
    database=attempt(lambda: open('{data}/platform.db').read()),
    data=os.path.exists('{data}'),
    tmp=os.listdir('/tmp'),
    processes=sorted(int(name) for name in os.listdir('/proc') if name.isdigit()),
    platform=os.path.exists('/proc/{here}'),
    shadow=attempt(lambda: open('/etc/shadow').read()),
    code=attempt(lambda: write('/app/agent.py')),
    packages=attempt(lambda: write('/environment/x')),
    system=attempt(lambda: write('/usr/x')),
    root=attempt(lambda: write('/x')),
    setting=attempt(lambda: write('/proc/sys/kernel/hostname')),
    warden=attempt(lambda: open('/proc/1/environ').read()),
    memory=attempt(lambda: open('/proc/1/mem', 'r+b')),
    signal=attempt(lambda: os.kill(1, 9)),
    mount=str(os.system('mount -t tmpfs x /tmp 2>/dev/null') != 0),
    capabilities=status()['CapEff'].strip() + status()['CapBnd'].strip(),
    seccomp=status()['Seccomp'].strip(),
    privileges=status()['NoNewPrivs'].strip(),
    user=os.getuid() != 0,
    descriptors=sorted(descriptor(fd) for fd in os.listdir('/proc/self/fd')),
    environment=sorted(name for name in os.environ if 'PLATFORM' in name),
)"
    );
    let seen = host.run(&one, &code).await;
    let refused = ["database", "shadow", "code", "packages", "system", "root", "setting", "warden", "memory", "signal"];
    for way in refused {
        assert_ne!(seen[way], "open", "{way}: {seen}");
    }
    assert_eq!((&seen["tmp"], &seen["platform"], &seen["data"]), (&json!([]), &json!(false), &json!(false)), "{seen}");
    assert_eq!(seen["mount"], "True");
    assert_eq!(seen["capabilities"], "0".repeat(32));
    assert_eq!((&seen["seccomp"], &seen["privileges"], &seen["user"]), (&json!("2"), &json!("1"), &json!(true)));
    assert_eq!(seen["environment"], json!([]));
    let processes: BTreeSet<i64> = seen["processes"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert!(processes.len() <= 3 && processes.contains(&1), "{seen}");
    // Its input, its output, what its server opened, and nothing that leads to the platform.
    let own = ["/dev/null", "pipe", "AF_INET", "anon_inode", "closed"];
    let descriptors = seen["descriptors"].as_array().unwrap();
    assert!(descriptors.iter().all(|one| own.contains(&one.as_str().unwrap())), "{seen}");
    // The warden is still there.
    assert_eq!(host.run(&one, "result = 2").await, 2);
}

/// Calls a hard-coded host as real code does, with each of the usual clients.
const CLIENTS: &str = r#"
import asyncio, json, subprocess, urllib.request
import aiohttp, httpx, openai, requests
URL = "https://api.stripe.com/v1/charges"
async def asynchronous():
    async with aiohttp.ClientSession() as session:
        async with session.get(URL) as response:
            return await response.json()
answers = dict(
    urllib=json.load(urllib.request.urlopen(URL)),
    requests=requests.get(URL).json(),
    httpx=httpx.get(URL).json(),
    aiohttp=asyncio.run(asynchronous()),
)
for program, arguments in dict(curl=["-sS", URL], node=["-e", f"fetch('{URL}').then(a => a.text()).then(console.log)"]).items():
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    answers[program] = json.loads(done.stdout) if done.returncode == 0 else done.stderr
client = openai.OpenAI(api_key="x", base_url="https://api.openai.com/v1")
chat = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
result = {name: answer["name"] if isinstance(answer, dict) else answer for name, answer in answers.items()}
result["openai"] = chat.choices[0].message.content
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn unmodified_clients_call_hard_coded_hosts_through_the_gateway() {
    let host = Host::new("clients", Isolation::Netns).await;
    let packages = ["aiohttp==3.13.0", "httpx==0.28.1", "openai==2.3.0", "requests==2.32.5"];
    let limits = Limits { memory: 1 << 30, ..Limits::default() };
    let agent = host.obedient("default.clients", &packages, limits).await;
    let answers = host.run(&agent, CLIENTS).await;
    for client in ["urllib", "requests", "httpx", "aiohttp", "curl", "node"] {
        assert_eq!(answers[client], "api.stripe.com", "{client}: {answers}");
    }
    assert_eq!(answers["openai"], "hello");
    let arrived = host.arrived.lock().unwrap();
    assert!(arrived.iter().all(|(agent, name)| agent == "default.clients" && name.is_some()), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn limits_hold() {
    let host = Host::new("limits", Isolation::Netns).await;
    let limits = Limits { processes: 20, open_files: 64, disk: 8 << 20, memory: 200 << 20, ..Limits::default() };
    let agent = host.obedient("default.limited", &[], limits).await;
    let code = format!(
        "{TRY}
import subprocess, sys
def fork():
    children = []
    try:
        while True:
            pid = os.fork()
            if pid == 0:
                import signal
                signal.pause()
            children.append(pid)
            if len(children) > 100:
                return
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
def files():
    opened = [open('/dev/null') for _ in range(100)]
def disk():
    for n in range(20):
        with open(f'/tmp/{{n}}', 'wb') as file:
            file.write(b'x' * (1 << 20))
hog = subprocess.run([sys.executable, '-c', 'x = [bytearray(1 << 20) for _ in range(400)]'], capture_output=True)
result = dict(fork=attempt(fork), files=attempt(files), disk=attempt(disk), hog=hog.returncode != 0)"
    );
    let (status, body) = host.invoke(&agent, &code).await;
    // Where memory is counted for the agent as a whole, the hog may take the agent with it.
    if status == 200 {
        let tried: Value = serde_json::from_str(body["response"].as_str().unwrap()).unwrap();
        for way in ["fork", "files", "disk"] {
            assert_ne!(tried[way], "open", "{way}: {tried}");
        }
        assert_eq!(tried["hog"], true, "{tried}");
    } else {
        panic!("{status} {body} {:?}", host.log(&agent).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs uv and the package index: cargo xtask test"]
async fn without_a_network_of_its_own_an_agent_has_one_port_and_its_own_files() {
    let host = Host::new("landlock", Isolation::Landlock).await;
    let agent = host.obedient("default.one", &["requests==2.32.5"], Limits::default()).await;
    std::fs::write(host.data.join("platform.db"), "secret").unwrap();
    let (_listener, port) = outside();
    let data = host.data.canonicalize().unwrap();
    let (data, here) = (data.display(), std::process::id());
    let code = format!(
        "{TRY}
import requests
result = dict(
    called=requests.get('https://api.stripe.com/v1').json()['name'],
    database=attempt(lambda: open('{data}/platform.db').read()),
    passwords=attempt(lambda: open('/etc/shadow').read()),
    code=attempt(lambda: open(os.path.join(os.environ['RUNAGENTS_USER_CODE_DIR'], 'agent.py'), 'w')),
    platform=attempt(lambda: open('/proc/{here}/environ').read()),
    signal=attempt(lambda: os.kill({here}, 0)),
    loopback=attempt(lambda: dial(socket.AF_INET, ('127.0.0.1', {port}))),
    datagram=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    multipath=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    fast=attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).sendto(b'x', 0x20000000, ('127.0.0.1', {port}))),
    tmp=attempt(lambda: open(os.environ['TMPDIR'] + '/x', 'w').write('x')),
)"
    );
    let tried = host.run(&agent, &code).await;
    let refused = ["database", "passwords", "code", "platform", "signal", "loopback", "datagram", "multipath", "fast"];
    for way in refused {
        assert_ne!(tried[way], "open", "{way}: {tried}");
    }
    assert_eq!((&tried["called"], &tried["tmp"]), (&json!("api.stripe.com"), &json!("open")), "{tried}");
}
