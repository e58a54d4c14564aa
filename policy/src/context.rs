//! What a policy sees: schema version 1 of the Cedar context.
//!
//! Serialised with its members in the order below (alphabetical), so that the same facts give the
//! same bytes at every node and in every verifier; verdicts carry the digest of those bytes.

use escrow_core::charter::Basis;
use escrow_core::{Code, Digest, KeyId, MatterId, Org, PersonId, Role};
use serde::Serialize;
use std::collections::BTreeMap;

/// The schema version this engine speaks.
pub const SCHEMA_VERSION: u32 = 1;

/// The numbers that more signatures or more time can raise. Policies may only use them so that
/// more never hurts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Distinct people approving in each approver role; every charter role is present.
    pub approvals: BTreeMap<Role, u64>,
    /// Distinct people approving in any role.
    pub approvers: u64,
    /// Seconds since this node first logged the request.
    pub waited_seconds: u64,
}

/// Other participants of the requested threads, inside and outside, each person once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Participants {
    /// Inside, with a live consent of their own.
    pub consented: u64,
    /// Inside, without one.
    pub informed: u64,
    /// Outside the organisation.
    pub outside: u64,
}

/// Everything that counters do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Circumstances {
    /// Of a request; action `release`.
    Release(Release),
    /// Of a self-recovery; action `recover`.
    Recover(Recover),
}

/// Everything about a request that counters do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The requestor, the policy's principal.
    pub requestor: PersonId,
    /// The matter, the policy's resource.
    pub matter: MatterId,
    /// True if an authority reference is named.
    pub authority: bool,
    /// Basis of the request.
    pub basis: Basis,
    /// Bases of the consent records that the items were deposited under, sorted.
    pub consent_bases: Vec<Basis>,
    /// Participants other than the depositors.
    pub consents: Participants,
    /// Earlier requests for any of these items that were denied.
    pub earlier_denials: u64,
    /// Other requests for any of these items for which this node has delivered a reply.
    pub earlier_releases: u64,
    /// Items asked for.
    pub items: u64,
    /// `immediate` or `delayed`.
    pub notice: &'static str,
    /// Days by which the notice is delayed, rounded up; 0 if it is immediate.
    pub notice_days: u64,
    /// Purpose of the request.
    pub purpose: Code,
    /// `person`, `filter-team` or `device`.
    pub recipient: &'static str,
    /// True if the recipient is the requestor.
    pub recipient_is_requestor: bool,
    /// Days from the first to the last instant asked for, rounded up.
    pub span_days: u64,
    /// Threads asked for.
    pub threads: u64,
}

/// Everything about a self-recovery that counters do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recover {
    /// The organisation, the policy's resource.
    pub org: Org,
    /// Key id of the device, the policy's principal.
    pub device: KeyId,
    /// Seconds between the first log of the device's enrolment and that of the self-recovery, here.
    pub device_age_before: u64,
    /// Earlier requests for any of these items that were denied.
    pub earlier_denials: u64,
    /// Other requests for any of these items for which this node has delivered a reply.
    pub earlier_releases: u64,
    /// Items asked for.
    pub items: u64,
    /// Other live devices of the subject.
    pub other_devices: u64,
    /// Threads of the items.
    pub threads: u64,
}

#[derive(Serialize)]
struct ReleaseBytes<'a> {
    approvals: &'a BTreeMap<Role, u64>,
    approvers: u64,
    authority: bool,
    basis: Basis,
    consent_bases: &'a [Basis],
    consents: Participants,
    /// The depositor's consent is live, or the hard floor would have refused before.
    depositor_consent: &'static str,
    earlier_denials: u64,
    earlier_releases: u64,
    /// Legal holds are a later statement kind; none exists yet.
    hold: bool,
    items: u64,
    matter: &'a MatterId,
    notice: &'static str,
    notice_days: u64,
    purpose: &'a Code,
    recipient: &'static str,
    recipient_is_requestor: bool,
    requestor: &'a PersonId,
    span_days: u64,
    threads: u64,
    waited_seconds: u64,
}

#[derive(Serialize)]
struct RecoverBytes<'a> {
    approvals: &'a BTreeMap<Role, u64>,
    approvers: u64,
    device_age_seconds: u64,
    earlier_denials: u64,
    earlier_releases: u64,
    /// As above.
    hold: bool,
    items: u64,
    other_devices: u64,
    threads: u64,
    waited_seconds: u64,
}

/// The exact bytes handed to the policies.
pub fn bytes(c: &Circumstances, n: &Counters) -> Vec<u8> {
    // Strings, numbers and maps with string keys always serialise.
    match c {
        Circumstances::Release(c) => serde_json::to_vec(&ReleaseBytes {
            approvals: &n.approvals,
            approvers: n.approvers,
            authority: c.authority,
            basis: c.basis,
            consent_bases: &c.consent_bases,
            consents: c.consents,
            depositor_consent: "live",
            earlier_denials: c.earlier_denials,
            earlier_releases: c.earlier_releases,
            hold: false,
            items: c.items,
            matter: &c.matter,
            notice: c.notice,
            notice_days: c.notice_days,
            purpose: &c.purpose,
            recipient: c.recipient,
            recipient_is_requestor: c.recipient_is_requestor,
            requestor: &c.requestor,
            span_days: c.span_days,
            threads: c.threads,
            waited_seconds: n.waited_seconds,
        }),
        Circumstances::Recover(c) => serde_json::to_vec(&RecoverBytes {
            approvals: &n.approvals,
            approvers: n.approvers,
            device_age_seconds: c.device_age_before.saturating_add(n.waited_seconds),
            earlier_denials: c.earlier_denials,
            earlier_releases: c.earlier_releases,
            hold: false,
            items: c.items,
            other_devices: c.other_devices,
            threads: c.threads,
            waited_seconds: n.waited_seconds,
        }),
    }
    .unwrap_or_default()
}

/// Digest of context bytes, as verdicts carry it.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

/// The Cedar schema for these approver roles. Every role is an attribute, 0 when nobody approved.
///
/// Requests ask for the action `release`, self-recoveries for `recover`: a text that permits only
/// one of them denies the other.
pub fn schema_text(roles: &[Role]) -> String {
    let approvals: Vec<String> = roles.iter().map(|r| format!("\"{r}\": Long")).collect();
    let approvals = approvals.join(", ");
    format!(
        r#"namespace Escrow {{
    entity Person;
    entity Matter;
    entity Device;
    entity Organisation;
    action "release" appliesTo {{
        principal: [Person],
        resource: [Matter],
        context: {{
            "approvals": {{ {approvals} }},
            "approvers": Long,
            "authority": Bool,
            "basis": String,
            "consent_bases": Set<String>,
            "consents": {{ "consented": Long, "informed": Long, "outside": Long }},
            "depositor_consent": String,
            "earlier_denials": Long,
            "earlier_releases": Long,
            "hold": Bool,
            "items": Long,
            "matter": String,
            "notice": String,
            "notice_days": Long,
            "purpose": String,
            "recipient": String,
            "recipient_is_requestor": Bool,
            "requestor": String,
            "span_days": Long,
            "threads": Long,
            "waited_seconds": Long
        }}
    }};
    action "recover" appliesTo {{
        principal: [Device],
        resource: [Organisation],
        context: {{
            "approvals": {{ {approvals} }},
            "approvers": Long,
            "device_age_seconds": Long,
            "earlier_denials": Long,
            "earlier_releases": Long,
            "hold": Bool,
            "items": Long,
            "other_devices": Long,
            "threads": Long,
            "waited_seconds": Long
        }}
    }};
}}
"#
    )
}
