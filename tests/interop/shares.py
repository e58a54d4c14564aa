"""Every three shares of our published vector give its secret, and two do not, by PyPI shamirs."""
import itertools, json, pathlib, sys
import shamirs

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
vector = json.loads((pathlib.Path(sys.argv[1]) / "deal.json").read_text())
combined = 0
for item in vector["items"]:
    secret = int(item["secret"], 16)
    shares = [shamirs.share(s["seat"], int(s["share"][:64], 16), N) for s in item["shares"]]
    for three in itertools.combinations(shares, 3):
        assert shamirs.interpolate(list(three)) == secret, "three shares give another secret"
        combined += 1
    for two in itertools.combinations(shares, 2):
        assert shamirs.interpolate(list(two)) != secret, "two shares give the secret"
assert combined >= 10, "too little was checked"
print(f"   {combined} combinations of three shares agree")
