//! The container of an RSMF file: a message of RFC 5322 with the text that people search, and one
//! attachment, `rsmf.zip`. Written in one pass, the archive never being in memory.

use super::manifest::VERSION;
use crate::production::ProductionError;
use crate::production::event::Slice;
use crate::production::package::{GENERATOR, Provenance, Tally};
use crate::production::text;
use crate::zone::Zone;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use escrow_core::Digest;
use mail_builder::headers::Header;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::text::Text;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};

/// Bytes that make one line of base64 (RFC 2045 section 6.8: at most 76 characters).
const LINE: usize = 57;

pub(super) struct Container<'a> {
    pub(super) provenance: &'a Provenance,
    pub(super) zone: &'a Zone,
    pub(super) slice: &'a Slice<'a>,
}

impl Container<'_> {
    pub(super) fn write(&self, out: &mut dyn Write, archive: &mut File) -> Result<(), ProductionError> {
        let boundary = self.boundary();
        out.write_all(&self.headers(&boundary))?;
        part(out, &boundary, "text/plain; charset=utf-8", "inline")?;
        encode(out, &mut text::of(self.slice, self.zone).as_bytes())?;
        part(out, &boundary, "application/zip; name=\"rsmf.zip\"", "attachment; filename=\"rsmf.zip\"")?;
        encode(out, &mut BufReader::new(archive))?;
        Ok(write!(out, "--{boundary}--\r\n")?)
    }

    /// Names the file among all productions; also what separates its parts, as base64 never holds `=_`.
    fn id(&self) -> String {
        let text = format!("{} {} {}", self.provenance.release, self.provenance.evidence, self.slice.name());
        Digest::of(text.as_bytes()).to_string().chars().take(40).collect()
    }

    fn boundary(&self) -> String {
        format!("=_{}", self.id())
    }

    fn headers(&self, boundary: &str) -> Vec<u8> {
        let (slice, p) = (self.slice, self.provenance);
        let tally = Tally::of(slice);
        let mut out = Vec::new();
        header(&mut out, "X-RSMF-Version", &Text::new(VERSION));
        header(&mut out, "X-RSMF-Generator", &Text::new(GENERATOR));
        if let Some((begin, end)) = slice.span() {
            header(&mut out, "X-RSMF-BeginDate", &Text::new(self.zone.text(begin)));
            header(&mut out, "X-RSMF-EndDate", &Text::new(self.zone.text(end)));
            header(&mut out, "Date", &Date::new(end.millis().div_euclid(1000)));
        }
        header(&mut out, "X-RSMF-EventCount", &Text::new(tally.events.to_string()));
        header(&mut out, "X-RSMF-AttachmentCount", &Text::new(tally.attachments.to_string()));
        header(&mut out, "X-RSMF-EventCollectionID", &Text::new(slice.conversation.token.to_string()));
        header(&mut out, "X-RSMF-Application", &Text::new(slice.conversation.platform.as_str()));
        let people = slice.people();
        if let Some(custodian) = slice.custodian() {
            header(&mut out, "X-RSMF-Custodian", &Text::new(slice.display(custodian)));
        }
        if let Some(names) = listed(&people) {
            header(&mut out, "X-RSMF-Participants", &Text::new(names));
        }
        header(&mut out, "X-Escrow-Matter-ID", &Text::new(p.matter.as_str()));
        header(&mut out, "X-Escrow-Release-ID", &Text::new(p.release.to_string()));
        header(&mut out, "X-Escrow-Evidence", &Text::new(p.evidence.to_string()));
        header(&mut out, "X-Escrow-Log-Entries", &Text::new(p.positions.as_str()));
        header(&mut out, "X-Escrow-Thread", &Text::new(slice.conversation.token.to_string()));
        let author = slice.custodian().or_else(|| people.keys().next().copied());
        header(&mut out, "From", &from(author.map(|id| (id, slice.display(id)))));
        let subject = format!("{} {}", slice.conversation.display, slice.day);
        header(&mut out, "Subject", &Text::new(text::one_line(&subject)));
        out.extend_from_slice(
            format!(
                "Message-ID: <{}@escrow.invalid>\r\nMIME-Version: 1.0\r\n\
                 Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n",
                self.id()
            )
            .as_bytes(),
        );
        out
    }
}

/// Display names separated by commas; none if a name holds one, as nobody could tell them apart.
fn listed(people: &BTreeMap<&str, &str>) -> Option<String> {
    let plain = |name: &str| !name.contains(',') && text::one_line(name) == name && name.trim() == name;
    people.values().all(|n| plain(n)).then(|| people.values().copied().collect::<Vec<_>>().join(", "))
}

/// The one author that a platform takes names from; the address leads nowhere (RFC 2606).
fn from<'a>(author: Option<(&'a str, &'a str)>) -> Address<'a> {
    let Some((id, name)) = author else { return Address::new_address(Some("unknown"), "unknown@participant.invalid") };
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let local: String = if plain && id.len() <= 64 {
        id.to_owned()
    } else {
        Digest::of(id.as_bytes()).to_string().chars().take(32).collect()
    };
    Address::new_address(Some(text::one_line(name)), format!("{local}@participant.invalid"))
}

fn header(out: &mut Vec<u8>, name: &str, value: &impl Header) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value.write_header(out, name.len() + 2);
}

fn part(out: &mut dyn Write, boundary: &str, kind: &str, disposition: &str) -> Result<(), ProductionError> {
    Ok(write!(
        out,
        "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: {disposition}\r\n\r\n"
    )?)
}

/// Lines of base64 until the input ends.
fn encode(out: &mut dyn Write, from: &mut impl Read) -> Result<(), ProductionError> {
    let mut bytes = Vec::with_capacity(LINE);
    loop {
        bytes.clear();
        from.take(LINE as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        out.write_all(BASE64.encode(&bytes).as_bytes())?;
        out.write_all(b"\r\n")?;
    }
}
