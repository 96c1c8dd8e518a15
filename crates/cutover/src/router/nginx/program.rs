//! The nginx program: testing its configuration, showing it, and asking the running one to read it again.

use cutover_core::Failure;
use cutover_core::spec::NginxProgram;

use super::dump::Dump;
use super::place::{Output, Place, PlaceError, Process, Role, Turn};

/// An nginx program at its place.
pub struct Program<'a> {
    place: &'a dyn Place,
    program: &'a NginxProgram,
}

/// Why nginx did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It could not be asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It refused.
    #[error("`{command}` failed {place}: {said}")]
    Refused {
        /// What was run.
        command: String,
        /// Where.
        place: String,
        /// What it said.
        said: String,
    },
}

/// Why nginx does not go by what is on disk.
#[derive(Debug)]
pub enum Unread {
    /// It was refused, and nobody was asked to read it.
    Refused(ProgramError),
    /// Perhaps it was read, perhaps not.
    Perhaps(ProgramError),
}

impl<'a> Program<'a> {
    /// This program at this place.
    pub fn new(place: &'a dyn Place, program: &'a NginxProgram) -> Self {
        Self { place, program }
    }

    fn command(&self, arguments: &[&str]) -> Vec<String> {
        let config = self.program.config.iter().flat_map(|path| ["-c".to_owned(), path.display().to_string()]);
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.program.command.iter().cloned().chain(config).chain(arguments).collect()
    }

    async fn run(&self, command: Vec<String>) -> Result<Output, ProgramError> {
        self.judge(&command, self.place.run(&command).await)
    }

    fn judge(&self, command: &[String], output: Result<Output, PlaceError>) -> Result<Output, ProgramError> {
        let output = output?;
        if output.status.success() {
            return Ok(output);
        }
        let said = clean(&output.said());
        Err(ProgramError::Refused { command: command.join(" "), place: self.place.name(), said })
    }

    fn test_command(&self) -> Vec<String> {
        self.command(&["-t", "-q"])
    }

    /// Whether the configuration on disk is good (`nginx -t`).
    pub async fn test(&self) -> Result<(), ProgramError> {
        self.run(self.test_command()).await.map(drop)
    }

    /// The configuration on disk (`nginx -T`).
    pub async fn dump(&self) -> Result<Dump, ProgramError> {
        let output = self.run(self.command(&["-T", "-q"])).await?;
        Ok(Dump::read(&output.stdout))
    }

    fn reload(&self) -> Vec<String> {
        self.program.reload.clone().unwrap_or_else(|| self.command(&["-s", "reload"]))
    }

    /// If the configuration on disk is good, asks the running nginx to read it. It returns before that has happened.
    pub async fn test_and_reload(&self) -> Result<(), Unread> {
        let (test, reload) = (self.test_command(), self.reload());
        match self.place.in_turn(&test, &reload).await {
            Turn::First(failed) => self.judge(&test, failed).map(drop).map_err(Unread::Refused),
            Turn::Both(output) => self.judge(&reload, output).map(drop).map_err(Unread::Perhaps),
        }
    }

    /// The command that reloads it, for people.
    pub fn reload_command(&self) -> String {
        self.reload().join(" ")
    }

    /// The processes of this nginx: of the master whose number its file names, or of the only one there is. Empty if it does
    /// not run.
    pub async fn processes(&self, pid_file: Option<&str>) -> Result<Vec<Process>, ProgramError> {
        let all = self.place.processes().await?;
        let masters: Vec<u32> = all.iter().filter(|p| p.role == Role::Master).map(|p| p.pid).collect();
        let master = match (&masters[..], pid_file.filter(|_| self.place.numbers_agree())) {
            ([], _) => return Ok(Vec::new()),
            // Where it is reloaded by its number, one whose number is not there cannot be.
            (several, Some(file)) => match self.number_in(file).await?.filter(|pid| masters.contains(pid)) {
                None if self.program.reload.is_some() && several.len() == 1 => several.first().copied(),
                found => found,
            },
            ([one], None) => Some(*one),
            (several, None) => {
                let why = format!("{} nginx run, and which one is meant is not said", several.len());
                return Err(PlaceError::Other { what: "find nginx".to_owned(), place: self.place.name(), why }.into());
            }
        };
        let of_master = |p: &Process| Some(p.pid) == master || (Some(p.parent) == master && p.role != Role::Master);
        Ok(all.into_iter().filter(of_master).collect())
    }

    async fn number_in(&self, file: &str) -> Result<Option<u32>, ProgramError> {
        let text = self.place.read(std::path::Path::new(file)).await?;
        Ok(text.and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok()))
    }

    /// The file of its process number, from the configuration or as it was built in; `None` where that is of no use.
    pub async fn pid_file(&self, dump: &Dump) -> Result<Option<String>, ProgramError> {
        if !self.place.numbers_agree() {
            return Ok(None);
        }
        let output = self.place.run(&self.command(&["-V"])).await?;
        let built_in = |option: &str| {
            let words = output.stderr.split_ascii_whitespace();
            words.filter_map(|word| word.strip_prefix(option)?.strip_prefix('=')).map(str::to_owned).next_back()
        };
        // `-p` names another prefix than the one built in.
        let words = &self.program.command;
        let given = words.iter().position(|word| word == "-p").and_then(|at| words.get(at + 1).cloned());
        let prefix = given.or_else(|| built_in("--prefix")).unwrap_or_else(|| "/usr/local/nginx".to_owned());
        let path = dump.pid_file().or_else(|| built_in("--pid-path"));
        Ok(path.map(|path| std::path::Path::new(&prefix).join(path).display().to_string()))
    }

    /// An error with what to do about it.
    pub fn explain(&self, error: ProgramError) -> Failure {
        let hint = self.hint(&error);
        let failure = match error {
            ProgramError::Place(error) => Failure::from(error),
            refused => Failure::new(refused.to_string()),
        };
        match hint {
            Some(hint) if failure.hint.is_none() => failure.hint(hint),
            _ => failure,
        }
    }

    fn hint(&self, error: &ProgramError) -> Option<String> {
        let said = error.to_string();
        let denied = ["ermission denied", "not permitted", "password is required", "terminal is required"];
        if denied.iter().any(|sign| said.contains(sign)) {
            let mut own = vec!["sudo".to_owned(), "-n".to_owned()];
            own.extend(self.program.command.iter().filter(|word| !matches!(word.as_str(), "sudo" | "-n")).cloned());
            let nginx = own.get(2).map_or("nginx", String::as_str);
            let nginx = if nginx.starts_with('/') { nginx.to_owned() } else { format!("/usr/sbin/{nginx}") };
            return Some(format!(
                "say `command = {own:?}` in the route's nginx table, and let the agent's user run it with this line in \
                 /etc/sudoers.d/cutover: `USER ALL=(root) NOPASSWD: {nginx}`"
            ));
        }
        let cure = || "install nginx, or say where it is with `command` in the route's nginx table".to_owned();
        is_absent(error).then(cure)
    }
}

/// Whether there is no such program, rather than one that refused.
pub fn is_absent(error: &ProgramError) -> bool {
    let signs = ["No such file or directory (os error", "not found in $PATH", "command not found", ": not found"];
    let said = error.to_string();
    signs.iter().any(|sign| said.contains(sign))
}

/// nginx's message without the time, process numbers and the closing line that says again that it failed.
fn clean(said: &str) -> String {
    let parts = said.split("; ").filter(|part| !part.ends_with("test failed"));
    let bare = |part: &str| {
        let marks = ["[emerg] ", "[alert] ", "[error] ", "[crit] ", "[warn] "];
        let from = marks.iter().find_map(|mark| part.find(mark).map(|at| at + mark.len()));
        let rest = from.map_or(part, |at| &part[at..]);
        // `21855#21855: ` stands before what is said in a log line.
        match rest.split_once(": ") {
            Some((numbers, rest)) if numbers.chars().all(|c| c.is_ascii_digit() || c == '#') => rest.to_owned(),
            _ => rest.trim_start_matches("nginx: ").to_owned(),
        }
    };
    let said: Vec<String> = parts.map(bare).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_what_nobody_needs() {
        let said = "2026/11/21 05:08:39 [emerg] 218#218: unknown directive \"servr\" in /etc/nginx/a:3; \
            nginx: configuration file /etc/nginx/nginx.conf test failed";
        assert_eq!(clean(said), "unknown directive \"servr\" in /etc/nginx/a:3");
        let said = "nginx: [emerg] host not found in upstream \"app\" in /x:1; nginx: configuration file x test failed";
        assert_eq!(clean(said), "host not found in upstream \"app\" in /x:1");
        assert_eq!(clean("sudo: a password is required"), "sudo: a password is required");
    }
}
