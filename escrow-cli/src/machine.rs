//! What `escrow doctor` checks of this machine: keys, files, disk, core dumps. Needs no network and asks nobody.

use crate::context::Context;
use escrow_client::doctor::{Check, Fault};
use escrow_client::{Charters, Identity, KeyFileError, now};
use escrow_core::Timestamp;
use std::path::Path;

/// Below this a context has no room to work in: outbox, archive and evidence grow.
const LOW_SPACE: u64 = 256 * 1024 * 1024;
const NO_SPACE: u64 = 16 * 1024 * 1024;
/// An officer's key that ends sooner should be followed by another.
const KEY_ENDS_SOON_S: i64 = 30 * 86_400;

/// All checks of this machine, for one context.
pub fn checks(dir: &Path, context: &Context, charters: Option<&Charters>, identity: Option<&LoadedKey>) -> Vec<Check> {
    let mut out = match identity {
        Some(loaded) => key(loaded, charters, now()),
        None => vec![Check::skipped("key", "", "the context names no key file; it is enough to look and to verify")],
    };
    if let Some(file) = &context.token_key {
        out.push(mode("token key", file, Fault::Key));
    }
    out.push(mode("folder", dir, Fault::Machine));
    for file in [&context.directory, &context.outbox, &context.key_ring, &context.titles] {
        if file.exists() {
            out.push(mode("file", file, Fault::Machine));
        }
    }
    out.push(space(dir));
    out.push(core_dumps());
    out
}

/// The context's key file, as far as it can be read without asking anybody.
pub type LoadedKey = (std::path::PathBuf, Result<Identity, KeyFileError>);

fn key((path, loaded): &LoadedKey, charters: Option<&Charters>, at: Timestamp) -> Vec<Check> {
    let of = path.display();
    let identity = match loaded {
        Ok(identity) => identity,
        Err(KeyFileError::NoPassphrase { .. }) => {
            return vec![Check::ok("key", of, "encrypted, mode 0600; not opened, as no passphrase was named")];
        }
        Err(e) => {
            let next =
                "make keys with `escrow keygen`, or name the right file: escrow context add NAME --replace --key FILE";
            return vec![Check::fail("key", Fault::Key, of, e.to_string(), next)];
        }
    };
    let mut out = vec![match identity.can_sign() {
        Ok(()) => Check::ok("key", &of, format!("mode 0600; it signs as {identity}")),
        Err(e) => Check::fail("key", Fault::Key, &of, e.to_string(), e.next_step()),
    }];
    if let (Some(charters), Ok(officer)) = (charters, identity.officer()) {
        let public = identity.public();
        let person = charters.current().person(&officer.person);
        let ends = person.and_then(|p| p.keys.iter().find(|k| k.key == public && k.from <= at)).map(|k| k.until);
        let next = "give the .pub.json file of a new key to the administrators, for the next charter";
        let who = &officer.person;
        out.push(match ends {
            Some(until) if until <= at => Check::fail(
                "key valid",
                Fault::Key,
                who,
                format!("the key of this person ended on {}", until.day()),
                next,
            ),
            Some(until) if until.seconds_since(at) < KEY_ENDS_SOON_S => {
                Check::warn("key valid", who, format!("ends on {}", until.day()), next)
            }
            Some(until) => Check::ok("key valid", who, format!("the charter lists it until {}", until.day())),
            None => Check::fail(
                "key valid",
                Fault::Key,
                who,
                "the charter does not list this key for this person now",
                next,
            ),
        });
    }
    out
}

fn mode(name: &'static str, path: &Path, fault: Fault) -> Check {
    let of = path.display();
    match std::fs::metadata(path) {
        Ok(meta) if others(&meta) != 0 => {
            let next = format!("chmod go= {}", path.display());
            Check::fail(name, fault, of, format!("others may use it (mode {:04o})", mode_of(&meta)), &next)
        }
        Ok(meta) => Check::ok(name, of, format!("mode {:04o}", mode_of(&meta))),
        Err(e) => Check::fail(name, fault, of, e.to_string(), "see that it is there and is yours"),
    }
}

fn mode_of(meta: &std::fs::Metadata) -> u32 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::mode(meta) & 0o7777;
    #[cfg(not(unix))]
    0
}

fn others(meta: &std::fs::Metadata) -> u32 {
    mode_of(meta) & 0o077
}

fn space(dir: &Path) -> Check {
    match rustix::fs::statvfs(dir) {
        Ok(s) => space_of(dir, s.f_bavail.saturating_mul(s.f_frsize)),
        Err(e) => {
            Check::warn("disk", dir.display(), format!("cannot be measured: {e}"), "see that the folder is there")
        }
    }
}

fn space_of(dir: &Path, free: u64) -> Check {
    let what = format!("{} MiB free", free / (1024 * 1024));
    let next = "make room: deposits that cannot be kept are not made";
    match free {
        none if none < NO_SPACE => Check::fail("disk", Fault::Machine, dir.display(), what, next),
        low if low < LOW_SPACE => Check::warn("disk", dir.display(), what, next),
        _ => Check::ok("disk", dir.display(), what),
    }
}

/// A core dump would hold keys in clear. A pattern that begins with a pipe hands it to a program whatever the limit
/// is (core(5)).
fn core_dumps() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core).current;
    core_dumps_of(limit, &std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default())
}

fn core_dumps_of(limit: Option<u64>, pattern: &str) -> Check {
    let next = "run `ulimit -c 0` in this session, or set it in /etc/security/limits.conf";
    match (limit, pattern.trim().strip_prefix('|')) {
        (_, Some(program)) => {
            let what =
                format!("a crash hands the memory, with any key in it, to {}", program.split(' ').next().unwrap_or(""));
            Check::warn(
                "core dumps",
                "",
                what,
                "see that the program keeps nothing, or set kernel.core_pattern to a file",
            )
        }
        (Some(0), None) => Check::ok("core dumps", "", "off for this session"),
        _ => Check::warn("core dumps", "", "on: a crash would write the memory, with any key in it, to a file", next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use escrow_client::doctor::State;
    use escrow_client::{Officer, Passphrase};

    #[test]
    fn files_that_others_may_use_fail() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token.key");
        std::fs::write(&path, "x").unwrap();
        for (bits, state) in [(0o600, State::Ok), (0o640, State::Fail(Fault::Key)), (0o604, State::Fail(Fault::Key))] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!(mode("token key", &path, Fault::Key).state, state, "{bits:o}");
        }
        assert_eq!(mode("file", &dir.path().join("none"), Fault::Machine).state, State::Fail(Fault::Machine));
    }

    #[test]
    fn a_key_is_judged_without_its_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::Officer(Officer::generate("legal-1".parse().unwrap(), None));
        let load = |name: &str| {
            let path = dir.path().join(name);
            let loaded = Identity::load(&path);
            key(&(path, loaded), None, now()).remove(0)
        };
        identity.save_new(&dir.path().join("clear")).unwrap();
        let phrase = Passphrase::new(&zeroize::Zeroizing::new("sixteen characters".into()));
        identity.save_new_encrypted(&dir.path().join("sealed"), &phrase).unwrap();
        assert!(load("clear").state == State::Ok && load("clear").what.contains("legal-1"));
        assert!(load("sealed").state == State::Ok && load("sealed").what.contains("not opened"));
        assert_eq!(load("none").state, State::Fail(Fault::Key));
    }

    #[test]
    fn little_space_warns_and_none_fails() {
        let state = |free| space_of(Path::new("/x"), free).state;
        assert_eq!(state(LOW_SPACE), State::Ok);
        assert_eq!(state(LOW_SPACE - 1), State::Warn);
        assert_eq!(state(NO_SPACE - 1), State::Fail(Fault::Machine));
    }

    #[test]
    fn core_dumps_warn_unless_nothing_writes_them() {
        let state = |limit, pattern| core_dumps_of(limit, pattern).state;
        assert_eq!(state(Some(0), "core\n"), State::Ok);
        assert_eq!(state(Some(0), "|/usr/share/apport/apport -p%p\n"), State::Warn);
        assert_eq!(state(Some(1), "core\n"), State::Warn);
        assert_eq!(state(None, ""), State::Warn);
    }
}
