//! What the logins to all servers have in common: the daemon's password and the
//! authorities that it trusts.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::settings::ServerSettings;
use crate::credential::{Credential, whole_file};
use crate::source::{Cause, ConnectError, Environment};

/// The most MiB of a CA file.
const MAX_CA_MIB: u64 = 4;

/// Where the password is. It is read anew for each connection, so that a new one
/// needs no restart; nothing here prints it.
pub(super) struct Password {
    place: Option<Credential>,
    environment: Environment,
}

impl Password {
    /// The one of a server.
    pub(super) fn of(settings: &ServerSettings, environment: &Environment) -> Self {
        Self { place: settings.password.clone(), environment: environment.clone() }
    }

    /// What a driver makes of it as it is now; of none where none is set.
    #[expect(clippy::disallowed_methods, reason = "the driver takes the daemon's own password")]
    pub(super) fn give<T>(&self, take: impl FnOnce(Option<&str>) -> T) -> Result<T, Cause> {
        let Some(place) = &self.place else { return Ok(take(None)) };
        let password = place.load(&self.environment).map_err(|_| Cause::LoginFailed)?;
        let text = std::str::from_utf8(password.expose()).map_err(|_| Cause::LoginFailed)?;
        Ok(take(Some(text)))
    }
}

/// The authorities in a file, in PEM.
pub(super) fn read_ca(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let failed =
        |why: &str| ConnectError(format!("the CA file `{}` can't be read: {why}", path.display()));
    let bytes = whole_file(path, MAX_CA_MIB).map_err(|why| failed(&why))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificate.map_err(|_| failed("it isn't PEM"))?;
        count += 1;
    }
    if count == 0 { Err(failed("it has no certificate")) } else { Ok(bytes) }
}
