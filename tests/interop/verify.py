"""escrow evidence, verified a second time: python3 verify.py BUNDLE --charter-digest HEX [--output text|json]

Written from docs/protocol.md with the standard library and PyPI `cryptography`. The verdict is the *record* verdict:
policy replay is not done. Exit codes are those of `escrow verify`."""
import argparse
import sys

from escrow_verify.verify import verify_folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--charter-digest", required=True, help="the pinned digest of the first charter, 64 hex digits")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args()
    if len(args.charter_digest) != 64 or set(args.charter_digest) - set("0123456789abcdef"):
        parser.error("--charter-digest: 64 lower-case hex digits expected")
    report = verify_folder(args.bundle, args.charter_digest)
    print(report.as_json() if args.output == "json" else report.as_text())
    if args.output == "json":
        print("policy replay: not done", file=sys.stderr)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
