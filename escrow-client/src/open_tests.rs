use super::*;
use crate::fixture::{World, seat};
use crate::release::{Arrived, Collected, ReleaseError, Wanted};
use crate::replies::RepliesError;
use escrow_core::reply::seal_reply;
use escrow_core::request::{Counts, Request, Scope};
use escrow_core::{Blob, Kind, Nonce, SigningKey};

/// A deposit of two items, a request for both, and each node's shares.
struct Story {
    world: World,
    request: Case,
    deposit: Envelope,
    deal: OpenedDeal,
    blobs: Vec<Vec<u8>>,
}

impl Story {
    fn new() -> Self {
        let world = World::new();
        let (digest, consent) = world.consent();
        let sealed = world.client(&world.device).seal_deposits((&digest, &consent), world.items(2)).unwrap();
        let deposit = Envelope::parse(&sealed[0].envelope).unwrap();
        let deal = OpenedDeal::parse(&deposit.decode::<Deposit>().unwrap().deal.0).unwrap();
        let mut items = deal.item_ids();
        items.sort();
        let client = world.client(&world.requestor);
        let request = Request {
            kind: Kind::Request,
            org: world.charter.org.clone(),
            nonce: Nonce::random(),
            charter: world.charters.digest(),
            matter: "MAT-1".parse().unwrap(),
            by: "asker".parse().unwrap(),
            basis: escrow_core::charter::Basis::Consent,
            authority: None,
            purpose: "investigation".parse().unwrap(),
            counts: Counts { items: 2, threads: 1 },
            scope: Scope { threads: vec![world.tokens.thread("t")], from: world.about(0).from, to: world.about(1).to },
            selection: None,
            items,
            recipient: client.recipient(&"reader".parse().unwrap()).unwrap(),
            policy: "standard".parse().unwrap(),
            notice: World::NOTICE,
            created: crate::clock::now(),
            expires: crate::clock::now().plus_seconds(600),
        };
        let envelope = client.sign(&request).unwrap();
        let request = Case::read(envelope).unwrap();
        let blobs = sealed[0].blobs.iter().map(|(_, b)| b.clone()).collect();
        Self { request, deposit, deal, blobs, world }
    }

    /// Node `n`'s shares in request order.
    fn shares(&self, n: u8) -> Vec<Share> {
        let blob = &self.blobs[usize::from(n) - 1];
        let mut by_id: BTreeMap<ItemId, Share> = self
            .deal
            .item_ids()
            .into_iter()
            .zip(self.deal.verify_blob(seat(n), &self.world.keys(n).sealing, blob).unwrap())
            .collect();
        self.request.items.iter().map(|i| by_id.remove(i).unwrap()).collect()
    }

    fn reply_of(&self, n: u8, shares: &[Share], signer: &SigningKey) -> Reply {
        let recipient = self.world.recipient.sealing().unwrap().public();
        let context = ReplyContext {
            genesis: self.world.charters.genesis(),
            request: self.request.digest,
            seat: seat(n),
            generation: 1,
            recipient: recipient.digest(),
        };
        let reply = seal_reply(&context, recipient, shares).unwrap();
        let release = Release {
            kind: Kind::Release,
            org: self.world.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.world.charters.digest(),
            seat: seat(n),
            generation: 1,
            request: self.request.digest,
            items: self.request.items.clone(),
            recipient: recipient.digest(),
            reply: Digest::of(&reply),
            attempt: 1,
        };
        let release = Envelope::sign(&release, &[signer]).unwrap();
        Reply { seat: seat(n), reply: Blob(reply), release: Blob(release.bytes().to_vec()), proof: String::new() }
    }

    fn reply(&self, n: u8) -> Reply {
        self.reply_of(n, &self.shares(n), &self.world.keys(n).statement)
    }

    /// A reply that is sealed and signed as it should be, with the items' shares the wrong way round.
    fn lie(&self, n: u8) -> Reply {
        let mut shares = self.shares(n);
        shares.reverse();
        self.reply_of(n, &shares, &self.world.keys(n).statement)
    }

    fn file(&self, replies: Vec<Reply>) -> Replies {
        Replies::new(self.world.charters.genesis(), &self.request.envelope, replies, vec![self.deposit.clone()])
    }

    fn open(&self, replies: Vec<Reply>) -> Result<Opened, OpenError> {
        open_replies(&self.world.charters, &self.file(replies), self.world.recipient.sealing().unwrap())
    }
}

fn keys(opened: &Opened) -> BTreeSet<u8> {
    opened.keys.iter().map(|k| k.key.expose()[0]).collect()
}

#[test]
fn any_three_of_five_open_and_a_liar_is_named() {
    let case = Story::new();
    let opened = case.open(vec![case.reply(5), case.reply(1), case.reply(3)]).unwrap();
    assert_eq!(keys(&opened), BTreeSet::from([0, 1]));
    assert!(opened.culprits.is_empty() && opened.failed.is_empty() && opened.unsigned.is_empty());
    for k in &opened.keys {
        assert_eq!(k.about.epoch, u64::from(k.key.expose()[0]), "each key with its own item");
    }

    let opened = case.open(vec![case.reply(1), case.lie(2), case.reply(3), case.reply(4)]).unwrap();
    assert_eq!(keys(&opened), BTreeSet::from([0, 1]));
    let wrong = case.request.items.iter().copied().collect();
    assert_eq!(opened.culprits, BTreeMap::from([(seat(2), ReplyFault::WrongShares(wrong))]));
}

#[test]
fn below_the_threshold_nothing_opens_and_the_liar_is_still_named() {
    let case = Story::new();
    match case.open(vec![case.reply(1), case.lie(2), case.reply(3)]) {
        Err(OpenError::BelowThreshold { have: 2, need: 3, culprits }) => {
            assert_eq!(culprits.keys().collect::<Vec<_>>(), [&seat(2)]);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(case.open(vec![]), Err(OpenError::BelowThreshold { have: 0, .. })));
    // The same node twice is one node.
    let twice = vec![case.reply(1), case.reply(1), case.reply(3)];
    assert!(matches!(case.open(twice), Err(OpenError::BelowThreshold { have: 2, .. })));
}

#[test]
fn what_nobody_signed_blames_nobody() {
    let case = Story::new();
    let mut altered = case.reply(2);
    altered.reply.0[40] ^= 1;
    let forged = case.reply_of(4, &case.shares(4), &case.world.keys(5).statement);
    let opened = case.open(vec![case.reply(1), altered, case.reply(3), forged, case.reply(5)]).unwrap();
    assert_eq!(keys(&opened).len(), 2);
    assert_eq!(opened.unsigned.keys().copied().collect::<Vec<_>>(), [seat(2), seat(4)]);
    assert!(opened.culprits.is_empty());
    // Signed, and not sealed to the recipient: that is the node's own doing.
    let mut nonsense = case.reply(2);
    nonsense.reply.0 = vec![7; 2_000];
    let mut release: Release = Envelope::parse(&nonsense.release.0).unwrap().decode().unwrap();
    release.reply = Digest::of(&nonsense.reply.0);
    nonsense.release = Blob(Envelope::sign(&release, &[&case.world.keys(2).statement]).unwrap().bytes().to_vec());
    let opened = case.open(vec![case.reply(1), nonsense, case.reply(3), case.reply(5)]).unwrap();
    assert!(matches!(opened.culprits[&seat(2)], ReplyFault::Reply(_)));
}

#[test]
fn only_the_recipient_of_this_escrow_opens() {
    let case = Story::new();
    let file = case.file((1..=3).map(|n| case.reply(n)).collect());
    let stranger = escrow_core::sealing::SealingSecret::generate(escrow_core::sealing::Suite::XWing);
    assert!(matches!(open_replies(&case.world.charters, &file, &stranger), Err(OpenError::NotRecipient(_))));
    let key = case.world.recipient.sealing().unwrap();
    let elsewhere = Replies { genesis: Digest([1; 32]), ..file.clone() };
    assert!(matches!(open_replies(&case.world.charters, &elsewhere, key), Err(OpenError::OtherEscrow { .. })));
    let without = Replies { deposits: vec![], ..file.clone() };
    let opened = open_replies(&case.world.charters, &without, key).unwrap();
    assert!(opened.keys.is_empty() && opened.failed.values().all(|e| matches!(e, ItemError::NoDeposit)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("replies.json");
    file.save(&path).unwrap();
    assert_eq!(keys(&open_replies(&case.world.charters, &Replies::load(&path).unwrap(), key).unwrap()).len(), 2);
}

#[test]
fn the_recipient_notices_a_liar_while_collecting() {
    let case = Story::new();
    let key = case.world.recipient.sealing().unwrap();
    let check =
        |r: &Reply| check_shares(case.world.charters.genesis(), &case.request, r, key, std::iter::once(&case.deposit));
    assert_eq!(check(&case.reply(1)), Ok(()));
    assert!(matches!(check(&case.lie(1)), Err(ReplyFault::WrongShares(items)) if items.len() == 2));
}

impl Story {
    /// Collects as the recipient, when no node can be reached, going on from a file.
    async fn go_on(&self, kept: Replies) -> Result<Collected, ReleaseError> {
        let reader = self.world.client(&self.world.recipient);
        let mut told = |_: &Replies, _: Arrived| panic!("a reply from nowhere");
        reader.collect_on(self.request.clone(), Wanted::Enough, Some(kept), &mut told).await
    }
}

#[tokio::test]
async fn replies_that_are_there_and_hold_are_not_asked_for_again() {
    let story = Story::new();
    let collected = story.go_on(story.file(vec![story.reply(1), story.reply(3), story.reply(4)])).await.unwrap();
    assert_eq!((collected.outcomes.count(), collected.replies.replies.len()), (3, 3));
    let mut altered = story.reply(4);
    altered.reply.0[40] ^= 1;
    let stranger = SigningKey::generate_ed25519();
    let forged = story.reply_of(4, &story.shares(4), &stranger);
    for (what, bad) in [("altered", altered), ("a lie", story.lie(4)), ("forged", forged)] {
        let ended = story.go_on(story.file(vec![story.reply(1), story.reply(3), bad])).await;
        assert!(matches!(ended, Err(ReleaseError::BelowThreshold { .. })), "{what}: {ended:?}");
    }
    let mut bare = story.file(vec![story.reply(1), story.reply(3), story.reply(4)]);
    bare.deposits.clear();
    assert!(matches!(story.go_on(bare).await, Err(ReleaseError::BelowThreshold { .. })), "nothing would open");
}

#[tokio::test]
async fn a_file_of_something_else_is_not_continued() {
    let (story, elsewhere) = (Story::new(), Story::new());
    let foreign = elsewhere.file(vec![elsewhere.reply(1)]);
    let ended = story.go_on(foreign).await;
    assert!(matches!(ended, Err(ReleaseError::Replies(RepliesError::OtherEscrow(_)))), "{ended:?}");
    let mut other: Request = story.request.envelope.decode().unwrap();
    other.nonce = Nonce::random();
    let other = story.world.client(&story.world.requestor).sign(&other).unwrap();
    let replies = vec![story.reply(1), story.reply(3), story.reply(4)];
    let file = Replies::new(story.world.charters.genesis(), &other, replies, vec![story.deposit.clone()]);
    let ended = story.go_on(file).await;
    let named = |e: &RepliesError| matches!(e, RepliesError::OtherRequest { found, .. } if *found == other.digest());
    assert!(matches!(&ended, Err(ReleaseError::Replies(e)) if named(e)), "{ended:?}");
}
