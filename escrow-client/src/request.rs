//! Requests: drafting one from what is asked in people's terms, finding them again.

use crate::charters::Charters;
use crate::client::Client;
use crate::clock::now;
use crate::consent::Outcomed;
use crate::identity::SignError;
use crate::key_file::KeyFileError;
use crate::outcome::{NodeError, Outcomes};
use crate::scope::{Selecting, choose, takes_part};
use crate::shown;
use escrow_core::charter::Basis;
use escrow_core::consent::Authority;
use escrow_core::decision::{Choice, Decision};
use escrow_core::envelope::EnvelopeError;
use escrow_core::query::{CustodianScope, Question};
use escrow_core::request::{Cancellation, Counts, Notice, Recipient, RecipientPerson, Request, Scope, Selection};
use escrow_core::wire::{ItemInfo, PreviewAnswer, RequestInfo};
use escrow_core::{Code, Digest, Envelope, ItemId, Kind, MatterId, Nonce, PersonId, Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The matter it belongs to.
    pub matter: MatterId,
    /// On what ground.
    pub basis: Basis,
    /// Reference and document; none only for consent.
    pub authority: Option<Authority>,
    /// For what purpose.
    pub purpose: Code,
    /// Which threads, any order.
    pub threads: Vec<Token>,
    /// First instant of messages asked for.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// Whose key the result is sealed to.
    pub recipient: Recipient,
    /// The one policy.
    pub policy: Code,
    /// When the subjects are told.
    pub notice: Notice,
    /// Life of the request, seconds.
    pub life_s: i64,
}

/// Why no request can be drafted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The key in use is not an officer's.
    #[error(transparent)]
    Identity(#[from] KeyFileError),
    /// Too few nodes answered to know what is escrowed.
    #[error("{answered} nodes answered, {need} are needed to know what can be released:\n{outcomes}")]
    BelowThreshold {
        /// Nodes that answered.
        answered: usize,
        /// Nodes needed.
        need: usize,
        /// What each said.
        outcomes: Outcomes<usize>,
    },
    /// Nodes refused to say what they hold.
    #[error("the nodes refuse to say what they hold:\n{0}")]
    Refused(Outcomes<usize>),
    /// Neither threads nor custodians are named.
    #[error("no thread and no custodian is named; name at least one")]
    Unbounded,
    /// Nothing is escrowed there.
    #[error(
        "nothing is escrowed for these threads in this time; check thread and dates, or ask the custodians to deposit"
    )]
    NothingThere,
    /// The items are of several node sets.
    #[error("the items belong to generations {0:?}; a request names items of one: narrow the time")]
    MixedGenerations(BTreeSet<u32>),
    /// Not a person who can receive.
    #[error("{0} is not in the charter or has no sealing key there, so nothing can be sealed to them")]
    Recipient(PersonId),
    /// A rule of requests is broken.
    #[error(transparent)]
    Statement(#[from] SignError),
}

/// What the nodes hold together for a scope.
#[derive(Debug)]
pub struct Held {
    /// Items that at least t nodes hold alike, ascending by id.
    pub items: Vec<ItemInfo>,
    /// Items that fewer hold.
    pub left_out: Vec<ItemId>,
    /// Items in each node's answer.
    pub outcomes: Outcomes<usize>,
}

/// Who is concerned by items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Those who escrowed the keys.
    pub depositors: BTreeSet<Token>,
    /// Members of the organisation in the threads.
    pub inside: BTreeSet<Token>,
    /// Everybody else in the threads.
    pub outside: BTreeSet<Token>,
}

impl People {
    /// Of items.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a ItemInfo>) -> Self {
        let mut people = Self::default();
        for i in items {
            people.depositors.insert(i.depositor);
            for p in &i.about.participants {
                if p.inside {
                    people.inside.insert(p.token)
                } else {
                    people.outside.insert(p.token)
                };
            }
        }
        people
    }
}

/// A request that is ready to be shown and signed.
#[derive(Debug)]
pub struct Draft {
    /// The request.
    pub request: Request,
    /// What its items are.
    pub items: Vec<ItemInfo>,
    /// Items that fewer than t nodes hold alike; they could not be released and are left out.
    pub left_out: Vec<ItemId>,
    /// Threads for which nothing is escrowed in this time; left out of the scope.
    pub empty_threads: Vec<Token>,
    /// Custodians who take part in nothing that is escrowed for this time; left out of the selection.
    pub empty_custodians: Vec<Token>,
    /// Threads of which nobody here knows whether the keys hold as many messages of context as asked for.
    pub unsure_context: Vec<Token>,
    /// Items in each node's answer.
    pub outcomes: Outcomes<usize>,
}

/// One request as the nodes know it.
#[derive(Clone, Debug)]
pub struct KnownRequest {
    /// Its digest.
    pub digest: Digest,
    /// The request.
    pub request: Request,
    /// As it was signed.
    pub envelope: Envelope,
    /// Nodes that know it.
    pub nodes: usize,
    /// First time any node logged it.
    pub logged: Timestamp,
    /// Decisions of all nodes, each once.
    pub decisions: Vec<(Decision, Envelope)>,
    /// True if any node knows a cancellation that its requestor signed.
    pub cancelled: bool,
    /// Replies delivered by all nodes together.
    pub deliveries: u64,
}

impl KnownRequest {
    /// The strongest choice of each person.
    pub fn choices(&self) -> BTreeMap<&PersonId, (Choice, &Decision)> {
        strongest(&self.decisions)
    }

    /// `open`, `denied`, `cancelled` or `expired`; what the policy says, only verdicts tell.
    pub fn state(&self, at: Timestamp) -> &'static str {
        if self.cancelled {
            "cancelled"
        } else if self.choices().values().any(|(c, _)| *c == Choice::Deny) {
            "denied"
        } else if self.request.expires <= at {
            "expired"
        } else {
            "open"
        }
    }
}

impl Client {
    /// The recipient entry for a person of the charter.
    ///
    /// # Errors
    /// [`DraftError::Recipient`].
    pub fn recipient(&self, person: &PersonId) -> Result<Recipient, DraftError> {
        Ok(Recipient::Person(self.recipient_person(person)?))
    }

    /// The same person as a filter team, who must have no other part in the matter.
    ///
    /// # Errors
    /// [`DraftError::Recipient`].
    pub fn filter_team(&self, person: &PersonId) -> Result<Recipient, DraftError> {
        Ok(Recipient::FilterTeam(self.recipient_person(person)?))
    }

    fn recipient_person(&self, person: &PersonId) -> Result<RecipientPerson, DraftError> {
        let sealing = self.charters().current().person(person).and_then(|p| p.sealing.as_ref());
        let sealing = sealing.ok_or_else(|| DraftError::Recipient(person.clone()))?.digest();
        Ok(RecipientPerson { id: person.clone(), sealing })
    }

    /// Asks every node what it holds for a scope, and takes the items that at least t nodes hold
    /// alike, because fewer could not release them. Ascending by id.
    ///
    /// # Errors
    /// [`DraftError::BelowThreshold`], [`DraftError::Refused`].
    pub async fn items(&self, scope: &Scope) -> Result<Held, DraftError> {
        let within = |i: &ItemInfo| {
            let a = &i.about;
            scope.threads.contains(&a.thread) && a.from < scope.to && scope.from < a.to
        };
        self.held(Question::Items(scope.clone()), within).await
    }

    /// The same for all threads of some subjects: items that they deposited, or whose depositors name them.
    ///
    /// # Errors
    /// [`DraftError::BelowThreshold`], [`DraftError::Refused`].
    pub async fn items_of(&self, of: &CustodianScope) -> Result<Held, DraftError> {
        let within = |i: &ItemInfo| {
            i.about.from < of.to && of.from < i.about.to && of.custodians.iter().any(|t| takes_part(i, t))
        };
        self.held(Question::ItemsOf(of.clone()), within).await
    }

    async fn held(&self, question: Question, within: impl Fn(&ItemInfo) -> bool) -> Result<Held, DraftError> {
        let answers: Outcomes<Vec<ItemInfo>> = self.ask_all(question).await;
        let mut held: BTreeMap<(ItemId, String), (usize, ItemInfo)> = BTreeMap::new();
        let outcomes = answers.and_then(|_, list| {
            let seen = list.len();
            for info in list.into_iter().filter(&within) {
                // Alike means alike in everything: what one node tells otherwise is another thing.
                let text = serde_json::to_string(&info).map_err(|e| NodeError::Protocol(e.to_string()))?;
                held.entry((info.item, text)).or_insert((0, info)).0 += 1;
            }
            Ok(seen)
        });
        let (answered, need) = (outcomes.count(), self.t());
        if answered < need {
            let refused = outcomes.present() >= need;
            return Err(if refused {
                DraftError::Refused(outcomes)
            } else {
                DraftError::BelowThreshold { answered, need, outcomes }
            });
        }
        // With t above half of the nodes, no two tales about one item can both have t tellers.
        let (enough, few): (Vec<_>, Vec<_>) = held.into_values().partition(|(nodes, _)| *nodes >= need);
        let items: Vec<ItemInfo> = enough.into_iter().map(|(_, info)| info).collect();
        let taken: BTreeSet<ItemId> = items.iter().map(|i| i.item).collect();
        let left_out: BTreeSet<ItemId> = few.iter().map(|(_, i)| i.item).filter(|i| !taken.contains(i)).collect();
        Ok(Held { items, left_out: left_out.into_iter().collect(), outcomes })
    }

    /// Drafts a request for everything in its threads and time: [`Client::draft_selected`].
    ///
    /// # Errors
    /// [`DraftError`].
    pub async fn draft_request(&self, ask: Ask) -> Result<Draft, DraftError> {
        self.draft_selected(ask, &Selecting::default()).await
    }

    /// Drafts a request: asks every node what it holds for threads, custodians and time, takes what at
    /// least t nodes hold alike, because fewer could not release it, and chooses the smallest set of
    /// items that opens what is asked for with its context. Without threads all those of the custodians
    /// are meant.
    ///
    /// # Errors
    /// [`DraftError`].
    pub async fn draft_selected(&self, ask: Ask, how: &Selecting) -> Result<Draft, DraftError> {
        let by = self.identity().officer()?.person.clone();
        let Held { items: held, left_out, outcomes } = self.candidates(&ask, how).await?;
        let chosen = choose(&held, ask.from, ask.to, how);
        let items: Vec<ItemInfo> = held.into_iter().filter(|i| chosen.items.contains(&i.item)).collect();
        if items.is_empty() {
            return Err(DraftError::NothingThere);
        }
        let generations: BTreeSet<u32> = items.iter().map(|i| i.generation).collect();
        if generations.len() > 1 {
            return Err(DraftError::MixedGenerations(generations));
        }
        let found: BTreeSet<Token> = items.iter().map(|i| i.about.thread).collect();
        let asked: BTreeSet<Token> = ask.threads.iter().copied().collect();
        let named: BTreeSet<Token> = how.custodians.iter().copied().collect();
        let (custodians, empty_custodians): (Vec<Token>, Vec<Token>) =
            named.into_iter().partition(|t| items.iter().any(|i| takes_part(i, t)));
        let selection = (!how.says_nothing()).then(|| Selection {
            custodians,
            epochs: how.epochs,
            from: ask.from,
            to: ask.to,
            context: how.context,
            zone: how.zone.clone(),
        });
        let created = now();
        let request = Request {
            kind: Kind::Request,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            matter: ask.matter,
            by,
            basis: ask.basis,
            authority: ask.authority,
            purpose: ask.purpose,
            counts: Counts { items: items.len() as u64, threads: found.len() as u64 },
            scope: Scope { threads: found.iter().copied().collect(), from: chosen.from, to: chosen.to },
            selection,
            items: items.iter().map(|i| i.item).collect(),
            recipient: ask.recipient,
            policy: ask.policy,
            notice: ask.notice,
            created,
            expires: created.plus_seconds(ask.life_s),
        };
        let empty_threads = asked.difference(&found).copied().collect();
        let unsure_context = chosen.unsure.into_iter().collect();
        Ok(Draft { request, items, left_out, empty_threads, empty_custodians, unsure_context, outcomes })
    }

    /// What could be asked for: of the threads and custodians named what opens the time and the hours
    /// around it; if messages are wanted as context, everything of the threads concerned.
    async fn candidates(&self, ask: &Ask, how: &Selecting) -> Result<Held, DraftError> {
        let sorted = |list: &[Token]| list.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        let (threads, custodians) = (sorted(&ask.threads), sorted(&how.custodians));
        let (from, to) = how.widened(ask.from, ask.to);
        let mut held = match (threads.is_empty(), custodians.is_empty()) {
            (true, true) => return Err(DraftError::Unbounded),
            (true, false) => self.items_of(&CustodianScope { custodians, from, to }).await?,
            (false, _) => self.items(&Scope { threads, from, to }).await?,
        };
        held.items.retain(|i| how.takes(i));
        let within = held.items.iter().filter(|i| i.about.from < ask.to && ask.from < i.about.to);
        let threads = sorted(&within.map(|i| i.about.thread).collect::<Vec<_>>());
        if how.context.messages > 0 && !threads.is_empty() {
            let whole = self.items(&Scope { threads, from: Timestamp::EPOCH, to: Timestamp::MAX }).await?;
            held.items = whole.items.into_iter().filter(|i| how.takes(i)).collect();
        }
        Ok(held)
    }

    /// What every node would say to a drafted request, before anybody is asked.
    pub async fn preview(&self, request: &Request) -> Outcomes<PreviewAnswer> {
        self.ask_all(Question::Preview(Box::new(request.clone()))).await
    }

    /// Signs the cancellation of a request of one's own.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn cancellation(&self, request: Digest) -> Result<Envelope, DraftError> {
        Ok(self.sign(&Cancellation {
            kind: Kind::Cancellation,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            request,
            by: self.identity().officer()?.person.clone(),
            at: now(),
        })?)
    }

    /// All requests that any node knows, oldest first, with everybody's decisions.
    pub async fn requests(&self) -> Outcomed<Vec<KnownRequest>> {
        let answers: Outcomes<Vec<RequestInfo>> = self.ask_all(Question::Requests).await;
        let mut known: BTreeMap<Digest, KnownRequest> = BTreeMap::new();
        let outcomes = answers.and_then(|_, list| {
            let seen = list.len();
            for info in list {
                merge(self.charters(), &mut known, info)?;
            }
            Ok(seen)
        });
        let mut list: Vec<_> = known.into_values().collect();
        list.sort_by_key(|r| (r.logged, r.digest));
        Outcomed { value: list, outcomes }
    }

    /// Requests that still wait for this officer's decision.
    pub fn waits_for_me(&self, request: &KnownRequest) -> bool {
        let Ok(me) = self.identity().officer().map(|o| &o.person) else { return false };
        let recipient = request.request.recipient.person() == Some(me);
        request.state(now()) == "open"
            && request.request.by != *me
            && !recipient
            && !request.choices().contains_key(me)
            && self.approves(me)
    }

    /// True if the charter gives this person an approver role.
    pub(crate) fn approves(&self, person: &PersonId) -> bool {
        let charter = self.charters().current();
        charter.person(person).is_some_and(|p| p.roles.iter().any(|r| charter.approver_roles.contains(r)))
    }
}

/// The strongest choice of each person.
pub(crate) fn strongest(decisions: &[(Decision, Envelope)]) -> BTreeMap<&PersonId, (Choice, &Decision)> {
    let mut out: BTreeMap<&PersonId, (Choice, &Decision)> = BTreeMap::new();
    for (d, _) in decisions {
        let slot = out.entry(&d.by).or_insert((d.choice, d));
        if d.choice > slot.0 {
            *slot = (d.choice, d);
        }
    }
    out
}

fn merge(charters: &Charters, known: &mut BTreeMap<Digest, KnownRequest>, info: RequestInfo) -> Result<(), NodeError> {
    let protocol = |e: EnvelopeError| NodeError::Protocol(e.to_string());
    let envelope = crate::transport::envelope(&info.request, "request")?;
    let request: Request = envelope.decode().map_err(protocol)?;
    // One bad copy must not take the place of the good one that other nodes hold.
    if !charters.signed_by(&envelope, &request.by) {
        return Err(NodeError::Protocol("it shows a request that its requestor did not sign".into()));
    }
    let digest = envelope.digest();
    let k = known.entry(digest).or_insert_with(|| KnownRequest {
        digest,
        request,
        envelope,
        nodes: 0,
        logged: info.logged,
        decisions: vec![],
        cancelled: false,
        deliveries: 0,
    });
    k.nodes += 1;
    k.logged = k.logged.min(info.logged);
    k.deliveries += info.deliveries;
    if let Some(blob) = &info.cancellation {
        let envelope = crate::transport::envelope(blob, "cancellation")?;
        let c: Cancellation = envelope.decode().map_err(protocol)?;
        k.cancelled |= c.request == digest && c.by == k.request.by && charters.signed_by(&envelope, &c.by);
    }
    shown::add(&mut k.decisions, &info.decisions, |d: &Decision, e| d.request == digest && charters.signed_by(e, &d.by))
}
