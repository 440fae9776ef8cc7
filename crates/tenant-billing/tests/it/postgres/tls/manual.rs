//! The certificates that PostgreSQL's manual makes with `openssl`, command by command.

use std::{fs, process::Command};

use tempfile::TempDir;

use super::{Secure, authority, from};

/// A directory in which openssl makes files.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Runs `openssl` with these arguments, which are separated by spaces.
    fn openssl(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(self.0.path()).output();
        let output = output.expect("this test needs the program openssl");
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn server(&self) -> (String, String) {
        (self.read("server.crt"), self.read("server.key"))
    }

    fn is_version_1(&self) -> bool {
        self.openssl("x509 -in server.crt -noout -text").contains("Version: 1 ")
    }
}

/// "To create a simple self-signed certificate for the server."
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_signed_itself() {
    let workshop = Workshop::new();
    workshop.openssl(
        "req -new -x509 -days 365 -nodes -text -out server.crt -keyout server.key \
         -subj /CN=localhost",
    );
    trusted_as_it_is(&workshop).await;
}

/// The same of version 1, as old programs make it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_version_1_that_has_signed_itself() {
    let workshop = Workshop::new();
    workshop.openssl("req -new -nodes -out server.csr -keyout server.key -subj /CN=localhost");
    workshop.openssl("x509 -req -in server.csr -days 365 -signkey server.key -out server.crt");
    trusted_as_it_is(&workshop).await;
}

async fn trusted_as_it_is(workshop: &Workshop) {
    let server = Secure::with(&workshop.server());
    let file = server.file("itself.pem", &workshop.read("server.crt"));
    let other = server.file("other.pem", &authority("another").pem());
    for mode in ["prefer", "require"] {
        server.accepts("127.0.0.1", &format!("sslmode={mode}")).await;
    }
    server.accepts("localhost", &from(&file, "verify-full")).await;
    server.accepts("127.0.0.1", &from(&file, "verify-ca")).await;
    let words = ["another host name"];
    server.refuses("127.0.0.1", &from(&file, "verify-full"), &words).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let words = ["has signed itself", "this very certificate in sslrootcert"];
        server.refuses("localhost", &from(&other, mode), &words).await;
    }
    server.refuses("localhost", "sslmode=verify-full", &["sslrootcert"]).await;
    // Another certificate of the same name is not the one that is trusted.
    let twin = Workshop::new();
    twin.openssl("req -new -x509 -nodes -out server.crt -keyout server.key -subj /CN=localhost");
    let twin = server.file("twin.pem", &twin.read("server.crt"));
    let refused = server.open("localhost", &from(&twin, "verify-full")).await;
    assert!(refused.is_err(), "{refused:?}");
}

/// "To create a server certificate whose identity can be validated by clients, first create a
/// certificate signing request … Finally, create a server certificate signed by the new root."
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_an_authority_has_signed() {
    let workshop = Workshop::new();
    let config = "[v3_ca]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n";
    fs::write(workshop.0.path().join("v3.cnf"), config).unwrap();
    for command in [
        "req -new -nodes -text -out root.csr -keyout root.key -subj /CN=root.yourdomain.com",
        "x509 -req -in root.csr -text -days 3650 -extfile v3.cnf -extensions v3_ca \
         -signkey root.key -out root.crt",
        "req -new -nodes -text -out server.csr -keyout server.key -subj /CN=localhost",
        "x509 -req -in server.csr -text -days 365 -CA root.crt -CAkey root.key -CAcreateserial \
         -out server.crt",
    ] {
        workshop.openssl(command);
    }
    let server = Secure::with(&workshop.server());
    let file = server.file("root.pem", &workshop.read("root.crt"));
    for mode in ["prefer", "require"] {
        server.accepts("localhost", &format!("sslmode={mode}")).await;
    }
    // Newer versions of openssl make one of version 3, which has a common name.
    if workshop.is_version_1() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let words = ["version 1", "rustls", "openssl x509 -req", "subjectAltName=DNS:HOST"];
            server.refuses("localhost", &from(&file, mode), &words).await;
        }
        server.server.config("ssl_max_protocol_version = 'TLSv1.2'");
        server.refuses("localhost", "sslmode=require", &["version 1", "TLS 1.3"]).await;
        server.server.config("ssl_max_protocol_version = ''");
    }
    // What the message says to do.
    fs::write(workshop.0.path().join("san.cnf"), "subjectAltName=DNS:localhost\n").unwrap();
    workshop.openssl(
        "x509 -req -in server.csr -CA root.crt -CAkey root.key -CAcreateserial -days 365 \
         -out server.crt -extfile san.cnf",
    );
    let (certificate, key) = workshop.server();
    server.present(&certificate, &key);
    server.accepts("localhost", &from(&file, "verify-full")).await;
}
