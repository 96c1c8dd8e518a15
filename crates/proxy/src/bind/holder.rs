//! Which process has a socket, as far as we may see.

use std::fs;
use std::path::Path;

/// The process that listens on a port.
pub fn of_port(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    find(&tables.iter().flat_map(|table| table.lines()).filter_map(|line| at_port(line, port)).collect::<Vec<_>>())
}

/// The process that listens on a unix socket.
pub fn of_path(path: &Path) -> Option<String> {
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    find(&table.lines().filter_map(|line| at_path(line, path)).collect::<Vec<_>>())
}

fn find(inodes: &[String]) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter(|process| holds(&process.path(), inodes)).find_map(|process| {
        // Not `self`, which leads to the same process as its number.
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("process {pid}, {}, listens there", name.trim()))
    })
}

/// The inode in a line of /proc/net/tcp, if it is a listening socket (state 0A) of this port; see proc(5).
fn at_port(line: &str, port: u16) -> Option<String> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = columns.get(1)?.rsplit(':').next()?;
    let ours = columns.get(3) == Some(&"0A") && u16::from_str_radix(local, 16) == Ok(port);
    ours.then(|| columns.get(9).map(|inode| link(inode))).flatten()
}

/// The inode in a line of /proc/net/unix, if it is a listening socket (the flag `__SO_ACCEPTCON`) of this path, which comes last.
fn at_path(line: &str, path: &Path) -> Option<String> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let ours = columns.get(3) == Some(&"00010000") && line.ends_with(&format!(" {}", path.display()));
    ours.then(|| columns.get(6).map(|inode| link(inode))).flatten()
}

/// What a descriptor of a socket points to.
fn link(inode: &str) -> String {
    format!("socket:[{inode}]")
}

fn holds(process: &Path, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
}
