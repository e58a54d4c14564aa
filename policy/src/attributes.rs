//! The words of the policy context, in one table: lint reads from it what can occur, case tables
//! what has to be stated, and the page for lawyers is checked against it.

use escrow_core::charter::Basis;

/// The two things that a policy can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Make messages readable for a recipient, on somebody's request.
    Release,
    /// Give a subject's own messages back to a new device of theirs.
    Recover,
}

impl Action {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Release, Self::Recover];

    /// The word in `Escrow::Action::"..."`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Recover => "recover",
        }
    }

    /// Entity types of principal and resource.
    pub const fn parties(self) -> (&'static str, &'static str) {
        match self {
            Self::Release => ("Escrow::Person", "Escrow::Matter"),
            Self::Recover => ("Escrow::Device", "Escrow::Organisation"),
        }
    }
}

/// What kind of value an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that signatures or waiting can raise; more may never hurt.
    Counter,
    /// One counter for each approver role: `approvals.legal`.
    CounterPerRole,
    /// A number that is what it is.
    Count,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A set of these words.
    Words(&'static [&'static str]),
    /// A word that the organisation chooses.
    Name,
}

/// One attribute of the context.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// As it stands after `context.`.
    pub name: &'static str,
    /// The actions whose context has it.
    pub actions: &'static [Action],
    /// Its kind.
    pub kind: Kind,
}

const BASES: &[&str] = &[
    Basis::Consent.name(),
    Basis::WorksAgreement.name(),
    Basis::LegalObligation.name(),
    Basis::Order.name(),
    Basis::Contract.name(),
];

const BOTH: &[Action] = &Action::ALL;
const RELEASE: &[Action] = &[Action::Release];
const RECOVER: &[Action] = &[Action::Recover];

const fn attribute(name: &'static str, actions: &'static [Action], kind: Kind) -> Attribute {
    Attribute { name, actions, kind }
}

/// Every attribute, in alphabetical order.
pub const ATTRIBUTES: &[Attribute] = &[
    attribute("approvals", BOTH, Kind::CounterPerRole),
    attribute("approvers", BOTH, Kind::Counter),
    attribute("authority", RELEASE, Kind::Flag),
    attribute("basis", RELEASE, Kind::Word(BASES)),
    attribute("consent_bases", RELEASE, Kind::Words(BASES)),
    attribute("consents.consented", RELEASE, Kind::Count),
    attribute("consents.informed", RELEASE, Kind::Count),
    attribute("consents.outside", RELEASE, Kind::Count),
    attribute("depositor_consent", RELEASE, Kind::Word(&["live"])),
    attribute("device_age_seconds", RECOVER, Kind::Counter),
    attribute("earlier_denials", BOTH, Kind::Count),
    attribute("earlier_releases", BOTH, Kind::Count),
    attribute("hold", BOTH, Kind::Flag),
    attribute("items", BOTH, Kind::Count),
    attribute("matter", RELEASE, Kind::Name),
    attribute("notice", RELEASE, Kind::Word(&["immediate", "delayed"])),
    attribute("notice_days", RELEASE, Kind::Count),
    attribute("other_devices", RECOVER, Kind::Count),
    attribute("purpose", RELEASE, Kind::Name),
    attribute("recipient", RELEASE, Kind::Word(&["person", "filter-team", "device"])),
    attribute("recipient_is_requestor", RELEASE, Kind::Flag),
    attribute("requestor", RELEASE, Kind::Name),
    attribute("span_days", RELEASE, Kind::Count),
    attribute("threads", BOTH, Kind::Count),
    attribute("waited_seconds", BOTH, Kind::Counter),
];

/// The attribute that a dotted path names, `approvals.legal` included.
pub fn find(path: &str) -> Option<&'static Attribute> {
    let name = if role(path).is_some() { "approvals" } else { path };
    ATTRIBUTES.iter().find(|a| a.name == name)
}

/// The role of an `approvals.<role>` path.
pub fn role(path: &str) -> Option<&str> {
    path.strip_prefix("approvals.")
}

/// True if the context of the action has this attribute, or this record of attributes.
pub fn in_context(action: Action, path: &str) -> bool {
    let within = |a: &Attribute| a.name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    ATTRIBUTES.iter().any(|a| a.actions.contains(&action) && within(a))
}

/// True for the paths that signatures or waiting can raise.
pub fn is_counter(path: &str) -> bool {
    role(path).is_some() || find(path).is_some_and(|a| a.kind == Kind::Counter)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cedar_policy::SchemaFragment;
    use std::collections::BTreeSet;
    use std::str::FromStr as _;

    #[test]
    fn the_table_and_the_schema_name_the_same_attributes() {
        let text = crate::context::schema_text(&["legal".parse().unwrap()]);
        let (fragment, _) = SchemaFragment::from_cedarschema_str(&text).unwrap();
        let json = fragment.to_json_value().unwrap();
        for action in Action::ALL {
            let attributes = &json["Escrow"]["actions"][action.name()]["appliesTo"]["context"]["attributes"];
            let mut schema = BTreeSet::new();
            for (name, what) in attributes.as_object().unwrap() {
                match what["attributes"].as_object() {
                    Some(inner) if name != "approvals" => schema.extend(inner.keys().map(|k| format!("{name}.{k}"))),
                    _ => _ = schema.insert(name.clone()),
                }
            }
            let of = |a: &&Attribute| a.actions.contains(&action);
            let table: BTreeSet<_> = ATTRIBUTES.iter().filter(of).map(|a| a.name.to_owned()).collect();
            assert_eq!(table, schema, "{}", action.name());
            for kind in [action.parties().0, action.parties().1] {
                assert!(cedar_policy::EntityTypeName::from_str(kind).is_ok());
                assert!(json["Escrow"]["entityTypes"].get(kind.trim_start_matches("Escrow::")).is_some());
            }
        }
    }
}
