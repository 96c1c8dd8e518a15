//! Reads an artifact in a fixed order, and gives it a digest: SHA-256 over each entry's relative path, kind, permissions
//! and content. Whoever copies it sees each byte as it goes into the digest, so that the copy has the digest that is told.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ArtifactError;

const CHUNK: usize = 256 << 10;

/// Permissions that count: not set-user-id and the like, which a copy must not carry over.
pub const PERMISSIONS: u32 = 0o777;

/// What is done with the entries as they come by. Paths are relative to the artifact; its own is empty.
pub trait Sink {
    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError>;
    fn link(&mut self, path: &Path, target: &Path) -> Result<(), ArtifactError>;
    fn file(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError>;
    /// More of the last file.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArtifactError>;
    /// The directory is complete.
    fn leave(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError>;
}

/// The digest of an artifact.
pub fn digest(artifact: &Path) -> Result<String, ArtifactError> {
    walk(artifact, &mut Nothing)
}

/// Shows the artifact to `sink`, and tells its digest. An artifact that is itself a link is followed.
pub fn walk(artifact: &Path, sink: &mut dyn Sink) -> Result<String, ArtifactError> {
    let root = artifact.canonicalize().map_err(ArtifactError::at(artifact))?;
    let mut walk = Walk { root: &root, sink, digest: Sha256::new(), buffer: vec![0; CHUNK] };
    walk.entry(Path::new(""))?;
    Ok(format!("sha256:{}", hexadecimal(&walk.digest.finalize())))
}

struct Nothing;

impl Sink for Nothing {
    fn directory(&mut self, _: &Path, _: u32) -> Result<(), ArtifactError> {
        Ok(())
    }
    fn link(&mut self, _: &Path, _: &Path) -> Result<(), ArtifactError> {
        Ok(())
    }
    fn file(&mut self, _: &Path, _: u32) -> Result<(), ArtifactError> {
        Ok(())
    }
    fn bytes(&mut self, _: &[u8]) -> Result<(), ArtifactError> {
        Ok(())
    }
    fn leave(&mut self, _: &Path, _: u32) -> Result<(), ArtifactError> {
        Ok(())
    }
}

struct Walk<'a> {
    root: &'a Path,
    sink: &'a mut dyn Sink,
    digest: Sha256,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn entry(&mut self, path: &Path) -> Result<(), ArtifactError> {
        let full = full(self.root, path);
        let metadata = full.symlink_metadata().map_err(ArtifactError::at(&full))?;
        let mode = mode(&metadata);
        if metadata.is_dir() {
            self.directory(path, &full, mode)
        } else if metadata.is_symlink() {
            self.link(path, &full)
        } else if metadata.is_file() {
            self.file(path, &full, mode)
        } else {
            let special = io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file, a directory nor a link");
            Err(ArtifactError::Io { path: full, source: special })
        }
    }

    fn directory(&mut self, path: &Path, full: &Path, mode: u32) -> Result<(), ArtifactError> {
        self.note(b'd', path, mode, &[]);
        self.sink.directory(path, mode)?;
        let mut names = Vec::new();
        for entry in full.read_dir().map_err(ArtifactError::at(full))? {
            names.push(entry.map_err(ArtifactError::at(full))?.file_name());
        }
        names.sort();
        names.iter().try_for_each(|name| self.entry(&path.join(name)))?;
        self.sink.leave(path, mode)
    }

    fn link(&mut self, path: &Path, full: &Path) -> Result<(), ArtifactError> {
        let target = full.read_link().map_err(ArtifactError::at(full))?;
        self.note(b'l', path, 0, target.as_os_str().as_bytes());
        self.sink.link(path, &target)
    }

    fn file(&mut self, path: &Path, full: &Path, mode: u32) -> Result<(), ArtifactError> {
        let mut file = File::open(full).map_err(ArtifactError::at(full))?;
        self.sink.file(path, mode)?;
        let mut content = Sha256::new();
        loop {
            let length = file.read(&mut self.buffer).map_err(ArtifactError::at(full))?;
            if length == 0 {
                break;
            }
            content.update(&self.buffer[..length]);
            self.sink.bytes(&self.buffer[..length])?;
        }
        self.note(b'f', path, mode, &content.finalize());
        Ok(())
    }

    /// Lengths go first, so that no two trees give the same bytes.
    fn note(&mut self, kind: u8, path: &Path, mode: u32, content: &[u8]) {
        let path = path.as_os_str().as_bytes();
        self.digest.update([kind]);
        self.digest.update(mode.to_be_bytes());
        for part in [path, content] {
            self.digest.update((part.len() as u64).to_be_bytes());
            self.digest.update(part);
        }
    }
}

fn full(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & PERMISSIONS
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
