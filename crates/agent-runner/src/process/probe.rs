//! Probe: what this host gives, found out by making a sandbox of each kind, the strongest first.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::cgroups::Cgroups;
use super::layout::GATEWAY;
use super::sandbox::{End, Sandbox};
use crate::folders::Folders;
use crate::launcher::mounts;
use crate::launcher::plan::Plan;
use crate::{Host, Isolation, Limits, RunnerSettings};

/// Whom the probe becomes, where we are root: nobody that an instance becomes.
const USER: u32 = 0x5fff_ffff;

/// The strongest isolation that works, within what is wanted.
pub async fn host(settings: &RunnerSettings, folders: &Folders, cgroups: &Cgroups, is_root: bool) -> io::Result<Host> {
    let mut notes = vec![];
    for isolation in [Isolation::Netns, Isolation::Landlock, Isolation::Advisory] {
        if isolation > settings.at_most {
            continue;
        }
        match works(isolation, settings, folders, cgroups, is_root).await {
            Ok(found) => {
                notes.extend(found);
                notes.extend(cgroups.notes().iter().cloned());
                return Ok(Host { isolation, notes });
            }
            // If not even this works, nothing does.
            Err(error) if isolation == Isolation::Advisory => return Err(error),
            Err(error) => notes.push(format!("{isolation} does not work here: {error}{}", hint(&error.to_string()))),
        }
    }
    Err(io::Error::other("no isolation is left to choose from"))
}

/// Where to look, for errors that do not say so.
fn hint(error: &str) -> &'static str {
    match error {
        namespaces if namespaces.starts_with("user namespaces") => {
            " (look at the settings user.max_user_namespaces, kernel.unprivileged_userns_clone and \
             kernel.apparmor_restrict_unprivileged_userns, and at the container's own restrictions)"
        }
        _ => "",
    }
}

async fn works(
    isolation: Isolation,
    settings: &RunnerSettings,
    folders: &Folders,
    cgroups: &Cgroups,
    is_root: bool,
) -> io::Result<Vec<String>> {
    let apart = isolation == Isolation::Netns;
    let (shown, links) = mounts::system();
    let plan = Plan {
        isolation,
        user: (is_root && apart).then_some(USER),
        root: folders.all("run"),
        shown,
        hidden: vec![folders.data().to_path_buf()],
        links,
        texts: vec![],
        writable: if apart { vec!["/tmp".into()] } else { vec![] },
        listen: if apart { vec![80, 443, GATEWAY] } else { vec![] },
        port: 8080,
        connect: vec![GATEWAY],
        limits: Limits::default(),
        limit_memory: false,
        limit_processes: false,
        // Everything but a program.
        command: vec![],
        folder: PathBuf::from("/"),
        environment: BTreeMap::new(),
    };
    let sandbox = Sandbox::start(&settings.launcher, &plan, cgroups.group("probe", &plan.limits)?).await?;
    let (end, notes) = (sandbox.ended().await, sandbox.notes.clone());
    sandbox.gone().await;
    match end {
        End::Code(0) => Ok(notes),
        end => Err(io::Error::other(format!("its process ended: {end:?}"))),
    }
}
