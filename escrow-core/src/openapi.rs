//! Schemas of the words and values that have an own spelling in JSON, and of envelopes. Types with
//! members derive theirs where they are.

use crate::limits::{ENVELOPE_MAX, SIGNATURES_MAX};
use crate::{Blob, Code, Digest, Kind, MatterId, Nonce, PersonId, PublicKey, SeatIndex, Timestamp, Token};
use std::borrow::Cow;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

macro_rules! text {
    ($($type:ty, $name:literal, $pattern:literal, $words:literal;)*) => { $(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                text.description(Some($words)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )* };
}

text! {
    Digest, "Digest", "^[0-9a-f]{64}$", "SHA-256, 64 lower-case hex digits. Names a statement by its payload, an item, a policy text or a key.";
    Nonce, "Nonce", "^[A-Za-z0-9+/]{21}[AQgw]==$", "16 random bytes, base64.";
    Blob, "Blob", "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", "Exact bytes, standard padded base64 (RFC 4648 section 4).";
    Token, "Token", "^v[1-9][0-9]*:[0-9a-f]{64}$", "A subject or a thread, as the HMAC under the organisation's token key of this version.";
    Code, "Code", "^[A-Za-z0-9._:/# -]{1,128}$", "An opaque code, logged in clear: no name, number or address of a person.";
    MatterId, "MatterId", "^[A-Za-z0-9._-]{1,64}$", "Name of a matter.";
    PublicKey, "PublicKey", "^(?:ed25519|es256|sshsig):[A-Za-z0-9+/]+={0,2}$", "A public signature key: its method, and its one encoding in base64.";
    PersonId, "PersonId", "^[a-z0-9._-]{1,64}$", "Id of a person of the charter.";
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .pattern(Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"))
            .description(Some("RFC 3339, UTC, always three decimals."))
            .into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

impl PartialSchema for SeatIndex {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(255));
        number.description(Some("A seat of the charter.")).into()
    }
}

impl ToSchema for SeatIndex {
    fn name() -> Cow<'static, str> {
        "SeatIndex".into()
    }
}

/// The schema of a DSSE envelope, whatever statement is in it.
#[derive(Debug)]
pub struct EnvelopeSchema;

impl PartialSchema for EnvelopeSchema {
    fn schema() -> RefOr<Schema> {
        let text = |words: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(words));
        let signature = ObjectBuilder::new()
            .property("keyid", text("Key id: a hint, never believed."))
            .required("keyid")
            .property("sig", Ref::from_schema_name("Blob"))
            .required("sig");
        let signatures = ArrayBuilder::new().items(signature).min_items(Some(1)).max_items(Some(SIGNATURES_MAX));
        let kinds = Kind::ALL.map(Kind::payload_type);
        ObjectBuilder::new()
            .description(Some(format!(
                "DSSE v1 envelope of a signed statement, at most {ENVELOPE_MAX} bytes. The signatures cover the exact payload bytes; members \
                 of each kind are in docs/protocol.md, section 4."
            )))
            .property("payload", Ref::from_schema_name("Blob"))
            .required("payload")
            .property("payloadType", text("Kind of the statement.").enum_values(Some(kinds)))
            .required("payloadType")
            .property("signatures", signatures)
            .required("signatures")
            .into()
    }
}

impl ToSchema for EnvelopeSchema {
    fn name() -> Cow<'static, str> {
        "Envelope".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Blob::name().into_owned(), Blob::schema()));
    }
}
