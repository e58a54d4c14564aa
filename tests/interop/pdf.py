"""Checks a printed report: size of the sheets, nothing beyond their margins, every cell and digest in full,
headings not alone, readable in shades of grey, nothing from outside. Standard library only; pdftotext and
pdftoppm (poppler) have read the PDF before."""
import glob, html, re, sys, unicodedata
from html.parser import HTMLParser

paper, source, out = sys.argv[1:4]
width, height = {"A4": (595.3, 841.9), "Letter": (612.0, 792.0)}[paper]
side, foot = 15 / 25.4 * 72, height - 19 / 25.4 * 72


class Page(HTMLParser):
    """Every block of text that a reader of the HTML sees, and whatever would reach outside."""

    def __init__(self):
        super().__init__()
        self.blocks, self.open, self.style, self.outside = [], [], "", []

    def handle_starttag(self, tag, attributes):
        self.outside += [(tag, k, v) for k, v in attributes if k in ("src", "href", "action", "background", "srcset")]
        if tag in ("script", "link", "iframe", "object", "img", "form", "base"):
            self.outside.append((tag, "", ""))
        if tag in ("td", "th", "h1", "h2", "h3", "p", "caption", "footer"):
            self.blocks.append((tag, []))
        if tag not in ("br", "col", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" in self.open:
            self.style += data
        elif "title" not in self.open and self.blocks:
            self.blocks[-1][1].append(data)


def letters(text):
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


page = Page()
page.feed(open(source, encoding="utf-8").read())
assert not page.outside, page.outside
assert "url(" not in page.style and "@import" not in page.style, "the style reaches outside"
blocks = [(tag, letters("".join(parts))) for tag, parts in page.blocks]

sheets, words = [], []
for line in open(out + ".bbox.html", encoding="utf-8"):
    if m := re.search(r'<page width="([\d.]+)" height="([\d.]+)"', line):
        sheets.append((float(m[1]), float(m[2])))
        words.append([])
    if m := re.search(r'<word xMin="(\S+)" yMin="(\S+)" xMax="(\S+)" yMax="(\S+)">(.*)</word>', line):
        words[-1].append((*map(float, m.groups()[:4]), html.unescape(m[5])))
assert sheets, "no sheet"
for number, ((w, h), on) in enumerate(zip(sheets, words), 1):
    assert abs(w - width) < 2 and abs(h - height) < 2, f"sheet {number} is {w} x {h} points, {paper} expected"
    for x0, y0, x1, y1, word in on:
        inside = x0 >= side - 2 and x1 <= width - side + 2 and y0 >= 30 and y1 <= height - 15
        assert inside, f"sheet {number}: {word!r} is beyond the margin: {x0} {y0} {x1} {y1}"
    below = " ".join(w[4] for w in on if w[1] > foot)
    assert f"Page {number} of {len(sheets)}" in below, f"sheet {number} has the foot {below!r}"
    assert sum(w[1] <= foot for w in on) > 5, f"sheet {number} is empty"

# In the order in which the printer drew them, the letters of a cell follow each other on whatever lines.
drawn = open(out + ".txt", encoding="utf-8").read().split("\f")[: len(sheets)]
running = letters(re.search(r'@bottom-left\{content:"([^"]*)"', page.style)[1])
flat = ""
for number, text in enumerate(drawn, 1):
    text = letters(text)
    for part in (running, f"Page{number}of{len(sheets)}"):
        assert part in text, f"sheet {number} has no foot {part!r}"
        head, _, tail = text.rpartition(part)
        text = head + tail
    flat += text
cut = [(tag, text) for tag, text in blocks if text not in flat]
assert not cut, f"{len(cut)} blocks are not on paper in full, the first: {cut[0]}"
digests = {d for _, text in blocks for d in re.findall(r"[0-9a-f]{64}", text)}
assert digests and all(d in flat for d in digests)

assert len(sheets) <= 5 + len(flat) // 600, f"{len(sheets)} sheets for {len(flat)} letters: something is blown up"
titles = {text for tag, text in blocks if tag in ("h2", "h3", "caption")}
for number, on in enumerate(words, 1):
    body = [w for w in on if w[1] <= foot]
    lowest = max(w[3] for w in body)
    last = letters("".join(w[4] for w in sorted(body, key=lambda w: w[0]) if w[1] > lowest - 16))
    assert last not in titles, f"sheet {number} ends with the heading {last!r}"

# Without colour: text is dark on light.
pages = sorted(glob.glob(glob.escape(out) + "-page*.pgm"))
assert len(pages) == len(sheets)
for number, path in enumerate(pages, 1):
    data = open(path, "rb").read()
    pixels = data[re.match(rb"P5\s+\d+\s+\d+\s+\d+\s", data).end():]
    dark, light = sum(p < 100 for p in pixels), sum(p > 230 for p in pixels)
    assert light > 0.6 * len(pixels) and dark > 200, f"sheet {number}: {dark} dark, {light} light of {len(pixels)}"

print(f"   {source.rsplit('/', 1)[-1]} on {paper}: {len(sheets)} sheets, {len(blocks)} blocks and {len(digests)} digests in full")
