//! The temporary store and keys of `serve --dev`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::DaemonError;
use crate::definition::ServerSettings;
use crate::definition::settings::KeyPlace;

/// A private folder that is removed with all that is in it.
pub(super) struct DevFolder(PathBuf);

impl DevFolder {
    pub(super) fn make(temporary: &Path) -> Result<Self, DaemonError> {
        let mut random = [0_u8; 8];
        // Without randomness the name is merely not random: making fails where
        // it is taken.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let folder = temporary.join(format!("paramd-dev-{}", hex::encode(random)));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(error) => {
                Err(DaemonError::Temporary { folder: temporary.to_owned(), why: error.kind() })
            }
        }
    }

    /// Puts the store and its keys into the folder. Tokens are those of the
    /// configuration: `paramd token` knows no other.
    pub(super) fn redirect(&self, settings: &mut ServerSettings) {
        settings.store = self.0.join("paramd.db");
        settings.keys.sealing = KeyPlace::File(self.0.join("sealing.key"));
        settings.keys.fingerprints = KeyPlace::File(self.0.join("fingerprints.key"));
    }
}

impl Drop for DevFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), why = ?error.kind(), "a temporary folder is left");
        }
    }
}
