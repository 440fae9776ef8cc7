//! The place where changes are written: nowhere, or the state file.
//!
//! Each change is one line of JSON, written before the answer to it leaves. Lines are handed to the
//! operating system at once and not flushed to the disk. That survives a `kill -9`, which is what a
//! sandbox is put through, and costs microseconds.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::mutation::Mutation;

/// The place where changes are written.
#[derive(Debug, Default)]
pub(super) enum Journal {
    /// Nowhere: the state lives and dies with the process.
    #[default]
    Memory,
    /// A file of this length.
    File { file: File, length: u64 },
    /// The sandbox has stopped, and no change is taken any more.
    Closed,
}

impl Journal {
    /// Writes a change as a whole, or not at all.
    pub(super) fn append(&mut self, mutation: &Mutation) -> io::Result<()> {
        match self {
            Journal::Memory => Ok(()),
            Journal::Closed => Err(io::Error::other("the sandbox has stopped")),
            Journal::File { file, length } => {
                let mut line = serde_json::to_vec(mutation)?;
                line.push(b'\n');
                if let Err(failure) = file.write_all(&line) {
                    // Half a line in the middle of the file would make the rest unreadable.
                    file.set_len(*length)?;
                    file.seek(SeekFrom::Start(*length))?;
                    return Err(failure);
                }
                *length += line.len() as u64;
                Ok(())
            }
        }
    }
}
