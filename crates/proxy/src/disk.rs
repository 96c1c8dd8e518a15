//! The table at rest: from this alone the proxy starts again.
//!
//! `table.json` holds one line with a checksum and then the table. It is replaced by writing a temporary file, syncing it,
//! renaming it, and syncing the directory; the copy before stays as `table.prev`. Whatever byte a crash cuts the file at,
//! what is read back is a whole table that was once acknowledged, or an error: never an empty one in silence.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cutover_core::table::Table;

const CURRENT: &str = "table.json";
const PREVIOUS: &str = "table.prev";
const NEW: &str = "table.new";
const MARK: &str = "cutover-table crc32 ";

/// Why there is no table to start from.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Both copies are damaged, or one is and there is no other.
    #[error(
        "the route table in {path} is damaged ({current}) and its previous copy cannot be used ({previous}); refusing to \
         serve an empty table. Publish again after moving both files away"
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        current: String,
        /// What is wrong with the copy.
        previous: String,
    },
}

/// Writes a table so that it survives a crash from the moment this returns.
pub fn store(state: &Path, table: &Table) -> io::Result<()> {
    let json = serde_json::to_vec(table)?;
    let new = state.join(NEW);
    // The table holds tokens: it is for our own user only.
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(format!("{MARK}{:08x}\n", crc32fast::hash(&json)).as_bytes())?;
    file.write_all(&json)?;
    file.sync_all()?;
    drop(file);
    let current = state.join(CURRENT);
    // A damaged copy must not push out a good one. Linking, not renaming: at no moment is there no current table.
    if fs::read(&current).is_ok_and(|bytes| intact(&bytes).is_ok()) {
        let link = state.join("table.link");
        let _ = fs::remove_file(&link);
        fs::hard_link(&current, &link)?;
        fs::rename(&link, state.join(PREVIOUS))?;
    }
    fs::rename(&new, &current)?;
    File::open(state)?.sync_all()
}

/// Reads the table to start with: the current one, or the previous one if the current one is damaged; empty if there never
/// was one.
pub fn load(state: &Path) -> Result<Table, LoadError> {
    let path = state.join(CURRENT);
    let current = match read(&path) {
        Ok(Some(table)) => return Ok(table),
        Ok(None) => "it is missing".to_owned(),
        Err(error) => error.to_string(),
    };
    let previous = match read(&state.join(PREVIOUS)) {
        Ok(Some(table)) => {
            let generation = table.generation;
            tracing::error!(?path, reason = current, %generation, "the route table is damaged; serving its previous copy");
            return Ok(table);
        }
        Ok(None) if !path.exists() => return Ok(Table::default()),
        Ok(None) => "there is none".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(LoadError::Damaged { path, current, previous })
}

/// Reads one copy; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Table>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(&bytes).map(Some)
}

/// Reads the bytes of one copy.
pub fn parse(bytes: &[u8]) -> io::Result<Table> {
    Ok(serde_json::from_slice(intact(bytes)?)?)
}

/// What stands behind the checksum, if that is right.
fn intact(bytes: &[u8]) -> io::Result<&[u8]> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let line = bytes.iter().position(|&b| b == b'\n').ok_or_else(|| invalid("it has no checksum line"))?;
    let (head, json) = (&bytes[..line], &bytes[line + 1..]);
    let sum = std::str::from_utf8(head).ok().and_then(|head| head.strip_prefix(MARK));
    if sum != Some(format!("{:08x}", crc32fast::hash(json)).as_str()) {
        return Err(invalid("its checksum is wrong"));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use cutover_core::Generation;

    use super::*;

    fn table(generation: u64) -> Table {
        Table { generation: Generation(generation), ..Table::default() }
    }

    // Seen to fail with the checksum left unchecked (a cut inside the JSON's last blanks passes for whole) and with `load`
    // giving an empty table for a damaged one.
    #[test]
    fn a_cut_at_any_byte_gives_the_previous_table_or_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &table(1)).unwrap();
        store(dir.path(), &table(2)).unwrap();
        let (current, previous) = (dir.path().join(CURRENT), dir.path().join(PREVIOUS));
        let whole = fs::read(&current).unwrap();
        assert_eq!(load(dir.path()).unwrap(), table(2));
        for cut in 0..whole.len() {
            fs::write(&current, &whole[..cut]).unwrap();
            assert_eq!(load(dir.path()).unwrap(), table(1), "cut at {cut}");
        }
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            fs::write(&current, &damaged).unwrap();
            assert_eq!(load(dir.path()).unwrap(), table(1), "a wrong bit at {byte}");
        }
        fs::remove_file(&previous).unwrap();
        for cut in 0..whole.len() {
            fs::write(&current, &whole[..cut]).unwrap();
            assert!(load(dir.path()).is_err(), "cut at {cut} without a previous copy");
        }
    }

    #[test]
    fn a_damaged_table_does_not_push_out_the_good_copy() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &table(1)).unwrap();
        store(dir.path(), &table(2)).unwrap();
        fs::write(dir.path().join(CURRENT), "garbage").unwrap();
        store(dir.path(), &table(3)).unwrap();
        fs::write(dir.path().join(CURRENT), "garbage").unwrap();
        assert_eq!(load(dir.path()).unwrap(), table(1));
    }

    #[test]
    fn a_missing_table_is_empty_only_if_there_never_was_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), Table::default());
        store(dir.path(), &table(1)).unwrap();
        store(dir.path(), &table(2)).unwrap();
        fs::remove_file(dir.path().join(CURRENT)).unwrap();
        assert_eq!(load(dir.path()).unwrap(), table(1));
    }
}
