//! Checks the server's certificate: what webpki checks, and what libpq accepts beyond that.
//!
//! webpki reads certificates of version 3 only, takes no authority's certificate for a server's,
//! and no common name for a host's. PostgreSQL's manual makes certificates of all three kinds. So
//! here, too:
//!
//! - A certificate that has signed itself is trusted if it stands, to the byte, in the file of
//!   `sslrootcert`. Its period and its name are checked like any other's.
//! - A common name counts where there is no `subjectAltName`, if `sslrootcert` names a file: what an
//!   authority of the whole world may certify is limited by its names alone.
//! - If no authority is asked for (`prefer`, `require`), a certificate of version 1 will do. That
//!   the server has its private key is checked by TLS 1.3 as it is for a raw public key.
//!
//! A certificate of version 1 that an authority has signed cannot be checked against it.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::certificate::{Parsed, Valid};
use crate::trust;

/// Why the server's certificate is not accepted, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::postgres) struct NotTrusted(String);

/// The authorities that count, and what else is trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    /// webpki's check against the authorities.
    pub(super) authorities: Arc<dyn ServerCertVerifier>,
    /// The certificates in the file of `sslrootcert`.
    pub(super) file: Vec<CertificateDer<'static>>,
    /// Whether the certificate must be for the host (`verify-full`), or may be for any.
    pub(super) name: bool,
}

/// The verifier. If nothing is trusted, any certificate will do.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) trusted: Option<Trusted>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Trusted {
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = Parsed::read(certificate);
        let itself = parsed.as_ref().filter(|it| it.signs_itself());
        let checked = match itself.filter(|_| self.file.contains(certificate)) {
            Some(parsed) => match parsed.valid_at(now) {
                Valid::NotYet => Err(CertificateError::NotValidYet.into()),
                Valid::NoMore => Err(CertificateError::Expired.into()),
                // webpki does not read it, and it has no name but the common one.
                Valid::Now if parsed.is_old() => Err(CertificateError::NotValidForName.into()),
                Valid::Now => ParsedCertificate::try_from(certificate)
                    .and_then(|certificate| verify_server_name(&certificate, host)),
            },
            // This checks the name last, so if that is wrong, everything else is right.
            None => self
                .authorities
                .verify_server_cert(certificate, intermediates, host, ocsp, now)
                .map(drop),
        };
        match checked {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name
                || !self.file.is_empty()
                    && parsed.as_ref().is_some_and(|it| it.common_name_is(&host.to_str())) =>
            {
                Ok(())
            }
            Err(Error::InvalidCertificate(error)) => Err(self.not_trusted(&error, parsed.as_ref())),
            checked => checked,
        }
    }

    /// The error, with what to do.
    fn not_trusted(&self, error: &CertificateError, parsed: Option<&Parsed>) -> Error {
        use CertificateError as E;
        let itself = parsed.is_some_and(Parsed::signs_itself);
        let why = match error {
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                "is for another host name than the one in the URL; connect to a name that it has, \
                 or let sslmode=verify-ca check its authority alone"
                    .to_owned()
            }
            // webpki looks at the certificate itself before it looks for its authority.
            E::UnknownIssuer | E::Other(_) if itself => format!(
                "has signed itself, and is not {}; name a PEM file with this very certificate in \
                 sslrootcert",
                self.place()
            ),
            E::Other(_) if parsed.is_some_and(Parsed::is_old) => format!(
                "is of X.509 version 1, which rustls cannot check against an authority; {MAKE}"
            ),
            E::UnknownIssuer => format!(
                "is signed by no authority {}; name a PEM file with its authority's certificate in \
                 sslrootcert (whoever hosts the database offers it)",
                self.place()
            ),
            E::Other(_) => format!(
                "is not one that rustls accepts from a server, for example since it is an \
                 authority's (CA:TRUE); {MAKE}"
            ),
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => {
                format!("{}; renew it, or correct the clock", trust::fault(error))
            }
            _ => format!("{}; {MAKE}", trust::fault(error)),
        };
        refused(format!("the server's certificate {why}"))
    }

    fn place(&self) -> &'static str {
        match self.file.is_empty() {
            true => "that this machine trusts",
            false => "in the file of sslrootcert",
        }
    }
}

/// How to make a certificate that rustls accepts.
const MAKE: &str = "make one of version 3 with a subjectAltName: openssl x509 -req -in server.csr \
                    -CA root.crt -CAkey root.key -CAcreateserial -days 365 -out server.crt \
                    -extfile FILE, where FILE holds the line subjectAltName=DNS:HOST";

fn refused(why: String) -> Error {
    CertificateError::Other(OtherError(Arc::new(NotTrusted(why)))).into()
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            trusted.check(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if Parsed::read(certificate).is_some_and(|it| it.is_old()) {
            return Err(refused(format!(
                "the server's certificate is of X.509 version 1, with which rustls speaks TLS 1.3 \
                 only; let the server speak TLS 1.3, or {MAKE}"
            )));
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let old = Parsed::read(certificate).filter(Parsed::is_old);
        match old.and_then(|it| it.public_key()) {
            Some(key) => {
                verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            }
            None => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
