//! The file of `--web.config.file`, in the format of Prometheus' exporters:
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The highest cost of a password's hash. A check at this cost takes about a second, and each step doubles that.
const MAX_COST: u32 = 14;

/// The checked content of the file.
pub(super) struct WebConfig {
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// The certificate, followed by those of its issuers. Empty without TLS.
    chain: Vec<CertificateDer<'static>>,
    /// Whether every client must have a certificate.
    demands_certificates: bool,
    /// The hash of the password of each user.
    pub(super) users: BTreeMap<String, String>,
    /// The files that were read, with the time of their last change.
    files: Vec<(PathBuf, Option<SystemTime>)>,
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
        let mut files = vec![path.to_owned()];
        let text = std::fs::read_to_string(path)
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
        let (chain, tls) = match tls_server_config {
            Some(tls) => tls.read(directory, &mut files).map(|(chain, tls)| (chain, Some(tls))),
            None => Ok((Vec::new(), None)),
        }
        .map_err(|what| wrong(&what))?;
        let files =
            files.into_iter().map(|file| (changed(&file), file)).map(|(time, file)| (file, time)).collect();
        Ok(WebConfig { tls, chain, demands_certificates, users: basic_auth_users, files })
    }

    /// Why clients refuse the certificate now, because of its dates. `None` if it is valid.
    pub(super) fn expired(&self) -> Option<String> {
        let (certificate, issuers) = self.chain.split_first()?;
        // The web configuration itself is the first file.
        let file = self.files.get(1).map_or(String::new(), |(file, _)| format!(" `{}`", file.display()));
        let refused = |why: &str| format!("clients refuse the certificate in `cert_file`{file}: {why}");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).ok()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
        // The verifier checks dates before issuers and names, which are not known here.
        match verifier.verify_server_cert(certificate, issuers, &name, &[], UnixTime::now()) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => Some(refused("it has expired")),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => Some(refused("it is not valid yet")),
            _ => None,
        }
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
        self.files.iter().any(|(file, time)| changed(file) != *time)
    }
}

impl TlsServerConfig {
    fn read(
        &self,
        directory: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<(Vec<CertificateDer<'static>>, Arc<ServerConfig>), String> {
        let mut named = |file: &Path| {
            let file = directory.join(file);
            files.push(file.clone());
            file
        };
        let (cert_file, key_file) = (named(&self.cert_file), named(&self.key_file));
        let chain = certificates(&cert_file)?;
        let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|error| {
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
                let ca_file = named(ca_file);
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&ca_file)? {
                    roots
                        .add(certificate)
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
            format!("`cert_file` `{}` and `key_file` `{}`: {error}", cert_file.display(), key_file.display())
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((chain, Arc::new(config)))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |what: &dyn Display| format!("`{}`: {what}, expected certificates in PEM", file.display());
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if chain.is_empty() { Err(wrong(&"found no certificate")) } else { Ok(chain) }
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

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|found| found.modified()).ok()
}
