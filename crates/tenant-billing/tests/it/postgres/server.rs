//! Real PostgreSQL for tests: databases on the server that `scripts/with-postgres.sh` has started,
//! and servers of a test's own, to be stopped, restarted and paused.

use std::{
    env,
    fs::Permissions,
    future::Future,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

fn given(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run ./scripts/test.sh, or scripts/with-postgres.sh cargo test …")
    })
}

/// Whom servers run as, if not as us.
fn server_user() -> Option<(u32, u32)> {
    let id = |name| given(name).parse().ok();
    id("TEST_POSTGRES_UID").zip(id("TEST_POSTGRES_GID"))
}

/// Waits for `future` wherever it is called, a destructor or an async test included.
pub(crate) fn block<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(future)).join().unwrap())
}

/// A database of a test's own. It is dropped with this.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(crate) async fn fresh() -> Self {
        Self::on(&given("TEST_POSTGRES_URL")).await
    }

    /// A copy of this database, made by the server from it as a template.
    pub(crate) async fn copied(&self) -> Self {
        let name = format!("{}_copy", self.name);
        let copy = Self { server: self.server.clone(), name };
        self.on_server(&format!("CREATE DATABASE {} TEMPLATE {}", copy.name, self.name)).await;
        copy
    }

    async fn on(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let database = Self { server: server.to_owned(), name };
        database.on_server(&format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    /// A superuser's way in.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    pub(crate) fn url_of(&self, role: &str) -> String {
        let server = self.server.replace("//postgres@", &format!("//{role}@"));
        server.replace("/postgres?", &format!("/{}?", self.name))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url()).await
    }

    /// Runs statements, as a host's own program would. Ours need no schema named.
    pub(crate) async fn run(&self, sql: &str) {
        let client = self.connect().await;
        let path = "SET search_path = public, tenant_billing;";
        let done = client.batch_execute(&format!("{path} {sql}")).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs statements that must fail, and returns why.
    pub(crate) async fn fails(&self, sql: &str) -> String {
        let client = self.connect().await;
        let error = client.batch_execute(sql).await.expect_err(sql);
        error.as_db_error().expect("the server says why").message().to_owned()
    }

    /// All cells of all rows, as text; `NULL` for none.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let client = self.connect().await;
        client.batch_execute("SET search_path = public, tenant_billing").await.unwrap();
        let answer = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cell = |at| row.get(at).unwrap_or("NULL").to_owned();
                Some((0..row.len()).map(cell).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    /// The only cell of the only row.
    pub(crate) async fn cell(&self, sql: &str) -> String {
        self.rows(sql).await.concat().concat()
    }

    /// Moves the database's clock ahead.
    pub(crate) async fn advance(&self, by: Duration) {
        let ahead = "SELECT extract(epoch FROM clock() - clock_timestamp())";
        let ahead: f64 = self.cell(ahead).await.parse().unwrap();
        let ahead = ahead.round() + by.as_secs_f64();
        let sql = format!(
            "CREATE OR REPLACE FUNCTION tenant_billing.clock() RETURNS timestamptz
             LANGUAGE sql VOLATILE PARALLEL SAFE
             AS 'SELECT pg_catalog.clock_timestamp() + interval ''{ahead} seconds'''"
        );
        self.run(&sql).await;
    }

    async fn on_server(&self, sql: &str) {
        connect(&self.server).await.batch_execute(sql).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        block(async move {
            // A server that is stopped is removed as a whole.
            if let Ok((client, connection)) = tokio_postgres::connect(&server, NoTls).await {
                let connection = tokio::spawn(connection);
                let _ = client.batch_execute(&sql).await;
                drop(client);
                let _ = connection.await;
            }
        });
    }
}

/// The directory of PostgreSQL's programs.
pub(crate) fn programs() -> PathBuf {
    given("TEST_POSTGRES_BIN").into()
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A server of a test's own. It is stopped with this.
pub(crate) struct Server {
    directory: PathBuf,
}

impl Server {
    /// Makes one with these settings beside those that make tests quick, and starts it.
    pub(crate) fn start(settings: &str) -> Self {
        let server = Self::somewhere();
        let data = server.data();
        let arguments = ["-D", &data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"];
        server.program("initdb", &[&arguments[..], &["--auth=trust"]].concat());
        let directory = server.directory.display();
        server.append(&format!(
            "listen_addresses = ''\nunix_socket_directories = '{directory}'\nfsync = off\n\
             full_page_writes = off\nmax_connections = 200\n{settings}"
        ));
        server.up();
        server
    }

    /// The directory of the server that all tests share.
    pub(crate) fn shared() -> PathBuf {
        given("TEST_POSTGRES_DIR").into()
    }

    /// A standby that follows this one, which is stopped for the moment in which it is copied. A
    /// copy needs no `pg_basebackup`, which not every distribution of the server has.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::somewhere();
        self.down("fast");
        self.user_runs("cp".as_ref(), &["-a", &self.data(), &standby.data()]);
        self.up();
        standby.file("standby.signal", "");
        let (ours, theirs) = (self.directory.display(), standby.directory.display());
        standby.append(&format!(
            "unix_socket_directories = '{theirs}'\nprimary_conninfo = 'host={ours} user=postgres'"
        ));
        standby.up();
        standby
    }

    pub(crate) fn promote(&self) {
        self.program("pg_ctl", &["promote", "-D", &self.data(), "-w", "-t", "60"]);
    }

    /// A database that this one has from the server that it followed.
    pub(crate) fn has(&self, database: &Database) -> Database {
        Database { server: self.url(), name: database.name.clone() }
    }

    /// Adds a setting that counts from now on.
    pub(crate) fn config(&self, setting: &str) {
        self.append(setting);
        self.program("pg_ctl", &["reload", "-D", &self.data()]);
    }

    /// Puts a file into its directory, which none but it may read.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = server_user() {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
    }

    fn append(&self, settings: &str) {
        let conf = self.directory.join("postgresql.conf");
        let before = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(conf, format!("{before}\n{settings}\n")).unwrap();
    }

    fn somewhere() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("server-{}-{number}", std::process::id());
        Self { directory: Self::shared().join(name) }
    }

    fn data(&self) -> String {
        self.directory.to_str().unwrap().to_owned()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A superuser's way in.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@/postgres?host={}", self.directory.display())
    }

    pub(crate) async fn database(&self) -> Database {
        Database::on(&self.url()).await
    }

    pub(crate) fn up(&self) {
        let log = self.directory.join("log");
        let log = log.to_str().unwrap();
        self.program("pg_ctl", &["start", "-D", &self.data(), "-l", log, "-w", "-t", "60"]);
    }

    /// As if its machine had lost its power: `immediate`; or after its sessions: `fast`.
    pub(crate) fn down(&self, mode: &str) {
        self.program("pg_ctl", &["stop", "-D", &self.data(), "-m", mode, "-w", "-t", "60"]);
    }

    fn program(&self, name: &str, arguments: &[&str]) {
        self.user_runs(&programs().join(name), arguments);
    }

    /// Runs a program as the user that the server runs as.
    fn user_runs(&self, program: &Path, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((uid, gid)) = server_user() {
            command.uid(uid).gid(gid);
        }
        let output = command.output().unwrap();
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program:?} {arguments:?}: {words}\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.directory.join("postmaster.pid").exists() {
            self.down("immediate");
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
