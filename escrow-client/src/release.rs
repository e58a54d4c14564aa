//! The release round as a client drives it: fresh permits from all nodes, then replies, each
//! sealed to the one recipient. Nothing here can read a reply without the recipient's key.

use crate::case::Case;
use crate::client::Client;
use crate::clock::now;
use crate::identity::SignError;
use crate::open::{ReplyFault, check_shares, signed};
use crate::outcome::{NodeError, Outcomes};
use crate::replies::{Replies, RepliesError, Reply};
use crate::seat::{verify_entry, verify_seat_statement};
use crate::transport::Node;
use crate::verdict::{Assessment, VerifiedVerdict};
use escrow_core::deal::OpenedDeal;
use escrow_core::deposit::Deposit;
use escrow_core::release::{Release, ReleaseCall};
use escrow_core::wire::{ReleaseBody, Released};
use escrow_core::{Blob, Digest, Envelope, ItemId, Kind, Nonce, SeatIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::task::JoinSet;

/// Waiting so long for a reply makes the next node be asked as well.
const HEDGE: Duration = Duration::from_secs(10);

/// Why no release came about. Nothing leaked: below t replies, nobody learns anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The nodes refuse.
    #[error("refused by {} nodes: {}", seats(.reasons), .reasons.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Refused {
        /// Rules, with the seats that gave them.
        reasons: BTreeMap<escrow_core::Code, BTreeSet<SeatIndex>>,
        /// What each node said.
        verdicts: Outcomes<VerifiedVerdict>,
    },
    /// Something is still lacking.
    #[error("{}", escrow_policy::gate::describe(.lacking))]
    Pending {
        /// What.
        lacking: Vec<escrow_core::verdict::Lacking>,
        /// What each node said.
        verdicts: Outcomes<VerifiedVerdict>,
    },
    /// Too few nodes answered with a verdict.
    #[error(
        "{answered} nodes could be counted on, {need} are needed; nothing was released. Ask the operators of the others, then try again:\n{verdicts}"
    )]
    BelowThreshold {
        /// Nodes that answered.
        answered: usize,
        /// Nodes needed.
        need: usize,
        /// What each node said.
        verdicts: Outcomes<VerifiedVerdict>,
    },
    /// Enough nodes permit, and too few delivered.
    #[error(
        "{good} of {need} good replies; below that nobody can read anything. Try again, or ask the operators:\n{outcomes}"
    )]
    TooFewReplies {
        /// Good replies.
        good: usize,
        /// Replies needed.
        need: usize,
        /// What each node did.
        outcomes: Outcomes<Reply>,
    },
    /// The call breaks a rule of its kind.
    #[error(transparent)]
    Statement(#[from] SignError),
    /// What was collected before is of something else, or what arrived could not be kept.
    #[error(transparent)]
    Replies(#[from] RepliesError),
}

fn seats(reasons: &BTreeMap<escrow_core::Code, BTreeSet<SeatIndex>>) -> usize {
    reasons.values().flatten().collect::<BTreeSet<_>>().len()
}

/// How many replies are worth asking for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wanted {
    /// t, if the recipient's own key is here and each reply can be checked; else all.
    #[default]
    Enough,
    /// One from every node that permits.
    All,
}

/// Replies collected, and what each node did.
#[derive(Debug)]
#[must_use]
pub struct Collected {
    /// What to keep: sealed to the recipient, readable by nobody else.
    pub replies: Replies,
    /// Result of each node that was called.
    pub outcomes: Outcomes<Reply>,
    /// Nodes whose signed reply holds a share that does not fit; known only to the recipient.
    pub culprits: BTreeMap<SeatIndex, ReplyFault>,
}

/// How far a collecting has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Replies that count, those of an earlier collecting included.
    pub have: usize,
    /// Replies that would be enough; as many as there are nodes, if all are wanted.
    pub want: usize,
}

/// Is told after each reply, with everything that has arrived so far; its error ends the collecting.
pub type OnReply<'a> = dyn FnMut(&Replies, Arrived) -> Result<(), RepliesError> + Send + 'a;

impl Client {
    /// Gathers fresh permits from all nodes, calls for replies, and stops when t good ones have
    /// arrived. A failing node only makes the next one be asked.
    ///
    /// # Errors
    /// [`ReleaseError`], with every node's own word.
    pub async fn collect(&self, case: impl Into<Case>, wanted: Wanted) -> Result<Collected, ReleaseError> {
        self.collect_on(case, wanted, None, &mut |_, _| Ok(())).await
    }

    /// [`Client::collect`], going on from what an earlier collecting brought: nodes whose replies are
    /// there and hold are not asked again. Whoever keeps what `on_reply` is told loses nothing when it
    /// is cut short; below t replies it opens nothing.
    ///
    /// # Errors
    /// [`ReleaseError`], with every node's own word.
    pub async fn collect_on(
        &self,
        case: impl Into<Case>,
        wanted: Wanted,
        kept: Option<Replies>,
        on_reply: &mut OnReply<'_>,
    ) -> Result<Collected, ReleaseError> {
        let request = &case.into();
        let own_key = self.identity().sealing().filter(|k| k.public().digest() == request.recipient);
        let t = self.t();
        let want = if wanted == Wanted::All || own_key.is_none() { self.nodes().len() } else { t };
        let mut round = self.go_on(request, kept)?;
        // A permit lives a minute at most, so whoever fails for want of fresh ones is asked again once.
        for _ in 0..2 {
            if round.collected.len() >= want {
                break;
            }
            let verdicts = self.verdicts(&request.digest).await;
            match self.assess(&verdicts) {
                Assessment::Permitted => {}
                _ if round.collected.len() >= t => break,
                Assessment::Refused(reasons) => return Err(ReleaseError::Refused { reasons, verdicts }),
                Assessment::Pending(lacking) => return Err(ReleaseError::Pending { lacking, verdicts }),
                Assessment::BelowThreshold { answered, need } => {
                    return Err(ReleaseError::BelowThreshold { answered, need, verdicts });
                }
            }
            self.call_nodes(request, &verdicts, want, &mut round, on_reply).await?;
            let again = round.failed.errors().any(|(_, e)| worth_a_second_call(e));
            if round.collected.len() >= t.min(want) || !again {
                break;
            }
        }
        let good = round.collected.len();
        let outcomes = round.outcomes();
        if good < t {
            return Err(ReleaseError::TooFewReplies { good, need: t, outcomes });
        }
        let replies = round.replies(self.charters().genesis(), request);
        let culprits = round.culprits.into_iter().map(|(s, (_, fault))| (s, fault)).collect();
        Ok(Collected { replies, outcomes, culprits })
    }

    async fn call_nodes(
        &self,
        request: &Case,
        verdicts: &Outcomes<VerifiedVerdict>,
        want: usize,
        round: &mut Round,
        on_reply: &mut OnReply<'_>,
    ) -> Result<(), ReleaseError> {
        let permits: Vec<(SeatIndex, Envelope)> = verdicts
            .good()
            .filter(|(_, v)| self.permit_usable(&v.verdict))
            .map(|(s, v)| (s, v.envelope.clone()))
            .collect();
        let call = self.sign(&ReleaseCall {
            kind: Kind::ReleaseCall,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            request: request.digest,
            by: self.identity().caller(),
            at: now(),
        })?;
        let permits_it = |n: &Node| permits.iter().any(|(s, _)| *s == n.seat());
        let mut queue: VecDeque<Node> =
            self.nodes().iter().filter(|n| round.may_call(n.seat()) && permits_it(n)).cloned().collect();
        let mut tasks = JoinSet::new();
        loop {
            while round.collected.len() + tasks.len() < want
                && let Some(node) = queue.pop_front()
            {
                self.spawn_call(&mut tasks, node, request, &call, &permits);
            }
            let next = tokio::time::timeout(HEDGE, tasks.join_next()).await;
            match next {
                Ok(None) => return Ok(()),
                Ok(Some(Ok((seat, result)))) => {
                    let replied = result.is_ok();
                    self.take(request, seat, result, round);
                    if replied {
                        let arrived = Arrived { have: round.collected.len(), want };
                        on_reply(&round.replies(self.charters().genesis(), request), arrived)?;
                    }
                }
                Ok(Some(Err(_))) => {}
                Err(_) => {
                    if let Some(node) = queue.pop_front() {
                        self.spawn_call(&mut tasks, node, request, &call, &permits);
                    }
                }
            }
            if round.collected.len() >= want {
                return Ok(());
            }
        }
    }

    fn spawn_call(
        &self,
        tasks: &mut JoinSet<(SeatIndex, Result<Answer, NodeError>)>,
        node: Node,
        request: &Case,
        call: &Envelope,
        permits: &[(SeatIndex, Envelope)],
    ) {
        let blob = |e: &Envelope| Blob(e.bytes().to_vec());
        let body = ReleaseBody {
            call: blob(call),
            request: blob(&request.envelope),
            decisions: request.decisions.iter().map(blob).collect(),
            permits: permits.iter().filter(|(s, _)| *s != node.seat()).map(|(_, e)| blob(e)).collect(),
        };
        let (client, request) = (self.clone(), request.clone());
        tasks.spawn(async move {
            let released = node.release(&body).await;
            (node.seat(), released.and_then(|r| verify_released(&client, &request, node.seat(), r)))
        });
    }

    /// Begins with the replies of an earlier collecting that still hold: signed by their seats for this
    /// request, with the deposits that they need.
    fn go_on(&self, request: &Case, kept: Option<Replies>) -> Result<Round, RepliesError> {
        let mut round = Round::default();
        let Some(kept) = kept else { return Ok(round) };
        kept.belongs_to(self.charters().genesis(), request)?;
        let deposits: Vec<Envelope> = kept.deposits.iter().filter_map(|d| Envelope::parse(&d.0).ok()).collect();
        if missing(request, &deposits).is_ok_and(|m| m.is_none()) {
            let good = kept.replies.into_iter().filter(|r| signed(self.charters(), request, r).is_ok());
            for reply in good {
                let answer = Answer { deposits: deposits.clone(), reply };
                self.take(request, answer.reply.seat, Ok(answer), &mut round);
            }
        }
        Ok(round)
    }

    /// Files one answer. As the recipient, a reply counts only if its shares fit.
    fn take(&self, request: &Case, seat: SeatIndex, result: Result<Answer, NodeError>, round: &mut Round) {
        let answer = match result {
            Ok(answer) => answer,
            Err(e) => {
                tracing::debug!(seat = seat.get(), code = e.code(), "no reply");
                round.failed.0.insert(seat, Err(e));
                return;
            }
        };
        for d in answer.deposits {
            round.deposits.insert(d.digest(), d);
        }
        round.failed.0.remove(&seat);
        let own = self.identity().sealing().filter(|k| k.public().digest() == request.recipient);
        let checked = own.map_or(Ok(()), |key| {
            check_shares(self.charters().genesis(), request, &answer.reply, key, round.deposits.values())
        });
        match checked {
            Ok(()) => {
                round.collected.insert(seat, answer.reply);
            }
            Err(fault) => {
                tracing::warn!(seat = seat.get(), "a signed reply holds a wrong share");
                round.culprits.insert(seat, (answer.reply, fault));
            }
        }
    }
}

#[derive(Default)]
struct Round {
    collected: BTreeMap<SeatIndex, Reply>,
    failed: Outcomes<Reply>,
    culprits: BTreeMap<SeatIndex, (Reply, ReplyFault)>,
    deposits: BTreeMap<Digest, Envelope>,
}

impl Round {
    fn replies(&self, genesis: Digest, request: &Case) -> Replies {
        let replies = self.collected.values().chain(self.culprits.values().map(|(r, _)| r)).cloned().collect();
        Replies::new(genesis, &request.envelope, replies, self.deposits.values().cloned().collect())
    }

    fn may_call(&self, seat: SeatIndex) -> bool {
        let failed_for_good = self.failed.0.get(&seat).is_some_and(|r| !r.as_ref().is_err_and(worth_a_second_call));
        !self.collected.contains_key(&seat) && !self.culprits.contains_key(&seat) && !failed_for_good
    }

    fn outcomes(&self) -> Outcomes<Reply> {
        let mut all = self.failed.clone();
        all.0.extend(self.collected.iter().map(|(s, r)| (*s, Ok(r.clone()))));
        for (s, (_, fault)) in &self.culprits {
            all.0.insert(*s, Err(NodeError::Protocol(fault.to_string())));
        }
        all
    }
}

/// True for what fresh permits or a little time can mend.
fn worth_a_second_call(e: &NodeError) -> bool {
    match e {
        NodeError::Problem(p) => {
            matches!(p.code.as_str(), "permit-invalid" | "permits-missing" | "peers-missing" | "answer-invalid")
                || e.is_retryable()
        }
        NodeError::Unreachable(_) | NodeError::WrongKey => true,
        NodeError::Protocol(_) | NodeError::Unsigned(_) => false,
    }
}

struct Answer {
    reply: Reply,
    deposits: Vec<Envelope>,
}

/// The node's signed statement about SHA-256 of the reply comes first: what fails here is a fault
/// of the way, and no reason to say that the node lied about a share.
fn verify_released(client: &Client, request: &Case, seat: SeatIndex, r: Released) -> Result<Answer, NodeError> {
    let bad = |why: &str| NodeError::Protocol(format!("transport fault: {why}"));
    let envelope = crate::transport::envelope(&r.release, "release statement")?;
    let release: Release = verify_seat_statement(client.charters(), &envelope, seat)?;
    check_release(&release, request, &r.reply.0).map_err(bad)?;
    verify_entry(client.charters(), &release.charter, seat, &envelope.digest(), &r.entry.0, &r.proof)?;
    let deposits: Vec<Envelope> =
        r.deposits.iter().map(|d| crate::transport::envelope(d, "deposit")).collect::<Result<_, _>>()?;
    if let Some(missing) = missing(request, &deposits).map_err(NodeError::Protocol)? {
        return Err(NodeError::Protocol(format!("the deposit of item {} is not with its reply", missing.short())));
    }
    Ok(Answer { reply: Reply { seat, reply: r.reply, release: r.release, proof: r.proof }, deposits })
}

/// The first item asked for that none of the deposits holds.
fn missing(request: &Case, deposits: &[Envelope]) -> Result<Option<ItemId>, String> {
    let mut wanted: BTreeSet<ItemId> = request.items.iter().copied().collect();
    for d in deposits {
        let deposit: Deposit = d.decode().map_err(|e| e.to_string())?;
        let deal = OpenedDeal::parse(&deposit.deal.0).map_err(|e| e.to_string())?;
        for item in deal.item_ids() {
            wanted.remove(&item);
        }
    }
    Ok(wanted.pop_first())
}

/// What a release statement must say about the reply it comes with.
pub(crate) fn check_release(release: &Release, request: &Case, reply: &[u8]) -> Result<(), &'static str> {
    if release.reply != Digest::of(reply) {
        return Err("the reply is not the one that the node signed");
    }
    if release.request != request.digest || release.items != request.items {
        return Err("the reply is for another request");
    }
    if release.recipient != request.recipient {
        return Err("the reply is sealed to another key");
    }
    Ok(())
}
