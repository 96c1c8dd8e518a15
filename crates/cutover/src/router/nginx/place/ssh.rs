//! Another host, by the user's own `ssh`: its configuration, keys and agent count as they do for people.
//!
//! It never asks (`BatchMode`), has time limits, and keeps one connection (`ControlMaster`) with a shell for all commands of a switch: to make
//! them takes longer than what is said by them.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::super::record::digest;
use super::command::Output;
use super::session::Session;
use super::{KEPT, Place, PlaceError, Process, Turn, cure, process, shell};

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
    session: Session,
}

impl Ssh {
    /// The host that ssh reaches by this destination. `sockets` is a folder of ours for the connections that are kept.
    pub fn new(destination: &str, options: &[String], sockets: &Path) -> Self {
        let (destination, options) = (destination.to_owned(), options.to_vec());
        Self { destination, options, sockets: short(sockets.to_owned()), session: Session::default() }
    }

    /// The command that opens a shell there.
    fn words(&self) -> Vec<String> {
        // ssh takes the first value that it meets for an option.
        let mut words: Vec<String> = ["ssh", "-T", "-o", "BatchMode=yes"].map(str::to_owned).into();
        words.extend(self.options.iter().cloned());
        let mut default = |option: String| words.extend(["-o".to_owned(), option]);
        default("ConnectTimeout=10".to_owned());
        default("ServerAliveInterval=5".to_owned());
        default("ServerAliveCountMax=3".to_owned());
        // Without it ssh only makes a connection for each command.
        if is_ours_alone(&self.sockets) {
            default("ControlMaster=auto".to_owned());
            default(format!("ControlPath={}/%C", self.sockets.display()));
            default(format!("ControlPersist={}", KEPT.as_secs()));
        }
        words.extend(["--".to_owned(), self.destination.clone(), "sh".to_owned()]);
        words
    }

    async fn there(&self, remote: &[String], input: &[u8]) -> Result<Output, PlaceError> {
        let unreachable = |why: String| PlaceError::Unreachable { place: self.name(), why, hint: self.hint() };
        if input.contains(&0) {
            return Err(unreachable("no shell takes a content with a zero byte".to_owned()));
        }
        let output = self.session.run(&self.words(), &shell::with_input(remote, input)).await;
        let output = output.map_err(|error| unreachable(error.to_string()))?;
        // ssh's own failures; a command there could end so as well, but nginx's do not.
        if output.status.code() == Some(255) { Err(unreachable(output.said())) } else { Ok(output) }
    }

    fn hint(&self) -> Option<String> {
        Some(format!("`ssh -o BatchMode=yes {} true` must work for the user that the agent runs as", self.destination))
    }

    async fn in_shell(&self, script: &str) -> Result<Output, PlaceError> {
        // Commands of administrators are not in everybody's path.
        let script = format!("PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH; {script}");
        self.there(&["sh".to_owned(), "-c".to_owned(), script], &[]).await
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
        self.in_shell(&format!("exec {}", shell::line(words))).await
    }

    async fn in_turn(&self, first: &[String], then: &[String]) -> Turn {
        shell::turn(self.in_shell(&shell::in_turn(first, then)).await)
    }

    async fn expect_turn(&self) {
        self.session.prepare(self.words());
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
        Duration::from_millis(25)
    }
}

/// A folder of its own elsewhere, always the same one, if the path would be too long for sockets.
fn short(folder: PathBuf) -> PathBuf {
    if folder.as_os_str().len() <= LONGEST_FOLDER {
        return folder;
    }
    Path::new("/tmp").join(format!("cutover-ssh-{:.12}", digest(folder.as_os_str().as_encoded_bytes())))
}

/// Makes the folder. Whoever may write in it could speak by our connections.
fn is_ours_alone(folder: &Path) -> bool {
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let Ok(found) = folder.symlink_metadata() else { return false };
    found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn private_folder() -> tempfile::TempDir {
        let private = std::fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(private).tempdir_in("/tmp").unwrap()
    }

    #[test]
    fn the_users_options_come_before_our_defaults_and_behind_what_must_hold() {
        let folder = private_folder();
        let ssh = Ssh::new("deploy@web1", &["-p".to_owned(), "2222".to_owned()], folder.path());
        let words = ssh.words().join(" ");
        assert!(words.starts_with("ssh -T -o BatchMode=yes -p 2222 -o ConnectTimeout=10"), "{words}");
        let end = format!("-o ControlPath={}/%C -o ControlPersist=120 -- deploy@web1 sh", folder.path().display());
        assert!(words.ends_with(&end), "{words}");
    }

    /// Seen to fail with the folder taken as it is however long, with the folder's mode not looked at, and with a link followed.
    #[test]
    fn a_connection_is_kept_only_in_a_folder_of_ours_whose_sockets_have_room() {
        let root = private_folder();
        let keeps = |ssh: &Ssh| ssh.words().iter().any(|word| word.starts_with("ControlPath="));
        let long = root.path().join("x".repeat(40)).join("ssh");
        let ssh = Ssh::new("web1", &[], &long);
        assert!(keeps(&ssh), "a state directory may lie deep");
        assert!(ssh.sockets.as_os_str().len() <= LONGEST_FOLDER);
        assert_eq!(ssh.sockets, Ssh::new("web1", &[], &long).sockets, "the next agent finds the connection");
        assert_ne!(ssh.sockets, Ssh::new("web1", &[], &long.join("other")).sockets);
        std::fs::set_permissions(&ssh.sockets, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!keeps(&ssh), "anybody may write there");
        std::fs::remove_dir(&ssh.sockets).unwrap();
        std::os::unix::fs::symlink(root.path(), &ssh.sockets).unwrap();
        assert!(!keeps(&ssh), "it leads elsewhere");
        std::fs::remove_file(&ssh.sockets).unwrap();
    }
}
