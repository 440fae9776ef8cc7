//! TLS to PostgreSQL by rustls, with libpq's grades of trust.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::{Roots, Target, Verify};

/// What makes a connection secure, for the driver.
pub(super) fn connector(target: &Target) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    // Without TLS there is nothing to check, and the machine's authorities need not be read.
    let verify = match &target.verify {
        _ if target.config.get_ssl_mode() == SslMode::Disable => &Verify::Nothing,
        verify => verify,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        Verify::Nothing => Arc::new(Trusting { known: None, algorithms: algorithms(&provider) }),
        Verify::Authority(roots) => Arc::new(Trusting {
            known: Some(authorities(roots, &provider)?),
            algorithms: algorithms(&provider),
        }),
        Verify::Full(roots) => authorities(roots, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

fn authorities(
    roots: &Roots,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, StoreError> {
    let Roots::File(path) = roots else {
        let verifier = Verifier::new(Arc::clone(provider)).map_err(|error| unfit(&error))?;
        return Ok(Arc::new(verifier));
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unfit(&error))? {
        store.add(certificate.map_err(|error| unfit(&error))?).map_err(|error| unfit(&error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), Arc::clone(provider));
    Ok(verifier.build().map_err(|error| unfit(&error))?)
}

fn unfit(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unfit(format!("sslrootcert or the machine's own certificates: {error}"))
}

/// Does not ask for which host a certificate is, nor, without `known`, who signed it: `verify-ca` and
/// `require`. The server must have the certificate's key all the same.
#[derive(Debug)]
struct Trusting {
    known: Option<Arc<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(known) = &self.known else {
            return Ok(ServerCertVerified::assertion());
        };
        match known.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The signature was found good before the name was looked at.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
