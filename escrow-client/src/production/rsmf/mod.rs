//! RSMF 2.0.0: one file for each conversation and local day, at most [`super::EVENTS_MAX`] events each.

mod container;
mod manifest;

use super::bag::{Bag, Sums};
use super::event::{Event, Slice};
use super::package::{Counted, Package, Provenance, Tally};
use super::source::Source;
use super::{ProductionError, Sink};
use crate::zone::Zone;
use container::Container;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes RSMF files into a package.
pub(super) struct Files {
    package: Package,
}

impl Files {
    pub(super) fn new(package: Package) -> Self {
        Self { package }
    }
}

impl Sink for Files {
    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError> {
        let file = format!("rsmf/{}.rsmf", slice.name());
        let (provenance, zone) = (&self.package.provenance, &self.package.selection.zone);
        let sums = write(&mut self.package.bag, &file, provenance, zone, source, slice)?;
        self.package.count(Counted {
            file: format!("data/{file}"),
            conversation: slice.conversation.id.clone(),
            span: slice.span(),
            tally: Tally::of(slice),
            sums,
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Package, ProductionError> {
        Ok(self.package)
    }
}

/// Writes one RSMF file.
pub(super) fn write(
    bag: &mut Bag,
    path: &str,
    provenance: &Provenance,
    zone: &Zone,
    source: &Source<'_>,
    slice: &Slice<'_>,
) -> Result<Sums, ProductionError> {
    let mut archive = zip(bag.scratch()?, provenance, zone, source, slice)?;
    archive.seek(SeekFrom::Start(0))?;
    let container = Container { provenance, zone, slice };
    bag.file(path, |out| container.write(out, &mut archive))
}

/// `rsmf.zip`: the manifest, and each attachment once. Bytes follow from content and nothing else.
fn zip(
    scratch: File,
    provenance: &Provenance,
    zone: &Zone,
    source: &Source<'_>,
    slice: &Slice<'_>,
) -> Result<File, ProductionError> {
    let options = SimpleFileOptions::default()
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644)
        .compression_method(CompressionMethod::Deflated);
    let mut zip = ZipWriter::new(BufWriter::new(scratch));
    zip.start_file("rsmf_manifest.json", options)?;
    let manifest = manifest::Manifest::of(provenance, zone, slice);
    serde_json::to_writer_pretty(&mut zip, &manifest).map_err(std::io::Error::from)?;
    zip.write_all(b"\n")?;
    let events = slice.events.iter().flat_map(|e: &Event| &e.attachments);
    let files: BTreeMap<String, _> = events.map(|a| (a.file_name(), a)).collect();
    for (name, attachment) in files {
        // Most are compressed already.
        zip.start_file(name, options.compression_method(CompressionMethod::Stored))?;
        source.extract(attachment.item, &attachment.file, &mut zip).map_err(ProductionError::Changed)?;
    }
    zip.finish()?.into_inner().map_err(|e| ProductionError::Write(e.into_error()))
}
