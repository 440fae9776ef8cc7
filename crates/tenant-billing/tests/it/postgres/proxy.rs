//! The way to a server, on which things go wrong.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Notify,
};

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing.
    Fair,
    /// The connection breaks when so many COMMITs have come by: the server never hears of the last.
    CutBeforeCommit(u32),
    /// The same, but the last is done, and the client never hears of it.
    CutAfterCommit(u32),
    /// Nothing gets through any more, and nobody is told.
    Stalled,
}

/// Sits between a store and a server, on a socket of its own. A break happens once.
pub(crate) struct Proxy {
    directory: TempDir,
    mood: Arc<Mutex<Mood>>,
    changed: Arc<Notify>,
}

const COMMIT: &[u8] = b"COMMIT\0";

impl Proxy {
    /// A way to the server whose socket is in this directory.
    pub(crate) fn to(server: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(socket(directory.path())).unwrap();
        let (mood, changed) = (Arc::new(Mutex::new(Mood::Fair)), Arc::new(Notify::new()));
        let way = Way { server: socket(server), mood: Arc::clone(&mood), changed: changed.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(way.clone().carry(client));
            }
        });
        Self { directory, mood, changed }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_waiters();
    }

    pub(crate) fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join(".s.PGSQL.5432")
}

#[derive(Clone)]
struct Way {
    server: PathBuf,
    mood: Arc<Mutex<Mood>>,
    changed: Arc<Notify>,
}

impl Way {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    /// What this COMMIT meets: nothing, a break before it, or one after it.
    fn meets(&self) -> Mood {
        let mut mood = self.mood.lock().unwrap();
        let (meets, then) = match *mood {
            Mood::CutBeforeCommit(0 | 1) | Mood::CutAfterCommit(0 | 1) => (*mood, Mood::Fair),
            Mood::CutBeforeCommit(left) => (Mood::Fair, Mood::CutBeforeCommit(left - 1)),
            Mood::CutAfterCommit(left) => (Mood::Fair, Mood::CutAfterCommit(left - 1)),
            Mood::Fair | Mood::Stalled => (Mood::Fair, *mood),
        };
        *mood = then;
        meets
    }

    async fn carry(self, mut client: UnixStream) {
        let Ok(mut server) = UnixStream::connect(&self.server).await else { return };
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            while self.mood() == Mood::Stalled {
                let changed = self.changed.notified();
                if self.mood() == Mood::Stalled {
                    changed.await;
                }
            }
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { return };
                    if self.mood() == Mood::Stalled {
                        continue;
                    }
                    let asked = &asked[..length];
                    let commits = asked.windows(COMMIT.len()).any(|it| it == COMMIT);
                    let meets = if commits { self.meets() } else { Mood::Fair };
                    if matches!(meets, Mood::CutBeforeCommit(_))
                        || server.write_all(asked).await.is_err()
                    {
                        return;
                    }
                    if matches!(meets, Mood::CutAfterCommit(_)) {
                        let _ = server.read(&mut answered).await;
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
