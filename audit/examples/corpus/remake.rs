//! `corpus --reports FOLDER...`: in altered bundles the reports, and the manifests over them, are made anew from
//! the rest, as an attacker would who knows how they follow. Reports that were taken out stay out.

use super::common::Files;
use super::write;
use escrow_audit::bagit;
use escrow_audit::bundle::{Bundle, INDEX, Index};
use std::path::Path;

pub(super) fn reports(at: &Path) -> std::io::Result<()> {
    let Ok(Bundle { mut files }) = Bundle::read_dir(at) else { return Ok(()) };
    if !files.contains_key(bagit::DECLARATION) {
        return Ok(());
    }
    let Some(index) = files.get(INDEX).and_then(|bytes| Index::decode(bytes).ok()) else { return Ok(()) };
    for (path, bytes) in escrow_audit::report::files(&files, &index) {
        files.entry(path).and_modify(|old| *old = bytes);
    }
    let Some(info) = files.get(bagit::INFO).map(|b| String::from_utf8_lossy(b).into_owned()) else { return Ok(()) };
    let payload: Files =
        files.iter().filter(|(p, _)| p.starts_with("data/")).map(|(p, b)| (p.clone(), b.clone())).collect();
    let octets: usize = payload.values().map(Vec::len).sum();
    let head = info.split("Payload-Oxum").next().unwrap();
    let info = format!("{head}Payload-Oxum: {octets}.{}\n", payload.len());
    write(at, &bagit::pack(payload, info.as_bytes()))
}
