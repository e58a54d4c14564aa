//! What the policies see, written here as text, and counted anew for every question.

use super::model::{Act, DAY, Logged, Model, all};
use escrow_core::charter::Basis;
use escrow_core::consent::Coverage;
use escrow_core::deal::About;
use escrow_core::decision::Choice;
use escrow_core::request::{Notice, Request};
use escrow_core::{Digest, ItemId, PublicKey, Token};

/// The three numbers that more signatures or more waiting raise.
pub(super) struct Counters {
    pub roles: Vec<(String, u64)>,
    pub approvers: u64,
    pub waited: u64,
}

impl Model {
    /// Other requests for any of these items that were denied, and that something was delivered for.
    pub(super) fn earlier(&self, case: &Logged, items: &[ItemId]) -> (u64, u64) {
        let (mut denials, mut releases) = (0, 0);
        for other in self.log.iter().filter(|l| l.said.digest != case.said.digest) {
            let theirs = match &other.said.act {
                Act::Request(r) => &r.items,
                Act::Recovery(r) => &r.items,
                _ => continue,
            };
            if theirs.iter().any(|i| items.contains(i)) {
                // A subject must not learn by recovering of requests whose notice is delayed.
                if matches!((&case.said.act, &other.said.act), (Act::Recovery(_), Act::Request(_))) {
                    continue;
                }
                let of = &other.said.digest;
                let denied = all!(self, Decision).any(|(_, d)| d.request == *of && d.choice == Choice::Deny);
                let vetoed = matches!(&other.said.act, Act::Recovery(r) if self.vetoed(of, r));
                denials += u64::from(denied || vetoed);
                releases += u64::from(self.delivered(of) > 0);
            }
        }
        (denials, releases)
    }

    pub(super) fn delivered(&self, case: &Digest) -> usize {
        let ends = self.log.iter().filter_map(|l| if let Act::Ended(p, true) = &l.said.act { Some(*p) } else { None });
        ends.filter(|p| matches!(&self.log[*p].said.act, Act::Call(c) if c.request == *case)).count()
    }

    /// Consented, informed, outside: participants other than the depositors, each once.
    pub(super) fn participants(&self, r: &Request) -> (u64, u64, u64) {
        let depositors: Vec<Token> = r.items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d.depositor).collect();
        let abouts = self.abouts(&r.items);
        let mut seen = vec![];
        let (mut consented, mut informed, mut outside) = (0, 0, 0);
        for p in abouts.iter().flat_map(|a| &a.participants) {
            if depositors.contains(&p.token) || seen.contains(&p) {
                continue;
            }
            seen.push(p);
            // Their own consent, for this purpose, for every requested item that they are in.
            let covers = |digest: &Digest, a: &About| {
                let Ok(c) = self.live_consent(digest) else { return false };
                let own = c.subject == p.token && c.basis == Basis::Consent && c.purposes.contains(&r.purpose);
                let thread = match &c.coverage {
                    Coverage::Workspace => true,
                    Coverage::Threads(t) => t.contains(&a.thread),
                };
                let epoch = c.epochs.is_none_or(|e| e.first <= a.epoch && a.epoch <= e.last);
                own && thread && epoch && c.from <= a.from && a.to <= c.to
            };
            let mut theirs = abouts.iter().filter(|a| a.participants.iter().any(|q| q.token == p.token));
            let all = theirs.all(|a| all!(self, Consent).any(|(l, _)| covers(&l.said.digest, a)));
            match p.inside {
                false => outside += 1,
                true if all => consented += 1,
                true => informed += 1,
            }
        }
        (consented, informed, outside)
    }

    pub(super) fn context(&self, case: &Logged, n: &Counters) -> Vec<u8> {
        let roles: Vec<String> = n.roles.iter().map(|(r, n)| format!("\"{r}\":{n}")).collect();
        let approvals = format!("\"approvals\":{{{}}},\"approvers\":{}", roles.join(","), n.approvers);
        let days = |seconds: i64| (seconds + DAY - 1) / DAY;
        let waited = n.waited;
        match &case.said.act {
            Act::Request(r) => {
                let (denials, releases) = self.earlier(case, &r.items);
                let (consented, informed, outside) = self.participants(r);
                let mut bases: Vec<Basis> =
                    self.consents_of(&r.items).iter().map(|d| self.consent(d).unwrap().basis).collect();
                bases.sort();
                bases.dedup();
                let bases: Vec<String> = bases.iter().map(|b| format!("\"{}\"", b.name())).collect();
                let (notice, notice_days) = match &r.notice {
                    Notice::Immediate => ("immediate", 0),
                    Notice::Delayed(d) => ("delayed", days(d.until.seconds_since(r.created))),
                };
                format!(
                    "{{{approvals},\"authority\":{},\"basis\":\"{}\",\"consent_bases\":[{}],\
                     \"consents\":{{\"consented\":{consented},\"informed\":{informed},\"outside\":{outside}}},\
                     \"depositor_consent\":\"live\",\"earlier_denials\":{denials},\"earlier_releases\":{releases},\
                     \"hold\":false,\"items\":{},\"matter\":\"{}\",\"notice\":\"{notice}\",\"notice_days\":{notice_days},\
                     \"purpose\":\"{}\",\"recipient\":\"{}\",\"recipient_is_requestor\":{},\"requestor\":\"{}\",\
                     \"span_days\":{},\"threads\":{},\"waited_seconds\":{waited}}}",
                    r.authority.is_some(),
                    r.basis.name(),
                    bases.join(","),
                    r.items.len(),
                    r.matter,
                    r.purpose,
                    r.recipient.name(),
                    self.recipient(r).as_ref() == Some(&r.by),
                    r.by,
                    days(r.scope.to.seconds_since(r.scope.from)),
                    r.scope.threads.len(),
                )
            }
            Act::Recovery(r) => {
                let (denials, releases) = self.earlier(case, &r.items);
                let (enrolled, e) = all!(self, Enrolment).find(|(l, _)| l.said.digest == r.enrolment).unwrap();
                let mut others: Vec<&PublicKey> = vec![];
                for (l, e, d) in self.devices() {
                    // One whose enrolment begins later counts too.
                    let standing = self.live(l, e, d, self.now.max(e.from)) && self.now < e.until;
                    let other = d.subject == r.subject && d.key != r.key && standing;
                    if other && !others.contains(&&d.key) {
                        others.push(&d.key);
                    }
                }
                let mut threads: Vec<Token> = self.abouts(&r.items).iter().map(|a| a.thread).collect();
                threads.sort();
                threads.dedup();
                format!(
                    "{{{approvals},\"device_age_seconds\":{},\"earlier_denials\":{denials},\"earlier_releases\":{releases},\
                     \"hold\":false,\"items\":{},\"other_devices\":{},\"threads\":{},\"waited_seconds\":{waited}}}",
                    case.at.seconds_since(enrolled.at.max(e.from)).max(0) + i64::try_from(waited).unwrap(),
                    r.items.len(),
                    others.len(),
                    threads.len(),
                )
            }
            _ => unreachable!("neither request nor self-recovery"),
        }
        .into_bytes()
    }
}
