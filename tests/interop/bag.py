"""A bundle is a valid BagIt bag, by a library that we did not write; one changed byte is found."""
import logging, pathlib, shutil, sys, tempfile
import bagit

logging.disable(logging.CRITICAL)
source = pathlib.Path(sys.argv[1])
bagit.Bag(str(source)).validate()
with tempfile.TemporaryDirectory() as tmp:
    copy = pathlib.Path(tmp) / "bag"
    shutil.copytree(source, copy)
    victim = copy / "data" / "logs" / "1" / "1" / "entries.jsonl"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    try:
        bagit.Bag(str(copy)).validate()
    except bagit.BagError:
        sys.exit(0)
sys.exit("bagit accepted a changed byte")
