//! Opening a state file: locking it, and bringing back the state that its lines lead to.
//!
//! The file is locked for as long as it is in use, so a second sandbox waits for the first to end.
//! A last line that was torn off belongs to a request that nobody got an answer to, and is cut
//! away. A file that no sandbox wrote is refused and left as it is.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::journal::Journal;
use super::machine::State;
use super::mutation::Mutation;
use super::sound::takes;

/// How every line begins.
const LINE_START: &[u8] = b"{\"did\":";

/// Opens a state file, waits for another sandbox that has it, and brings back the state in it. A
/// new file takes its ids from `seed`.
///
/// # Errors
/// When the file cannot be opened or read, or no sandbox wrote it.
pub(crate) fn open(path: &Path, seed: u64) -> io::Result<State> {
    load(path, seed)
        .map_err(|why| io::Error::new(why.kind(), format!("state file {}: {why}", path.display())))
}

fn load(path: &Path, seed: u64) -> io::Result<State> {
    let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let (mut state, length) = replay(&text, seed).map_err(|why| {
        let message = format!(
            "no sandbox wrote this file: {why}. Move the file away, or name another with --state"
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    let length = length as u64;
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    state.keep_in(Journal::File { file, length });
    let (time, base) = (state.opened + 1, state.base);
    state.commit(&Mutation::Opened { time, base })?;
    Ok(state)
}

/// The state that the whole lines of a text lead to, and the length of those lines.
fn replay(text: &[u8], seed: u64) -> Result<(State, usize), String> {
    let mut state = State::new(seed);
    let mut length = 0;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let at = |why: &dyn std::fmt::Display| format!("line {}: {why}", number + 1);
        let is_last = length + line.len() == text.len();
        match serde_json::from_slice::<Mutation>(line) {
            Ok(mutation) if line.ends_with(b"\n") => {
                if !takes(&state, &mutation) {
                    return Err(at(&"it does not follow from the lines before it"));
                }
                state.apply(&mutation);
            }
            // The line was torn off. A file that is not a sandbox's at all is not cut to nothing.
            _ if is_last && (number > 0 || is_start(line)) => break,
            Ok(_) => return Err(at(&"it has no end")),
            Err(why) => return Err(at(&why)),
        }
        length += line.len();
    }
    Ok((state, length))
}

/// Whether a torn first line can be the beginning of a state file.
fn is_start(line: &[u8]) -> bool {
    line.starts_with(LINE_START) || LINE_START.starts_with(line)
}

/// The options that make a new file readable to its owner alone, because it holds e-mail addresses.
fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "only changed on unix")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests;
