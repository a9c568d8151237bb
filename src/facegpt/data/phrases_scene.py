"""Words for skin, light and the pose of the head: tables only, in the language of `grammar.py`."""

TONES: dict[str, tuple[str, ...]] = {
    "very dark": ("very dark", "dark, deep brown", "very deep brown", "ebony"),
    "deep brown": ("deep brown", "dark brown", "rich deep brown", "dark"),
    "brown": ("brown", "rich brown", "medium-dark brown", "warm brown"),
    "medium brown": ("medium brown", "light to medium brown", "light brown"),
    "tan": ("tan", "tanned", "light tan", "medium, tanned"),
    "light": ("light", "light beige", "light to medium", "fairly light"),
    "fair": ("fair", "light", "fair and even", "quite fair"),
    "very fair": ("very fair", "pale", "very light", "porcelain"),
}
TONED: dict[str, tuple[str, ...]] = {
    "very dark": ("very dark-skinned", "black", "very dark"),
    "deep brown": ("dark-skinned", "black", "dark"),
    "brown": ("brown-skinned", "dark-skinned", "brown"),
    "medium brown": ("brown-skinned", "light brown"),
    "tan": ("tanned", "olive-skinned", "tan"),
    "light": ("light-skinned", "fair-skinned"),
    "fair": ("fair-skinned", "light-skinned", "fair"),
    "very fair": ("pale", "very fair-skinned", "very pale"),
}
"""What people themselves are called; only where the photo has colour."""
GREY_TONES: dict[str, tuple[str, ...]] = {
    "very dark": ("very dark",),
    "deep brown": ("dark",),
    "brown": ("medium-dark", "fairly dark"),
    "medium brown": ("medium", "medium to dark"),
    "tan": ("medium", "light to medium"),
    "light": ("light to medium", "fairly light"),
    "fair": ("light",),
    "very fair": ("very light", "pale"),
}
"""Where the photo has no colour."""

SKINS: tuple[str, ...] = (
    "As for the skin, it is {tone}{extra}.",
    "{Their} face has {tone} skin{extra}.",
    "The skin of the face is {tone}{extra}.",
    "{They} {is} {tone} of complexion{extra}.",
    "{Their} skin is {tone}{extra}.",
    "The skin is {tone}{extra}.",
    "{They} {has} {tone} skin{extra}.",
    "{tone} skin{extra}.",
    "{They} {is} {toned}{extra}.",
    "{Their} complexion is {tone}{extra}.",
    "The [skin tone|complexion] is {tone}{extra}.",
)
GREY_SKINS: tuple[str, ...] = (
    "As for the skin, it is {tone}{extra}.",
    "{Their} face has {tone} skin{extra}.",
    "The skin of the face is {tone}{extra}.",
    "{They} {is} {tone} of complexion{extra}.",
    "In grey tones the skin looks {tone}{extra}.",
    "The skin [reads as|appears|looks] {tone}{extra}.",
    "{tone} skin{extra}.",
    "{Their} skin is {tone} in tone{extra}.",
)
UNDERTONES: dict[str, str] = {
    "golden": "[a golden undertone|a warm, yellowish cast|a warm golden tone|golden warmth]",
    "pink": "[a pink undertone|a cool, rosy cast|a pinkish tint]",
    "olive": "[an olive cast|an olive undertone]",
}
SKIN_EXTRAS: dict[str, str] = {
    "ruddy": "[a ruddy colour|noticeable redness|a reddish flush]",
    "sallow": "[little red in it|a pale, sallow look]",
    "rosy": "[rosy cheeks|a flush on the cheeks|a blush on the cheeks]",
    "red nose": "[a reddish nose|some redness on the nose]",
    "red lips": "[red lips|strongly coloured lips|rosy lips|deep pink lips]",
    "pale lips": "[pale lips|lips hardly redder than the skin]",
    "dark lips": "[dark lips|lips much darker than the skin]",
    "beard": "[a dark beard around mouth and chin|a dense beard shadow on chin and jaw]",
    "stubble": "[stubble on chin and jaw|dark stubble|a clear shadow of a beard]",
    "shadow": "[a faint shadow of stubble|a light beard shadow|a hint of stubble on the chin]",
}
NO_BEARD = ("no sign of a beard", "no beard", "no stubble")

LIGHT_QUALITIES: dict[str, str] = {
    "even": "[very even|soft and even|diffuse|uniform]",
    "soft": "[soft|gentle|mild|]",
    "contrasty": "[directed|fairly contrasty|clear|]",
    "hard": "[hard|harsh|strong, contrasty]",
}
LIGHT_SHADES: dict[str, str] = {
    "even": "[ almost without shadow|, with hardly any shadow| and almost without shadow]",
    "soft": "[, with soft shading|, with little shadow||]",
    "contrasty": "[, with clear shading|, with noticeable shadows||]",
    "hard": "[, with deep shadows|, with strong, dark shadows]",
}
LIGHT_SIDES: dict[tuple[str, str], str] = {
    ("none", ""): "from the front",
    (
        "slight",
        "left",
    ): "[from the front and slightly from the left|a little more from the left|from the front "
    "left]",
    (
        "slight",
        "right",
    ): "[from the front and slightly from the right|a little more from the right|from the front "
    "right]",
    ("clear", "left"): "[from the left|mainly from the left|from the left of the picture]",
    ("clear", "right"): "[from the right|mainly from the right|from the right of the picture]",
    ("strong", "left"): "[strongly from the left|from far to the left|almost only from the left]",
    (
        "strong",
        "right",
    ): "[strongly from the right|from far to the right|almost only from the right]",
}
DARKER_SIDES: tuple[str, ...] = (
    ", [so that|and] the {other} side of the face is darker",
    ", leaving the {other} cheek in shade",
    ", the {other} cheek being [darker|shaded]",
    ", with [shade|shadow] on the {other} side",
)
LIGHTS: tuple[str, ...] = (
    "The light, {quality_or}, comes {side}{shade}.",
    "{They} {is} seen in {quality_or} light {side}{shade}.",
    "Light that is {quality_or} comes {side}{shade}.",
    "{quality} light [comes|falls|arrives] {side}{shade}.",
    "The light is {quality_or} and comes {side}{shade}.",
    "The light comes {side}{shade}.",
    "{They} {is} lit {side}{shade}.",
    "{quality} light {side}{shade}.",
    "The face is lit {side}{shade}.",
    "{quality} light [reaches|falls on] the face {side}{shade}.",
    "The [lighting|illumination] is {quality_or}, {side}{shade}.",
    "Lighting: {quality_or}, {side}{shade}.",
)
BRIGHTNESSES: dict[str, str] = {"dim": "[dim|subdued|weak]", "bright": "bright", "medium": ""}
WARMTHS: dict[str, str] = {"warm": "[warm|warm-toned]", "cool": "[cool|cold|bluish]"}

TURNS: dict[str, tuple[str, ...]] = {
    "none": (
        "{They} face{s} the camera[ squarely| directly|]{nod}.",
        "The head is [frontal|straight|turned neither way]{nod}.",
        "{They} look{s} straight ahead{nod}.",
        "{Their} head faces forward{nod}.",
        "The face is seen from the front{nod}.",
        "Frontal [view|pose]{nod}.",
        "{They} hold{s} the head straight{nod}.",
        "{Their} pose is [frontal|straight]{nod}.",
        "{They} look{s} right at the viewer{nod}.",
    ),
    "trace": (
        "The head is [almost|nearly|close to] frontal, [just a hair|a touch|very slightly] to "
        "the {side}{nod}.",
        "{They} face{s} nearly forward, a [trifle|touch] to the {side}{nod}.",
        "{Their} head is turned very slightly to the {side}{nod}.",
    ),
    "slight": (
        "The head is turned [slightly|a little|somewhat] to the {side}{nod}.",
        "{They} turn{s} [slightly|a little|somewhat] to the {side}{nod}.",
        "{Their} face points [slightly|a little] to the {side} of the picture{nod}.",
        "{Their} head is rotated [slightly|a little] {side}ward{nod}.",
    ),
    "clear": (
        "The head is [clearly|noticeably|] turned to the {side}{nod}.",
        "{They} turn{s} {their} head to the {side}{nod}.",
        "{They} face{s} the {side} of the picture{nod}.",
        "{Their} face is turned to the {side}{nod}.",
    ),
    "strong": (
        "The head is turned [far|strongly] to the {side}{nod}.",
        "{They} turn{s} far to the {side}, [almost in half profile|into three-quarter view]{nod}.",
        "{Their} face is turned well away to the {side}{nod}.",
        "Three-quarter view, turned to the {side}{nod}.",
    ),
}
NODS: dict[tuple[str, str], str] = {
    ("", "none"): "[||||, head level|, head upright]",
    ("up", "slight"): ", the chin [slightly|a little] raised",
    ("up", "clear"): ", the chin raised",
    ("up", "strong"): ", the head [thrown|tipped] back",
    ("down", "slight"): ", the chin [slightly|a little] lowered",
    ("down", "clear"): ", the head lowered",
    ("down", "strong"): ", the head bent far down",
}
TILTS: dict[str, str] = {
    "slight": "It leans [slightly|a little] to the {side}.",
    "clear": "It [is also tilted|leans] to the {side}.",
    "strong": "It is [strongly|far] tilted to the {side}.",
}
ASIDE_TURNS: dict[str, str] = {
    "none": "[facing the camera|seen from the front|looking straight ahead]",
    "trace": "[facing almost forward|turned a touch to the {side}]",
    "slight": "[turned slightly to the {side}|facing a little {side}]",
    "clear": "[turned to the {side}|facing {side}]",
    "strong": "[turned far to the {side}|in three-quarter view to the {side}]",
}
ASIDE_NODS: dict[str, str] = {"up": "chin raised", "down": "head lowered"}

SHORTS: tuple[str, ...] = (
    "[a {noun}|someone] with {face} and {tone} skin, {mouth}",
    "[a {noun}|someone] with {tone} skin and {a}, {mouth}",
    "a {mood} {noun} with {face}, {mouth}, {turn}",
    "a {noun} with {face} and {a}, {mouth}, {turn}",
    "[a {noun}|someone] with {a} and {tone} skin, {turn}",
    "a {mood} {noun} with {tone} skin and {a}, {light}",
    "[a {noun}|someone] with {tone} skin, {mouth}, {turn}",
    "{face} with {a}, {mouth}",
    "a {mood} face with {a} and {tone} skin, {turn}",
    "[a {noun}|someone] with {face}, {a} and {b}, {mouth}",
    "a {toned} {noun} with {face}, {mouth}",
    "a {toned} {noun} with {a}, {turn}",
    "a {mood}, {toned} {noun} with {a} and {b}",
    "a {noun} with {a}, {b} and {c}",
    "[a {noun}|someone] with {a} and {b}",
    "a {noun} with {face}, {a} and {b}",
    "a {noun} with {face}",
    "a {noun} with {face}, {mouth}",
    "a {noun} with {face} and {a}, {mouth}",
    "a {toned} {noun} with {face} and {a}, {mouth}",
    "a {toned} {noun} with {a} and {b}, {mouth}",
    "a {toned} {noun} with {face}, {a} and {b}",
    "a {noun}, {mouth}",
    "a {toned} {noun}, {mouth}, {turn}",
    "a {mood} {noun}",
    "a {mood} {noun} with {a} and {b}",
    "{a}, {b} and {c}",
    "{face}, {a} and {b}",
)
