//! Matters, scope and collecting with real nodes, through the commands that people use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use clap::Parser as _;
use escrow_cli::args::Cli;
use escrow_cli::failure::{Exit, Failure};
use escrow_client::archive::Directory;
use escrow_client::export::Scope as ExportScope;
use escrow_client::{KnownRequest, Replies, RepliesError, Wanted, open_replies, save_token_key};
use escrow_core::ThreadKey;
use escrow_core::deal::{About, Participant};
use escrow_core::verdict::Outcome;
use escrow_tests::{Escrow, Subject};
use serde_json::Value;
use std::path::PathBuf;

/// An escrow with contexts for its officers, and a directory that knows everybody.
struct Office {
    escrow: Escrow,
    config: PathBuf,
}

impl Office {
    async fn new() -> Self {
        let escrow = Escrow::start().await;
        let config = escrow.dir().join("config");
        let (tokens, charter) = (escrow.dir().join("token.key"), escrow.dir().join("charter.json"));
        save_token_key(&escrow.tokens, &tokens, None).unwrap();
        let directory = escrow.dir().join("directory.json");
        Directory::update(&directory, escrow.org(), |d| {
            for id in ["maria", "max", "zoe"] {
                d.add_subject(id, None, escrow.tokens.subject(id))?;
            }
            for id in ["alone", "both", "his", "t"] {
                d.add_thread(id, escrow.tokens.thread(id))?;
            }
            Ok(())
        })
        .unwrap();
        let office = Self { escrow, config };
        let genesis = office.escrow.charters().genesis().to_string();
        for who in ["quinn", "lena", "erik"] {
            let key = office.escrow.dir().join(format!("{who}.key"));
            office.escrow.cast.get(who).unwrap().save_new(&key).unwrap();
            let [charter, key, tokens, directory] = [&charter, &key, &tokens, &directory].map(|p| p.to_str().unwrap());
            let add = ["context", "add", who, "--charter", charter, "--genesis", &genesis, "--key", key];
            let rest = ["--token-key", tokens, "--directory", directory];
            office.run(who, &[&add[..], &rest[..]].concat()).await.unwrap();
        }
        office
    }

    /// Runs a command as somebody.
    async fn run(&self, who: &str, args: &[&str]) -> Result<Value, Failure> {
        let global = ["escrow", "--config", self.config.to_str().unwrap()];
        // A context is not there before it is added.
        let context: &[&str] = if args[0] == "context" { &[] } else { &["--context", who] };
        let cli = Cli::try_parse_from([&global[..], context, args].concat()).unwrap();
        escrow_cli::commands::run(&cli).await.map(|shown| shown.json())
    }

    async fn fails(&self, who: &str, args: &[&str]) -> (Exit, String) {
        let failure = self.run(who, args).await.unwrap_err();
        (failure.exit, failure.rule)
    }

    /// A key of a thread for a day, deposited by somebody, with these people in it.
    async fn deposit(&self, by: &Subject, thread: &str, day: u64, people: &[&str]) {
        let token = |id: &&str| Participant { token: self.escrow.tokens.subject(id), inside: true };
        let mut participants: Vec<_> = people.iter().map(token).collect();
        participants.sort();
        let about = About { participants, ..self.escrow.about(by, thread, day) };
        self.escrow.deposit(by, vec![(about, ThreadKey::generate())]).await;
    }

    async fn deliveries(&self) -> Vec<u64> {
        let mut out = vec![];
        for n in 1..=5 {
            out.push(self.escrow.deliveries(n).await);
        }
        out
    }

    /// A request that both approvers agreed to, for days of one thread that maria deposited.
    async fn approved(&self, thread: &str) -> KnownRequest {
        self.escrow.approved(self.escrow.ask(&[thread], 0, 2)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_matter_releases_nothing_until_it_is_reopened() {
    let mut office = Office::new().await;
    let maria = office.escrow.subject("maria").await;
    office.deposit(&maria, "t", 0, &["maria", "max"]).await;
    let create = office.run("quinn", &["matter", "create", "MAT-1", "--title", "Lunch receipts"]).await.unwrap();
    assert_eq!(create["submitted"], true);
    let request = office.approved("t").await;
    let out = office.escrow.dir().join("replies.json");
    let (hash, file) = (request.digest.to_string(), out.to_str().unwrap());
    let collect = ["release", "collect", &hash, "--out", file];
    let yes = |act| ["matter", act, "MAT-1", "--yes", "--matter", "MAT-1"];

    // Nobody is at a terminal here, so the name has to be repeated.
    assert_eq!(office.fails("quinn", &["matter", "close", "MAT-1"]).await.0, Exit::Usage);
    let other = ["matter", "close", "MAT-1", "--yes", "--matter", "MAT-2"];
    assert_eq!(office.fails("quinn", &other).await.0, Exit::Usage);
    assert_eq!(office.fails("lena", &yes("close")).await, (Exit::Key, "not-entitled".into()));
    assert_eq!(office.fails("quinn", &yes("reopen")).await, (Exit::Denied, "matter-chain".into()));

    let closed = office.run("quinn", &yes("close")).await.unwrap();
    assert_eq!((&closed["matter"], &closed["stops_releases_against"]), (&"MAT-1".into(), &2.into()));
    assert_eq!(office.fails("quinn", &yes("close")).await, (Exit::Denied, "matter-closed".into()));
    assert_eq!(office.fails("erik", &collect).await, (Exit::Denied, "matter-closed".into()));
    for (n, v) in office.escrow.verdicts(&request.digest).await.good() {
        assert_eq!(v.verdict.outcome, Outcome::Refuse, "node {n}");
    }
    assert_eq!(office.deliveries().await, [0; 5]);
    assert!(!out.exists(), "nothing came, so nothing is kept");
    assert_eq!(office.run("lena", &["matter", "list"]).await.unwrap()["matters"][0]["state"], "closed");

    // A node that was down when the matter was reopened holds it closed until it is told as well.
    office.escrow.kill(&[5]);
    assert_eq!(office.run("quinn", &yes("reopen")).await.unwrap()["submitted"], true);
    office.escrow.cluster.start_all().unwrap();
    office.escrow.ready().await;
    assert_eq!(office.run("quinn", &yes("reopen")).await.unwrap()["open_at"], 5);
    assert_eq!(office.fails("quinn", &yes("reopen")).await, (Exit::Denied, "matter-chain".into()));
    let collected = office.run("erik", &collect).await.unwrap();
    assert_eq!(collected["replies"], 3);
    assert_eq!(office.deliveries().await.iter().sum::<u64>(), 3);

    // One place for all of it, and the same for everybody.
    let about = ExportScope::Matter("MAT-1".parse().unwrap());
    let exported = office.escrow.client.export(&about).await.unwrap();
    let recorded = office.escrow.client.record_export(&exported.written).await;
    assert_eq!(recorded.count(), 5, "{recorded}");
    let show = |who| office.run(who, &["matter", "show", "MAT-1", "--time-zone", "Europe/Berlin"]);
    let (quinn, lena) = (show("quinn").await.unwrap(), show("lena").await.unwrap());
    assert_eq!((&quinn["matter"]["title"], &lena["matter"]["title"]), (&"Lunch receipts".into(), &Value::Null));
    for part in ["custodians", "requests", "history", "holds", "logs_read"] {
        assert_eq!(quinn[part], lena[part], "{part}");
    }
    let custodians: Vec<_> = quinn["custodians"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert!(custodians.contains(&&"maria".into()) && custodians.contains(&&"max".into()), "{custodians:?}");
    let happened: Vec<_> = quinn["history"].as_array().unwrap().iter().collect();
    let what: Vec<_> = happened.iter().map(|h| h["what"].as_str().unwrap()).collect();
    let acts: Vec<_> = what.iter().filter(|w| !w.starts_with("release-")).copied().collect();
    let again = ["matter-close", "matter-reopen", "matter-reopen", "export"];
    assert_eq!(acts, [&["matter-open", "request", "approve", "approve"], &again[..]].concat());
    let released: Vec<_> = happened.iter().filter(|h| h["what"] == "release-delivered").collect();
    assert_eq!((released.len(), &released[0]["request"]), (3, &hash.as_str().into()));
    for h in happened.iter().filter(|h| !h["what"].as_str().unwrap().starts_with("release-")) {
        let nodes = h["positions"].as_array().unwrap().len();
        assert!(nodes == 5 || h["what"] == "matter-reopen", "{h}: every node has it on record");
        assert_eq!(h["by"], if h["what"] == "approve" { h["by"].clone() } else { "quinn".into() }, "{h}");
    }
    let unread = office.run("lena", &["matter", "show", "MAT-1", "--no-log"]).await.unwrap();
    assert_eq!(unread["history"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custodians_days_of_a_place_epochs_and_context_choose_the_keys() {
    let office = Office::new().await;
    let (maria, max) = (office.escrow.subject("maria").await, office.escrow.subject("max").await);
    for day in 0..5 {
        office.deposit(&maria, "both", day, &["maria", "max"]).await;
    }
    office.deposit(&maria, "alone", 1, &["maria"]).await;
    office.deposit(&max, "his", 1, &["max"]).await;
    office.deposit(&max, "his", 4, &["max"]).await;
    office.escrow.open_matter().await;
    let fixed = ["request", "create", "--matter", "MAT-1", "--purpose", "internal-investigation"];
    let fixed = [&fixed[..], &["--recipient", "erik", "--policy", escrow_cli::demo::POLICY_ID]].concat();
    let create = async |args: &[&str]| office.run("quinn", &[&fixed[..], args].concat()).await;
    let drafted = async |args: &[&str]| {
        let shown = create(&[args, &["--dry-run"]].concat()).await.unwrap();
        let counts = &shown["request"]["counts"];
        (counts["threads"].as_u64().unwrap(), counts["items"].as_u64().unwrap(), shown)
    };
    let day = ["--from", "2026-01-02", "--to", "2026-01-02"];

    // All threads of max, none of maria's alone; with a thread named, only what is both.
    let (threads, keys, shown) = drafted(&[&["--custodian", "max"], &day[..]].concat()).await;
    assert_eq!((threads, keys, &shown["also_opens"]), (2, 2, &Value::Array(vec![])));
    let tokens = serde_json::to_value([office.escrow.tokens.subject("max")]).unwrap();
    assert_eq!(shown["request"]["selection"]["custodians"], tokens);
    let (threads, keys, _) = drafted(&[&["--custodian", "max", "--thread", "both"], &day[..]].concat()).await;
    assert_eq!((threads, keys), (1, 1));
    let (_, keys, shown) = drafted(&[&["--thread", "both"], &day[..]].concat()).await;
    assert_eq!((keys, &shown["request"]["selection"]), (1, &Value::Null), "the scope says all");
    let nobody = [&["--custodian", "zoe"], &day[..]].concat();
    assert_eq!(create(&nobody).await.unwrap_err().rule, "item-unknown");

    // A day of Berlin begins and ends at 23:00 UTC: two keys, which open more than was asked.
    let berlin = [&["--thread", "both", "--time-zone", "europe/berlin"], &day[..]].concat();
    let (_, keys, shown) = drafted(&berlin).await;
    let r = &shown["request"];
    assert_eq!((keys, &r["selection"]["zone"]), (2, &"Europe/Berlin".into()));
    assert_eq!(
        (&r["scope"]["from"], &r["selection"]["to"]),
        (&"2026-01-01T23:00:00.000Z".into(), &"2026-01-02T23:00:00.000Z".into())
    );
    assert_eq!(shown["also_opens"][0]["from"], "2026-01-01T00:00:00.000Z");
    assert_eq!(shown["also_opens"][1]["to"], "2026-01-03T00:00:00.000Z");

    // Epochs narrow; context widens, in threads that are asked for anyway.
    let (_, keys, _) = drafted(&[&berlin[..], &["--epoch", "1"]].concat()).await;
    assert_eq!(keys, 1);
    let of_max = [&["--custodian", "max"], &day[..]].concat();
    let (threads, keys, shown) = drafted(&[&of_max[..], &["--context-hours", "24"]].concat()).await;
    assert_eq!((threads, keys, &shown["unsure_context"]), (2, 4, &0.into()), "of his thread the days around are empty");
    let (threads, keys, shown) = drafted(&[&of_max[..], &["--context-messages", "10"]].concat()).await;
    assert_eq!((threads, keys, &shown["unsure_context"]), (2, 5, &2.into()), "one neighbour on each side that has one");
    assert_eq!(shown["request"]["selection"]["context"]["messages"], 10);

    // The nodes hold such a request to its words, and release what was chosen.
    let filed = create(&[&of_max[..], &["--context-messages", "10"]].concat()).await.unwrap();
    let digest = filed["request_hash"].as_str().unwrap().parse().unwrap();
    for (who, role) in [("lena", "legal"), ("dora", "dpo")] {
        office.escrow.decide(who, role, &digest, escrow_core::decision::Choice::Approve).await;
    }
    let request = office.escrow.known(&digest).await;
    let erik = office.escrow.officer("erik");
    let collected = erik.collect(&request, Wanted::Enough).await.unwrap();
    let opened =
        open_replies(office.escrow.charters(), &collected.replies, erik.identity().sealing().unwrap()).unwrap();
    assert_eq!((opened.keys.len(), opened.failed.len()), (5, 0));
    let show = office.run("lena", &["request", "show", &digest.to_string()]).await.unwrap();
    assert_eq!(show["assessment"], "permitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collecting_that_was_cut_short_goes_on_where_it_ended() {
    let mut office = Office::new().await;
    let maria = office.escrow.subject("maria").await;
    for (thread, day) in [("t", 0), ("t", 1), ("alone", 0)] {
        office.deposit(&maria, thread, day, &["maria"]).await;
    }
    office.escrow.open_matter().await;
    let (request, other) = (office.approved("t").await, office.approved("alone").await);
    let out = office.escrow.dir().join("replies.json");
    let (hash, file) = (request.digest.to_string(), out.to_str().unwrap().to_owned());
    let collect = ["release", "collect", &hash, "--out", &file];

    // Quinn is not the recipient and asks everybody; after the first reply the disk is full.
    let quinn = office.escrow.officer("quinn");
    let mut cut = |replies: &Replies, n: escrow_client::Arrived| {
        assert_eq!(n.want, 5);
        if n.have == 1 { replies.save(&out) } else { Err(RepliesError::Malformed("the disk is full".into())) }
    };
    let ended = quinn.collect_on(&request, Wanted::Enough, None, &mut cut).await;
    assert!(matches!(ended, Err(escrow_client::ReleaseError::Replies(_))), "{ended:?}");
    let first = Replies::load(&out).unwrap();
    assert_eq!(first.replies.len(), 1);
    let kept = &first.replies[0];
    let kept_at = usize::from(kept.seat.get()) - 1;

    // Too few nodes: nothing is lost, and what to do is said.
    let before = std::fs::read(&out).unwrap();
    let down: Vec<u8> = (1..=5).filter(|n| *n != kept.seat.get()).take(3).collect();
    office.escrow.kill(&down);
    let failure = office.run("quinn", &collect).await.unwrap_err();
    assert_eq!(failure.exit, Exit::BelowThreshold);
    assert!(failure.next.unwrap().contains("run the same command again"));
    assert_eq!(std::fs::read(&out).unwrap(), before);

    office.escrow.cluster.start_all().unwrap();
    office.escrow.ready().await;
    let had = office.deliveries().await;
    let collected = office.run("quinn", &collect).await.unwrap();
    let whole = Replies::load(&out).unwrap();
    assert_eq!((&collected["replies"], whole.replies.len()), (&5.into(), 5));
    assert!(whole.replies.iter().any(|r| r.reply == kept.reply), "what was there stays");
    let has = office.deliveries().await;
    assert_eq!(has[kept_at], had[kept_at], "whose reply is there is not asked again");
    assert_eq!(has.iter().sum::<u64>(), had.iter().sum::<u64>() + 4);

    // A file of another request is left alone, and so is one that is none at all.
    let before = std::fs::read(&out).unwrap();
    let of_other = other.digest.to_string();
    let failure = office.run("quinn", &["release", "collect", &of_other, "--out", &file]).await.unwrap_err();
    assert_eq!((failure.exit, failure.rule.as_str()), (Exit::Usage, "replies-file"));
    assert_eq!(std::fs::read(&out).unwrap(), before);
    let foreign = office.escrow.dir().join("charter.json");
    let charter = std::fs::read(&foreign).unwrap();
    let onto = ["release", "collect", &hash, "--out", foreign.to_str().unwrap()];
    assert_eq!(office.fails("quinn", &onto).await.0, Exit::Usage);
    assert_eq!(std::fs::read(&foreign).unwrap(), charter);

    // The recipient has enough in it. A reply that was altered on the disk is asked for again.
    let had = office.deliveries().await;
    office.run("erik", &collect).await.unwrap();
    assert_eq!(office.deliveries().await, had, "three good ones are there");
    let mut altered = Replies { replies: whole.replies[..3].to_vec(), ..whole };
    altered.replies[0].reply.0[40] ^= 1;
    altered.save(&out).unwrap();
    office.run("erik", &collect).await.unwrap();
    let has = office.deliveries().await;
    assert_eq!(has.iter().sum::<u64>(), had.iter().sum::<u64>() + 1);
    let erik = office.escrow.officer("erik");
    let file = Replies::load(&out).unwrap();
    let opened = open_replies(office.escrow.charters(), &file, erik.identity().sealing().unwrap()).unwrap();
    assert_eq!((opened.keys.len(), opened.culprits.len(), opened.unsigned.len()), (2, 0, 0));
}
