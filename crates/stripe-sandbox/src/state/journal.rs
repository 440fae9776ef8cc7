//! The state file: one JSON line for each change, written before the answer to it leaves.
//!
//! Lines are handed to the operating system at once and not flushed to the disk: that survives a
//! `kill -9`, which is what a sandbox is put through, and costs microseconds. A last line that was
//! torn off belongs to a request nobody got an answer to, and is cut away.
//!
//! The file is locked for as long as it is in use, so a second sandbox waits for the first to end.
//! That is why compaction rewrites the file in place, under its lock, instead of renaming a new one
//! over it: whoever waits would wake up holding the lock of a file that is no longer there. To be
//! safe against a crash in the middle, the new content is first put, whole, into a file beside it,
//! from which the next opening finishes the job.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::State;
use super::mutation::{Mutation, Save};
use super::saved;

/// Below this size, compaction is not worth its while.
const COMPACT_FROM_BYTES: usize = 16 * 1024;

/// How every line begins.
const LINE_START: &[u8] = b"{\"did\":";

/// Where changes are written.
#[derive(Debug, Default)]
pub(crate) enum Journal {
    /// Nowhere: the state lives and dies with the process.
    #[default]
    Memory,
    /// To a file of this length.
    File { file: File, length: u64 },
    /// The sandbox has stopped.
    Closed,
}

impl Journal {
    /// Writes a change, whole or not at all.
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

/// Opens a state file, waiting for whoever else has it, and brings back the state in it. A new one
/// takes its ids from `seed`. `now_ms` is the machine's time, without the offset that the file may hold.
///
/// # Errors
/// When the file cannot be opened or read, or is no state file.
pub(crate) fn open(path: &Path, seed: u64, now_ms: i64) -> io::Result<State> {
    load(path, seed, now_ms)
        .map_err(|why| io::Error::new(why.kind(), format!("state file {}: {why}", path.display())))
}

fn load(path: &Path, seed: u64, now_ms: i64) -> io::Result<State> {
    let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    finish_compaction(&mut file, path)?;

    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let (lines, mut length) = parse(&text).map_err(unreadable)?;

    let mut state = replay(&lines, seed).map_err(unreadable)?;
    if let Some(kept) = compact(&lines, now_ms.saturating_add(state.offset_ms), length) {
        write_whole(&beside(path, "compacting"), &kept)?;
        fs::rename(beside(path, "compacting"), beside(path, "compacted"))?;
        finish_compaction(&mut file, path)?;
        length = kept.len();
    }
    let length = length as u64;
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    state.keep_in(Journal::File { file, length });
    let (time, base) = (state.opened + 1, state.base);
    state.commit(&Mutation::Opened { time, base })?;
    Ok(state)
}

type Lines<'a> = Vec<(&'a [u8], Mutation)>;

/// The lines of a state file, and the length of what could be read.
fn parse(text: &[u8]) -> Result<(Lines<'_>, usize), String> {
    let mut lines = Lines::new();
    let mut length = 0;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let last = length + line.len() == text.len();
        match serde_json::from_slice(line) {
            Ok(mutation) if line.ends_with(b"\n") => lines.push((line, mutation)),
            // Torn off; but a file that is not ours at all is not cut to nothing.
            _ if last && (number > 0 || ours(line)) => break,
            Ok(_) => return Err("a line without end".to_owned()),
            Err(why) => return Err(format!("line {}: {why}", number + 1)),
        }
        length += line.len();
    }
    Ok((lines, length))
}

/// The state that the lines come to.
fn replay(lines: &Lines<'_>, seed: u64) -> Result<State, String> {
    let mut state = State::new(seed);
    for (number, (_, mutation)) in lines.iter().enumerate() {
        if !state.takes(mutation) {
            return Err(format!("line {}: it does not follow from those before", number + 1));
        }
        state.apply(mutation);
    }
    Ok(state)
}

/// Whether a torn first line can be the beginning of a journal.
fn ours(line: &[u8]) -> bool {
    line.starts_with(LINE_START) || LINE_START.starts_with(line)
}

/// The file without the lines that no longer matter, if that makes it much smaller.
fn compact(lines: &Lines<'_>, now_ms: i64, length: usize) -> Option<Vec<u8>> {
    let reset = lines.iter().rposition(|(_, did)| matches!(did, Mutation::Reset { .. }));
    let start = reset.map_or(0, |at| at + 1);
    let last_of = |wanted: fn(&Mutation) -> bool| lines.iter().rposition(|(_, did)| wanted(did));
    let opened = last_of(|did| matches!(did, Mutation::Opened { .. }));
    let clock = last_of(|did| matches!(did, Mutation::Clock { .. }));
    let matters = |at: usize, did: &Mutation| match did {
        Mutation::Opened { .. } => opened == Some(at),
        Mutation::Clock { .. } => at >= start && clock == Some(at),
        Mutation::Reset { .. } => reset == Some(at),
        Mutation::Failed(failed) if failed.effect.is_none() => {
            let young = |save: &Save| now_ms - save.first_used_ms < saved::KEPT_MS;
            at >= start && failed.save.as_ref().is_some_and(young)
        }
        Mutation::Changed { .. }
        | Mutation::Failed(_)
        | Mutation::Due
        | Mutation::Attempted { .. } => at >= start,
    };
    let kept: Vec<u8> = lines
        .iter()
        .enumerate()
        .filter(|(at, (_, did))| matters(*at, did))
        .flat_map(|(_, (line, _))| line.iter().copied())
        .collect();
    (length >= COMPACT_FROM_BYTES && kept.len() <= length / 2).then_some(kept)
}

/// Carries a finished compaction over into the state file itself.
fn finish_compaction(file: &mut File, path: &Path) -> io::Result<()> {
    let finished = beside(path, "compacted");
    let content = match fs::read(&finished) {
        Ok(content) => content,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(why),
    };
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&content)?;
    file.set_len(content.len() as u64)?;
    file.seek(SeekFrom::Start(0))?;
    fs::remove_file(finished)
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    private().write(true).create(true).truncate(true).open(path)?.write_all(content)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn unreadable(why: String) -> io::Error {
    let message = format!("this is not a sandbox's: {why}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A new file is its owner's alone: it holds e-mail addresses.
fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "only changed on unix")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests;
