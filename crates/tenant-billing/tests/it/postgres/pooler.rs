//! A pooler in transaction mode: clients share a few sessions of the server, and each transaction
//! may be done in another one.
//!
//! It does what makes such poolers dangerous to those who rely on a session, and as unkindly as it
//! may: it never gives a client the same session twice in a row. Clients log in without TLS or
//! password.

use std::{collections::VecDeque, path::Path, sync::Arc};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Mutex,
};

pub(crate) struct Pooler {
    directory: TempDir,
}

impl Pooler {
    /// In front of the server whose socket is in this directory, with so many sessions.
    pub(crate) async fn before(server: &Path, database: &str, sessions: usize) -> Self {
        Self::start(server, database, sessions, false).await
    }

    /// One that allows no transactions, as PgBouncer's `pool_mode = statement`.
    pub(crate) async fn in_statement_mode(server: &Path, database: &str) -> Self {
        Self::start(server, database, 3, true).await
    }

    async fn start(server: &Path, database: &str, sessions: usize, statements: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let mut idle = VecDeque::new();
        let mut welcome = Vec::new();
        for _ in 0..sessions {
            let mut session = UnixStream::connect(server.join(".s.PGSQL.5432")).await.unwrap();
            let words = format!("user\0postgres\0database\0{database}\0\0");
            let length = u32::try_from(words.len() + 8).unwrap();
            session.write_u32(length).await.unwrap();
            session.write_u32(3 << 16).await.unwrap();
            session.write_all(words.as_bytes()).await.unwrap();
            (_, welcome) = answer(&mut session).await.unwrap();
            idle.push_back(session);
        }
        let (idle, welcome) = (Arc::new(Mutex::new(idle)), Arc::new(welcome));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&idle), Arc::clone(&welcome), statements));
            }
        });
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A message of the protocol: its kind, and all of it.
async fn message(from: &mut UnixStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut all = vec![kind];
    all.extend(length.to_be_bytes());
    all.resize(length as usize + 1, 0);
    from.read_exact(&mut all[5..]).await?;
    Ok((kind, all))
}

/// All that a server says until it is ready again, and whether a transaction is open then.
async fn answer(session: &mut UnixStream) -> std::io::Result<(bool, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let (kind, message) = message(session).await?;
        all.extend(&message);
        if kind == b'Z' {
            return Ok((message[5] != b'I', all));
        }
    }
}

async fn serve(
    mut client: UnixStream,
    idle: Arc<Mutex<VecDeque<UnixStream>>>,
    welcome: Arc<Vec<u8>>,
    statements: bool,
) -> std::io::Result<()> {
    let mut startup = Vec::new();
    // A client may first ask for TLS, in a message of eight bytes; there is none.
    while startup.len() <= 4 {
        let length = client.read_u32().await?;
        startup.resize(length as usize - 4, 0);
        client.read_exact(&mut startup).await?;
        if startup.len() == 4 {
            client.write_all(b"N").await?;
        }
    }
    client.write_all(&welcome).await?;
    let mut session: Option<UnixStream> = None;
    loop {
        // A simple query, or everything up to the next Sync.
        let mut asked = Vec::new();
        loop {
            let (kind, message) = match message(&mut client).await {
                Ok(message) => message,
                // A client that left in a transaction leaves a session that nobody wants.
                Err(error) => return Err(error),
            };
            asked.extend(message);
            match kind {
                b'X' => return Ok(()),
                b'Q' | b'S' => break,
                _ => {}
            }
        }
        let mut at_work = match session.take() {
            Some(session) => session,
            None => loop {
                // The one that has been idle for the longest.
                if let Some(session) = idle.lock().await.pop_front() {
                    break session;
                }
                tokio::task::yield_now().await;
            },
        };
        at_work.write_all(&asked).await?;
        let (in_transaction, answered) = answer(&mut at_work).await?;
        if in_transaction && statements {
            // The session is thrown away as well.
            return client.write_all(&refusal()).await;
        }
        if in_transaction {
            session = Some(at_work);
        } else {
            idle.lock().await.push_back(at_work);
        }
        client.write_all(&answered).await?;
    }
}

/// What PgBouncer says in statement mode to whoever has begun a transaction.
fn refusal() -> Vec<u8> {
    let why = "transaction blocks not allowed in statement pooling mode";
    let fields = format!("SFATAL\0VFATAL\0C08P01\0M{why}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    [&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat()
}
