//! Every bound on input, in one place. All are checked before allocation grows with the input.

/// Largest DSSE envelope of any kind, bytes.
pub const ENVELOPE_MAX: usize = 3 * 1024 * 1024;
/// Largest payload of an ordinary statement, bytes.
pub const PAYLOAD_SMALL: usize = 64 * 1024;
/// Largest payload of a charter, enrolment, deposit, request or verdict, bytes.
pub const PAYLOAD_LARGE: usize = 2 * 1024 * 1024;
/// Bytes by which an envelope may be longer than without white space.
pub const ENVELOPE_SLACK: usize = 4 * 1024;
/// Signatures in one envelope.
pub const SIGNATURES_MAX: usize = 32;
/// An SSH public key in its wire format, bytes.
pub const SSH_KEY_MAX: usize = 512;
/// One signature of the method `sshsig`, bytes.
pub const SSHSIG_MAX: usize = 4 * 1024;
/// Nesting of JSON.
pub const JSON_DEPTH: usize = 16;
/// Largest integer in JSON, 2^53 - 1 (RFC 8259 section 6, interoperable range).
pub const JSON_INT_MAX: i64 = (1 << 53) - 1;
/// Items in one deal.
pub const ITEMS_PER_DEAL: usize = 256;
/// Items in one request, whatever the charter says.
pub const ITEMS_PER_REQUEST: usize = 10_000;
/// Custodians named by one request or question.
pub const CUSTODIANS_MAX: usize = 1_000;
/// Longest context of a request on each side, hours: a leap year.
pub const CONTEXT_HOURS_MAX: u32 = 366 * 24;
/// Longest context of a request on each side, messages.
pub const CONTEXT_MESSAGES_MAX: u32 = 10_000;
/// Participants named by one item.
pub const PARTICIPANTS_PER_ITEM: usize = 1_000;
/// Policies named by one consent.
pub const POLICIES_PER_CONSENT: usize = 16;
/// Length of one policy text, bytes.
pub const POLICY_TEXT_MAX: usize = 32 * 1024;
/// Seats of a charter (indices 1..=255).
pub const SEATS_MAX: usize = 255;
/// People of a charter.
pub const PEOPLE_MAX: usize = 2_000;
/// Devices in one enrolment statement.
pub const DEVICES_PER_ENROLMENT: usize = 256;
/// One sealed share blob: HPKE encapsulation, tag, and 64 bytes per item.
pub const SHARE_BLOB_MAX: usize = 4_096 + 64 * ITEMS_PER_DEAL;
/// Longest life of a permit, seconds; the charter may only shorten it.
pub const PERMIT_LIFE_MAX_S: i64 = 60;
/// Longest age of an authorisation and of collected answers at delivery, seconds.
pub const AUTHORISATION_LIFE_S: u64 = 60;
/// Controllers that a charter lists.
pub const CONTROLLERS_MAX: usize = 16;
/// Restrictions in one answer about all of them; the asker comes again for the rest.
pub const RESTRICTIONS_PER_ANSWER: usize = 500;
/// Bytes of restriction statements after which a page of them ends.
pub const RESTRICTION_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Consents that one question about restrictions may name.
pub const CONSENTS_PER_ASK: usize = ITEMS_PER_REQUEST;
/// Withdrawals by one subject of consents that a node does not know yet.
pub const EARLY_WITHDRAWALS_MAX: usize = 64;
/// An idle log is cosigned again after this time, seconds.
pub const HEARTBEAT_S: u64 = 600;
/// Body of any HTTP request, bytes.
pub const HTTP_BODY_MAX: usize = 4 * 1024 * 1024;
