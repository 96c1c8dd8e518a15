//! A shell at another place that stays open: to open one takes longer than what is said by it.
//!
//! What it prints is cut by marks, so that what was there before (a login that greets, say) is not taken for an answer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::KEPT;
use super::command::{self, Output, Running};

/// A shell that is kept between commands, while it is open.
#[derive(Debug, Clone, Default)]
pub(super) struct Session(Arc<Mutex<Option<Open>>>);

#[derive(Debug)]
struct Open {
    by: Vec<String>,
    running: Running,
    mark: String,
    used: Instant,
}

impl Session {
    /// Begins to open it, for later.
    pub(super) fn prepare(&self, by: Vec<String>) {
        let session = self.clone();
        tokio::spawn(async move { session.run(&by, b":").await });
    }

    /// Has a shell run this line, which must have an input of its own. `by` is the command that opens one; if that fails, how it ended.
    /// The line may be run twice: a shell that ends meanwhile does not tell how far it came.
    pub(super) async fn run(&self, by: &[String], line: &[u8]) -> io::Result<Output> {
        // Who comes while it is in use has one for itself: a line that hangs must not stop the others.
        let mut kept = self.0.try_lock().ok();
        match kept.as_mut().and_then(|kept| kept.take()) {
            Some(mut open) if open.by == by => {
                if let (Some(output), Some(kept)) = (open.say(line).await?, &mut kept) {
                    **kept = Some(self.expiring(open));
                    return Ok(output);
                }
            }
            Some(other) => other.let_go(),
            None => {}
        }
        let mut open = Open::begin(by)?;
        let Some(output) = open.say(line).await? else { return open.running.finish(&[]).await };
        match kept {
            Some(mut kept) => *kept = Some(self.expiring(open)),
            None => open.let_go(),
        }
        Ok(output)
    }

    /// It is closed if it is not used again for a while.
    fn expiring(&self, open: Open) -> Open {
        let used = Instant::now();
        let session = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let Some(session) = session.upgrade() else { return };
            let unused = session.lock().await.take_if(|open| open.used == used);
            if let Some(open) = unused {
                open.let_go();
            }
        });
        Open { used, ..open }
    }
}

impl Open {
    fn begin(by: &[String]) -> io::Result<Self> {
        // Nobody who writes what is read by it can have known this.
        let mark = format!("cutover-{:016x}", RandomState::new().build_hasher().finish());
        Ok(Self { by: by.to_owned(), running: command::begin(by)?, mark, used: Instant::now() })
    }

    /// How a line went; `None` if the shell has ended instead.
    async fn say(&mut self, line: &[u8]) -> io::Result<Option<Output>> {
        let mark = &self.mark;
        let before = format!("exec 3>&1; printf '%s:begin\\n' {mark}; said=$( {{ ");
        let behind = format!("\n}} 2>&1 >&3 3>&- ); printf '\\n%s:%s\\n%s\\n%s:end\\n' {mark} $? \"$said\" {mark}\n");
        let script = [before.as_bytes(), line, behind.as_bytes()].concat();
        let end = format!("\n{mark}:end\n");
        let told = self.running.ask(&script, end.as_bytes()).await?;
        Ok(told.and_then(|told| parted(&told, mark)))
    }

    /// It ends by itself when it has nothing more to read.
    fn let_go(self) {
        tokio::spawn(self.running.finish(&[]));
    }
}

/// What a line printed, how it ended, and what it said of errors.
fn parted(told: &[u8], mark: &str) -> Option<Output> {
    let (_, rest) = cut(told, &format!("{mark}:begin\n"))?;
    let (stdout, rest) = cut(rest, &format!("\n{mark}:"))?;
    let (code, rest) = cut(rest, "\n")?;
    let (stderr, _) = cut(rest, &format!("\n{mark}:end\n"))?;
    let code: i32 = std::str::from_utf8(code).ok()?.parse().ok()?;
    Some(Output {
        // As wait(2) has it.
        status: ExitStatus::from_raw(code << 8),
        stdout: stdout.to_vec(),
        stderr: String::from_utf8_lossy(stderr).into_owned(),
    })
}

fn cut<'a>(text: &'a [u8], at: &str) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|window| window == at.as_bytes())?;
    Some((&text[..found], &text[found + at.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Seen to fail with a line that may end the shell, and with what comes before the mark taken for an answer.
    #[tokio::test]
    async fn lines_are_told_apart() {
        let session = Session::default();
        let greets = by(&["sh", "-c", "echo welcome; exec sh"]);
        let number = || async { String::from_utf8(session.run(&greets, b"echo $$").await.unwrap().stdout).unwrap() };
        let first = number().await;
        for (line, stdout, stderr, code) in [
            (&b"printf 'a\\n\\nb'"[..], "a\n\nb", "", 0),
            (b"cat </dev/null; echo x >&2; echo y >&2; exit 44", "", "x\ny", 44),
            (b"false", "", "", 1),
            (b"sh -c 'kill -9 $$'", "", "Killed", 137),
        ] {
            let output = session.run(&greets, line).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout);
            assert!(output.stderr.contains(stderr), "{}", output.stderr);
            assert_eq!(output.status.code(), Some(code));
        }
        assert_eq!(number().await, first, "by one shell");
    }

    /// Seen to fail with one that has ended not opened again.
    #[tokio::test]
    async fn one_that_has_ended_is_opened_again_or_says_why_not() {
        let session = Session::default();
        let shell = by(&["sh"]);
        let number = || async {
            String::from_utf8(session.run(&shell, b"printf $$").await.unwrap().stdout).unwrap().parse::<u32>().unwrap()
        };
        let first = number().await;
        assert!(std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
        assert_ne!(number().await, first);
        let refused = session.run(&by(&["sh", "-c", "echo no route >&2; exit 255"]), b"echo").await.unwrap();
        assert_eq!((refused.status.code(), refused.said().as_str()), (Some(255), "no route"));
        assert!(session.0.lock().await.is_none());
    }
}
