//! The main job: ceremony, enrolment, consent, deposit, request, approvals, release, evidence.

use super::DemoArgs;
use super::cast::{Cast, OPERATORS, ORG, POLICY_ID, RECOVERY_ID, T};
use super::cluster::Cluster;
use super::source::{Contents, Slice, Source};
use super::story::{DemoError, During as _, Teller};
use escrow_audit::bundle::Bundle;
use escrow_client::archive::{self, Directory, OpenOptions, SealOptions, SealedSegment};
use escrow_client::export::Scope as ExportScope;
use escrow_client::{
    Ask, Charters, Client, Collected, ConsentTerms, Device, FlushOptions, Identity, KnownRequest, Opened, Outbox,
    ReleaseError, Wanted, now, open_replies, save_token_key, title_commitment,
};
use escrow_core::charter::Basis;
use escrow_core::consent::{Consent, Coverage, Floor, NoticeText};
use escrow_core::decision::Choice;
use escrow_core::matter::MatterAction;
use escrow_core::request::Notice;
use escrow_core::sealing::Suite;
use escrow_core::{Digest, Envelope, MatterId, Org, Timestamp, Token, TokenKey};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The notice text that the subjects of the demo are shown.
const NOTICE: &str = "Your message keys are split among five independent parties. Nobody can read your messages alone. \
A named slice can be made readable for an internal investigation if Legal and the data protection officer both approve. \
You can withdraw at any time; what was lawfully released before stays released.";

/// Title of the demo's matter; the nodes see only a commitment to it.
const TITLE: &str = "Hints to a bidder in the harbour tender";

pub(super) struct Custodian {
    pub(super) device: Arc<Identity>,
    pub(super) consent: Option<(Digest, Consent)>,
}

pub(super) struct MainJob {
    pub(super) dir: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) cast: Cast,
    pub(super) client: Client,
    pub(super) tokens: TokenKey,
    pub(super) org: Org,
    pub(super) source: Source,
    pub(super) contents: Contents,
    pub(super) slice: Slice,
    pub(super) custodians: BTreeMap<String, Custodian>,
    pub(super) matter: MatterId,
    pub(super) request: Option<KnownRequest>,
    pub(super) bundle: Option<PathBuf>,
    pub(super) production: Option<PathBuf>,
    pub(super) opened: Option<PathBuf>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// A bar on standard error, only on a terminal.
fn bar(len: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(len);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("  {msg} [{bar:30}] {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.with_message(what)
}

impl MainJob {
    /// Chapter 1: keys, charter, acceptance, start.
    pub(super) async fn new(dir: PathBuf, args: &DemoArgs, teller: &mut Teller) -> Result<Self, DemoError> {
        let source = args.archive.clone().map_or(Source::Sample, Source::File);
        let contents =
            Contents::read(source.open().during("opening the archive file")?).during("reading the messages")?;
        let slice = contents.slice().during("looking for a thread: the archive is empty; a thread")?;

        teller.chapter("1. The ceremony");
        let mut cluster = Cluster::init(&dir, ORG, &OPERATORS).during("making the nodes' keys")?;
        teller.say("Each operator made their own keys and handed over a public descriptor.");
        let cast = Cast::new().during("making the officers' keys")?;
        let seats = cluster.members().iter().map(|m| m.seat.clone()).collect();
        let charters = cast.charter(seats).during("drafting the charter")?;
        let file = dir.join("charter.json");
        charters.save(&file).during("saving the charter")?;
        cluster.accept(&file, &charters.digest()).during("accepting the charter")?;
        teller.say(&format!(
            "Both administrators signed the charter; every operator accepted its digest {}.",
            charters.digest()
        ));
        teller.say("It is a DEMO charter: all five nodes run on this machine, so it protects nobody.");
        cluster.start_all().during("starting the nodes")?;
        cluster.ready(&charters, Duration::from_secs(60)).await.during("waiting for the nodes")?;
        let ready = cluster.members().len();
        teller.step(
            "ceremony",
            "five nodes READY",
            format!("{ready} nodes READY; each proved its log to the others"),
            ready == 5,
        );

        let keys = dir.join("keys");
        std::fs::create_dir(&keys).during("making the folder of keys")?;
        for (id, officer) in cast.officers() {
            officer.save_new(&keys.join(format!("{id}.key"))).during("saving an officer's key")?;
        }
        let tokens = TokenKey::generate(1);
        save_token_key(&tokens, &keys.join("token.key"), None).during("saving the token key")?;
        let client = Client::new(charters, cast.get("quinn").during("casting")?).during("making a client")?;
        let org: Org = ORG.parse().during("naming the organisation")?;
        let matter: MatterId = "MAT-2026-0017".parse().during("naming the matter")?;
        Ok(Self {
            dir,
            cluster,
            cast,
            client,
            tokens,
            org,
            source,
            contents,
            slice,
            custodians: BTreeMap::new(),
            matter,
            request: None,
            bundle: None,
            production: None,
            opened: None,
            counts: BTreeMap::new(),
        })
    }

    pub(super) fn officer(&self, id: &str) -> Result<Client, DemoError> {
        Ok(self.client.acting_as(self.cast.get(id).during("looking for an officer")?))
    }

    pub(super) fn charters(&self) -> &Charters {
        self.client.charters()
    }

    pub(super) fn archive_dir(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// Chapters 2 and 3: seal the archive, enrol devices, take consent, deposit all keys.
    pub(super) async fn deposit_everything(&mut self, teller: &mut Teller) -> Result<(), DemoError> {
        teller.chapter("2. Sealing the messages, enrolling people, asking for consent");
        let options =
            SealOptions { dir: &self.archive_dir(), org: &self.org, tokens: &self.tokens, era: 1, inside: &|_| true };
        let input = self.source.open().during("opening the archive file")?;
        let sealed = archive::seal(input, &options).during("sealing the archive")?;
        teller.say(&format!(
            "{} messages of {} threads are sealed in {} segments, one key for each thread and day.",
            sealed.messages,
            sealed.threads.len(),
            sealed.segments.len()
        ));
        self.counts.extend([
            ("messages", sealed.messages),
            ("threads", sealed.threads.len() as u64),
            ("items", sealed.segments.len() as u64),
        ]);
        Directory::update(&self.dir.join("directory.json"), &self.org, |d| d.add_archive(&sealed))
            .during("writing the directory")?;

        let depositors = self.contents.depositors();
        let people: std::collections::BTreeSet<&String> = depositors.values().collect();
        for id in &people {
            let device = Device::generate(self.tokens.subject(id), Suite::XWing);
            self.custodians
                .insert((*id).clone(), Custodian { device: Arc::new(Identity::Device(device)), consent: None });
        }
        self.counts.insert("custodians", people.len() as u64);
        self.enrol(teller).await?;
        self.take_consent(&sealed.segments, teller).await?;

        teller.chapter("3. Depositing the keys");
        let mut by_custodian: BTreeMap<String, Vec<SealedSegment>> = BTreeMap::new();
        let names: BTreeMap<Token, &String> = sealed.threads.iter().map(|(id, t)| (*t, id)).collect();
        for s in sealed.segments {
            let who = names.get(&s.about.thread).and_then(|t| depositors.get(*t)).during("finding who deposits")?;
            by_custodian.entry(who.clone()).or_default().push(s);
        }
        let outbox = Arc::new(Outbox::open(&self.dir.join("outbox.db")).during("opening the outbox")?);
        let progress = bar(self.counts.get("items").copied().unwrap_or(0), "splitting keys");
        for (who, segments) in by_custodian {
            let custodian = self.custodians.get(&who).during("finding a custodian")?;
            let (client, consent) = (self.client.acting_as(custodian.device.clone()), custodian.consent.clone());
            let (store, count) = (outbox.clone(), segments.len() as u64);
            let (digest, consent) = consent.during("finding a consent")?;
            let deal = move || {
                let items = segments.into_iter().map(|s| (s.about, s.key)).collect();
                let sealed = client.seal_deposits((&digest, &consent), items)?;
                store.put(&sealed)?;
                Ok::<_, escrow_client::DepositError>(())
            };
            tokio::task::spawn_blocking(deal).await.during("splitting keys")?.during("splitting keys")?;
            progress.inc(count);
        }
        progress.finish_and_clear();
        let progress = Arc::new(bar(0, "depositing"));
        let shown = progress.clone();
        let told = Arc::new(move |done: u64, total: u64| {
            shown.set_length(total);
            shown.set_position(done);
        });
        let flushed = self.client.flush(outbox, FlushOptions::default(), told).await.during("depositing")?;
        progress.finish_and_clear();
        let items: usize = flushed.deposits.iter().map(|d| d.items as usize).sum();
        let detail = match flushed.failures.iter().next() {
            None => format!("{items} keys escrowed: all five nodes checked their shares and signed receipts"),
            Some(((_, seat), e)) => format!("node {seat}: {e}"),
        };
        teller.step("deposit", "every key escrowed at all five nodes", detail, flushed.complete());
        Ok(())
    }

    async fn enrol(&self, teller: &mut Teller) -> Result<(), DemoError> {
        let rita = self.officer("rita")?;
        let rolf = self.officer("rolf")?;
        let devices: Vec<_> =
            self.custodians.values().filter_map(|c| c.device.device().ok()).map(Device::public).collect();
        let mut accepted = true;
        for chunk in devices.chunks(100) {
            let statement = rita.enrolment(chunk.to_vec(), now().plus_seconds(-60), now().plus_seconds(365 * 86_400));
            let statement = statement.and_then(|s| rolf.countersign(&s)).during("enrolling devices")?;
            accepted &= self.client.submit(&statement).await.during("enrolling devices")?.accepted() == 5;
        }
        teller.step(
            "enrolment",
            "accepted by all five nodes",
            format!("{} devices enrolled, signed by both registrars", devices.len()),
            accepted,
        );
        Ok(())
    }

    async fn take_consent(&mut self, segments: &[SealedSegment], teller: &mut Teller) -> Result<(), DemoError> {
        let from = segments.iter().map(|s| s.about.from).min().unwrap_or(Timestamp::EPOCH);
        let to = segments.iter().map(|s| s.about.to).max().unwrap_or(Timestamp::MAX);
        let progress = bar(self.custodians.len() as u64, "consents");
        let mut tasks: JoinSet<Result<(String, Envelope, usize), String>> = JoinSet::new();
        let gate = Arc::new(tokio::sync::Semaphore::new(8));
        for (who, custodian) in &self.custodians {
            let client = self.client.acting_as(custodian.device.clone());
            let device = custodian.device.device().during("reading a device key")?;
            let terms = terms(device.subject, from, to).during("wording the consent")?;
            let (who, gate, progress) = (who.clone(), gate.clone(), progress.clone());
            tasks.spawn(async move {
                let _turn = gate.acquire_owned().await;
                let consent = client.consent(terms).map_err(|e| e.to_string())?;
                let submitted = client.submit(&consent).await.map_err(|e| e.to_string())?;
                progress.inc(1);
                Ok((who, consent, submitted.accepted()))
            });
        }
        let (mut given, mut everywhere) = (0, true);
        while let Some(task) = tasks.join_next().await {
            let (who, envelope, accepted) = task.during("taking consent")?.during("taking consent")?;
            let consent: Consent = envelope.decode().during("taking consent")?;
            if let Some(c) = self.custodians.get_mut(&who) {
                c.consent = Some((envelope.digest(), consent));
            }
            given += 1;
            everywhere &= accepted == 5;
        }
        progress.finish_and_clear();
        self.counts.insert("consents", given);
        teller.step(
            "consent",
            "accepted by all five nodes",
            format!("{given} people consented, each with their own device"),
            everywhere,
        );
        Ok(())
    }

    /// Chapter 4: the matter, the request, and the decisions, with two refusals on the way.
    pub(super) async fn ask_and_approve(&mut self, teller: &mut Teller) -> Result<(), DemoError> {
        teller.chapter("4. A matter, a request, and who must agree");
        let quinn = self.officer("quinn")?;
        let title = title_commitment(&escrow_core::random::bytes(), TITLE);
        let matter = quinn.matter(self.matter.clone(), MatterAction::Open, None, title).during("opening the matter")?;
        let _logged = quinn.submit(&matter).await.during("opening the matter")?;
        let ask = self.ask()?;
        let request = self.file_request(ask).await?;
        let r = &request.request;
        teller.say(&format!(
            "Quinn (compliance) asks in matter {}: {} thread, {} keys, {} to {}, to be read by Erik (eDiscovery).",
            r.matter,
            r.counts.threads,
            r.counts.items,
            self.slice.from().day(),
            self.slice.days.last().map(ToString::to_string).unwrap_or_default()
        ));
        self.counts.insert("items_asked", r.counts.items);
        self.request = Some(request);

        self.decide("lena", "legal").await.during("approving as Legal")?;
        teller.say("Lena (Legal) approved.");
        let erik = self.officer("erik")?;
        let known = self.known().await?;
        let outcome = erik.collect(&known, Wanted::Enough).await;
        let (text, ok) = match outcome {
            Err(ReleaseError::Pending { lacking, .. }) => {
                let dpo = lacking.iter().any(|l| l.what.as_str() == "approvals.dpo");
                (escrow_policy::gate::describe(&lacking), dpo)
            }
            Err(e) => (e.to_string(), false),
            Ok(_) => ("RELEASED".to_owned(), false),
        };
        teller.step("one approval too few", "pending, the DPO's approval is named", text, ok);

        let own = self.decide("quinn", "legal").await;
        let (text, ok) = refusal(own, "approver-is-requestor");
        teller.step("the requestor approves", "refused by every node", text, ok);

        self.decide("dora", "dpo").await.during("approving as DPO")?;
        teller.say("Dora (data protection) approved.");
        Ok(())
    }

    fn ask(&self) -> Result<Ask, DemoError> {
        let erik = "erik".parse().during("naming the recipient")?;
        Ok(Ask {
            matter: self.matter.clone(),
            basis: Basis::Consent,
            authority: None,
            purpose: "internal-investigation".parse().during("naming the purpose")?,
            threads: vec![self.tokens.thread(&self.slice.thread)],
            from: self.slice.from(),
            to: self.slice.to(),
            recipient: self.client.recipient(&erik).during("looking up the recipient")?,
            policy: POLICY_ID.parse().during("naming the policy")?,
            notice: Notice::Immediate,
            life_s: 3 * 86_400,
        })
    }

    async fn file_request(&self, ask: Ask) -> Result<KnownRequest, DemoError> {
        let quinn = self.officer("quinn")?;
        let draft = quinn.draft_request(ask).await.during("drafting the request")?;
        let envelope = quinn.sign(&draft.request).during("signing the request")?;
        let _logged = quinn.submit(&envelope).await.during("submitting the request")?;
        let known = quinn.requests().await;
        known.value.into_iter().find(|r| r.digest == envelope.digest()).during("finding the request again")
    }

    /// The request with the decisions that the nodes know now.
    pub(super) async fn known(&self) -> Result<KnownRequest, DemoError> {
        let digest = self.request.as_ref().map(|r| r.digest).during("finding the request")?;
        let known = self.officer("quinn")?.requests().await;
        known.value.into_iter().find(|r| r.digest == digest).during("finding the request again")
    }

    async fn decide(&self, who: &str, role: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let client = self.officer(who)?;
        let digest = self.request.as_ref().map(|r| r.digest).during("finding the request")?;
        let decision = client.decision(digest, Choice::Approve, role.parse()?, "reviewed".parse()?)?;
        let _logged = client.submit(&decision).await?;
        Ok(())
    }

    /// Collects and opens as the recipient.
    pub(super) async fn collect(&self, wanted: Wanted) -> Result<(Collected, Opened), ReleaseError> {
        let erik = self.officer("erik").map_err(|_| below())?;
        let known = self.known().await.map_err(|_| below())?;
        let collected = erik.collect(&known, wanted).await?;
        let key = erik.identity().sealing().ok_or_else(below)?;
        let opened = open_replies(self.charters(), &collected.replies, key).map_err(|_| below())?;
        Ok((collected, opened))
    }

    /// The opened messages of the release, as bytes.
    pub(super) fn messages(&self, opened: &Opened) -> Result<Vec<u8>, DemoError> {
        let dir = self.archive_dir();
        let options = OpenOptions { dir: &dir, org: &self.org, tokens: Some(&self.tokens) };
        let mut out = Vec::new();
        let items = opened.keys.iter().map(|k| (&k.about, &k.key));
        archive::open_segments(&options, items, &mut out).during("opening the archive")?;
        Ok(out)
    }

    /// Chapter 5: the release, read by its recipient.
    pub(super) async fn release_and_open(&mut self, teller: &mut Teller) -> Result<(), DemoError> {
        teller.chapter("5. The release");
        let (collected, opened) = self.collect(Wanted::Enough).await.during("collecting the release")?;
        collected.replies.save(&self.dir.join("replies.json")).during("saving the sealed replies")?;
        let nodes: Vec<String> = collected.outcomes.good().map(|(s, _)| s.to_string()).collect();
        teller.step(
            "release",
            "three nodes reply, sealed to Erik",
            format!(
                "nodes {} each wrote it in their log, had it countersigned by two others, and then replied",
                nodes.join(", ")
            ),
            nodes.len() >= usize::from(T),
        );
        let got = self.messages(&opened)?;
        let path = self.dir.join("opened.jsonl");
        super::cluster::write_private(&path, &got).during("writing the opened messages")?;
        let expected = self.contents.expected(&self.slice);
        let lines = got.iter().filter(|b| **b == b'\n').count();
        self.counts.insert("messages_opened", lines as u64);
        let same = got == expected && !got.is_empty();
        let text = if same {
            format!("{lines} messages came back byte for byte, and nothing else; no key was ever in a file")
        } else {
            format!("{lines} messages came back, and they are NOT the ones that were sealed")
        };
        teller.step("open", "exactly the messages asked for, byte for byte", text, same);
        self.opened = Some(path);
        Ok(())
    }

    /// Chapter 6: the evidence.
    pub(super) async fn export_and_verify(&mut self, teller: &mut Teller) -> Result<(), DemoError> {
        teller.chapter("6. The evidence");
        let quinn = self.officer("quinn")?;
        let exported = quinn.export(&ExportScope::Matter(self.matter.clone())).await.during("exporting")?;
        let path = self.dir.join("bundle");
        exported.bundle.write_dir(&path).during("writing the bundle")?;
        let read = Bundle::read_dir(&path).during("reading the bundle back")?;
        let report = escrow_audit::verify::verify(&read.files, &self.charters().genesis());
        let (ok, detail) = super::report::judged(&report);
        teller.step("evidence", "the bundle verifies offline: OK", detail, ok);
        let recorded = quinn.record_export(&exported.written).await;
        let detail =
            format!("{} nodes have bundle {} in their logs", recorded.count(), exported.written.bundle.short());
        teller.step(
            "the export goes on record",
            "every node logs who has which bundle",
            detail,
            recorded.count() == self.cluster.members().len(),
        );
        self.bundle = Some(path);
        Ok(())
    }
}

/// What a recipient is told when this machine cannot even begin.
fn below() -> ReleaseError {
    ReleaseError::BelowThreshold { answered: 0, need: usize::from(T), verdicts: escrow_client::Outcomes::new() }
}

/// Text and judgement of something that must be refused with a code by the nodes.
pub(super) fn refusal<T>(outcome: Result<T, Box<dyn std::error::Error + Send + Sync>>, code: &str) -> (String, bool) {
    match outcome {
        Ok(_) => ("ACCEPTED".to_owned(), false),
        Err(e) => {
            let text = e.to_string();
            let first = text.lines().find(|l| l.contains(code)).unwrap_or(&text).trim().to_owned();
            let ok = text.contains(code);
            (first, ok)
        }
    }
}

fn terms(subject: Token, from: Timestamp, to: Timestamp) -> Result<ConsentTerms, escrow_core::WordError> {
    Ok(ConsentTerms {
        subject,
        coverage: Coverage::Workspace,
        from,
        to,
        epochs: None,
        purposes: vec!["internal-investigation".parse()?],
        basis: Basis::Consent,
        authority: None,
        policies: vec![POLICY_ID.parse()?, RECOVERY_ID.parse()?],
        floor: Floor { t: T, n: 5 },
        retention_days: 365,
        notice: NoticeText {
            digest: Digest::of(NOTICE.as_bytes()),
            language: "en".parse()?,
            terms: "immediate".parse()?,
        },
        expires: now().plus_seconds(365 * 86_400),
        jurisdiction: "DE".parse()?,
        pii_types: vec!["message-content".parse()?],
        recipients: vec!["recipient".parse()?],
        withdrawal_method: "escrow consent withdraw".parse()?,
    })
}
