//! Every rule of the validator: its stable code, how grave it is, and what to do about it.

use super::finding::{Rule, Severity};

macro_rules! rules {
    ($($name:ident $code:literal $severity:ident $remedy:literal;)*) => {
        $(pub(super) const $name: Rule = Rule { code: $code, severity: Severity::$severity, remedy: $remedy };)*

        /// Every rule, in the order in which a file is looked at. Codes never change their meaning.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    // The production as files on a disk.
    UNREADABLE "unreadable" Fault "see that the file is there and may be read, then verify again";
    NOTHING_HERE "nothing-here" Fault "name a folder that holds .rsmf or .dat files, or one .rsmf file";
    FILE_LINK "file-link" Fault "put the file itself in place of the link or device";
    FILE_NAME "file-name" Fault "rename the file: UTF-8, no backslash, not deeper than 16 folders";
    TOO_MANY_FILES "too-many-files" Fault "split the production into several";
    FILE_TOO_LARGE "file-too-large" Fault "split the conversation into more slices";

    // BagIt (RFC 8493).
    BAG_DECLARATION "bag-declaration" Fault "write bagit.txt as RFC 8493 section 2.1.1 says, version 1.0 or 0.97, in UTF-8";
    BAG_OXUM_MISSING "bag-oxum-missing" Warning "write Payload-Oxum into bag-info.txt, so that a short copy is seen at once";
    BAG_OXUM "bag-oxum" Fault "copy the bag again: bytes or files of its payload are not those that were packed";
    BAG_FETCH "bag-fetch" Warning "fetch what fetch.txt lists and remove it; a production is whole by itself";
    BAG_MANIFEST_MISSING "bag-manifest-missing" Fault "make the bag again with manifest-sha256.txt";
    BAG_MANIFEST "bag-manifest" Fault "make the manifest again: a digest, spaces and a path on each line, no path twice";
    BAG_ALGORITHM "bag-algorithm" Warning "use md5, sha256 or sha512; what has another algorithm was not checked";
    BAG_WEAK "bag-weak" Warning "add manifest-sha256.txt: MD5 alone proves nothing against intent";
    BAG_PATH "bag-path" Fault "take the bag for hostile; a manifest lists only plain paths inside it";
    BAG_FILE_MISSING "bag-file-missing" Fault "copy the bag again from where it was made";
    BAG_FILE_UNLISTED "bag-file-unlisted" Fault "take the file out of data/, or make the manifests again if it belongs there";
    BAG_FILE_ALTERED "bag-file-altered" Fault "copy the bag again from where it was made; compare who had it meanwhile";
    BAG_TAGS_MISSING "bag-tags-missing" Warning "make tagmanifest-sha256.txt, so that manifests and bag-info.txt are protected";
    BAG_TAG_UNLISTED "bag-tag-unlisted" Warning "make the tag manifest again with every manifest, bagit.txt and bag-info.txt";

    // The tables of a production.
    COUNTS_MISSING "counts-missing" Warning "add counts.csv, so that the receiver can count what arrived";
    COUNTS_FORM "counts-form" Fault "write counts.csv with the documented header and a whole row for each file";
    COUNTS_FILE "counts-file" Fault "make counts.csv again: each .rsmf has one row, and each row names a file";
    COUNTS_DIFFER "counts-differ" Fault "make counts.csv again, and look for what was lost or altered";
    ERRORS_MISSING "errors-missing" Warning "add errors.csv, if only with its header, so that nothing was left out in silence";
    ERRORS_FORM "errors-form" Fault "write errors.csv with the documented header and four columns";

    // The container of RSMF (RFC 5322).
    MIME "mime" Fault "write the file as one MIME message, multipart/mixed with a boundary that ends it";
    HEADER_VERSION_MISSING "header-version-missing" Fault "add the header X-RSMF-Version: 2.0.0";
    HEADER_VERSION "header-version" Fault "let X-RSMF-Version say what the manifest's version says: 1.0.0 or 2.0.0";
    HEADER_VERSION_FIRST "header-version-first" Warning "put X-RSMF-Version on the first line";
    HEADER_TWICE "header-twice" Warning "keep one of them; readers disagree about which one counts";
    FROM_ADDRESS "from-address" Warning "write one From header with one address; names are normalised by it";
    BODY_MISSING "body-missing" Warning "add a text/plain body with the conversation's text";
    ATTACHMENT_MISSING "attachment-missing" Fault "attach rsmf.zip";
    ATTACHMENT_SEVERAL "attachment-several" Fault "attach rsmf.zip and nothing else; files of messages go inside it";
    ATTACHMENT_NAME "attachment-name" Fault "name the attachment rsmf.zip, in Content-Disposition: attachment";
    ATTACHMENT_ENCODING "attachment-encoding" Fault "give the attachment Content-Transfer-Encoding: base64";
    ATTACHMENT_BASE64 "attachment-base64" Fault "make the file again: its base64 is cut or altered";

    // rsmf.zip.
    ZIP "zip" Fault "make rsmf.zip again: other programs cannot read all of it, or read it otherwise";
    ZIP_TWICE "zip-twice" Fault "give every file of rsmf.zip a name of its own";
    ZIP_PATH "zip-path" Fault "use plain file names in rsmf.zip: relative, no `..`, no backslash, no link";
    ZIP_PASSWORD "zip-password" Fault "make rsmf.zip without a password; protect the production as a whole";
    ZIP_METHOD "zip-method" Fault "store or deflate the files of rsmf.zip; nothing else is read everywhere";
    ZIP_TOO_MANY "zip-too-many" Fault "split the conversation into more slices; 64-bit archives are not read";
    ZIP_BOMB "zip-bomb" Fault "take the file for hostile, or split it: it unpacks to more than any RSMF may hold";
    ZIP_STRAY "zip-stray" Warning "remove the file from rsmf.zip, or reference it from the manifest";

    // rsmf_manifest.json: its form.
    MANIFEST_MISSING "manifest-missing" Fault "put rsmf_manifest.json into rsmf.zip, at its top";
    MANIFEST_TOO_LARGE "manifest-too-large" Fault "split the conversation into more slices";
    MANIFEST_UTF8 "manifest-utf8" Fault "write the manifest as UTF-8";
    MANIFEST_JSON "manifest-json" Fault "write the manifest as one JSON object (RFC 8259)";
    MANIFEST_KEY_TWICE "manifest-key-twice" Fault "keep one of the members; readers disagree about which one counts";
    MANIFEST_REQUIRED "manifest-required" Fault "add the member";
    MANIFEST_TYPE "manifest-type" Fault "write the member with the type that the schema gives it";
    MANIFEST_ENUM "manifest-enum" Fault "use one of the words that the schema lists";
    MANIFEST_TIME "manifest-time" Fault "write times as RFC 3339 with an offset, such as 2026-03-01T09:30:00.000Z";
    MANIFEST_EMAIL "manifest-email" Warning "write an e-mail address, or leave the member out";
    MANIFEST_CUSTOM "manifest-custom" Fault "write custom values as strings, numbers too";
    MANIFEST_UNDEFINED "manifest-undefined" Warning "move what the schema does not know into `custom`";
    MANIFEST_VERSION "manifest-version" Fault "let `version` be 2.0.0";

    // What the manifest says.
    EVENTS_EMPTY "events-empty" Warning "leave out slices without events";
    EVENTS_MANY "events-many" Warning "cut slices of at most 10,000 events";
    EVENT_TWICE "event-twice" Fault "give every event an id of its own";
    PARTICIPANT_TWICE "participant-twice" Fault "list every participant once";
    CONVERSATION_TWICE "conversation-twice" Fault "list every conversation once";
    PARTICIPANT_UNDEFINED "participant-undefined" Warning "list everybody in `participants`";
    CONVERSATION_UNDEFINED "conversation-undefined" Warning "list every conversation in `conversations`";
    NOT_A_MEMBER "not-a-member" Warning "list the participant in the conversation, or write the join event before";
    CUSTODIAN_ELSEWHERE "custodian-elsewhere" Warning "name a custodian who is in the conversation";
    JOIN_IN_DIRECT "join-in-direct" Warning "make the conversation a channel; who comes and goes is not in a direct one";
    PARENT_UNKNOWN "parent-unknown" Warning "put both events into one file, or leave `parent` out";
    PARENT_ELSEWHERE "parent-elsewhere" Warning "let replies and what they answer be in one conversation";
    PARENT_CYCLE "parent-cycle" Warning "let `parent` name the event that is answered, never the event itself or a reply to it";
    REPLIES_WITHOUT_CONVERSATION "replies-without-conversation" Warning "give events that have replies a conversation";
    EDIT_TOO_EARLY "edit-too-early" Warning "write edits with times not before the event's own";
    REACTION_COUNT "reaction-count" Warning "let `count` be the number of participants who reacted";
    FILE_MISSING "file-missing" Warning "put the file into rsmf.zip under the id that names it, or leave the reference out";
    ATTACHMENT_SIZE "attachment-size" Warning "let `size` be the length of the file in bytes";

    // Headers against the manifest.
    HEADER_EVENT_COUNT "header-event-count" Warning "let X-RSMF-EventCount be the number of events";
    HEADER_ATTACHMENT_COUNT "header-attachment-count" Warning "let X-RSMF-AttachmentCount be the number of attachments of all events";
    HEADER_DATE_OFFSET "header-date-offset" Warning "write the date with an offset, as the event's timestamp has it";
    HEADER_DATE "header-date" Warning "copy the timestamp of the first or last event, fraction included";
    HEADER_PARTICIPANTS "header-participants" Warning "list the display names of the manifest's participants, with commas between";
    HEADER_CUSTODIAN "header-custodian" Warning "name a participant: by display name, address or id";
    HEADER_COLLECTION "header-collection" Warning "let X-RSMF-EventCollectionID and `eventcollectionid` be the same";

    // Concordance load files.
    DAT_BOM "dat-bom" Fault "begin the file with the byte order mark EF BB BF; platforms know UTF-8 by it alone";
    DAT_UTF8 "dat-utf8" Fault "write the file as UTF-8";
    DAT_QUOTE "dat-quote" Fault "put each value between þ (U+00FE), with U+0014 between values and ® for line breaks";
    DAT_HEADER "dat-header" Fault "begin with a row of column names, none twice, DOCID among them";
    DAT_COLUMNS "dat-columns" Fault "write as many values as there are columns";
    DAT_EMPTY "dat-empty" Warning "write a row for each document";
    DAT_DOCID_MISSING "dat-docid-missing" Fault "give every document a DOCID";
    DAT_DOCID_TWICE "dat-docid-twice" Fault "give every document a DOCID of its own";
    DAT_FAMILY "dat-family" Fault "let parent and attachments have the same BEGATTACH and ENDATTACH, both DOCIDs of this file";
    DAT_PATH "dat-path" Fault "use paths relative to the load file or the production, without `..`";
    DAT_PATH_MISSING "dat-path-missing" Fault "put the file where the row says, or correct the row";
    DAT_HASH "dat-hash" Fault "find out which of the two was altered; make the row again only if the file is right";
    DAT_SIZE "dat-size" Fault "find out which of the two was altered; make the row again only if the file is right";
    DAT_DATE "dat-date" Fault "write dates as RFC 3339, YYYY-MM-DD or MM/DD/YYYY, the earlier one first";
    DAT_COUNT "dat-count" Fault "write whole numbers";
    DAT_DIFFERS "dat-differs" Fault "make the row again from the .rsmf that it names";
}
