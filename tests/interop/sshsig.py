"""The signature method sshsig against stock OpenSSH, in both directions: what our officers sign through
ssh-agent, or a security key signs, must pass `ssh-keygen -Y verify`, and what `ssh-keygen -Y sign` makes must pass ours.

usage: sshsig.py BIN WORK    (BIN has escrow and interop-sshsig; WORK is an empty folder)
"""

import base64
import os
import pathlib
import subprocess
import sys
import time

BIN, WORK = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
NAMESPACE = "statement@escrow.v1"
ENV = {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}


def run(*args, stdin=None, env=ENV):
    return subprocess.run([str(a) for a in args], input=stdin, env=env, capture_output=True)


def must(done, what):
    assert done.returncode == 0, f"{what}: {done.stdout.decode()} {done.stderr.decode()}"
    return done


def stock(pub, message, sig):
    """True if ssh-keygen accepts the signature by the key of this .pub file."""
    allowed = WORK / "allowed_signers"
    algorithm, key = pub.read_text().split()[:2]
    allowed.write_text(f'legal-1 namespaces="{NAMESPACE}" {algorithm} {key}\n')
    return run("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "legal-1", "-n", NAMESPACE, "-s", sig,
               stdin=message.read_bytes()).returncode == 0


def ours(pub, message, sig):
    return run(BIN / "interop-sshsig", "verify", pub, message, sig).returncode == 0


def both_refuse_flips(pub, out):
    """One bit of the message, and one of the last signature byte that is no counter."""
    message, sig = pathlib.Path(f"{out}.pae"), pathlib.Path(f"{out}.sig")
    bad, flipped = pathlib.Path(f"{out}.bad.pae"), bytearray(message.read_bytes())
    flipped[-1] ^= 1
    bad.write_bytes(flipped)
    assert not stock(pub, bad, sig) and not ours(pub, bad, sig), "a flipped message was accepted"
    begin, *body, end = sig.read_text().splitlines()
    blob = bytearray(base64.b64decode("".join(body)))
    blob[-8] ^= 1
    bad = pathlib.Path(f"{out}.bad.sig")
    bad.write_text("\n".join([begin, base64.b64encode(blob).decode(), end, ""]))
    assert not stock(pub, message, bad) and not ours(pub, message, bad), "a flipped signature was accepted"


def check(pub, out, what):
    message, sig = pathlib.Path(f"{out}.pae"), pathlib.Path(f"{out}.sig")
    assert stock(pub, message, sig), f"ssh-keygen refuses {what}"
    assert ours(pub, message, sig), f"our verifier refuses {what}"
    both_refuse_flips(pub, out)
    print(f"   {what}: accepted by both, flips refused")


def main():
    socket = WORK / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        env = ENV | {"SSH_AUTH_SOCK": str(socket)}
        for kind in ["ed25519", "ecdsa"]:
            private, pub, officer = WORK / kind, WORK / f"{kind}.pub", WORK / f"{kind}.key"
            must(run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "ann@laptop", "-f", private), "ssh-keygen")
            must(run(BIN / "escrow", "keygen", "officer", "legal-1", "--ssh-key", pub, "--out", officer), "keygen")
            assert b"private" not in officer.read_bytes()
            sign = [BIN / "interop-sshsig", "sign", officer, WORK / f"{kind}-ours"]
            for wrong, words in [(ENV, b"SSH_AUTH_SOCK is not set"), (env, b"does not hold")]:
                refused = run(*sign, env=wrong)
                assert refused.returncode != 0 and words in refused.stderr, refused.stderr
            must(run("ssh-add", "-q", private, env=env), "ssh-add")
            must(run(*sign, env=env), "signing through the agent")
            check(pub, sign[-1], f"{kind} through ssh-agent")

            other = WORK / f"{kind}-stock"
            pathlib.Path(f"{other}.pae").write_bytes(pathlib.Path(f"{sign[-1]}.pae").read_bytes())
            must(run("ssh-keygen", "-q", "-Y", "sign", "-f", private, "-n", NAMESPACE, f"{other}.pae"), "-Y sign")
            os.rename(f"{other}.pae.sig", f"{other}.sig")
            check(pub, other, f"{kind} by ssh-keygen -Y sign")
            must(run("ssh-keygen", "-q", "-Y", "sign", "-f", private, "-n", "file", f"{other}.pae"), "-Y sign")
            assert not ours(pub, f"{other}.pae", f"{other}.pae.sig"), "a signature for files was accepted"
        for kind in ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"]:
            out = WORK / kind
            must(run(BIN / "interop-sshsig", "soft", kind, out), "a software security key")
            check(pathlib.Path(f"{out}.pub"), out, kind)
    finally:
        agent.terminate()
        agent.wait()


main()
