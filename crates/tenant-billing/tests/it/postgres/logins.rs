//! Users and passwords in the URL.

use std::net::TcpListener;

use tenant_billing::{PostgresStore, ports::StoreError};

use super::server::Server;

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_with_odd_characters() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start("");
    let database = server.database().await;
    server.file("pg_hba.conf", "local all all trust\nhost all all all scram-sha-256\n");
    server.config(&format!("port = {port}\nlisten_addresses = '127.0.0.1'"));
    database.run("CREATE ROLE u LOGIN SUPERUSER").await;
    drop(database);
    server.down("fast");
    server.up();
    let local = format!("{}&port={port}", server.url());
    let open = async |password: &str| {
        let url = format!("postgres://u:{password}@127.0.0.1:{port}/postgres");
        match PostgresStore::open(&url) {
            Ok(store) => store.migrate().await,
            Err(error) => Err(error),
        }
    };
    for password in ["Zq7/a", "Zq7#a", "Zq7:a", "100%Zq7", "Zq7%zz", "Zq7@a", "Zq7?a", "Zq7&=a"] {
        let client = super::server::connect(&local).await;
        client.batch_execute(&format!("ALTER ROLE u PASSWORD '{password}'")).await.unwrap();
        assert_eq!(open(&encoded(password)).await, Ok(()), "{password}");
        // What comes apart as it was meant works as it stands, and the rest is refused at once.
        match (open(password).await, password.contains(['@', '?'])) {
            (Ok(()), false) => {}
            (Err(StoreError::Invalid(invalid)), true) => {
                let said = invalid.to_string();
                assert!(said.starts_with("database_url: ") && said.contains('%'), "{said}");
                assert!(!said.contains("Zq7"), "{said}");
            }
            (opened, _) => panic!("{password}: {opened:?}"),
        }
    }
    let Err(StoreError::SchemaMismatch(why)) = open("wrong").await else { panic!("it is wrong") };
    assert!(why.contains("28P01") && why.contains("percent-encoded"), "{why}");
}

#[tokio::test]
async fn a_host_that_nobody_knows() {
    let store = PostgresStore::open("postgres://u:secret@no-such-host.invalid/d").unwrap();
    let Err(StoreError::Unavailable(why)) = store.migrate().await else {
        panic!("nobody is there")
    };
    assert!(why.contains("check the host") && why.contains("percent-encoded"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}
