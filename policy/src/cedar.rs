//! Cedar: parsing, validating and evaluating one policy text on exact context bytes.

use crate::context::{SCHEMA_VERSION, schema_text};
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    Schema, ValidationMode, Validator,
};
use escrow_core::charter::Policy;
use escrow_core::{Code, Digest, MatterId, Org, PersonId, Role};
use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock, Mutex};

/// Version of the engine, named in verification reports: replay needs the same semantics.
pub const ENGINE: &str = "cedar-policy 4";

/// Why a policy text is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Written for another context schema.
    #[error("context schema {0} is unknown here; version {SCHEMA_VERSION} is known")]
    Schema(u32),
    /// Does not parse.
    #[error("does not parse: {0}")]
    Parse(String),
    /// Parses, but uses what the context does not have, or compares what cannot be compared.
    #[error("does not validate: {0}")]
    Validate(String),
    /// Cannot be evaluated on this context.
    #[error("cannot be evaluated: {0}")]
    Evaluate(String),
}

/// A parsed policy text with the schema of the charter's roles.
#[derive(Clone)]
pub struct Parsed(Arc<Inner>);

struct Inner {
    set: PolicySet,
    schema: Schema,
}

/// How an evaluation came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// Allow, and not one error.
    pub allowed: bool,
    /// Errors of single policies, in words. Any error means that nothing is allowed.
    pub errors: Vec<String>,
    /// Ids of the policies that determined the answer, sorted.
    pub determining: Vec<Code>,
}

fn schema(roles: &[Role]) -> Result<Schema, PolicyError> {
    Schema::from_cedarschema_str(&schema_text(roles)).map(|(s, _)| s).map_err(|e| PolicyError::Parse(e.to_string()))
}

/// What only text and roles decide, kept: a text is parsed at every evaluation and validated with
/// every charter, and both take a hundred times longer than anything else there.
#[derive(Clone)]
struct Kept {
    parsed: Parsed,
    valid: Option<Result<(), PolicyError>>,
}

/// Key: digest of schema version and text, and the roles in the charter's order.
type Cache = HashMap<(Digest, Vec<Role>), Kept>;

/// Texts kept at the most; a charter has a handful.
const KEPT_MAX: usize = 128;
static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// Gives `f` the cache; a thread that panicked in here left whole entries behind.
fn with_cache<T>(f: impl FnOnce(&mut Cache) -> T) -> T {
    f(&mut CACHE.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Brackets within brackets that a policy text may have: the parser recurses on them.
const NESTING_MAX: usize = 32;

/// The most brackets that are open at once, whatever they stand in.
fn deepest(text: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for b in text.bytes() {
        match b {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn kept(policy: &Policy, roles: &[Role]) -> Result<Kept, PolicyError> {
    if policy.schema != SCHEMA_VERSION {
        return Err(PolicyError::Schema(policy.schema));
    }
    let key = (policy.digest(), roles.to_vec());
    if let Some(kept) = with_cache(|c| c.get(&key).cloned()) {
        return Ok(kept);
    }
    if deepest(&policy.text) > NESTING_MAX {
        return Err(PolicyError::Parse(format!("brackets nested deeper than {NESTING_MAX}")));
    }
    let set = PolicySet::from_str(&policy.text).map_err(|e| PolicyError::Parse(e.to_string()))?;
    let parsed = Parsed(Arc::new(Inner { set, schema: schema(roles)? }));
    let kept = Kept { parsed, valid: None };
    with_cache(|c| {
        if c.len() >= KEPT_MAX {
            c.clear();
        }
        c.insert(key, kept.clone());
    });
    Ok(kept)
}

/// Parses a text without validating it, as old agreed texts are evaluated.
///
/// # Errors
/// [`PolicyError::Schema`], [`PolicyError::Parse`].
pub fn parse(policy: &Policy, roles: &[Role]) -> Result<Parsed, PolicyError> {
    kept(policy, roles).map(|k| k.parsed)
}

/// What a text must pass before it may stand in a charter.
///
/// # Errors
/// [`PolicyError`].
pub fn validate(policy: &Policy, roles: &[Role]) -> Result<(), PolicyError> {
    let kept = kept(policy, roles)?;
    if let Some(valid) = kept.valid {
        return valid;
    }
    let valid = kept.parsed.0.validate();
    let key = (policy.digest(), roles.to_vec());
    with_cache(|c| {
        if let Some(kept) = c.get_mut(&key) {
            kept.valid = Some(valid.clone());
        }
    });
    valid
}

impl Inner {
    fn validate(&self) -> Result<(), PolicyError> {
        if self.set.templates().next().is_some() {
            return Err(PolicyError::Validate("templates are not used here".into()));
        }
        let result = Validator::new(self.schema.clone()).validate(&self.set, ValidationMode::Strict);
        // The engine gives them in no fixed order; the same text is refused in the same words.
        let first = result.validation_errors().map(ToString::to_string).min();
        first.map_or(Ok(()), |e| Err(PolicyError::Validate(e)))
    }
}

impl Parsed {
    /// True if the text says, by `@recipient_is_requestor("allowed")` on a permit policy, that the
    /// requestor may be the recipient.
    pub fn allows_requestor_as_recipient(&self) -> bool {
        let says = |p: &cedar_policy::Policy| p.annotation("recipient_is_requestor") == Some("allowed");
        self.0.set.policies().any(|p| p.effect() == cedar_policy::Effect::Permit && says(p))
    }

    /// The single policies of the text.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &cedar_policy::Policy> {
        self.0.set.policies()
    }

    /// True if some permit of the text is about this action (`release`, `recover`), or about any.
    pub fn may_permit(&self, action: &str) -> bool {
        let about = |p: &cedar_policy::Policy| match p.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid.id().unescaped() == action,
            ActionConstraint::In(list) => list.iter().any(|uid| uid.id().unescaped() == action),
        };
        self.0.set.policies().any(|p| p.effect() == cedar_policy::Effect::Permit && about(p))
    }

    /// Evaluates action `release` on exact context bytes.
    ///
    /// # Errors
    /// [`PolicyError::Evaluate`] if the context does not fit the schema.
    pub fn evaluate(&self, requestor: &PersonId, matter: &MatterId, context: &[u8]) -> Result<Evaluated, PolicyError> {
        let principal = uid("Escrow::Person", requestor.as_str())?;
        self.judge("release", principal, uid("Escrow::Matter", matter.as_str())?, context)
    }

    /// Evaluates action `recover` on exact context bytes.
    ///
    /// # Errors
    /// [`PolicyError::Evaluate`] if the context does not fit the schema.
    pub fn evaluate_recovery(&self, device: &str, org: &Org, context: &[u8]) -> Result<Evaluated, PolicyError> {
        let principal = uid("Escrow::Device", device)?;
        self.judge("recover", principal, uid("Escrow::Organisation", org.as_str())?, context)
    }

    fn judge(
        &self,
        action: &str,
        principal: EntityUid,
        resource: EntityUid,
        context: &[u8],
    ) -> Result<Evaluated, PolicyError> {
        let fail = |e: String| PolicyError::Evaluate(e);
        let action = uid("Escrow::Action", action)?;
        let json = serde_json::from_slice(context).map_err(|e| fail(e.to_string()))?;
        let context =
            Context::from_json_value(json, Some((&self.0.schema, &action))).map_err(|e| fail(e.to_string()))?;
        let request = Request::new(principal, action, resource, context, Some(&self.0.schema))
            .map_err(|e| fail(e.to_string()))?;
        let response = Authorizer::new().is_authorized(&request, &self.0.set, &Entities::empty());
        let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
        let mut determining: Vec<Code> =
            response.diagnostics().reason().filter_map(|id| self.0.set.policy(id)).filter_map(name).collect();
        determining.sort();
        Ok(Evaluated { allowed: response.decision() == Decision::Allow && errors.is_empty(), errors, determining })
    }
}

/// The id of one policy of a text: what `@id` says, else its place.
pub(crate) fn name(policy: &cedar_policy::Policy) -> Option<Code> {
    policy.annotation("id").and_then(|id| id.parse().ok()).or_else(|| policy.id().to_string().parse().ok())
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, PolicyError> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| PolicyError::Evaluate(e.to_string()))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}
