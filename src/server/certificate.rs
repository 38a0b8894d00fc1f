//! The name in a client's certificate: its SPIFFE ID, else its subject.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// The most characters of a principal's name.
const MAX_NAME: usize = 512;

/// What a verified certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// The principal's name; none: it has none that can be told from others'.
    pub(super) name: Option<String>,
    /// When it ends, in seconds since 1970.
    pub(super) expires: i64,
    /// The SHA-256 of the certificate in DER, as step tokens are bound to it.
    pub(super) print: [u8; 32],
}

impl Shown {
    /// Reads a certificate that was verified.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Self {
        let hash = digest::digest(&digest::SHA256, certificate);
        let print = hash.as_ref().first_chunk().copied().unwrap_or_default();
        match X509Certificate::from_der(certificate) {
            Ok((_, read)) => {
                Self { name: name(&read), expires: read.validity().not_after.timestamp(), print }
            }
            Err(_) => Self { name: None, expires: i64::MIN, print },
        }
    }
}

fn name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()?;
    let mut ids =
        names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => {
                uri.get(..9).filter(|start| start.eq_ignore_ascii_case("spiffe://")).map(|_| *uri)
            }
            _ => None,
        });
    let name = match (ids.next(), ids.next()) {
        (Some(id), None) => id.starts_with("spiffe://").then(|| id.to_owned())?,
        // Nobody can say which of several is meant.
        (Some(_), Some(_)) => return None,
        (None, _) => subject(certificate.subject())?,
    };
    let printable =
        name.chars().all(|letter| !letter.is_control() && !letter.is_whitespace() || letter == ' ');
    (!name.is_empty() && name.chars().count() <= MAX_NAME && printable).then_some(name)
}

/// The subject as RFC 4514 writes it, so that no value can pass for two.
fn subject(subject: &X509Name<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for part in subject.iter_rdn() {
        let mut attributes = Vec::new();
        for attribute in part.iter() {
            let value = attribute.as_str().ok()?;
            attributes.push(format!(
                "{}={}",
                kind(&attribute.attr_type().to_id_string()),
                escaped(value)
            ));
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The short names of RFC 4514; others by their number.
fn kind(id: &str) -> &str {
    match id {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        other => other,
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=');
        let edge = (at == 0 && matches!(letter, ' ' | '#')) || (at == last && letter == ' ');
        if special || edge {
            text.push('\\');
        }
        let _ = text.write_char(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn shown(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Shown::read(params.self_signed(&key).unwrap().der()).name
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn the_spiffe_id_comes_before_the_subject() {
        let name = shown(|params| {
            params.distinguished_name.push(DnType::CommonName, "trainer");
            params.subject_alt_names =
                vec![uri("https://a.example/x"), uri("spiffe://a.example/trainer")];
        });
        assert_eq!(name.as_deref(), Some("spiffe://a.example/trainer"));
    }

    #[test]
    fn a_subject_is_written_so_that_no_value_passes_for_two() {
        let name = |common: &str| {
            shown(|params| {
                params.distinguished_name.push(DnType::OrganizationName, "Example");
                params.distinguished_name.push(DnType::CommonName, common);
            })
        };
        assert_eq!(name("trainer").as_deref(), Some("CN=trainer,O=Example"));
        assert_eq!(name("a,O=Admins").as_deref(), Some("CN=a\\,O\\=Admins,O=Example"));
        assert_eq!(name("uid:0").as_deref(), Some("CN=uid:0,O=Example"));
    }

    #[test]
    fn what_names_nobody_for_sure_names_nobody() {
        assert_eq!(shown(|_| ()), None);
        let two = |params: &mut CertificateParams| {
            params.subject_alt_names = vec![uri("spiffe://a/b"), uri("spiffe://a/c")];
        };
        assert_eq!(shown(two), None);
        assert_eq!(shown(|params| params.subject_alt_names = vec![uri("SPIFFE://a/b")]), None);
        let long = format!("spiffe://a/{}", "x".repeat(600));
        assert_eq!(shown(|params| params.subject_alt_names = vec![uri(&long)]), None);
        let control = |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, "a\nb");
        };
        assert_eq!(shown(control), None);
        assert_eq!(Shown::read(&CertificateDer::from(vec![1, 2, 3])).name, None);
    }
}
