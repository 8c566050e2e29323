//! The file of `--web.config.file`, in the format of Prometheus' exporters:
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The highest cost of a password's hash. A check at this cost takes about a second, and each step doubles that.
const MAX_COST: u32 = 14;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The checked content of the file.
pub(super) struct WebConfig {
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// The certificate, followed by those of its issuers. Empty without TLS.
    chain: Vec<CertificateDer<'static>>,
    /// The authorities of clients' certificates.
    authorities: Vec<CertificateDer<'static>>,
    /// Whether every client must have a certificate.
    demands_certificates: bool,
    /// The hash of the password of each user.
    pub(super) users: BTreeMap<String, String>,
    files: Files,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tls_server_config: Option<TlsServerConfig>,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsServerConfig {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    client_auth_type: ClientAuth,
    #[serde(default)]
    min_version: MinVersion,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum MinVersion {
    #[default]
    TLS12,
    TLS13,
}

impl WebConfig {
    /// Reads the file and the files that it names. Relative names are relative to its directory.
    ///
    /// # Errors
    ///
    /// The error names the file, what was found and what was expected.
    pub(super) fn read(path: &Path) -> Result<WebConfig, String> {
        let mut files = Files::default();
        let text = files
            .read(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(|error| format!("--web.config.file: cannot read `{}`: {error}", path.display()))?;
        let wrong = |what: &dyn Display| format!("`{}`: {what}", path.display());
        let file: Option<File> =
            match text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
                true => None,
                // Its further lines show the place in the file.
                false => Some(serde_saphyr::from_str(&text).map_err(|error| {
                    wrong(&error.to_string().lines().next().unwrap_or_default().trim_end())
                })?),
            };
        let File { tls_server_config, basic_auth_users } = file.unwrap_or_default();
        for (user, hash) in &basic_auth_users {
            check_hash(user, hash).map_err(|what| wrong(&what))?;
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        let demands_certificates = tls_server_config
            .as_ref()
            .is_some_and(|tls| tls.client_auth_type == ClientAuth::RequireAndVerifyClientCert);
        let (mut chain, mut authorities) = (Vec::new(), Vec::new());
        let read = tls_server_config.map(|tls| tls.read(directory, &mut files, &mut chain, &mut authorities));
        let tls = read.transpose().map_err(|what| wrong(&what))?;
        Ok(WebConfig { tls, chain, authorities, demands_certificates, users: basic_auth_users, files })
    }

    /// The certificates that are not valid now, because of their dates.
    pub(super) fn expired(&self) -> Vec<String> {
        // The web configuration itself is the first file, and that of the key the third.
        let file = |index: usize| {
            self.files.0.get(index).map_or(String::new(), |(file, _)| format!(" `{}`", file.display()))
        };
        let own = self.chain.split_first().and_then(|(certificate, issuers)| expiry(certificate, issuers));
        let own = own.map(|why| format!("clients refuse the certificate in `cert_file`{}: {why}", file(1)));
        // The library ignores the dates of an authority.
        let authority = self.authorities.iter().find_map(|authority| expiry(authority, &[]));
        let authority = authority.map(|why| {
            format!(
                "an authority in `client_ca_file`{}: {why}; clients with a certificate of it are still answered",
                file(3)
            )
        });
        own.into_iter().chain(authority).collect()
    }

    /// What it lacks of the access control that `before` had. A file that was cut short must not remove it.
    pub(super) fn lacks(&self, before: &WebConfig) -> Option<&'static str> {
        let all = [
            ("`tls_server_config`", self.tls.is_none() && before.tls.is_some()),
            ("`basic_auth_users`", self.users.is_empty() && !before.users.is_empty()),
            ("`RequireAndVerifyClientCert`", !self.demands_certificates && before.demands_certificates),
        ];
        all.into_iter().find_map(|(what, is_lacking)| is_lacking.then_some(what))
    }

    /// Whether one of the files has changed since they were read.
    pub(super) fn has_changed(&self) -> bool {
        let is_new = |(file, seen): &(PathBuf, Identity)| {
            std::fs::metadata(file).map_or(true, |found| Identity::of(&found) != *seen)
        };
        self.files.0.iter().any(is_new)
    }
}

impl TlsServerConfig {
    fn read(
        &self,
        directory: &Path,
        files: &mut Files,
        chain: &mut Vec<CertificateDer<'static>>,
        authorities: &mut Vec<CertificateDer<'static>>,
    ) -> Result<Arc<ServerConfig>, String> {
        let (cert_file, key_file) = (directory.join(&self.cert_file), directory.join(&self.key_file));
        *chain = files.certificates(&cert_file)?;
        let key = files
            .read(&key_file)
            .map_err(pem::Error::Io)
            .and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes));
        let key = key.map_err(|error| {
            format!("`key_file` `{}`: {error}, expected a private key in PEM", key_file.display())
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: &[_] = match self.min_version {
            MinVersion::TLS12 => rustls::ALL_VERSIONS,
            MinVersion::TLS13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let builder = match (self.client_auth_type, &self.client_ca_file) {
            (ClientAuth::NoClientCert, None) => builder.with_no_client_auth(),
            (ClientAuth::NoClientCert, Some(_)) => {
                return Err("found `client_ca_file` without `client_auth_type`, expected \
                            `RequireAndVerifyClientCert` or `VerifyClientCertIfGiven`"
                    .to_owned());
            }
            (_, None) => {
                return Err("found `client_auth_type` without `client_ca_file`, which it needs".to_owned());
            }
            (how, Some(ca_file)) => {
                let ca_file = directory.join(ca_file);
                let mut roots = RootCertStore::empty();
                *authorities = files.certificates(&ca_file)?;
                for certificate in authorities.iter() {
                    roots
                        .add(certificate.clone())
                        .map_err(|error| format!("`client_ca_file` `{}`: {error}", ca_file.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match how {
                    ClientAuth::VerifyClientCertIfGiven => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
            }
        };
        let mut config = builder.with_single_cert(chain.clone(), key).map_err(|error| {
            let (cert_file, key_file) = (cert_file.display(), key_file.display());
            // The type of this error belongs to a crate that is not used directly.
            match error.to_string().contains("UnsupportedCertVersion") {
                true => format!("`cert_file` `{cert_file}`: is of X.509 version 1, expected 3"),
                false => format!("`cert_file` `{cert_file}` and `key_file` `{key_file}`: {error}"),
            }
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Why a certificate is not valid now, if that is because of its dates or those of its issuers.
fn expiry(certificate: &CertificateDer<'_>, issuers: &[CertificateDer<'_>]) -> Option<&'static str> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    // The verifier checks dates before purposes, issuers and names, which are not known here.
    match verifier.verify_server_cert(certificate, issuers, &name, &[], UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Some("it has expired"),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Some("it is not valid yet"),
        _ => None,
    }
}

/// The files that were read.
#[derive(Default)]
struct Files(Vec<(PathBuf, Identity)>);

impl Files {
    /// Reads a file. Does not wait for a writer, as reading a FIFO would.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        // Before the content, so that a change after this moment is seen later.
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("found something else than a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::other("found more than 1 MiB"));
        }
        self.0.push((path.to_owned(), Identity::of(&found)));
        Ok(bytes)
    }

    fn certificates(&mut self, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let wrong =
            |what: &dyn Display| format!("`{}`: {what}, expected certificates in PEM", path.display());
        let bytes = self.read(path).map_err(|error| wrong(&error))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&error))?;
        if chain.is_empty() { Err(wrong(&"found no certificate")) } else { Ok(chain) }
    }
}

/// Differs for a file that was changed or replaced.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(found: &Metadata) -> Identity {
        Identity {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

fn check_hash(user: &str, hash: &str) -> Result<(), String> {
    let expected = "expected a bcrypt hash, as `htpasswd -nBC 10 NAME` makes it: $2y$10$…";
    // The error does not repeat the value, which is sensitive.
    let parts: bcrypt::HashParts =
        hash.parse().map_err(|_| format!("the password of `{user}` in `basic_auth_users`: {expected}"))?;
    match parts.get_cost() {
        0..=MAX_COST => Ok(()),
        cost => Err(format!(
            "the password of `{user}` in `basic_auth_users`: found cost {cost}, expected at most {MAX_COST}"
        )),
    }
}
