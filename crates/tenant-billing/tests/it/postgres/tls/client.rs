//! Certificates of the client's: `sslcert` and `sslkey`.

use std::path::Path;

use rcgen::{CertificateParams, DnType};
use tenant_billing::ports::StoreError;

use super::{Secure, authority, localhost, mode, signed};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate() {
    let (ours, another) = (authority("ours"), authority("another"));
    let server = Secure::start(&signed(&localhost(), &ours), "hostssl all all all cert\n");
    server.server.file("ca.crt", &ours.pem());
    server.server.config("ssl_ca_file = 'ca.crt'");
    server.server.down("fast");
    server.server.up();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "postgres");
    let (certificate, key) = signed(&params, &ours);
    let (foreign, foreign_key) = signed(&params, &another);
    let (file, key_file) = (server.file("client.crt", &certificate), server.file("c.key", &key));
    let foreign = server.file("foreign.crt", &foreign);
    let foreign_key = server.file("foreign.key", &foreign_key);
    let with = |certificate: &str, key: &str| {
        format!("sslmode=require&sslcert={certificate}&sslkey={key}")
    };

    server.accepts("localhost", &with(&file, &key_file)).await;
    let without = server.open("localhost", "sslmode=require").await;
    let Err(StoreError::SchemaMismatch(why)) = without else { panic!("{without:?}") };
    assert!(why.contains("certificate") && why.contains("sslcert"), "{why}");
    let words = ["does not accept the certificate in sslcert"];
    server.refuses("localhost", &with(&foreign, &foreign_key), &words).await;

    let words = ["(sslkey) is not the key of the certificate in sslcert"];
    server.refuses("localhost", &with(&file, &foreign_key), &words).await;
    let words = ["/no/such.crt (sslcert) does not exist"];
    server.refuses("localhost", &with("/no/such.crt", &key_file), &words).await;
    let words = ["/no/such.key (sslkey) does not exist"];
    server.refuses("localhost", &with(&file, "/no/such.key"), &words).await;
    let words = ["(sslkey) holds no private key"];
    server.refuses("localhost", &with(&file, &file), &words).await;
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = server.file("locked.key", locked);
    let words = ["(sslkey) is encrypted", "openssl pkey"];
    server.refuses("localhost", &with(&file, &locked), &words).await;
    // libpq refuses such a key, too.
    mode(Path::new(&key_file), 0o644);
    server.refuses("localhost", &with(&file, &key_file), &["(sslkey)", "chmod 0600"]).await;
    assert_ne!(server.psql("localhost", &with(&file, &key_file)), Some(true));
}
