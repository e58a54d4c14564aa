"""Reads compose.yml, Containerfile and the unit beside the sample configuration and the program: every path, port,
mount, secret and command in them must be one that the others know. Usage: deploy.py PROJECT BIN. Needs PyYAML."""
import pathlib
import re
import subprocess
import sys
import tomllib

import yaml

project, bin_ = pathlib.Path(sys.argv[1]), sys.argv[2]
deploy = project / "deploy"
config = tomllib.loads((deploy / "escrow-node.toml").read_text())
port = int(config["listen"].rsplit(":", 1)[1])
help_ = subprocess.run([f"{bin_}/escrow-node", "--help"], text=True, capture_output=True, check=True).stdout
default_config = re.search(r"\[default: (\S+\.toml)\]", help_)[1]
commands = set(re.findall(r"^  ([a-z-]+)  ", help_, re.M))


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, and should be {wanted!r}")


def holds(what, ok):
    if not ok:
        sys.exit(what)


# The image.
steps = [l.split(" ", 1) for l in re.sub(r"\\\n\s*", "", (deploy / "Containerfile").read_text()).splitlines() if l and l[0] != "#"]
one = lambda name: [v for k, v in steps if k == name][-1]
stages = [k for k, _ in steps].count("FROM")
same("stages", stages, 2)
final = steps[max(i for i, (k, _) in enumerate(steps) if k == "FROM"):]
rust = tomllib.loads((project / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
same("toolchain", re.match(r"rust:([\d.]+)-", steps[0][1])[1], rust)
same("system of build and image", steps[0][1].split("-")[1].split()[0], re.match(r"debian:(\w+)-slim", final[0][1])[1])
uid = one("USER")
holds("the image runs as root", re.fullmatch(r"[1-9]\d*:[1-9]\d*", uid) and f"--uid {uid.split(':')[0]} " in one("RUN"))
same("port of the image", int(one("EXPOSE")), port)
same("volume of the image", one("VOLUME"), config["data_dir"])
entry = yaml.safe_load(one("ENTRYPOINT"))
same("entry point", entry, ["/usr/local/bin/escrow-node"])
holds("the image's command is none of the program", set(yaml.safe_load(one("CMD"))) <= commands)
for _, value in (s for s in steps if s[0] == "COPY"):
    *sources, to = [w for w in value.split() if not w.startswith("--")]
    for source in sources:
        if source.startswith("/src/target/release/"):
            name = source.rsplit("/", 1)[1]
            holds(f"the build makes no {name}", (pathlib.Path(bin_) / name).exists())
        else:
            holds(f"{source} is not in the tree", (project / source).exists())
packages = re.findall(r"--package (\S+)", steps[[k for k, _ in steps].index("RUN")][1])
for p in packages:
    holds(f"no package {p}", (project / p / "Cargo.toml").exists())
holds("the image has no configuration where the program looks", any(k == "COPY" and v.endswith(" " + default_config) for k, v in final))

# The rehearsal.
compose = yaml.safe_load((deploy / "compose.yml").read_text())
services = compose["services"]
same("services", sorted(services), [f"node{n}" for n in range(1, 6)])
ports, folders, secrets = set(), set(), set()
for name, s in services.items():
    same(f"{name}: build", (deploy / s["build"]["context"] / s["build"]["dockerfile"]).resolve(), (deploy / "Containerfile").resolve())
    same(f"{name}: user", s["user"], uid)
    same(f"{name}: hardening", [s["read_only"], s["cap_drop"], s["security_opt"], s["ulimits"]], [True, ["ALL"], ["no-new-privileges:true"], {"core": 0}])
    address, host, inside = s["ports"][0].split(":")
    same(f"{name}: port", (len(s["ports"]), address, int(inside)), (1, "127.0.0.1", port))
    ports.add(host)
    mounts = dict(m.split(":", 1) for m in s["volumes"])
    data = {to: of for of, to in mounts.items()}
    same(f"{name}: mounts", sorted(data), sorted([config["data_dir"], default_config + ":ro"]))
    same(f"{name}: configuration", (deploy / data[default_config + ":ro"]).resolve(), (deploy / "escrow-node.toml").resolve())
    folders.add(data[config["data_dir"]])
    [secret] = s["secrets"]
    same(f"{name}: passphrase", secret["target"], config["passphrase_file"])
    holds(f"{name}: no secret {secret['source']}", secret["source"] in compose["secrets"])
    secrets.add(compose["secrets"][secret["source"]]["file"])
    test = s["healthcheck"]["test"]
    same(f"{name}: health", test[:2], ["CMD", entry[0]])
    holds(f"{name}: health asks {test[2]}", test[2] in commands)
same("five of each, none shared", [len(x) for x in (ports, folders, secrets)], [5, 5, 5])
same("secrets that nobody uses", len(compose["secrets"]), 5)

# The unit.
unit = (deploy / "escrow-node.service").read_text()
line = lambda key: re.findall(rf"^{key}=(.*)$", unit, re.M)
same("the unit's command", line("ExecStart"), [f"{entry[0]} --config {default_config} --passphrase-file %d/passphrase run"])
same("the unit's credential", line("LoadCredential"), [f"passphrase:{config['passphrase_file']}"])
same("the unit's folder", ["/var/lib/" + d for d in line("StateDirectory")], [config["data_dir"]])
print("   compose.yml, Containerfile and unit agree with the sample configuration and the program")
