//! An approver whose key is in a security key behind `ssh-agent`, among five real nodes. The agent is a
//! thread of this test with a software key; `tests/interop/run` uses the real one.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that panics has failed

use escrow_client::{AgentError, DecisionError, Identity, NodeError, Officer, SignError, Signer, SshAgent};
use escrow_core::charter::Charter;
use escrow_core::decision::Choice;
use escrow_core::sshsig::{self, Reader, SshKey};
use escrow_core::verdict::Outcome;
use escrow_core::{PublicKey, SigningKey, ThreadKey};
use escrow_tests::Escrow;
use escrow_tests::cluster::Options;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::LazyLock;

const TYPE: &[u8] = b"sk-ssh-ed25519@openssh.com";

static SECRET: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate_ed25519);
static KEY: LazyLock<SshKey> = LazyLock::new(|| {
    let mut wire = Vec::new();
    for part in [TYPE, &SECRET.public().raw(), b"ssh:"] {
        sshsig::put(&mut wire, part);
    }
    SshKey::from_wire(&wire).unwrap()
});

fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request)?;
    let mut r = Reader::new(&request);
    let mut body = Vec::new();
    if r.u8() == Some(13) {
        assert_eq!(r.string(), Some(KEY.wire().as_slice()));
        let signed = sshsig::sk_signed("ssh:", 1, 7, r.string().unwrap());
        let mut signature = Vec::new();
        sshsig::put(&mut signature, TYPE);
        sshsig::put(&mut signature, &SECRET.sign(&signed));
        signature.extend([1, 0, 0, 0, 7]);
        body.push(14);
        sshsig::put(&mut body, &signature);
    } else {
        body.extend([12, 0, 0, 0, 1]);
        sshsig::put(&mut body, &KEY.wire());
        sshsig::put(&mut body, b"lena");
    }
    let mut framed = Vec::new();
    sshsig::put(&mut framed, &body);
    stream.write_all(&framed)
}

fn lena(socket: &Path) -> Identity {
    let signing = Signer::Agent { key: KEY.clone(), agent: SshAgent::at(socket) };
    Identity::Officer(Officer { person: "lena".parse().unwrap(), signing, sealing: None })
}

fn lena_signs_with_ssh(charter: &mut Charter) {
    let lena = charter.people.iter_mut().find(|p| p.id.as_str() == "lena").unwrap();
    lena.keys[0].key = PublicKey::SshSig(KEY.clone());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_from_an_agent_counts_at_every_node() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|s| answer(s).unwrap()));

    let escrow = Escrow::start_with(Options { charter: Some(lena_signs_with_ssh), ..Options::default() }).await;
    let subject = escrow.subject("maria").await;
    escrow.deposit(&subject, vec![(escrow.about(&subject, "a", 0), ThreadKey::generate())]).await;
    escrow.open_matter().await;
    let request = escrow.file(escrow.ask(&["a"], 0, 1)).await;
    escrow.decide("dora", "dpo", &request.digest, Choice::Approve).await;
    let decide = |socket: &Path| {
        let client = escrow.client.acting_as(lena(socket));
        let decision =
            client.decision(request.digest, Choice::Approve, "legal".parse().unwrap(), "reviewed".parse().unwrap());
        (client, decision)
    };

    // Without the agent nothing is signed, and nobody takes that for a fault of a node.
    let (client, decision) = decide(&folder.path().join("none"));
    assert!(matches!(decision, Err(DecisionError::Statement(SignError::Agent(AgentError::Unreachable { .. })))));
    let outcomes = client.requests().await.outcomes;
    assert_eq!(outcomes.errors().count(), 5);
    assert!(outcomes.errors().all(|(_, e)| matches!(e, NodeError::Unsigned(_))), "{outcomes:?}");
    assert!(escrow.verdicts(&request.digest).await.good().all(|(_, v)| v.verdict.outcome == Outcome::Pending));

    // With it, questions and decision are hers; the key she had in the usual cast counts for nothing.
    let forged = escrow.decision("lena", "legal", &request.digest, Choice::Approve);
    assert!(escrow.client.submit(&forged).await.is_err());
    let (client, decision) = decide(&socket);
    assert_eq!(client.requests().await.outcomes.count(), 5);
    assert_eq!(client.submit(&decision.unwrap()).await.unwrap().accepted(), 5);
    let verdicts = escrow.verdicts(&request.digest).await;
    assert!(verdicts.good().all(|(_, v)| v.verdict.outcome == Outcome::Permit), "{verdicts}");
    assert_eq!(verdicts.count(), 5);
}
