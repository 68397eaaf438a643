"""Writes label-text.json: what Unicode says of characters, by Python's unicodedata, which labels are checked against.

    python3 test/golden/label-text.py > test/golden/label-text.json
"""

import json
import unicodedata

# Aliases of controls, which have no name of their own; unicodedata.lookup knows them.
CONTROLS = ["NULL", "CHARACTER TABULATION", "LINE FEED", "CARRIAGE RETURN", "ESCAPE", "DELETE", "NEXT LINE"]
FORMATS = [c for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cf", "Zl", "Zp") and c < 0x10000]
# Number signs and the like count as format characters, and are seen.
SEEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2}
FILLERS = [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x3164, 0xFFA0, 0xFE0F, 0xE0100, 0x2800, 0xFFFD]

unseen = {unicodedata.lookup(name): name for name in CONTROLS}
unseen.update({chr(c): unicodedata.name(chr(c)) for c in [*FORMATS, *FILLERS] if c not in SEEN})
folded = [chr(c) + " " + chr(c).casefold() for c in range(0x250) if chr(c).casefold() != chr(c)]
folded += ["ΣΊΣΥΦΟΣ σίσυφοσ", "STRASSE straße", "ﬁsch fisch", "Ⅳ iv", "ｇｌａｓｓ glass", "K k", "Ꭰ ꭰ"]
for pair in folded:
    left, right = pair.split(" ")
    assert unicodedata.normalize("NFKC", left).casefold() == unicodedata.normalize("NFKC", right).casefold(), pair
names = ["café", "Äpfel", "사과", "Åre", "ệ", "ヷ", "ẛ̣", "שּׁ"]
forms = [[n, unicodedata.normalize("NFC", n), unicodedata.normalize("NFD", n)] for n in names]
print(json.dumps({"unicode": unicodedata.unidata_version, "unseen": unseen, "folded": folded, "forms": forms}, indent=1))
