//! TLS to PostgreSQL by rustls. What is checked follows libpq's `sslmode` and `sslrootcert`.

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

/// The TLS setup for the driver.
pub(super) fn connector(target: &Target) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    // Without TLS there is nothing to check, so the machine's authorities are not read.
    let without_tls = target.config.get_ssl_mode() == SslMode::Disable;
    let verify = if without_tls { &Verify::Nothing } else { &target.verify };
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        Verify::Nothing => {
            Arc::new(IgnoresName { authorities: None, algorithms: algorithms(&provider) })
        }
        Verify::Authority(roots) => Arc::new(IgnoresName {
            authorities: Some(authorities(roots, &provider)?),
            algorithms: algorithms(&provider),
        }),
        Verify::Full(roots) => authorities(roots, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| certificate_error(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// A verifier that accepts certificates from these authorities, for the host that they name.
fn authorities(
    roots: &Roots,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, StoreError> {
    let Roots::File(path) = roots else {
        let verifier =
            Verifier::new(Arc::clone(provider)).map_err(|error| certificate_error(&error))?;
        return Ok(Arc::new(verifier));
    };
    let mut store = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| certificate_error(&error))?
    {
        store
            .add(certificate.map_err(|error| certificate_error(&error))?)
            .map_err(|error| certificate_error(&error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), Arc::clone(provider));
    Ok(verifier.build().map_err(|error| certificate_error(&error))?)
}

fn certificate_error(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::SchemaMismatch(format!(
        "the certificates of sslrootcert, or the machine's own, cannot be used: {error}"
    ))
}

/// A verifier that accepts a certificate for any host name (`verify-ca`), and without `authorities`
/// also from any authority (`require`). The server must still prove that it has the certificate's
/// private key.
#[derive(Debug)]
struct IgnoresName {
    authorities: Option<Arc<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for IgnoresName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // rustls checks the name last, so everything else was found to be right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            Ok(_) | Err(_) => verified,
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
