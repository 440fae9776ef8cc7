//! TLS as libpq has it, against servers whose certificates are made like those that people have:
//! every `sslmode`, certificates that have signed themselves, those of PostgreSQL's own manual, and
//! certificates of the client's.

mod client;
mod manual;

use std::{fs, net::TcpListener, path::Path, process::Command};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tenant_billing::{PostgresStore, ports::StoreError};

use super::server::Server;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What certificates of `localhost` are made of.
fn localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).unwrap()
}

/// Certificate and key, as PEM.
fn signed(params: &CertificateParams, issuer: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

/// A server that speaks TLS and nothing else, and the client's files.
struct Secure {
    server: Server,
    port: u16,
    files: TempDir,
}

impl Secure {
    fn start((certificate, key): &(String, String), access: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::start("");
        server.file("pg_hba.conf", access);
        server.config(&format!(
            "port = {port}\nlisten_addresses = 'localhost'\nssl = on\n\
             ssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'"
        ));
        let secure = Self { server, port, files: TempDir::new().unwrap() };
        secure.present(certificate, key);
        secure
    }

    /// The same with the usual access.
    fn with(certificate: &(String, String)) -> Self {
        Self::start(certificate, "hostssl all all all trust\n")
    }

    /// From now on the server has this certificate.
    fn present(&self, certificate: &str, key: &str) {
        self.server.file("server.crt", certificate);
        self.server.file("server.key", key);
        self.server.down("fast");
        self.server.up();
    }

    /// The path of a file of the client's, which only he may read.
    fn file(&self, name: &str, pem: &str) -> String {
        let path = self.files.path().join(name);
        fs::write(&path, pem).unwrap();
        mode(&path, 0o600);
        path.to_str().unwrap().to_owned()
    }

    async fn open(&self, host: &str, query: &str) -> Result<(), StoreError> {
        let url = format!("postgres://postgres@{host}:{}/postgres?{query}", self.port);
        PostgresStore::open(&url)?.migrate().await
    }

    /// It connects, and so does libpq.
    async fn accepts(&self, host: &str, query: &str) {
        let opened = self.open(host, query).await;
        assert_eq!(opened, Ok(()), "{host} {query}");
        if let Some(accepted) = self.psql(host, query) {
            assert!(accepted, "libpq refuses {host} {query}");
        }
    }

    /// It does not connect, and says these words.
    async fn refuses(&self, host: &str, query: &str, words: &[&str]) {
        let opened = self.open(host, query).await;
        let Err(StoreError::Tls(why)) = opened else { panic!("{host} {query}: {opened:?}") };
        for words in words {
            assert!(why.contains(words), "{host} {query}: {why}");
        }
        assert!(!why.contains("postgres://") && !why.contains("right"), "{why}");
    }

    /// Whether libpq connects, where it is installed.
    fn psql(&self, host: &str, query: &str) -> Option<bool> {
        let url = format!("postgres://postgres@{host}:{}/postgres?{query}", self.port);
        let output = Command::new("psql").args(["-X", "-c", "SELECT 1", &url]).output().ok()?;
        Some(output.status.success())
    }
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn from(file: &str, mode: &str) -> String {
    format!("sslmode={mode}&sslrootcert={file}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sslmode() {
    let (ours, another) = (authority("ours"), authority("another"));
    let server = Secure::with(&signed(&localhost(), &ours));
    let (ours, another) = (ours.pem(), another.pem());
    let (ours, another) = (server.file("ours.pem", &ours), server.file("another.pem", &another));

    let plain = server.open("localhost", "sslmode=disable").await;
    let Err(StoreError::SchemaMismatch(why)) = plain else { panic!("{plain:?}") };
    assert!(why.contains("no pg_hba.conf entry") && why.contains("sslmode=require"), "{why}");
    for mode in ["allow", "prefer", "require"] {
        server.accepts("127.0.0.1", &format!("sslmode={mode}")).await;
    }
    server.accepts("127.0.0.1", &from(&ours, "verify-ca")).await;
    server.accepts("127.0.0.1", &from(&ours, "require")).await;
    server.accepts("localhost", &from(&ours, "verify-full")).await;
    let name = ["another host name", "verify-ca"];
    server.refuses("127.0.0.1", &from(&ours, "verify-full"), &name).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let words = ["no authority in the file of sslrootcert", "its authority's certificate"];
        server.refuses("localhost", &from(&another, mode), &words).await;
    }
    // A machine without authorities has no file to look into.
    server.refuses("localhost", "sslrootcert=system", &["sslrootcert"]).await;
    let missing = from("/no/such/file.pem", "verify-full");
    let words = ["/no/such/file.pem (sslrootcert) does not exist"];
    server.refuses("localhost", &missing, &words).await;
    let rubbish = server.file("rubbish.pem", "rubbish");
    let words = [rubbish.as_str(), "holds no certificate"];
    server.refuses("localhost", &from(&rubbish, "verify-full"), &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_name_counts_where_there_is_no_other_name() {
    let ours = authority("ours");
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let server = Secure::with(&signed(&params, &ours));
    let file = server.file("ours.pem", &ours.pem());
    server.accepts("localhost", &from(&file, "verify-full")).await;
    server.accepts("127.0.0.1", &from(&file, "verify-ca")).await;
    let words = ["another host name"];
    server.refuses("127.0.0.1", &from(&file, "verify-full"), &words).await;
    // With another name beside it, the common name is only a title.
    let mut titled = CertificateParams::new(["db.example.com".to_owned()]).unwrap();
    titled.distinguished_name.push(DnType::CommonName, "localhost");
    let (certificate, key) = signed(&titled, &ours);
    server.present(&certificate, &key);
    server.refuses("localhost", &from(&file, "verify-full"), &words).await;
    assert_ne!(server.psql("localhost", &from(&file, "verify-full")), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_out_of_its_time() {
    let ours = authority("ours");
    let mut old = localhost();
    old.not_after = date_time_ymd(2020, 1, 1);
    let server = Secure::with(&signed(&old, &ours));
    let file = server.file("ours.pem", &ours.pem());
    let words = ["has expired", "clock"];
    server.refuses("localhost", &from(&file, "verify-full"), &words).await;
    server.refuses("localhost", &from(&file, "verify-ca"), &words).await;
    server.accepts("localhost", "sslmode=require").await;
    let mut new = localhost();
    new.not_before = date_time_ymd(4000, 1, 1);
    let (certificate, key) = signed(&new, &ours);
    server.present(&certificate, &key);
    server.refuses("localhost", &from(&file, "verify-full"), &["not valid yet", "clock"]).await;

    // Also where the certificate itself is trusted.
    for (params, words) in [(old, "has expired"), (new, "not valid yet")] {
        let key = KeyPair::generate().unwrap();
        let itself = params.self_signed(&key).unwrap().pem();
        server.present(&itself, &key.serialize_pem());
        let file = server.file("itself.pem", &itself);
        server.refuses("localhost", &from(&file, "verify-full"), &[words]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_a_server_too() {
    let ours = authority("ours");
    let mut params = localhost();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority below");
    let server = Secure::with(&signed(&params, &ours));
    let file = server.file("ours.pem", &ours.pem());
    let words = ["rustls", "CA:TRUE", "subjectAltName"];
    server.refuses("localhost", &from(&file, "verify-full"), &words).await;
    server.accepts("localhost", "sslmode=require").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let server = Secure::with(&signed(&localhost(), &authority("ours")));
    server.server.file("pg_hba.conf", "host all all all trust\n");
    server.server.config("ssl = off");
    server.refuses("localhost", "sslmode=require", &["does not support TLS", "turn ssl on"]).await;
    server.accepts("localhost", "sslmode=prefer").await;
}
