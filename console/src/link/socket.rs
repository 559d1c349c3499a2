//! Which agent: the socket that was named, or the only one there is.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::frame::FrameError;

/// Folder of this project within the user's folders.
const FOLDER: &str = "coppice";
/// Networks in the data folder, and agents of a network, that are looked at.
const FOLDERS_MAX: usize = 256;

/// Where sockets of agents lie.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Places {
    /// `$XDG_RUNTIME_DIR/coppice`: `<name>.sock`.
    runtime: Option<PathBuf>,
    /// `$XDG_DATA_HOME/coppice`: `<network>/<name>/*.sock`.
    data: Option<PathBuf>,
}

/// The agent to follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// This socket.
    Socket(PathBuf),
    /// The only socket in these places, looked for at each try.
    Only(Places),
}

impl Places {
    /// The user's folders, as the environment names them.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let folder = |name: &str| variable(name).filter(|path| path.starts_with('/'));
        let data = folder("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| Some(PathBuf::from(folder("HOME")?).join(".local/share")));
        let runtime = folder("XDG_RUNTIME_DIR").map(PathBuf::from);
        Self {
            runtime: runtime.map(|path| path.join(FOLDER)),
            data: data.map(|path| path.join(FOLDER)),
        }
    }

    /// Every agent's socket, in order of its path.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            self.runtime.iter().flat_map(|path| sockets_in(path)).collect();
        let networks = self.data.iter().flat_map(|path| entries(path));
        found.extend(networks.flat_map(|path| entries(&path)).flat_map(|path| sockets_in(&path)));
        found.sort();
        found
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.take(FOLDERS_MAX).filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sock");
    entries(folder).into_iter().filter(is_socket).collect()
}

impl Target {
    /// The socket to connect to now.
    ///
    /// # Errors
    /// [`FrameError::NoTarget`] if there is none, or more than one to choose from.
    pub(crate) fn resolve(&self) -> Result<PathBuf, FrameError> {
        let places = match self {
            Self::Socket(path) => return Ok(path.clone()),
            Self::Only(places) => places,
        };
        let mut found = places.sockets();
        match (found.pop(), found.len()) {
            (Some(path), 0) => Ok(path),
            (None, _) => Err(FrameError::NoTarget("no agent's socket is there".to_owned())),
            (Some(_), others) => {
                let text = format!("{} agents are there; name one with --socket", others + 1);
                Err(FrameError::NoTarget(text))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.resolve()) {
            (_, Ok(path)) => write!(formatter, "unix:{}", path.display()),
            (Self::Only(places), Err(_)) => {
                let folder = places.runtime.as_ref().or(places.data.as_ref());
                let folder = folder.map_or_else(|| FOLDER.into(), |path| path.to_string_lossy());
                write!(formatter, "the agent in {folder}")
            }
            (Self::Socket(path), Err(_)) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], expected: &Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = folder.path().to_str().unwrap().to_owned();
        let places = Places::of(|name| match name {
            "XDG_RUNTIME_DIR" => Some(format!("{root}/run")),
            "HOME" => Some(root.clone()),
            _ => None,
        });
        let shown = Target::Only(places)
            .resolve()
            .map(|path| path.to_string_lossy().replace(&root, ""))
            .map_err(|error| error.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), *expected);
    }

    #[test]
    fn the_only_socket_is_taken_wherever_it_lies() {
        check(&["run/coppice/agent-1.sock"], &Ok("/run/coppice/agent-1.sock"));
        check(
            &["run/coppice/agent-1.sock", "run/coppice/agent-1.pid"],
            &Ok("/run/coppice/agent-1.sock"),
        );
        let data = ".local/share/coppice/devnet/agent-1/agent-1.sock";
        check(&[data], &Ok("/.local/share/coppice/devnet/agent-1/agent-1.sock"));
    }

    #[test]
    fn none_and_many_are_said() {
        check(&[], &Err("no agent's socket is there"));
        check(&["run/other/a.sock"], &Err("no agent's socket is there"));
        let two = ["run/coppice/a.sock", "run/coppice/b.sock"];
        check(&two, &Err("2 agents are there; name one with --socket"));
    }

    #[test]
    fn a_relative_folder_of_the_environment_is_not_one() {
        let places = Places::of(|name| (name == "XDG_RUNTIME_DIR").then(|| "run".to_owned()));
        assert_eq!(places, Places::default());
    }
}
