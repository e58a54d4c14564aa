//! The one source of randomness: the operating system.

use rand_core::UnwrapErr;

/// A generator that reads the operating system's source and aborts the thread if it fails,
/// because nothing here may go on with predictable bytes.
pub fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

/// `N` fresh random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    use rand_core::Rng as _;
    let mut out = [0u8; N];
    rng().fill_bytes(&mut out);
    out
}
