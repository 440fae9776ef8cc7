//! `sslmode`, in all its grades, against a server that speaks TLS and nothing else.

use std::net::TcpListener;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tenant_billing::{PostgresStore, ports::StoreError};

use super::server::Server;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn secure(server: &Server, port: u16, issuer: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    server.file("server.crt", &certificate.pem());
    server.file("server.key", &key.serialize_pem());
    server.file("pg_hba.conf", "hostssl all all all trust\n");
    server.config(&format!(
        "port = {port}\nlisten_addresses = 'localhost'\nssl = on\n\
         ssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'"
    ));
    server.down("fast");
    server.up();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sslmode() {
    let (ours, another) = (authority("ours"), authority("another"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start("");
    secure(&server, port, &ours);
    let directory = TempDir::new().unwrap();
    let file = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ours, another) = (file("ours.pem", &ours.pem()), file("another.pem", &another.pem()));

    let check = async |host: &str, query: &str, refused: Option<&str>| {
        let url = format!("postgres://postgres@{host}:{port}/postgres?{query}");
        let store = PostgresStore::open(&url);
        let migrated = match store {
            Ok(store) => store.migrate().await,
            Err(error) => Err(error),
        };
        match (migrated, refused) {
            (Ok(()), None) => {}
            (Err(StoreError::SchemaMismatch(why)), Some(words)) => {
                assert!(why.contains(words), "{host} {query}: {why}");
            }
            (migrated, _) => panic!("{host} {query}: {migrated:?}"),
        }
    };
    let from = |file: &str, mode: &str| format!("sslmode={mode}&sslrootcert={file}");
    check("localhost", "sslmode=disable", Some("no pg_hba.conf entry")).await;
    for mode in ["allow", "prefer", "require"] {
        check("127.0.0.1", &format!("sslmode={mode}"), None).await;
    }
    check("127.0.0.1", &from(&ours, "verify-ca"), None).await;
    check("127.0.0.1", &from(&ours, "require"), None).await;
    check("localhost", &from(&ours, "verify-full"), None).await;
    check("127.0.0.1", &from(&ours, "verify-full"), Some("TLS handshake")).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        check("localhost", &from(&another, mode), Some("TLS handshake")).await;
    }
    check("localhost", "sslrootcert=system", Some("TLS handshake")).await;
    let nowhere = from("/no/such/file.pem", "verify-full");
    check("localhost", &nowhere, Some("sslrootcert")).await;
    let rubbish = from(&file("rubbish.pem", "rubbish"), "verify-full");
    check("localhost", &rubbish, Some("sslrootcert")).await;
}
