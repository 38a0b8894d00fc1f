//! What a client shows and trusts: authorities, its certificate, its token.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::cli::environment::Environment;
use crate::cli::error::CliError;
use crate::cli::text::why;
use crate::secret::SecretBytes;
use crate::token::STEP_PREFIX;

/// The options; each has a variable.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Access {
    /// Whose certificate the daemon's must come from, in PEM; else PARAMD_CA,
    /// else the system's authorities.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client's certificate, in PEM; else PARAMD_CERTIFICATE.
    #[arg(long, global = true, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM; else PARAMD_KEY.
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A file with a bearer token; else PARAMD_TOKEN_FILE, else the token in
    /// PARAMD_TOKEN.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Access {
    /// Whether an option is given that means something over TLS alone.
    pub(super) fn wants_tls(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    /// What TLS is made with, and whether a certificate is shown.
    pub(super) fn tls(
        &self,
        environment: &Environment,
    ) -> Result<(ClientTlsConfig, bool), CliError> {
        let file = |option: &Option<PathBuf>, variable: &str| {
            option.clone().or_else(|| environment.value(variable).map(PathBuf::from))
        };
        let config = ClientTlsConfig::new();
        let config = match file(&self.ca, "PARAMD_CA") {
            Some(path) => {
                config.ca_certificate(Certificate::from_pem(&*contents("the CA", &path)?))
            }
            None => config.with_native_roots(),
        };
        match (file(&self.certificate, "PARAMD_CERTIFICATE"), file(&self.key, "PARAMD_KEY")) {
            (None, None) => Ok((config, false)),
            (Some(certificate), Some(key)) => {
                let certificate = contents("the certificate", &certificate)?;
                let key = contents("the key", &key)?;
                Ok((config.identity(Identity::from_pem(&*certificate, &*key)), true))
            }
            (Some(_), None) => Err(CliError::usage("a certificate is given without its key")
                .with_help("name the key's file: --key FILE, or PARAMD_KEY")),
            (None, Some(_)) => Err(CliError::usage("a key is given without its certificate")
                .with_help(
                    "name the certificate's file: --certificate FILE, or PARAMD_CERTIFICATE",
                )),
        }
    }

    /// The token to send with every request.
    pub(super) fn bearer(&self, environment: &Environment) -> Result<Bearer, CliError> {
        let file = environment.value("PARAMD_TOKEN_FILE").map(PathBuf::from);
        let token = match (self.token_file.clone().or(file), environment.value("PARAMD_TOKEN")) {
            (Some(path), _) => Zeroizing::new(contents("the token", &path)?.trim_ascii().to_vec()),
            (None, Some(value)) => Zeroizing::new(value.as_bytes().trim_ascii().to_vec()),
            (None, None) => return Ok(Bearer(None)),
        };
        if token.is_empty() {
            return Err(CliError::usage("the token is empty"));
        }
        Bearer::new(&SecretBytes::new(token.to_vec()))
    }
}

fn contents(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        let path = path.display();
        CliError::usage(format!("{what} `{path}` can't be read: {}", why(error.kind())))
    })
}

/// Adds the token to every request. It can't be printed.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Whether the token is one for a step alone.
    pub(super) fn is_step_token(&self) -> bool {
        let start = format!("Bearer {STEP_PREFIX}");
        self.0.as_ref().is_some_and(|value| value.as_encoded_bytes().starts_with(start.as_bytes()))
    }

    #[expect(clippy::disallowed_methods, reason = "the token is what proves who calls")]
    fn new(token: &SecretBytes) -> Result<Self, CliError> {
        let text = Zeroizing::new([&b"Bearer "[..], token.expose()].concat());
        let mut value = MetadataValue::try_from(text.as_slice())
            .map_err(|_| CliError::usage("the token has bytes that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() { "Bearer([REDACTED])" } else { "Bearer(none)" })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
