//! Another host, by the user's own `ssh`: its configuration, keys and agent count as they do for people.
//!
//! It never asks (`BatchMode`), has time limits, and keeps one connection for all commands of a switch (`ControlMaster`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::command::{self, Output};
use super::{Place, PlaceError, Process, cure, process, shell};

/// The longest path of a Unix socket is 107 bytes; ssh adds a hash of 40 and a suffix of 17.
const LONGEST_FOLDER: usize = 48;

/// Replaces `$1` with what comes in. The new file lies in the same folder, so that the last step is one rename.
const WRITE: &str = r#"set -e
f=$(readlink -f -- "$1" || printf %s "$1"); d=$(dirname -- "$f"); t=$(mktemp "$d/.cutover.XXXXXX")
trap 'rm -f -- "$t"' EXIT
cat >"$t"
if [ -e "$f" ]; then chmod "$(stat -c %a -- "$f")" "$t"; chown "$(stat -c %u:%g -- "$f")" "$t" 2>/dev/null || :
else chmod 644 "$t"; fi
sync "$t" 2>/dev/null || sync
mv -f -- "$t" "$f"
trap - EXIT
sync "$d" 2>/dev/null || sync"#;

/// Prints `$1`; 44 stands for "there is none".
const READ: &str = r#"[ -e "$1" ] || exit 44; exec cat -- "$1""#;

const MAY_WRITE: &str = r#"set -e; t=$(mktemp "$1/.cutover.XXXXXX"); rm -f -- "$t""#;

/// Another host.
#[derive(Debug, Clone)]
pub struct Ssh {
    destination: String,
    options: Vec<String>,
    sockets: PathBuf,
}

impl Ssh {
    /// The host that ssh reaches by this destination. `sockets` is a folder of ours for the connections that are kept.
    pub fn new(destination: &str, options: &[String], sockets: &Path) -> Self {
        Self { destination: destination.to_owned(), options: options.to_vec(), sockets: sockets.to_owned() }
    }

    fn words(&self, remote: &[String]) -> Vec<String> {
        // ssh takes the first value that it meets for an option.
        let mut words: Vec<String> = ["ssh", "-T", "-o", "BatchMode=yes"].map(str::to_owned).into();
        words.extend(self.options.iter().cloned());
        let mut default = |option: String| words.extend(["-o".to_owned(), option]);
        default("ConnectTimeout=10".to_owned());
        default("ServerAliveInterval=5".to_owned());
        default("ServerAliveCountMax=3".to_owned());
        if self.sockets.as_os_str().len() <= LONGEST_FOLDER {
            default("ControlMaster=auto".to_owned());
            default(format!("ControlPath={}/%C", self.sockets.display()));
            default("ControlPersist=15".to_owned());
        }
        words.extend(["--".to_owned(), self.destination.clone()]);
        words.push(shell::line(remote));
        words
    }

    async fn there(&self, remote: &[String], input: &[u8]) -> Result<Output, PlaceError> {
        let unreachable = |why: String| PlaceError::Unreachable { place: self.name(), why, hint: self.hint() };
        let output = command::run(&self.words(remote), input).await.map_err(|error| unreachable(error.to_string()))?;
        // ssh's own failures; a command there could end so as well, but nginx's do not.
        if output.status.code() == Some(255) { Err(unreachable(output.said())) } else { Ok(output) }
    }

    fn hint(&self) -> Option<String> {
        Some(format!("`ssh -o BatchMode=yes {} true` must work for the user that the agent runs as", self.destination))
    }

    async fn script(&self, script: &str, path: &Path, input: &[u8]) -> Result<Output, PlaceError> {
        let words = ["sh", "-c", script, "sh"].map(str::to_owned);
        let words: Vec<String> = words.into_iter().chain([path.display().to_string()]).collect();
        self.there(&words, input).await
    }

    fn judged(&self, verb: &'static str, path: &Path, output: &Output) -> Result<(), PlaceError> {
        if output.status.success() {
            return Ok(());
        }
        let why = output.said();
        if !why.contains("ermission denied") {
            return Err(PlaceError::Other { what: format!("{verb} {}", path.display()), place: self.name(), why });
        }
        let folder = path.parent().unwrap_or(path);
        let (what, path) = if verb == "read" { ("read", path) } else { ("write in", folder) };
        Err(PlaceError::Denied { what, path: path.to_owned(), place: self.name(), cure: cure("USER", folder) })
    }
}

#[async_trait]
impl Place for Ssh {
    fn name(&self) -> String {
        format!("on {}", self.destination)
    }

    async fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
        let output = self.script(READ, file, &[]).await?;
        if output.status.code() == Some(44) {
            return Ok(None);
        }
        self.judged("read", file, &output).map(|()| Some(output.stdout))
    }

    async fn write(&self, file: &Path, content: &[u8]) -> Result<(), PlaceError> {
        let output = self.script(WRITE, file, content).await?;
        self.judged("write", file, &output)
    }

    async fn remove(&self, file: &Path) -> Result<(), PlaceError> {
        let output = self.script("rm -f -- \"$1\"", file, &[]).await?;
        self.judged("remove", file, &output)
    }

    async fn may_write(&self, folder: &Path) -> Result<(), PlaceError> {
        let output = self.script(MAY_WRITE, folder, &[]).await?;
        self.judged("write", &folder.join("x"), &output)
    }

    async fn run(&self, words: &[String]) -> Result<Output, PlaceError> {
        // Commands of administrators are not in everybody's path.
        let path = r#"PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH; exec "$@""#;
        let with_path = ["sh", "-c", path, "sh"].map(str::to_owned);
        let words: Vec<String> = with_path.into_iter().chain(words.iter().cloned()).collect();
        self.there(&words, &[]).await
    }

    async fn processes(&self) -> Result<Vec<Process>, PlaceError> {
        let words = ["ps", "-eo", "pid,ppid,args"].map(str::to_owned);
        let output = self.there(&words, &[]).await?;
        if output.status.success() {
            return Ok(process::listed(&String::from_utf8_lossy(&output.stdout)));
        }
        Err(PlaceError::Other { what: "list processes".to_owned(), place: self.name(), why: output.said() })
    }

    async fn inside(&self, file: &Path) -> Result<PathBuf, PlaceError> {
        Ok(file.to_owned())
    }

    fn look_again(&self) -> Duration {
        Duration::from_millis(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_options_come_before_our_defaults_and_behind_what_must_hold() {
        let ssh = Ssh::new("deploy@web1", &["-p".to_owned(), "2222".to_owned()], Path::new("/run/c"));
        let words = ssh.words(&["nginx".to_owned(), "-s".to_owned(), "re load".to_owned()]).join(" ");
        assert!(words.starts_with("ssh -T -o BatchMode=yes -p 2222 -o ConnectTimeout=10"), "{words}");
        assert!(words.ends_with("-o ControlPath=/run/c/%C -o ControlPersist=15 -- deploy@web1 nginx -s 're load'"));
    }
}
