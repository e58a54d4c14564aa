//! BagIt (RFC 8493) as far as an evidence bundle needs it: version 1.0, SHA-256, one spelling.
//!
//! Narrower than the RFC where it leaves a choice: one manifest and one tag manifest, lines
//! sorted by path, two spaces, no percent-encoding (our paths need none), no `fetch.txt`.
//! `sha256sum -c manifest-sha256.txt` checks a bundle by hand.

use crate::bundle::Place;
use crate::files::{FILE_MAX, Files, each_chunk};
use crate::finding::{Class, Finding};
use escrow_core::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the bag declaration.
pub const DECLARATION: &str = "bagit.txt";
/// Its one content (RFC 8493 section 2.1.1).
pub const DECLARATION_TEXT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// Name of the bag's metadata.
pub const INFO: &str = "bag-info.txt";
/// Name of the payload manifest.
pub const MANIFEST: &str = "manifest-sha256.txt";
/// Name of the tag manifest.
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// Folder of the payload.
pub const PAYLOAD: &str = "data/";
/// Longest path, bytes.
pub const PATH_MAX: usize = 255;

/// True for a relative path of plain names: no empty, `.` or `..` part, no backslash, no colon,
/// printable ASCII without space only.
pub fn path_allowed(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != "..";
    path.len() <= PATH_MAX
        && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b':' | b'%'))
        && path.split('/').all(part)
}

/// The lines of a manifest.
pub fn manifest<'a>(files: impl IntoIterator<Item = (&'a str, Digest)>) -> Vec<u8> {
    let mut sorted: Vec<_> = files.into_iter().collect();
    sorted.sort_unstable();
    sorted.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect::<String>().into_bytes()
}

/// Reads a manifest; `known` are paths that were found allowed before.
fn parse_manifest(bytes: &[u8], known: impl Fn(&str) -> bool) -> Result<BTreeMap<&str, Digest>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let lines = text.strip_suffix('\n').ok_or("does not end with a newline")?;
    let mut out: BTreeMap<&str, Digest> = BTreeMap::new();
    for (at, line) in lines.split('\n').enumerate() {
        let bad = |what: &str| format!("line {}: {what}", at + 1);
        let (digest, path) = line.split_once("  ").ok_or_else(|| bad("not a digest, two spaces and a path"))?;
        let digest: Digest = digest.parse().map_err(|_| bad("not a lower-case SHA-256 digest"))?;
        if !known(path) && !path_allowed(path) {
            return Err(bad("a path that no bundle may have"));
        }
        if out.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return Err(bad("paths are not sorted, or one stands twice"));
        }
        out.insert(path, digest);
    }
    Ok(out)
}

/// Adds declaration, manifests and the `bag-info.txt` lines to a payload.
pub fn pack(payload: BTreeMap<String, Vec<u8>>, info: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let listed = manifest(payload.iter().map(|(p, b)| (p.as_str(), Digest::of(b))));
    let mut files = payload;
    files.insert(DECLARATION.into(), DECLARATION_TEXT.into());
    files.insert(INFO.into(), info.to_vec());
    files.insert(MANIFEST.into(), listed);
    let tags = [DECLARATION, INFO, MANIFEST];
    let tags = tags.iter().filter_map(|t| files.get(*t).map(|b| (*t, Digest::of(b))));
    let tags = manifest(tags);
    files.insert(TAG_MANIFEST.into(), tags);
    files
}

/// Checks the package: every file listed, none extra, every digest right. Yields the digest of
/// every payload file, which the next layer needs.
pub(crate) fn check(files: &dyn Files, out: &mut Vec<Finding>) -> BTreeMap<String, Digest> {
    let mut payload = BTreeMap::new();
    for (path, size) in files.list() {
        let mut malformed = |rule, why: String| out.push(Finding::new(Class::Malformed, path, rule, why));
        if !path_allowed(path) {
            malformed("path", "a path that leaves the bundle or that no bundle may have".into());
        } else if size > FILE_MAX && !matches!(Place::of(path), Some(Place::Entries(..))) {
            malformed("too-large", format!("{size} bytes; only entries may have more than {FILE_MAX}"));
        }
    }
    if !files.contains(DECLARATION) {
        out.push(Finding::new(
            Class::Malformed,
            DECLARATION,
            "not-a-bag",
            "there is no bagit.txt: this is not a bundle",
        ));
        return payload;
    }
    if !out.is_empty() {
        return payload;
    }
    let tags = |p: &str| [DECLARATION, INFO, MANIFEST].contains(&p);
    let mut tag_digests = BTreeMap::new();
    let intact = listing(files, TAG_MANIFEST, tags, out, &mut tag_digests);
    // Whatever else lies there would be free text, listed or not.
    let stray = files.list().map(|(p, _)| p).filter(|p| !tags(p) && !p.starts_with(PAYLOAD) && *p != TAG_MANIFEST);
    out.extend(stray.map(|p| Finding::new(Class::Tampered, p, "unlisted", "no file of a bundle")));
    // What an altered manifest says about other files is not worth reporting.
    if !intact.contains(MANIFEST) {
        return payload;
    }
    let declared = tag_digests.get(DECLARATION) == Some(&Digest::of(DECLARATION_TEXT.as_bytes()));
    if !declared && intact.contains(DECLARATION) {
        out.push(Finding::new(Class::Malformed, DECLARATION, "not-a-bag", "not the declaration of BagIt 1.0 in UTF-8"));
    }
    listing(files, MANIFEST, |p| p.starts_with(PAYLOAD), out, &mut payload);
    payload
}

/// Compares one manifest with the files it should list; names the files that are as listed.
fn listing(
    files: &dyn Files,
    name: &str,
    covers: impl Fn(&str) -> bool,
    out: &mut Vec<Finding>,
    digests: &mut BTreeMap<String, Digest>,
) -> BTreeSet<String> {
    let mut intact = BTreeSet::new();
    let malformed = |file: &str, rule: &str, why: String| Finding::new(Class::Malformed, file, rule, why);
    let bytes = match files.read(name, FILE_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            out.push(malformed(name, "manifest", format!("there is no {name}")));
            return intact;
        }
        Err(e) => {
            out.push(malformed(name, "unreadable", e.to_string()));
            return intact;
        }
    };
    let listed = match parse_manifest(&bytes, |p| files.contains(p)) {
        Ok(listed) => listed,
        Err(why) => {
            out.push(malformed(name, "manifest", why));
            return intact;
        }
    };
    for path in listed.keys().filter(|p| !covers(p)) {
        out.push(malformed(name, "manifest", format!("lists {path}, which is not its to list")));
    }
    for path in listed.keys().filter(|p| covers(p) && !files.contains(p)) {
        out.push(Finding::new(Class::Tampered, *path, "missing", format!("listed in {name} and not there")));
    }
    for (path, _) in files.list().filter(|(p, _)| covers(p)) {
        let mut hash = Sha256::new();
        if let Err(e) = each_chunk(files, path, |chunk| hash.update(chunk)) {
            out.push(malformed(path, "unreadable", e.to_string()));
            continue;
        }
        let digest = Digest(hash.finalize().into());
        digests.insert(path.to_owned(), digest);
        match listed.get(path) {
            Some(d) if *d == digest => drop(intact.insert(path.to_owned())),
            Some(d) => {
                let detail = format!("has SHA-256 {digest}, {name} says {d}");
                out.push(Finding::new(Class::Tampered, path, "digest", detail));
            }
            None => out.push(Finding::new(Class::Tampered, path, "unlisted", format!("not listed in {name}"))),
        }
    }
    intact
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that panics has failed
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "data/x/y.json", "data/logs/1/entries.jsonl", "a..b"] {
            assert!(path_allowed(good), "{good}");
        }
        for bad in
            ["", "/a", "a/", "a//b", "..", "../a", "data/../../a", "./a", "a\\b", "c:a", "a b", "a\n", "é", "a%2e"]
        {
            assert!(!path_allowed(bad), "{bad:?}");
        }
        assert!(!path_allowed(&"a".repeat(PATH_MAX + 1)));
    }

    #[test]
    fn a_manifest_has_one_spelling() {
        let d = Digest::of(b"x");
        let bytes = manifest([("b", d), ("a", d)]);
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), format!("{d}  a\n{d}  b\n"));
        assert_eq!(parse_manifest(&bytes, |_| false).unwrap().len(), 2);
        for bad in [
            String::new(),
            format!("{d}  a"),
            format!("{d} a\n"),
            format!("{d} *a\n"),
            format!("{}  a\n", d.to_string().to_uppercase()),
            format!("{d}  b\n{d}  a\n"),
            format!("{d}  a\n{d}  a\n"),
            format!("{d}  ../a\n"),
            format!("{d}  a\r\n"),
            format!("{d}  a\n\n"),
        ] {
            assert!(parse_manifest(bad.as_bytes(), |_| false).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_fault_of_a_package_is_named() {
        let good = pack([("data/a".to_owned(), b"1".to_vec()), ("data/b".to_owned(), b"2".to_vec())].into(), b"i\n");
        let run = |files: &BTreeMap<String, Vec<u8>>| {
            let mut out = Vec::new();
            check(files, &mut out);
            out.iter().map(|f| format!("{} {} {}", f.class, f.file, f.rule)).collect::<Vec<_>>()
        };
        assert!(run(&good).is_empty());
        let changed = |path: &str, bytes: Option<&[u8]>| {
            let mut files = good.clone();
            match bytes {
                Some(b) => files.insert(path.into(), b.to_vec()),
                None => files.remove(path),
            };
            run(&files)
        };
        assert_eq!(changed("data/a", Some(b"x")), ["TAMPERED data/a digest"]);
        assert_eq!(changed("data/a", None), ["TAMPERED data/a missing"]);
        assert_eq!(changed("data/c", Some(b"x")), ["TAMPERED data/c unlisted"]);
        assert_eq!(changed("fetch.txt", Some(b"x")), ["TAMPERED fetch.txt unlisted"]);
        assert_eq!(changed("data/../../c", Some(b"x"))[0], "MALFORMED data/../../c path");
        assert_eq!(changed(DECLARATION, None), ["MALFORMED bagit.txt not-a-bag"]);
        assert_eq!(changed(DECLARATION, Some(b"BagIt-Version: 0.97\n")), ["TAMPERED bagit.txt digest"]);
        assert_eq!(changed(INFO, Some(b"j\n")), ["TAMPERED bag-info.txt digest"]);
        assert_eq!(changed(MANIFEST, Some(b"j\n")), ["TAMPERED manifest-sha256.txt digest"]);
        assert_eq!(changed(MANIFEST, None), ["TAMPERED manifest-sha256.txt missing"]);
        assert_eq!(changed(TAG_MANIFEST, None), ["MALFORMED tagmanifest-sha256.txt manifest"]);
        assert_eq!(changed(TAG_MANIFEST, Some(b"j\n")), ["MALFORMED tagmanifest-sha256.txt manifest"]);
    }
}
