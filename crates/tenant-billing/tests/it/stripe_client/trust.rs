//! TLS to Stripe that is not to be trusted: nothing is sent, and an operator is told why.

use std::{
    io::Read,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tenant_billing::{SecretKey, StripeClient, ports::Stripe};

use super::{BEGIN_BY, EMAIL, KEY, client, customer, frozen, untrusted};

/// A server with a certificate, which remembers what it is sent.
pub(crate) struct Tls {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Tls {
    fn start(params: CertificateParams, issuer: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (config, received) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
        let remembered = Arc::clone(&received);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut bytes = Vec::new();
                let _ = Stream::new(&mut connection, &mut socket.unwrap()).read_to_end(&mut bytes);
                remembered.lock().unwrap().extend(bytes);
            }
        });
        Self { url, received }
    }

    /// As a proxy that intercepts TLS has it: for the right name, by an authority of its own.
    pub(crate) fn intercepting() -> Self {
        Self::start(localhost(), &authority())
    }

    fn assert_nothing_came(&self) {
        assert!(self.received.lock().unwrap().is_empty(), "something was sent");
    }
}

fn localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).unwrap()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn an_authority_that_this_machine_does_not_know() {
    let server = Tls::intercepting();
    let client = client(&server.url);
    for answer in [
        client.account().await,
        client.create_customer(&frozen(), BEGIN_BY).await,
        client.list_customers(EMAIL, None).await,
        client.retrieve_customer(&customer("cus_1")).await,
    ] {
        // A machine without authorities says that.
        let why = untrusted(answer);
        let known = [
            "the server's TLS certificate is signed by no authority that is trusted here",
            "this machine has no certificate authorities",
        ];
        assert!(known.contains(&&*why), "{why}");
    }
    server.assert_nothing_came();
}

/// With the authority known, as a client of the host's may have it.
#[tokio::test]
async fn each_fault_of_a_certificate_is_named() {
    let ours = authority();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ours.pem().as_bytes()).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let http =
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    let (mut old, mut new) = (localhost(), localhost());
    old.not_after = date_time_ymd(2020, 1, 1);
    new.not_before = date_time_ymd(4000, 1, 1);
    let other = CertificateParams::new(["api.stripe.com".to_owned()]).unwrap();
    for (params, fault) in [
        (old, "has expired, by this machine's clock"),
        (new, "is not valid yet, by this machine's clock"),
        (other, "is for another host name"),
    ] {
        let server = Tls::start(params, &ours);
        let client = StripeClient::new(SecretKey::parse(KEY).unwrap()).with_base(&server.url);
        let client = client.unwrap().with_http(http.clone());
        let why = untrusted(client.create_customer(&frozen(), BEGIN_BY).await);
        assert_eq!(why, format!("the server's TLS certificate {fault}"));
        server.assert_nothing_came();
    }
}
