//! Why no connection came about, in words of ours.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// The error of a connection that didn't come about.
pub(super) fn told(endpoint: &str, tls: bool, error: &(dyn Error + 'static)) -> CliError {
    let new = |message: String| CliError::new(Exit::Unreachable, message);
    let Some(why) = tls_error(error) else {
        let error = new(format!("no daemon answers at {endpoint}"));
        return if tls {
            error.with_help("see that it listens there with TLS, and that the way is open")
        } else {
            error
                .with_help("start one: `paramd serve --dev --config DIR`")
                .with_help("or say where it listens: --endpoint ENDPOINT, or PARAMD_ENDPOINT")
        };
    };
    let wrong = |what: &str| new(format!("the daemon at {endpoint} {what}"));
    match why {
        TlsError::InvalidCertificate(
            // By the same name an authority may have another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => wrong("has a certificate that isn't trusted")
            .with_help("--ca FILE (or PARAMD_CA) names the authority that signed it"),
        TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => wrong("has a certificate that has expired"),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => wrong("has a certificate for another name")
            .with_help("give the endpoint by a name or address that its certificate has"),
        TlsError::InvalidCertificate(_) => wrong("has a certificate that isn't good"),
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate,
        ) => refused(endpoint),
        _ => wrong("doesn't speak TLS as we do"),
    }
}

/// The daemon ended the connection over the client's certificate. Under TLS 1.3
/// that shows only after the handshake, and as no more than a broken connection.
pub(super) fn refused(endpoint: &str) -> CliError {
    let message = format!("the daemon at {endpoint} ended the connection after our certificate");
    CliError::new(Exit::Unreachable, message)
        .with_help("its `client_ca` has to have signed the certificate, which must not be expired")
}

/// The connection is there, and nobody answers on it.
pub(super) fn silent(endpoint: &str) -> CliError {
    let message = format!("the daemon at {endpoint} takes the connection and doesn't answer");
    CliError::new(Exit::Unreachable, message).with_help("see that it is paramd that listens there")
}

fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found);
        }
        // What an I/O error wraps is no source of it.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| tls_error(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
