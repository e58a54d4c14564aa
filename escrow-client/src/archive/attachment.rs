//! STUB until the real one is merged.
use super::AttachmentRef;
use escrow_core::ThreadKey;
use escrow_core::deal::About;
use std::io::Write;
use std::path::Path;
#[allow(missing_docs)]
pub fn open_attachment(
    _dir: &Path,
    _key: &ThreadKey,
    _about: &About,
    _attachment: &AttachmentRef,
    _out: &mut impl Write,
) -> Result<(), std::io::Error> {
    Err(std::io::ErrorKind::NotFound.into())
}
