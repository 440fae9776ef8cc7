//! TLS to PostgreSQL by rustls. What is checked follows libpq's `sslmode`, `sslrootcert`, `sslcert`
//! and `sslkey`. No file is read that the URL does not name: nothing in `~/.postgresql`.

mod certificate;
mod verify;

use std::{fs, io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::{WantsClientCert, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tenant_billing_core::ports::StoreError;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(super) use self::verify::NotTrusted;
use self::verify::{Checks, Trusted};
use super::url::{Roots, Target, Verify};

/// The TLS setup for the driver.
pub(super) fn connector(target: &Target) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    // Without TLS there is nothing to check, so no file is read.
    let with_tls = target.config.get_ssl_mode() != SslMode::Disable;
    let trusted = match &target.verify {
        Verify::Authority(roots) if with_tls => Some(trusted(roots, false, &provider)?),
        Verify::Full(roots) if with_tls => Some(trusted(roots, true, &provider)?),
        Verify::Nothing | Verify::Authority(_) | Verify::Full(_) => None,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Checks { trusted, algorithms }));
    Ok(MakeRustlsConnect::new(match &target.client {
        Some((certificate, key)) if with_tls => identified(config, certificate, key)?,
        Some(_) | None => config.with_no_client_auth(),
    }))
}

/// What these authorities have signed.
fn trusted(
    roots: &Roots,
    name: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Trusted, StoreError> {
    let provider = Arc::clone(provider);
    let Roots::File(path) = roots else {
        let authorities = Verifier::new(provider).map_err(|_| {
            StoreError::Tls(
                "this machine has no certificate authorities; install the package \
                 ca-certificates, or name a file of authorities in sslrootcert"
                    .into(),
            )
        })?;
        return Ok(Trusted { authorities: Arc::new(authorities), file: Vec::new(), name });
    };
    let file = certificates("sslrootcert", path)?;
    let unusable = || unreadable("sslrootcert", path, "holds a certificate that rustls cannot use");
    let mut store = RootCertStore::empty();
    for certificate in &file {
        store.add(certificate.clone()).map_err(|_| unusable())?;
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(store.into(), provider).build();
    let authorities: Arc<dyn ServerCertVerifier> = authorities.map_err(|_| unusable())?;
    Ok(Trusted { authorities, file, name })
}

/// The setup, with a certificate of our own that the server may ask for.
fn identified(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: &Path,
    key: &Path,
) -> Result<ClientConfig, StoreError> {
    let chain = certificates("sslcert", certificate)?;
    let bytes = contents("sslkey", key)?;
    if is_open_to_others(key) {
        return Err(unreadable("sslkey", key, "may be read by others; run chmod 0600 on it"));
    }
    let parsed = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let encrypted = String::from_utf8_lossy(&bytes).contains("ENCRYPTED");
        unreadable("sslkey", key, match encrypted {
            true => {
                "is encrypted, which rustls cannot read; decrypt it with openssl pkey -in KEY -out \
                 NEWKEY, and chmod 0600 that"
            }
            false => "holds no private key in PEM form",
        })
    })?;
    config.with_client_auth_cert(chain, parsed).map_err(|_| {
        unreadable(
            "sslkey",
            key,
            "is not the key of the certificate in sslcert, or not one that \
                                   rustls can use",
        )
    })
}

#[cfg(unix)]
fn is_open_to_others(key: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(key).is_ok_and(|it| lets_others_in(it.mode(), it.uid()))
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// libpq's rule: nobody else may use the key, except that a group may read what is root's.
#[cfg(unix)]
fn lets_others_in(mode: u32, owner: u32) -> bool {
    mode & if owner == 0 { 0o037 } else { 0o077 } != 0
}

fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let bytes = contents(parameter, path)?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(unreadable(parameter, path, "holds no certificate in PEM form")),
    }
}

fn contents(parameter: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|error| {
        unreadable(
            parameter,
            path,
            &match error.kind() {
                io::ErrorKind::NotFound => "does not exist".to_owned(),
                io::ErrorKind::PermissionDenied => "may not be read by this process".to_owned(),
                kind => format!("cannot be read: {kind}"),
            },
        )
    })
}

/// A file that the URL names is unusable. Its name is no secret.
fn unreadable(parameter: &str, path: &Path, why: &str) -> StoreError {
    StoreError::Tls(format!("the file {} ({parameter}) {why}", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::lets_others_in;

    #[test]
    fn who_may_read_a_key() {
        for (mode, owner, open) in [
            (0o100_600, 0, false),
            (0o100_400, 1000, false),
            (0o100_640, 0, false),
            (0o100_640, 1000, true),
            (0o100_660, 0, true),
            (0o100_644, 0, true),
            (0o100_604, 1000, true),
        ] {
            assert_eq!(lets_others_in(mode, owner), open, "{mode:o} {owner}");
        }
    }
}
