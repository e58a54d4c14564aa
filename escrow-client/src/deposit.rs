//! Depositing: wrap, split, seal and sign; put into the outbox; send until every node has it.

use crate::client::Client;
use crate::clock::now;
use crate::identity::SignError;
use crate::key_file::KeyFileError;
use crate::outbox::{Outbox, OutboxError, Progress, SealedDeposit};
use crate::outcome::NodeError;
use crate::seat::verify_receipt;
use crate::transport::Node;
use escrow_core::consent::Consent;
use escrow_core::deal::{About, Deal, DealError, Dealer, Dealt};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::wire::DepositBody;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, SeatIndex, ThreadKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Most items put into one deal: larger ones make a retry dearer, smaller ones the log longer.
pub const ITEMS_PER_DEPOSIT: usize = 64;

/// Why nothing, or not everything, was deposited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepositError {
    /// The key in use is not a device's.
    #[error(transparent)]
    Identity(#[from] KeyFileError),
    /// The consent is another subject's.
    #[error("the consent is another subject's than this device's; use the consent that this device gave")]
    WrongSubject,
    /// The consent has ended.
    #[error("the consent ended at {0}; ask the subject for a new one")]
    ConsentEnded(escrow_core::Timestamp),
    /// The charter's node set is smaller than the consent allows.
    #[error("the consent asks for at least {} of {} nodes, the charter has {t} of {n}", floor.t, floor.n)]
    Floor {
        /// What the consent asks for.
        floor: escrow_core::consent::Floor,
        /// Threshold of the charter.
        t: u8,
        /// Nodes of the charter.
        n: u8,
    },
    /// A seat of the generation is not in the charter.
    #[error("seat {0} of the current generation is not in the charter")]
    NoSeat(SeatIndex),
    /// The items cannot be dealt: the caller's fault.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// The statement is refused here.
    #[error(transparent)]
    Statement(#[from] SignError),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// A background task ended early.
    #[error("a task of this client ended early; nothing is lost, run it again")]
    Task,
}

/// How safe a deposit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Fewer than t nodes have it: it could not be opened again. So many are missing.
    NotRecoverable(u8),
    /// It can be opened again, even if k more nodes were lost.
    Recoverable(u8),
    /// Every node has it: k = n - t.
    Escrowed(u8),
}

impl Standing {
    /// From receipts, threshold and node count.
    pub const fn of(receipts: usize, t: u8, n: u8) -> Self {
        let have = if receipts > n as usize { n } else { receipts as u8 };
        if have < t {
            Self::NotRecoverable(t - have)
        } else if have == n {
            Self::Escrowed(n - t)
        } else {
            Self::Recoverable(have - t)
        }
    }
}

impl Progress {
    /// How safe it is.
    pub fn standing(&self) -> Standing {
        Standing::of(self.receipts.len(), self.t, self.n)
    }
}

/// What a flush came to.
#[derive(Debug)]
#[must_use]
pub struct Flushed {
    /// Every deposit of the outbox, oldest first.
    pub deposits: Vec<Progress>,
    /// Why a node lacks a deposit, the last word of each.
    pub failures: BTreeMap<(Digest, SeatIndex), NodeError>,
    /// Deposits cut short because their consent ended.
    pub expired: usize,
}

impl Flushed {
    /// True if every node has every deposit.
    pub fn complete(&self) -> bool {
        self.deposits.iter().all(|d| matches!(d.standing(), Standing::Escrowed(_)))
    }

    /// The least safe standing of all.
    pub fn worst(&self) -> Option<Standing> {
        let rank = |s: &Standing| match s {
            Standing::NotRecoverable(k) => (0, u8::MAX - k),
            Standing::Recoverable(k) => (1, *k),
            Standing::Escrowed(k) => (2, *k),
        };
        self.deposits.iter().map(Progress::standing).min_by_key(rank)
    }
}

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct FlushOptions {
    /// Attempts for each node and deposit.
    pub attempts: u32,
    /// Deposits under way to one node at the same time.
    pub concurrency: usize,
    /// First wait between attempts; it doubles each time, up to 30 s.
    pub backoff: Duration,
}

impl Default for FlushOptions {
    fn default() -> Self {
        Self { attempts: 4, concurrency: 4, backoff: Duration::from_millis(500) }
    }
}

/// Told about each acknowledgement: acknowledged so far, and to do in all.
pub type OnProgress = dyn Fn(u64, u64) + Send + Sync;

impl Client {
    /// Wraps, splits, seals and signs items under a consent of this device's subject. Costs about
    /// a millisecond of arithmetic an item; sends nothing.
    ///
    /// # Errors
    /// [`DepositError`]; then no item was dealt.
    pub fn seal_deposits(
        &self,
        consent: (&Digest, &Consent),
        items: Vec<(About, ThreadKey)>,
    ) -> Result<Vec<SealedDeposit>, DepositError> {
        let (digest, consent) = consent;
        let device = self.identity().device()?;
        let generation = self.charters().generation();
        let (t, n) = (generation.t, generation.n());
        if consent.subject != device.subject {
            return Err(DepositError::WrongSubject);
        }
        if consent.expires <= now() {
            return Err(DepositError::ConsentEnded(consent.expires));
        }
        if t < consent.floor.t || n < consent.floor.n {
            return Err(DepositError::Floor { floor: consent.floor, t, n });
        }
        let seats = generation
            .members
            .iter()
            .map(|m| self.charters().seat(*m).map(|s| (*m, s.sealing.clone())).ok_or(DepositError::NoSeat(*m)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut out = Vec::new();
        let mut rest = items.into_iter().peekable();
        while rest.peek().is_some() {
            let chunk: Vec<_> = rest.by_ref().take(ITEMS_PER_DEPOSIT).collect();
            let header = Deal {
                org: self.charters().current().org.clone(),
                nonce: Nonce::random(),
                generation: generation.number,
                t,
                n,
                consent: *digest,
                policies: consent.policies.clone(),
                depositor: device.subject,
                items: vec![],
            };
            let Dealt { deal, blobs } = Dealer { header, seats: &seats }.deal(&chunk)?;
            let envelope = self.sign(&Deposit {
                kind: Kind::Deposit,
                org: self.charters().current().org.clone(),
                nonce: Nonce::random(),
                charter: self.charters().digest(),
                depositor: device.subject,
                deal: Blob(deal),
                blobs: blobs.iter().map(|(seat, b)| SeatBlob { seat: *seat, sha256: Digest::of(b) }).collect(),
                at: now(),
            })?;
            out.push(SealedDeposit {
                digest: envelope.digest(),
                envelope: envelope.bytes().to_vec(),
                blobs,
                items: chunk.into_iter().map(|(about, _)| about).collect(),
                t,
                expires: consent.expires,
            });
        }
        Ok(out)
    }

    /// Deposits items: seals them into the outbox, then sends. Items that the outbox has had
    /// before are not dealt again.
    ///
    /// # Errors
    /// [`DepositError`]; what is in the outbox by then stays there for [`Client::flush`].
    pub async fn deposit(
        &self,
        outbox: Arc<Outbox>,
        consent: (Digest, Consent),
        items: Vec<(About, ThreadKey)>,
        options: FlushOptions,
        progress: Arc<OnProgress>,
    ) -> Result<Flushed, DepositError> {
        let (client, store) = (self.clone(), outbox.clone());
        // Arithmetic for seconds: not on the threads that move bytes.
        let sealing = tokio::task::spawn_blocking(move || {
            let mut fresh = Vec::with_capacity(items.len());
            for (about, key) in items {
                if store.deposit_of(&about)?.is_none() {
                    fresh.push((about, key));
                }
            }
            let sealed = client.seal_deposits((&consent.0, &consent.1), fresh)?;
            store.put(&sealed)?;
            Ok::<_, DepositError>(())
        });
        sealing.await.map_err(|_| DepositError::Task)??;
        self.flush(outbox, options, progress).await
    }

    /// Sends what nodes still lack, to all nodes in parallel, and verifies every receipt. Safe to
    /// run at any time and as often as wanted: nodes answer the same bytes with the same receipt.
    ///
    /// # Errors
    /// [`DepositError::Outbox`]. Nodes that fail are no error here; see [`Flushed::failures`].
    pub async fn flush(
        &self,
        outbox: Arc<Outbox>,
        options: FlushOptions,
        progress: Arc<OnProgress>,
    ) -> Result<Flushed, DepositError> {
        let expired = outbox.expire(now())?;
        let pending = outbox.pending()?;
        let total = pending.len() as u64;
        let mut queues: BTreeMap<SeatIndex, Arc<Semaphore>> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut failures = BTreeMap::new();
        for (deposit, seat) in pending {
            let Some(node) = self.node(seat).cloned() else {
                failures.insert((deposit, seat), NodeError::Protocol("the seat left the charter".into()));
                continue;
            };
            let queue =
                queues.entry(seat).or_insert_with(|| Arc::new(Semaphore::new(options.concurrency.max(1)))).clone();
            let (client, outbox) = (self.clone(), outbox.clone());
            tasks.spawn(async move {
                let _turn = queue.acquire_owned().await;
                ((deposit, seat), client.send(&outbox, &node, deposit, options).await)
            });
        }
        let mut done = 0;
        while let Some(task) = tasks.join_next().await {
            let (which, result) = task.map_err(|_| DepositError::Task)?;
            match result? {
                Ok(()) => {
                    done += 1;
                    progress(done, total);
                }
                Err(e) => {
                    failures.insert(which, e);
                }
            }
        }
        Ok(Flushed { deposits: outbox.progress()?, failures, expired })
    }

    /// Sends one deposit to one node, again after a growing wait while that may help.
    async fn send(
        &self,
        outbox: &Outbox,
        node: &Node,
        deposit: Digest,
        options: FlushOptions,
    ) -> Result<Result<(), NodeError>, OutboxError> {
        let Some(row) = outbox.load(&deposit, node.seat())? else { return Ok(Ok(())) };
        let envelope = Envelope::parse(&row.envelope).map_err(|_| OutboxError::Damaged("an envelope"))?;
        let body = DepositBody { deposit: Blob(row.envelope), blob: Blob(row.blob) };
        let mut wait = options.backoff;
        let mut attempt = 1;
        loop {
            let answer = node.deposit(&body).await;
            let verified =
                answer.and_then(|a| verify_receipt(self.charters(), node.seat(), &a, &envelope)).and_then(|r| {
                    // A deposit has one signer, so nothing else can have come first.
                    if r.same_envelope {
                        Ok(r)
                    } else {
                        Err(NodeError::Protocol("its receipt is for another envelope".into()))
                    }
                });
            match verified {
                Ok(receipt) => {
                    outbox.acknowledge(&receipt)?;
                    return Ok(Ok(()));
                }
                Err(e) if e.is_retryable() && attempt < options.attempts => {
                    tracing::debug!(seat = node.seat().get(), attempt, code = e.code(), "deposit not acknowledged yet");
                    tokio::time::sleep(jittered(wait)).await;
                    wait = (wait * 2).min(Duration::from_secs(30));
                    attempt += 1;
                }
                Err(e) => return Ok(Err(e)),
            }
        }
    }
}

/// Between half and all of `wait`, so that many clients do not come back at the same moment.
fn jittered(wait: Duration) -> Duration {
    let [byte] = escrow_core::random::bytes::<1>();
    wait / 2 + (wait / 2) * u32::from(byte) / 255
}
