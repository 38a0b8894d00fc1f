//! Whom a client's certificate names, by its own word: the workload of its SPIFFE
//! ID, else its subject. Whether it is good [`trust`](super::trust) tells.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// The most characters of a principal's name.
const MAX_NAME: usize = 512;
/// The most bytes of a trust domain's name.
const MAX_DOMAIN: usize = 255;

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A workload.
    Workload {
        /// Its SPIFFE ID, whole.
        id: String,
        /// The trust domain in it.
        domain: String,
    },
    /// The subject, as RFC 4514 writes it.
    Subject(String),
    /// Nobody who can be told from others.
    Nobody,
}

/// Whom this certificate names.
pub(super) fn named(certificate: &CertificateDer<'_>) -> Named {
    let read = X509Certificate::from_der(certificate).ok();
    read.and_then(|(_, certificate)| name(&certificate)).unwrap_or(Named::Nobody)
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().not_after.timestamp())
}

fn name(certificate: &X509Certificate<'_>) -> Option<Named> {
    let names = certificate.subject_alternative_name().ok()?;
    let general = names.iter().flat_map(|names| &names.value.general_names);
    let uris: Vec<&str> = general
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let spiffe =
        |uri: &&str| uri.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("spiffe:"));
    if !uris.iter().any(spiffe) {
        return subject(certificate.subject()).filter(|name| is_name(name)).map(Named::Subject);
    }
    // Of several URIs nobody can say which is meant: X509-SVID, 2.
    let [id] = uris.as_slice() else { return None };
    let domain = trust_domain(id).filter(|_| is_name(id) && is_leaf(certificate))?;
    Some(Named::Workload { id: (*id).to_owned(), domain: domain.to_owned() })
}

fn is_name(name: &str) -> bool {
    let printable =
        name.chars().all(|letter| !letter.is_control() && !letter.is_whitespace() || letter == ' ');
    !name.is_empty() && name.chars().count() <= MAX_NAME && printable
}

/// The trust domain of a workload's SPIFFE ID: `spiffe://DOMAIN/PATH`, in just the
/// letters that the standard has, so that no two texts are one ID.
fn trust_domain(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(letter);
    (is_trust_domain(domain) && path.split('/').all(segment)).then_some(domain)
}

fn is_trust_domain(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    (1..=MAX_DOMAIN).contains(&name.len()) && name.bytes().all(letter)
}

/// Whether it is a workload's own and can sign no others: X509-SVID, 4 and 5.2.
fn is_leaf(certificate: &X509Certificate<'_>) -> bool {
    let Ok(constraints) = certificate.basic_constraints() else { return false };
    let Ok(usage) = certificate.key_usage() else { return false };
    let signs_others = constraints.is_some_and(|found| found.value.ca);
    let proves = usage.is_none_or(|usage| {
        let usage = usage.value;
        usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign()
    });
    proves && !signs_others
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
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
    };

    use super::*;

    fn shown(change: impl FnOnce(&mut CertificateParams)) -> Named {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        named(params.self_signed(&key).unwrap().der())
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn with_uri(text: &str) -> Named {
        shown(|params| {
            params.distinguished_name.push(DnType::CommonName, "trainer");
            params.subject_alt_names = vec![uri(text)];
        })
    }

    #[test]
    fn the_spiffe_id_comes_before_the_subject() {
        let found = with_uri("spiffe://a.example/ns/ml/sa/trainer_1.x");
        let id = "spiffe://a.example/ns/ml/sa/trainer_1.x".to_owned();
        assert_eq!(found, Named::Workload { id, domain: "a.example".to_owned() });
        assert_eq!(with_uri("https://a.example/x"), Named::Subject("CN=trainer".into()));
    }

    #[test]
    fn an_id_that_could_be_written_in_two_ways_names_nobody() {
        for text in [
            "SPIFFE://a/b",
            "Spiffe://a/b",
            "spiffe:a/b",
            "spiffe:/a/b",
            "spiffe://",
            "spiffe:///b",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://A/b",
            "spiffe://a.\u{e4}/b",
            "spiffe://a:8443/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/b%2fc",
            "spiffe://a/b c",
            &format!("spiffe://{}/b", "a".repeat(256)),
            &format!("spiffe://a/{}", "x".repeat(600)),
        ] {
            if text.is_ascii() {
                assert_eq!(with_uri(text), Named::Nobody, "{text}");
            }
            assert_eq!(trust_domain(text).filter(|_| is_name(text)), None, "{text}");
        }
    }

    #[test]
    fn who_has_two_names_or_signs_others_is_no_workload() {
        let with = |change: fn(&mut CertificateParams)| {
            shown(|params| {
                params.subject_alt_names = vec![uri("spiffe://a/b")];
                change(params);
            })
        };
        assert_eq!(
            with(|params| params.subject_alt_names.push(uri("spiffe://a/c"))),
            Named::Nobody
        );
        assert_eq!(with(|params| params.subject_alt_names.push(uri("https://a"))), Named::Nobody);
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(
            shown(|params| {
                params.subject_alt_names = vec![uri("spiffe://a/b")];
                params.is_ca = ca;
            }),
            Named::Nobody
        );
        for (usage, good) in [
            (&[KeyUsagePurpose::DigitalSignature][..], true),
            (&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement], true),
            (&[KeyUsagePurpose::KeyAgreement], false),
            (&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign], false),
            (&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign], false),
        ] {
            let found = shown(|params| {
                params.subject_alt_names = vec![uri("spiffe://a/b")];
                params.key_usages = usage.to_vec();
            });
            assert_eq!(found != Named::Nobody, good, "{usage:?}");
        }
    }

    #[test]
    fn a_subject_is_written_so_that_no_value_passes_for_two() {
        let name = |common: &str| {
            shown(|params| {
                params.distinguished_name.push(DnType::OrganizationName, "Example");
                params.distinguished_name.push(DnType::CommonName, common);
            })
        };
        let subject = |text: &str| Named::Subject(text.to_owned());
        assert_eq!(name("trainer"), subject("CN=trainer,O=Example"));
        assert_eq!(name("a,O=Admins"), subject("CN=a\\,O\\=Admins,O=Example"));
        assert_eq!(name("uid:0"), subject("CN=uid:0,O=Example"));
        assert_eq!(name("spiffe://a/b"), subject("CN=spiffe://a/b,O=Example"));
    }

    #[test]
    fn what_names_nobody_for_sure_names_nobody() {
        assert_eq!(shown(|_| ()), Named::Nobody);
        let control = |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, "a\nb");
        };
        assert_eq!(shown(control), Named::Nobody);
        assert_eq!(named(&CertificateDer::from(vec![1, 2, 3])), Named::Nobody);
    }
}
