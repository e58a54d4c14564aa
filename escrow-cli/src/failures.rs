//! From the SDK's errors to exit codes: one place, every operation.

use crate::failure::{Exit, Failure, of_nodes};
use escrow_client::archive::{DirectoryError, FileError, IndexError, RingError, SealArchiveError};
use escrow_client::export::ExportError;
use escrow_client::production::{EvidenceError, ProductionError};
use escrow_client::watch::WatchError;
use escrow_client::{
    AgentError, ChartersError, ConsentError, DecisionError, DepositError, DraftError, KeyFileError, MatterError,
    NodeError, OpenError, OutboxError, RecoveryError, ReleaseError, RepliesError, SignError, SubmitError,
};
use escrow_core::envelope::EnvelopeError;
use escrow_core::verdict::Outcome;
use escrow_policy::charter::CharterError;
use std::io::ErrorKind;

macro_rules! failure_from {
    ($($error:ty => |$e:ident| $make:expr;)*) => { $(
        impl From<$error> for Failure {
            fn from($e: $error) -> Self { $make }
        }
    )* };
}

failure_from! {
    FileError => |e| Failure::new(Exit::Unexpected, "file", e.to_string());
    std::io::Error => |e| Failure::new(Exit::Unexpected, "file", e.to_string());
    EnvelopeError => |e| Failure::new(Exit::Usage, "malformed", e.to_string());
    AgentError => |e| Failure::new(Exit::Key, "not-signed", e.to_string()).next(e.next_step());
    OutboxError => |e| Failure::new(Exit::Unexpected, "outbox", e.to_string());
    CharterError => |e| Failure::new(Exit::Verification, "charter-invalid", e.to_string());
    DirectoryError => |e| Failure::new(Exit::Usage, "directory", e.to_string())
        .next("see that the id is written as the messenger writes it; `enrol` and `archive seal` fill the directory");
    RingError => |e| Failure::new(Exit::Key, "key-ring", e.to_string());
    SealArchiveError => |e| Failure::new(Exit::Usage, "archive", e.to_string());
    IndexError => |e| Failure::new(match e {
        IndexError::Missing(_) => Exit::Partial,
        IndexError::Malformed { .. } => Exit::Verification,
        IndexError::File(_) => Exit::Unexpected,
    }, "archive-index", e.to_string());
    RepliesError => |e| Failure::new(Exit::Usage, "replies-file", e.to_string());
    escrow_core::WordError => |e| Failure::usage(e.to_string());
    escrow_client::UnknownZone => |e| Failure::usage(e.to_string())
        .next("write it like Europe/Berlin, America/New_York or UTC");
}

impl From<EvidenceError> for Failure {
    fn from(e: EvidenceError) -> Self {
        let exit = if matches!(e, EvidenceError::Verdict { .. }) { Exit::Verification } else { Exit::Usage };
        Self::new(exit, "evidence", e.to_string()).next("escrow audit export --matter MATTER --out DIR")
    }
}

impl From<ProductionError> for Failure {
    fn from(e: ProductionError) -> Self {
        match e {
            ProductionError::Replies(e) => e.into(),
            ProductionError::File(e) => e.into(),
            ProductionError::NoRequest | ProductionError::Nothing | ProductionError::Occupied(_) => {
                Self::new(Exit::Usage, "export", e.to_string())
            }
            other => Self::new(Exit::Unexpected, "export", other.to_string()),
        }
    }
}

impl From<KeyFileError> for Failure {
    fn from(e: KeyFileError) -> Self {
        let text = e.to_string();
        let key = |text| Self::new(Exit::Key, "key-file", text);
        match &e {
            KeyFileError::File { source, .. } if source.kind() == ErrorKind::NotFound => key(text).next(
                "make keys with `escrow keygen`, or name the file: escrow context add NAME --replace --key FILE ...",
            ),
            KeyFileError::File { source, .. } if source.kind() == ErrorKind::AlreadyExists => {
                key(text).next("name another file: a key file is never overwritten")
            }
            KeyFileError::Malformed { .. } => key(text)
                .next("name a file that `escrow keygen` wrote; FILE.pub.json is the public half and no key file"),
            KeyFileError::NoPassphrase { source, .. } if source.kind() == ErrorKind::Interrupted => {
                Self::new(Exit::Interrupted, "interrupted", text)
            }
            KeyFileError::NoPassphrase { .. } => {
                Self::new(Exit::Usage, "passphrase", text).next(crate::passphrase::WHERE)
            }
            KeyFileError::DoesNotOpen(_) => Self::new(Exit::Key, "passphrase", text).next(
                "repeat the command with the right passphrase; without it the key is lost and a new one is needed",
            ),
            KeyFileError::Weak => Self::new(Exit::Usage, "passphrase", text).next("take five or more random words"),
            KeyFileError::Encrypted(path) => Self::usage(text)
                .next(format!("to change its passphrase: escrow keygen decrypt {}, then encrypt it", path.display())),
            KeyFileError::Clear(path) => {
                Self::usage(text).next(format!("to encrypt it: escrow keygen encrypt {}", path.display()))
            }
            _ => key(text),
        }
    }
}

impl From<SignError> for Failure {
    fn from(e: SignError) -> Self {
        match e {
            SignError::Statement(e) => e.into(),
            SignError::Agent(e) => e.into(),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<ChartersError> for Failure {
    fn from(e: ChartersError) -> Self {
        match e {
            ChartersError::Charter(e) => e.into(),
            ChartersError::Fork { .. } => Self::new(Exit::Verification, "charter-fork", e.to_string())
                .next("keep both charters as evidence; the operators settle it with a later version"),
            ChartersError::File(e) => e.into(),
            other => Self::new(Exit::Usage, "charter-file", other.to_string()),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(e: NodeError) -> Self {
        Self::new(crate::failure::exit_of_rule(e.code()), e.code().to_owned(), e.to_string())
    }
}

impl From<SubmitError> for Failure {
    fn from(e: SubmitError) -> Self {
        match &e {
            SubmitError::Refused { kind, accepted, need, outcomes, .. } => {
                let (exit, rule) = of_nodes(outcomes, *need);
                let reason = format!("the {kind} was accepted by {accepted} nodes, {need} are needed");
                Self::new(exit, rule, reason).nodes(outcomes)
            }
            SubmitError::BelowThreshold { kind, accepted, need, outcomes } => {
                let reason = format!("the {kind} was accepted by {accepted} nodes, {need} are needed");
                Self::new(Exit::BelowThreshold, "below-threshold", reason)
                    .nodes(outcomes)
                    .next("ask the operators of the nodes that did not answer, then repeat the command")
            }
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<DepositError> for Failure {
    fn from(e: DepositError) -> Self {
        match e {
            DepositError::Identity(e) => e.into(),
            DepositError::Outbox(e) => e.into(),
            DepositError::Statement(e) => e.into(),
            DepositError::WrongSubject => Self::new(Exit::Key, "wrong-signer", e.to_string()),
            DepositError::ConsentEnded(_) => Self::new(Exit::Denied, "consent-expired", e.to_string()),
            DepositError::Floor { .. } => Self::new(Exit::Denied, "consent-floor", e.to_string()),
            DepositError::Deal(_) => Self::new(Exit::Usage, "deal-invalid", e.to_string()),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<ConsentError> for Failure {
    fn from(e: ConsentError) -> Self {
        match e {
            ConsentError::UnknownPolicy(_) => Self::new(Exit::Usage, "policy-unknown", e.to_string()),
            ConsentError::Statement(e) => e.into(),
            other => Self::usage(other.to_string()),
        }
    }
}

impl From<MatterError> for Failure {
    fn from(e: MatterError) -> Self {
        match e {
            MatterError::Identity(e) => e.into(),
            MatterError::Statement(e) => e.into(),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<DecisionError> for Failure {
    fn from(e: DecisionError) -> Self {
        match e {
            DecisionError::Identity(e) => e.into(),
            DecisionError::Statement(e) => e.into(),
            DecisionError::WhichRole { .. } => Self::usage(e.to_string()),
            other => Self::new(Exit::Key, "not-entitled", other.to_string()),
        }
    }
}

impl From<DraftError> for Failure {
    fn from(e: DraftError) -> Self {
        match e {
            DraftError::Identity(e) => e.into(),
            DraftError::Statement(e) => e.into(),
            DraftError::BelowThreshold { answered, need, outcomes } => {
                let reason = format!("{answered} nodes answered, {need} are needed to know what can be released");
                Self::new(Exit::BelowThreshold, "below-threshold", reason).nodes(&outcomes)
            }
            DraftError::Refused(outcomes) => {
                let (exit, rule) = of_nodes(&outcomes, 1);
                Self::new(exit, rule, "the nodes refuse to say what they hold").nodes(&outcomes)
            }
            DraftError::Unbounded => Self::usage(e.to_string()),
            DraftError::NothingThere => Self::new(Exit::Denied, "item-unknown", e.to_string()),
            DraftError::MixedGenerations(_) => Self::new(Exit::Usage, "mixed-generations", e.to_string()),
            DraftError::Recipient(_) => Self::new(Exit::Usage, "recipient-key", e.to_string()),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<RecoveryError> for Failure {
    fn from(e: RecoveryError) -> Self {
        match e {
            RecoveryError::Identity(e) => e.into(),
            RecoveryError::Statement(e) => e.into(),
            RecoveryError::BelowThreshold { answered, need, outcomes } => {
                let reason = format!("{answered} nodes answered, {need} are needed to know what can be recovered");
                let (exit, rule) = of_nodes(&outcomes, need);
                Self::new(exit, rule, reason).nodes(&outcomes)
            }
            RecoveryError::NothingThere(_) => Self::new(Exit::Denied, "item-unknown", e.to_string()),
            RecoveryError::TooYoung { age, delay, .. } => {
                let left = u64::try_from(delay - age).unwrap_or(0);
                Self::new(Exit::Pending, "recovery-delay", e.to_string()).next(format!(
                    "come back in {}: the time is there so that your other devices can notice",
                    crate::explain::left(left)
                ))
            }
            RecoveryError::NotEnrolled => Self::new(Exit::Key, "not-enrolled", e.to_string()),
            RecoveryError::MixedGenerations(_) => Self::new(Exit::Usage, "mixed-generations", e.to_string()),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<ReleaseError> for Failure {
    fn from(e: ReleaseError) -> Self {
        match e {
            ReleaseError::Refused { reasons, verdicts } => {
                let rule = reasons.iter().max_by_key(|(_, seats)| seats.len()).map(|(r, _)| r.to_string());
                let rules: Vec<String> =
                    reasons.iter().map(|(r, seats)| format!("{r} ({} nodes)", seats.len())).collect();
                let mut failure = Self::new(
                    Exit::Denied,
                    rule.unwrap_or_else(|| "denied".into()),
                    format!("the nodes refuse: {}", rules.join(", ")),
                )
                .nodes(&verdicts);
                for (seat, v) in verdicts.good().filter(|(_, v)| v.verdict.outcome == Outcome::Refuse) {
                    let reasons = v.verdict.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    failure.nodes.push((seat.get(), reasons, format!("signed a refusal at {}", v.verdict.decided)));
                }
                failure.nodes.sort();
                failure.next(
                    "`escrow request show` says more; a refusal cannot be overruled, only a new request can be made",
                )
            }
            ReleaseError::Pending { lacking, verdicts } => {
                Self::new(Exit::Pending, "pending", escrow_policy::gate::describe(&lacking))
                    .nodes(&verdicts)
                    .next("`escrow policy explain` says, node by node, who or how long is still lacking")
            }
            ReleaseError::BelowThreshold { answered, need, verdicts } => {
                let reason = format!("{answered} nodes can be counted on, {need} are needed; nothing was released");
                Self::new(Exit::BelowThreshold, "below-threshold", reason)
                    .nodes(&verdicts)
                    .next("ask the operators of the nodes that did not answer, then repeat the command")
            }
            ReleaseError::TooFewReplies { good, need, outcomes } => {
                let (exit, rule) = of_nodes(&outcomes, need);
                let exit = if exit == Exit::Verification { Exit::BelowThreshold } else { exit };
                let reason = format!("{good} of {need} good replies; below that nobody can read anything");
                Self::new(exit, rule, reason).nodes(&outcomes)
            }
            ReleaseError::Statement(e) => e.into(),
            ReleaseError::Replies(e) => e.into(),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Self {
        let (exit, rule) = match &e {
            OpenError::NotRecipient(_) => (Exit::Key, "not-recipient"),
            OpenError::OtherEscrow { .. } => (Exit::Usage, "other-escrow"),
            OpenError::Malformed(_) => (Exit::Usage, "replies-file"),
            OpenError::BelowThreshold { .. } => (Exit::BelowThreshold, "below-threshold"),
            _ => (Exit::Unexpected, "unexpected"),
        };
        let mut failure = Self::new(exit, rule, e.to_string());
        if let OpenError::BelowThreshold { culprits, .. } = &e {
            failure.nodes = culprits.iter().map(|(s, f)| (s.get(), "wrong-share".to_owned(), f.to_string())).collect();
        }
        failure
    }
}

impl From<WatchError> for Failure {
    fn from(e: WatchError) -> Self {
        match e {
            WatchError::File(e) => e.into(),
            WatchError::Charters(e) => e.into(),
            WatchError::Node(e) => e.into(),
            WatchError::Running(_) => Self::new(Exit::Usage, "watch-running", e.to_string())
                .next("end the other one first, or use another context"),
            WatchError::Damaged(_) => Self::new(Exit::Unexpected, "head-damaged", e.to_string()).next(
                "restore the file; if there is no copy, keep it elsewhere and start again from what the node shows",
            ),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(e: ExportError) -> Self {
        match e {
            ExportError::NoLog(outcomes) => {
                let (exit, rule) = of_nodes(&outcomes, 1);
                Self::new(exit, rule, "no node handed its log over").nodes(&outcomes)
            }
            ExportError::NoRequest(_) => Self::new(Exit::Usage, "request-unknown", e.to_string()),
            other => Self::unexpected(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use escrow_client::Outcomes;
    use escrow_core::SeatIndex;
    use escrow_core::wire::Problem;
    use escrow_policy::Rule;
    use std::collections::BTreeMap;

    fn problem(code: &str, status: u16) -> NodeError {
        NodeError::Problem(Box::new(Problem {
            kind: format!("urn:escrow:problem:{code}"),
            title: code.into(),
            status,
            detail: "words".into(),
            code: code.into(),
            seat: None,
            statement: None,
            statement_kind: None,
            charters: vec![],
        }))
    }

    fn outcomes(errors: Vec<NodeError>) -> Outcomes<()> {
        Outcomes((1u8..).filter_map(SeatIndex::new).zip(errors.into_iter().map(Err)).collect())
    }

    #[test]
    fn the_nodes_words_decide_unless_too_few_spoke() {
        let down = || NodeError::Unreachable("refused".into());
        let withdrawn = || problem("consent-withdrawn", 403);
        let five = outcomes(vec![withdrawn(), withdrawn(), down(), withdrawn(), problem("not-ready", 503)]);
        assert_eq!(of_nodes(&five, 3), (Exit::Denied, "consent-withdrawn".into()));
        let few = outcomes(vec![withdrawn(), withdrawn(), down(), down(), problem("not-ready", 503)]);
        assert_eq!(of_nodes(&few, 3), (Exit::BelowThreshold, "below-threshold".into()));
    }

    #[test]
    fn every_rule_of_the_gate_has_an_exit_code_on_purpose() {
        let code = |rule: Rule| exit_of(rule.code());
        fn exit_of(code: &str) -> Exit {
            crate::failure::exit_of_rule(code)
        }
        assert_eq!(code(Rule::Pending), Exit::Pending);
        for denied in [
            Rule::Denied,
            Rule::ConsentWithdrawn,
            Rule::PolicyDenies,
            Rule::ApproverIsRequestor,
            Rule::RequestExpired,
            Rule::ItemScope,
            Rule::RequestorInScope,
            Rule::RecipientKey,
            Rule::CharterUnaccepted,
        ] {
            assert_eq!(code(denied), Exit::Denied, "{denied}");
        }
        for key in [Rule::NotEnrolled, Rule::NotEntitled, Rule::KeyRevoked, Rule::WrongSigner] {
            assert_eq!(code(key), Exit::Key, "{key}");
        }
        for usage in [Rule::Malformed, Rule::WrongOrg, Rule::DealInvalid, Rule::CharterStale] {
            assert_eq!(code(usage), Exit::Usage, "{usage}");
        }
        assert_eq!(code(Rule::CharterFork), Exit::Verification);
        for node in ["unreachable", "not-ready", "peers-missing", "rate-limited"] {
            assert_eq!(exit_of(node), Exit::BelowThreshold);
        }
    }

    #[test]
    fn operations_keep_what_each_node_said() {
        let verdicts = Outcomes(BTreeMap::from([(SeatIndex::new(2).unwrap(), Err(problem("not-ready", 503)))]));
        let f: Failure = ReleaseError::BelowThreshold { answered: 2, need: 3, verdicts }.into();
        assert_eq!(f.exit, Exit::BelowThreshold);
        assert!(f.text().contains("node 2: words [not-ready]"));
        assert_eq!(f.json()["nodes"][0]["rule"], "not-ready");
        let f: Failure = OpenError::BelowThreshold { have: 2, need: 3, culprits: BTreeMap::new() }.into();
        assert_eq!(f.exit as u8, 7);
        let f: Failure = ReleaseError::Pending { lacking: vec![], verdicts: Outcomes::new() }.into();
        assert_eq!(f.exit as u8, 5);
        let f: Failure = KeyFileError::Missing("x").into();
        assert_eq!(f.exit as u8, 4);
        let f: Failure = DecisionError::Statement(SignError::Agent(AgentError::NoAgent)).into();
        assert_eq!((f.exit as u8, f.rule.as_str()), (4, "not-signed"));
        assert!(f.text().contains("SSH_AUTH_SOCK") && f.next.unwrap().contains("ssh-add"));
        assert_eq!(crate::failure::exit_of_rule(NodeError::Unsigned(String::new()).code()), Exit::Key);
    }

    #[test]
    fn a_rule_says_what_to_do_where_the_command_does_not() {
        let f = Failure::new(Exit::Denied, Rule::NotEnrolled.code(), "the device is not enrolled");
        assert!(f.text().contains(&format!("\nnext: {}", Rule::NotEnrolled.next_step())), "{}", f.text());
        assert_eq!(f.json()["next"], Rule::NotEnrolled.next_step());
        assert_eq!(f.next("ask Rita").next_step(), "ask Rita");
        // Nobody is left without a next step.
        let nameless = Failure::new(Exit::Key, "no-such-rule", "x");
        assert!(nameless.text().contains("\nnext: `escrow context list`"), "{}", nameless.text());
        assert!(!nameless.json()["next"].as_str().unwrap().is_empty());
    }
}
