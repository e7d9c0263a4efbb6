//! Python: a virtual environment by `uv`, with the published runtime in it.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::process::{ProcessBuilder, Wanted};
use super::{BuildError, Log, tools};
use crate::folders::EnvironmentNotes;
use crate::{Digest, Source};

/// The runtime that serves an agent's code.
const RUNTIME: &str = "runagents==1.4.2";

/// The `uv` that is installed where there is none.
const UV: &str = "uv==0.9.5";

/// Where an interpreter is, and what else of the host it needs: one value a line.
const WHERE: &str = "import sys; print(sys._base_executable, sys.version, sys.base_prefix, sys.base_exec_prefix, \
                     sep='\\0')";

/// The interpreter that environments are made for.
struct Interpreter {
    program: PathBuf,
    version: String,
    needs: Vec<PathBuf>,
}

async fn interpreter(builder: &ProcessBuilder) -> Result<Interpreter, BuildError> {
    let tools = &builder.settings.tools;
    let python = tools::find("python3", tools)
        .ok_or_else(|| BuildError::Host("there is no python3 on the PATH; install Python 3.10 or later".into()))?;
    let said = tools::ask(&python, &["-c", WHERE], tools)
        .await
        .map_err(|error| BuildError::Host(format!("{}: {error}", python.display())))?;
    let parts: Vec<&str> = said.split('\0').collect();
    let [program, version, prefix, exec_prefix] = parts[..] else {
        return Err(BuildError::Host(format!("{} does not say where it is", python.display())));
    };
    let mut needs = vec![PathBuf::from(prefix), PathBuf::from(exec_prefix)];
    needs.dedup();
    Ok(Interpreter { program: program.into(), version: version.to_string(), needs })
}

/// The environment for a source.
pub async fn wanted(builder: &ProcessBuilder, source: &Source) -> Result<Wanted, BuildError> {
    let interpreter = interpreter(builder).await?;
    let program = interpreter.program.as_os_str().as_encoded_bytes();
    let fixed = [b"python", program, interpreter.version.as_bytes(), RUNTIME.as_bytes()];
    let digest = Digest::of(fixed.into_iter().chain(source.requirements().iter().map(String::as_bytes)));
    Ok(Wanted { digest, notes: EnvironmentNotes { interpreter: "bin/python".into(), needs: interpreter.needs } })
}

/// Makes it.
pub async fn install(builder: &ProcessBuilder, source: &Source, folder: &Path, log: Log<'_>) -> Result<(), BuildError> {
    let python = interpreter(builder).await?.program;
    let uv = uv(builder, &python, log).await?;
    let time = builder.settings.time;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&uv);
        command.args(arguments).env_clear().envs(&builder.settings.tools.0);
        command.env("UV_CACHE_DIR", builder.folders.all("cache").join("uv")).env("UV_NO_CONFIG", "1");
        // What the host trusts, which may be an index of its own.
        command.env("UV_NATIVE_TLS", "1");
        command.env("UV_LINK_MODE", "hardlink").env("UV_PYTHON_DOWNLOADS", "never").env("NO_COLOR", "1");
        command.env_remove("VIRTUAL_ENV");
        command
    };
    let mut make = command(&["venv", "--quiet", "--relocatable", "--allow-existing", "--python"]);
    tools::run(make.arg(&python).arg(folder), time, log).await?;
    let install = |also: &[&str]| {
        let mut install = command(&["pip", "install", "--python"]);
        install.arg(folder.join("bin/python")).args(also);
        if !builder.settings.run_package_code {
            install.args(["--only-binary", ":all:"]);
        }
        install.arg("--").arg(RUNTIME).args(source.requirements());
        install
    };
    match tools::run(&mut install(&[]), time, log).await {
        // The index may be out of reach, while all that is needed was used before.
        Err(failed) => match tools::run(&mut install(&["--offline"]), time, &|_: &str| ()).await {
            Ok(()) => {
                log("the package index could not be used; all packages were taken from the cache");
                Ok(())
            }
            Err(_) => Err(failed),
        },
        done => done,
    }
}

/// `uv` on the `PATH`, else our own, which is installed first if need be.
async fn uv(builder: &ProcessBuilder, python: &Path, log: Log<'_>) -> Result<PathBuf, BuildError> {
    if let Some(found) = tools::find("uv", &builder.settings.tools) {
        return Ok(found);
    }
    let place = builder.folders.all("cache").join(UV);
    let program = place.join("bin/uv");
    if program.is_file() {
        return Ok(program);
    }
    log("installing uv, which is not on the PATH");
    let aside = builder.aside()?;
    let mut install = Command::new(python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        "--target",
    ]);
    install.arg(&aside.path).arg(UV).env_clear().envs(&builder.settings.tools.0);
    tools::run(&mut install, builder.settings.time, log).await.map_err(|error| {
        BuildError::Host(format!("uv is neither on the PATH nor can it be installed by pip; install it: {error}"))
    })?;
    aside.keep(&place)?;
    Ok(program)
}
