//! Every problem code: the rules of the gate, and what a node says besides them. The one table
//! behind problem documents, `docs/problems.md`, the status table of `docs/protocol.md` and the
//! OpenAPI document.

use axum::http::StatusCode;
use escrow_policy::{Blame, Rule};

/// One problem code.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The stable code; the problem's `type` is `urn:escrow:problem:<code>`.
    pub code: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// Whose fault it usually is.
    pub blame: Blame,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What to do.
    pub next: &'static str,
}

/// All problem codes, by status, those of the node itself last.
pub fn all() -> Vec<Row> {
    let mut rows: Vec<Row> = Rule::ALL.iter().copied().map(of_rule).chain(Own::ALL.iter().map(|o| o.row())).collect();
    rows.sort_by_key(|r| r.status);
    rows
}

fn of_rule(rule: Rule) -> Row {
    Row {
        code: rule.code(),
        status: status(rule),
        blame: rule.blame(),
        meaning: rule.meaning(),
        next: rule.next_step(),
    }
}

/// HTTP status of a rule: what kind of mistake it is.
pub(super) const fn status(rule: Rule) -> StatusCode {
    match rule {
        Rule::Malformed | Rule::DealInvalid | Rule::NotSubmittable => StatusCode::BAD_REQUEST,
        Rule::BadSignature | Rule::KeyRevoked | Rule::KeyNotValid | Rule::NotEnrolled => StatusCode::UNAUTHORIZED,
        Rule::CharterStale | Rule::CharterUnknown | Rule::DealReplayed | Rule::MatterChain | Rule::Generation => {
            StatusCode::CONFLICT
        }
        Rule::RequestUnknown | Rule::ConsentUnknown | Rule::MatterUnknown | Rule::ItemUnknown => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    }
}

macro_rules! own {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:ident, $blame:ident => $next:literal,)*) => {
        /// What a node says besides the rules of the gate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Own {
            $($(#[doc = $doc])* $name,)*
        }

        impl Own {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(super) const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        code: $code,
                        status: StatusCode::$status,
                        blame: Blame::$blame,
                        meaning: concat!($($doc),*).trim_ascii(),
                        next: $next,
                    },)*
                }
            }
        }
    };
}

own! {
    /// No such address.
    NotFound = "not-found", NOT_FOUND,
        Caller => "use an address of /v1/openapi.json",
    /// This address takes another method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED,
        Caller => "use the method of /v1/openapi.json",
    /// The body is above the limit.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE,
        Caller => "send less at a time",
    /// Only another seat of the charter may ask this.
    NotAPeer = "not-a-peer", FORBIDDEN,
        Caller => "show the TLS key that the charter pins for a seat",
    /// Too much at a time came from this key or, of what no known key signed or what was logged before, from this address.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS,
        Caller => "wait as long as Retry-After says, then send the same bytes again",
    /// Too many requests are in flight at this node.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE,
        Nobody => "try again in a moment",
    /// The node cannot work now: its log is not proven yet, too few peers cosign it, or it has stopped.
    NotReady = "not-ready", SERVICE_UNAVAILABLE,
        Operator => "ask the other nodes; if it stays, tell the operator, whom /readyz tells the reason",
    /// Too few other nodes answered or cosigned in time.
    PeersMissing = "peers-missing", SERVICE_UNAVAILABLE,
        Peer => "try again when more nodes are up",
    /// The node's disk is nearly full: it takes in restrictions (withdrawal, denial, revocation, cancellation) only.
    DiskLow = "disk-low", INSUFFICIENT_STORAGE,
        Operator => "send it to the other nodes and here again later; the operator frees disk space, and it ends by itself",
    /// No answer in time; what was logged stays logged.
    Timeout = "timeout", GATEWAY_TIMEOUT,
        Node => "send the same bytes again",
    /// A fault of the node itself.
    Internal = "internal", INTERNAL_SERVER_ERROR,
        Node => "tell the operator, who finds it in the node's log",
}

impl Row {
    /// Meaning and next step, for a person who meets it.
    pub(super) fn words(&self) -> String {
        format!("{}: {}", self.meaning.trim_end_matches('.'), self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    /// Holds a part of a document against what the code says; `ESCROW_BLESS=1` rewrites it.
    fn drift(file: &str, part: impl Fn(&str) -> std::ops::Range<usize>, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        let at = part(&text);
        if std::env::var_os("ESCROW_BLESS").is_some() {
            text.replace_range(at, made);
            std::fs::write(&path, text).unwrap();
        } else {
            assert_eq!(&text[at], made, "{file} differs from the code; ESCROW_BLESS=1 rewrites it");
        }
    }

    const INTRO: &str = "# Problem codes

<!-- Written by `ESCROW_BLESS=1 cargo test -p escrow-node --lib codes`; change policy/src/refusal.rs or
     escrow-node/src/http/codes.rs instead. -->

A node that does not do what it was asked answers with an RFC 9457 problem document ([protocol](protocol.md), section 22.2). `code` is
stable and stands in verdicts and logs too; `type` is `urn:escrow:problem:<code>`; `detail` says in words what happened this time. *Whose
fault* is the usual case: `nobody` where the refusal is what somebody wanted.
";

    #[test]
    fn the_page_of_problems_is_the_table_of_the_code() {
        let mut page = INTRO.to_owned();
        let mut last = None;
        for r in all() {
            if last.replace(r.status) != Some(r.status) {
                let reason = r.status.canonical_reason().unwrap();
                page.push_str(&format!(
                    "\n## {} {reason}\n\n| Code | Whose fault | What it means | Next step |\n|---|---|---|---|\n",
                    r.status.as_u16()
                ));
            }
            page.push_str(&format!("| `{}` | {} | {} | {} |\n", r.code, r.blame.name(), r.meaning, r.next));
        }
        drift("docs/problems.md", |text| 0..text.len(), &page);
    }

    #[test]
    fn the_status_table_of_the_protocol_is_the_table_of_the_code() {
        let mut codes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for r in all() {
            codes.entry(r.status.as_u16()).or_default().push(format!("`{}`", r.code));
        }
        let mut table = String::new();
        for (status, codes) in codes {
            table.push_str(&format!("| {status} | {} |\n", codes.join(", ")));
        }
        let marker = "### 22.2 Problems";
        let part = |text: &str| {
            let head = "| Status | Codes |\n|---|---|\n";
            let section = text.find(marker).unwrap();
            let start = section + text[section..].find(head).unwrap() + head.len();
            start..start + text[start..].find("\n\n").unwrap() + 1
        };
        drift("docs/protocol.md", part, &table);
    }

    #[test]
    fn every_code_stands_once_and_says_what_to_do() {
        let rows = all();
        let codes: BTreeSet<&str> = rows.iter().map(|r| r.code).collect();
        assert_eq!(codes.len(), rows.len(), "a code stands twice");
        for r in rows {
            assert!(r.meaning.ends_with('.') && !r.meaning.contains('|') && !r.meaning.contains('\n'), "{r:?}");
            assert!(!r.next.is_empty() && !r.next.ends_with('.') && !r.next.contains('|'), "{r:?}");
            assert!(r.status.is_client_error() || r.status.is_server_error(), "{r:?}");
        }
    }
}
