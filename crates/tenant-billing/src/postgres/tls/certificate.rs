//! What must be read from a certificate that webpki does not read: one of version 1, and the name
//! of one that has no `subjectAltName`.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_cert::{
    Certificate,
    certificate::Version,
    der::{Decode, Encode, oid::ObjectIdentifier},
    time::Time,
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// A certificate, taken apart. Nothing about it is proved.
pub(super) struct Parsed(Certificate);

/// Whether a certificate is valid at some time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Valid {
    NotYet,
    Now,
    NoMore,
}

impl Parsed {
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        Certificate::from_der(der).ok().map(Self)
    }

    /// Whether it is older than version 3, so that it can have no extensions.
    pub(super) fn is_old(&self) -> bool {
        self.0.tbs_certificate.version != Version::V3
    }

    /// Whether it names itself as its issuer.
    pub(super) fn signs_itself(&self) -> bool {
        self.0.tbs_certificate.subject == self.0.tbs_certificate.issuer
    }

    pub(super) fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        self.0.tbs_certificate.subject_public_key_info.to_der().ok().map(Into::into)
    }

    pub(super) fn valid_at(&self, now: UnixTime) -> Valid {
        let validity = &self.0.tbs_certificate.validity;
        let seconds = |time: &Time| time.to_unix_duration().as_secs();
        if now.as_secs() < seconds(&validity.not_before) {
            Valid::NotYet
        } else if now.as_secs() > seconds(&validity.not_after) {
            Valid::NoMore
        } else {
            Valid::Now
        }
    }

    /// Whether its common name is this host's, and it has no `subjectAltName`, which would count
    /// instead. libpq has the same rule.
    pub(super) fn common_name_is(&self, host: &str) -> bool {
        let certificate = &self.0.tbs_certificate;
        let extensions = certificate.extensions.as_deref().unwrap_or_default();
        if extensions.iter().any(|it| it.extn_id == SUBJECT_ALT_NAME) {
            return false;
        }
        let mut names = certificate.subject.0.iter().flat_map(|part| part.0.iter());
        let name = names.find(|it| it.oid == COMMON_NAME);
        let name = name.and_then(|it| std::str::from_utf8(it.value.value()).ok());
        name.is_some_and(|name| is_name_of(name, host))
    }
}

/// Whether a name in a certificate is this host's. A star stands for the first label.
fn is_name_of(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let rest = name.strip_prefix("*.").filter(|rest| rest.contains('.'));
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    rest.is_some_and(|rest| {
        let (label, domain) = host.split_once('.').unwrap_or_default();
        !is_address && !label.is_empty() && domain.eq_ignore_ascii_case(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::is_name_of;

    #[test]
    fn names_of_hosts() {
        for (name, host, is) in [
            ("db.example.com", "DB.example.com", true),
            ("localhost", "localhost", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("db*.example.com", "db1.example.com", false),
            ("db.example.com\0", "db.example.com", false),
            ("other", "db", false),
        ] {
            assert_eq!(is_name_of(name, host), is, "{name:?} {host:?}");
        }
    }
}
