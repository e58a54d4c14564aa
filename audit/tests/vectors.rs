//! Published vectors: Certificate Transparency's reference trees, Go's signed notes, a
//! checkpoint that a public witness cosigned, and the examples of the C2SP documents.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ed25519_dalek::SigningKey;
use escrow_audit::{
    checkpoint::Checkpoint,
    note::{Note, NoteSigner, SignatureLine, VerifierKey},
    tree::{self, Hash, Tree, leaf_hash},
    witness::AddCheckpoint,
};

/// Leaves and roots of the Certificate Transparency project's reference tests
/// (google/certificate-transparency, transparency-dev/merkle: testonly/reference_test.go).
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
/// (index, size, path)
const CT_INCLUSION: [(u64, u64, &[&str]); 4] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
];
/// (old, new, path)
const CT_CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

fn hash(hex: &str) -> Hash {
    hex::decode(hex).unwrap().try_into().unwrap()
}

#[test]
fn certificate_transparency_vectors() {
    let tree: Tree = CT_LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
    for (size, root) in CT_ROOTS.iter().enumerate() {
        assert_eq!(tree.root_at(size as u64), Some(hash(root)));
    }
    for (index, size, path) in CT_INCLUSION {
        let path: Vec<Hash> = path.iter().map(|h| hash(h)).collect();
        assert_eq!(tree.inclusion_proof(index, size), Some(path.clone()));
        let root = hash(CT_ROOTS[size as usize]);
        let leaf = tree.leaf(index).unwrap();
        assert_eq!(tree::verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
    }
    for (old, new, path) in CT_CONSISTENCY {
        let path: Vec<Hash> = path.iter().map(|h| hash(h)).collect();
        assert_eq!(tree.consistency_proof(old, new), Some(path.clone()));
        let (a, b) = (hash(CT_ROOTS[old as usize]), hash(CT_ROOTS[new as usize]));
        assert_eq!(tree::verify_consistency(old, &a, new, &b, &path), Ok(()));
    }
}

/// The example of golang.org/x/mod/sumdb/note, signed twice.
#[test]
fn go_sumdb_note_vectors() {
    let peter = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let enoch = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    let note = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
        — EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
    let keys: [VerifierKey; 2] = [peter.parse().unwrap(), enoch.parse().unwrap()];
    assert_eq!(keys.each_ref().map(ToString::to_string), [peter, enoch]);
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.verify(&keys).unwrap().len(), 2);
    assert_eq!(parsed.to_bytes(), note.as_bytes());

    let skey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let seed = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, skey.splitn(5, '+').last().unwrap());
    let secret = SigningKey::from_bytes(seed.unwrap()[1..].try_into().unwrap());
    let signer = NoteSigner::new("PeterNeumann", &secret).unwrap();
    assert_eq!(signer.verifier().to_string(), peter);
    let signed = signer.sign(parsed.text()).unwrap();
    assert_eq!(signed.signatures(), &parsed.signatures()[..1]);
}

/// A checkpoint of a public log with the cosignature of a public witness, both of whose keys
/// are published.
#[test]
fn cosigned_checkpoint_of_a_public_log() {
    let origin = "arche2025h1.staging.ct.transparency.dev";
    let note = "arche2025h1.staging.ct.transparency.dev\n\
        1432088532\n\
        U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\
        \n\
        — arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n\
        — arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
        — remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n";
    let log = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let (log, witness): (VerifierKey, VerifierKey) = (log.parse().unwrap(), witness.parse().unwrap());
    let head = Checkpoint::verify(note.as_bytes(), origin, &log).unwrap();
    assert_eq!(head.size(), 1_432_088_532);
    let witnesses = [witness];
    let cosigners = head.cosigners(&witnesses).unwrap();
    assert_eq!((cosigners.len(), cosigners[0].time), (1, 0x6a12_2120));
    let later = note.replace("1432088532", "1432088533");
    assert!(Checkpoint::verify(later.as_bytes(), origin, &log).is_err());
}

/// The example request and answer of c2sp.org/tlog-witness, and the example note of
/// c2sp.org/signed-note: no keys are published for them, so only the formats are judged.
#[test]
fn c2sp_examples_parse_and_come_back_unchanged() {
    let request = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let parsed = AddCheckpoint::parse(request.as_bytes()).unwrap();
    assert_eq!(parsed.claimed_origin(), "example.com/behind-the-sofa");
    assert_eq!(parsed.to_bytes(), request.as_bytes());
    let answer = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n\
        — witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n";
    let lines = SignatureLine::parse_all(answer.as_bytes()).unwrap();
    assert_eq!(lines.iter().map(|line| format!("{line}\n")).collect::<String>(), answer);
    let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let poem_note = Note::parse(poem.as_bytes()).unwrap();
    assert!(poem_note.text().ends_with("sole:\n\ned è subito sera.\n"));
    assert_eq!(poem_note.to_bytes(), poem.as_bytes());
}
