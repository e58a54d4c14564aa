//! The package: a BagIt bag (RFC 8493), whoever made it. What `escrow verify` takes as an evidence
//! bundle is narrower; a production may come from any tool.

use super::finding::{Findings, quoted};
use super::folder::{Digests, Folder, plain};
use super::limits::Limits;
use super::rules;
use std::collections::BTreeMap;

const DECLARATION: &str = "bagit.txt";
const INFO: &str = "bag-info.txt";
const PAYLOAD: &str = "data/";

/// Digest algorithms with the length of a digest in hex.
const ALGORITHMS: [(&str, usize); 3] = [("md5", 32), ("sha256", 64), ("sha512", 128)];

/// One manifest: its algorithm, and digests by path.
struct Manifest {
    name: String,
    algorithm: &'static str,
    digests: BTreeMap<String, String>,
}

/// True if the folder is meant as a bag.
pub(super) fn is_bag(folder: &Folder) -> bool {
    let payload = folder.files().any(|(p, _)| p.starts_with(PAYLOAD));
    folder.contains(DECLARATION) || payload && folder.files().any(|(p, _)| p.starts_with("manifest-") && at_top(p))
}

fn at_top(path: &str) -> bool {
    !path.contains('/')
}

/// Checks the bag. Findings name the file that they are about.
pub(super) fn check(folder: &mut Folder, limits: &Limits) -> Vec<Findings> {
    let mut out = Vec::new();
    let mut package = Findings::of("");
    declaration(folder, limits, &mut package);
    info(folder, limits, &mut package);
    if folder.contains("fetch.txt") {
        package.add(&rules::BAG_FETCH, "fetch.txt lists files that are elsewhere");
    }
    let payload = manifests(folder, "manifest-", limits, &mut package);
    let tags = manifests(folder, "tagmanifest-", limits, &mut package);
    if payload.is_empty() {
        if package.count() == 0 {
            package.add(&rules::BAG_MANIFEST_MISSING, "there is no payload manifest");
        }
    } else if payload.iter().all(|m| m.algorithm == "md5") {
        package.add(&rules::BAG_WEAK, "the payload has MD5 digests only");
    }
    if tags.is_empty() {
        package.add(&rules::BAG_TAGS_MISSING, "there is no tag manifest");
    }
    out.push(package);
    let files: Vec<String> = folder.files().map(|(p, _)| p.to_owned()).collect();
    let mut named: Vec<String> = payload.iter().chain(&tags).flat_map(|m| m.digests.keys().cloned()).collect();
    named.extend(files);
    named.sort_unstable();
    named.dedup();
    for path in named {
        let mut found = Findings::of(&path);
        file(folder, &path, &payload, &tags, &mut found);
        out.push(found);
    }
    out
}

/// One file against every manifest that should list it.
fn file(folder: &mut Folder, path: &str, payload: &[Manifest], tags: &[Manifest], out: &mut Findings) {
    let inside = path.starts_with(PAYLOAD);
    let manifests = if inside { payload } else { tags };
    let there = folder.contains(path);
    let listing = |m: &&Manifest| m.digests.contains_key(path);
    let needed = inside || path == DECLARATION || path == INFO || path.starts_with("manifest-") && at_top(path);
    if let Some(m) = manifests.iter().find(|m| !listing(m)).filter(|_| there && needed) {
        let rule = if inside { &rules::BAG_FILE_UNLISTED } else { &rules::BAG_TAG_UNLISTED };
        out.add(rule, format!("not listed in {}", m.name));
    }
    let Some(first) = manifests.iter().find(listing) else { return };
    if !there {
        return out.add(&rules::BAG_FILE_MISSING, format!("listed in {} and not there", first.name));
    }
    let real = match folder.digests(path) {
        Ok(real) => real,
        Err(e) => return out.add(&rules::UNREADABLE, e.to_string()),
    };
    let differs = |m: &&Manifest| m.digests.get(path).is_some_and(|d| d != digest(&real, m.algorithm));
    if let Some(m) = manifests.iter().find(differs) {
        out.add(
            &rules::BAG_FILE_ALTERED,
            format!("has {} {}, which is not what {} says", m.algorithm, digest(&real, m.algorithm), m.name),
        );
    }
}

fn digest<'a>(digests: &'a Digests, algorithm: &str) -> &'a str {
    match algorithm {
        "md5" => &digests.md5,
        "sha512" => &digests.sha512,
        _ => &digests.sha256,
    }
}

fn declaration(folder: &Folder, limits: &Limits, out: &mut Findings) {
    let text = folder.contains(DECLARATION).then(|| folder.read(DECLARATION, limits.line));
    let Some(Ok(text)) = text else {
        return out.add(&rules::BAG_DECLARATION, "there is no bagit.txt that can be read");
    };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let version = lines.next().and_then(|l| l.strip_prefix("BagIt-Version: "));
    let encoding = lines.next().and_then(|l| l.strip_prefix("Tag-File-Character-Encoding: "));
    let known = version.is_some_and(|v| matches!(v, "1.0" | "0.97"));
    if !known || !encoding.is_some_and(|e| e.eq_ignore_ascii_case("UTF-8")) || lines.next().is_some() {
        out.add(&rules::BAG_DECLARATION, "bagit.txt declares no bag that is known here");
    }
}

/// Payload-Oxum: bytes and files of the payload, which need no digest to be checked.
fn info(folder: &Folder, limits: &Limits, out: &mut Findings) {
    let text = folder.contains(INFO).then(|| folder.read(INFO, limits.line).ok()).flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let oxum =
        text.lines().filter_map(|l| l.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("Payload-Oxum"));
    let Some((_, oxum)) = oxum else {
        return out.add(&rules::BAG_OXUM_MISSING, "there is no Payload-Oxum in bag-info.txt");
    };
    let payload = || folder.files().filter(|(p, _)| p.starts_with(PAYLOAD));
    let real = format!("{}.{}", payload().map(|(_, size)| size).sum::<u64>(), payload().count());
    if oxum.trim() != real {
        out.add(&rules::BAG_OXUM, format!("Payload-Oxum is `{}`, the payload has {real}", quoted(oxum.trim())));
    }
}

/// The manifests whose names begin so.
fn manifests(folder: &Folder, prefix: &str, limits: &Limits, out: &mut Findings) -> Vec<Manifest> {
    let names: Vec<String> = folder.files().map(|(p, _)| p.to_owned()).filter(|p| at_top(p)).collect();
    let mut manifests = Vec::new();
    for name in names {
        let Some(algorithm) = name.strip_prefix(prefix).and_then(|n| n.strip_suffix(".txt")) else { continue };
        let Some((algorithm, length)) = ALGORITHMS.iter().find(|(a, _)| *a == algorithm) else {
            out.add(&rules::BAG_ALGORITHM, format!("{} was not checked", quoted(&name)));
            continue;
        };
        match folder.read(&name, limits.line) {
            Ok(bytes) => match parse(&bytes, *length, prefix == "manifest-", &name, out) {
                Ok(digests) => manifests.push(Manifest { name, algorithm, digests }),
                Err(what) => out.add(&rules::BAG_MANIFEST, format!("{name}: {what}")),
            },
            Err(e) => out.add(&rules::UNREADABLE, format!("{name}: {e}")),
        }
    }
    manifests
}

/// Reads a manifest; paths that leave the bag are findings and listed no further.
fn parse(
    bytes: &[u8],
    length: usize,
    payload: bool,
    name: &str,
    out: &mut Findings,
) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut digests = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty()) {
        let bad = |what: &str| format!("line {}: {what}", at + 1);
        let (digest, path) = line.split_once([' ', '\t']).ok_or_else(|| bad("no digest and path"))?;
        if digest.len() != length || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("no digest of this algorithm"));
        }
        let path = path.trim_start_matches([' ', '\t']);
        let path = path.strip_prefix('*').unwrap_or(path);
        // The three characters that a line cannot have (RFC 8493 section 2.1.3).
        let path = path.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
        if !plain(&path) || path.contains('\\') || path.starts_with(PAYLOAD) != payload {
            out.add(&rules::BAG_PATH, format!("{name} lists `{}`", quoted(&path)));
        } else if digests.insert(path, digest.to_ascii_lowercase()).is_some() {
            return Err(bad("this path stands twice"));
        }
    }
    Ok(digests)
}
