//! Authorities and certificates of a test.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, date_time_ymd,
};

/// An authority with the folder that its certificates are written to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// The files of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// Both files for a client of tonic's.
    pub(crate) fn identity(&self) -> tonic::transport::Identity {
        let read = |path: &Path| std::fs::read(path).unwrap();
        tonic::transport::Identity::from_pem(read(&self.certificate), read(&self.key))
    }
}

fn empty() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
}

impl Authority {
    /// A new one; its own certificate is `NAME.pem`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = empty();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { issuer, folder: folder.into() }
    }

    /// A certificate for a server on this machine.
    pub(crate) fn server(&self, name: &str) -> Files {
        self.sign(name, |params| {
            params.subject_alt_names = vec![
                SanType::DnsName("localhost".try_into().unwrap()),
                SanType::IpAddress("127.0.0.1".parse().unwrap()),
            ];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    /// A certificate for a client with this URI among its names.
    pub(crate) fn client(&self, name: &str, uri: Option<&str>) -> Files {
        self.sign(name, |params| client(params, name, uri))
    }

    /// One for a client with these URIs, whatever they are.
    pub(crate) fn workload(&self, name: &str, uris: &[&str]) -> Files {
        self.sign(name, |params| {
            client(params, name, None);
            let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
            params.subject_alt_names = uris.collect();
        })
    }

    /// One that is good for so long.
    pub(crate) fn short_client(&self, name: &str, life: Duration) -> Files {
        self.sign(name, |params| {
            client(params, name, None);
            params.not_after = (SystemTime::now() + life).into();
        })
    }

    /// One that ended long ago.
    pub(crate) fn expired_client(&self, name: &str) -> Files {
        self.sign(name, |params| {
            client(params, name, None);
            expire(params);
        })
    }

    /// One that ended long ago.
    pub(crate) fn expired_server(&self, name: &str) -> Files {
        self.sign(name, expire)
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Files {
        let mut params = empty();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.certificate, signed.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        private(&files.key);
        files
    }
}

fn client(params: &mut CertificateParams, name: &str, uri: Option<&str>) {
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names =
        uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn expire(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

/// Lets nobody else read a file.
pub(crate) fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
