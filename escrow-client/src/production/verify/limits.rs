//! Bounds of the validator: none depends on what a file says of itself.

/// What is read at most. [`Limits::default`] is right but for tests and very small machines.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files of a production.
    pub files: usize,
    /// Bytes of one RSMF file; platforms take no more than 2 GB.
    pub file: u64,
    /// Bytes to which one rsmf.zip may unpack, all files together.
    pub unpacked: u64,
    /// Files in one rsmf.zip.
    pub members: usize,
    /// Bytes of one manifest, which is held in memory.
    pub manifest: u64,
    /// Values in one manifest, strings and numbers as well as lists and objects.
    pub values: usize,
    /// Bytes of one load file, of which every DOCID is held in memory.
    pub load_file: u64,
    /// Bytes of one line of a load file, and of one file of a bag that is not payload.
    pub line: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 100_000,
            file: 2 * 1000 * 1000 * 1000,
            unpacked: 8 * 1024 * 1024 * 1024,
            members: 50_000,
            manifest: 256 * 1024 * 1024,
            values: 4_000_000,
            load_file: 1024 * 1024 * 1024,
            line: 64 * 1024 * 1024,
        }
    }
}
