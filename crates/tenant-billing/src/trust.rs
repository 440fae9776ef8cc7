//! Why the certificate of a server is not trusted, in words without anything that the server sent.

use rustls::CertificateError;

/// What is wrong with "the server's TLS certificate", as the rest of that sentence.
pub(crate) fn fault(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "is signed by no authority that is trusted here",
        E::Expired | E::ExpiredContext { .. } => "has expired, by this machine's clock",
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "is not valid yet, by this machine's clock"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another host name",
        E::Revoked => "is revoked",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "is not for a server",
        E::BadSignature => "has a signature that is not its authority's",
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed with an algorithm that rustls does not accept, such as SHA-1"
        }
        E::BadEncoding => "is malformed",
        _ => "cannot be trusted",
    }
}
