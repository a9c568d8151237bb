"""Words for what a face does: tables only, in the language of `grammar.py`."""

TEETH = (
    "[showing the upper teeth|with the upper teeth [showing|visible|on show|on display]"
    "|over a row of teeth]"
)

MOUTHS: dict[str, tuple[str, ...]] = {
    "laugh": (
        "{They} laugh{s} with the mouth wide open[ and the teeth on display|].",
        "{They} {is} laughing[ out loud| heartily|], the mouth thrown open.",
        "A [wide-open|hearty|full] laugh [stretches|opens] the mouth[ and bares the teeth|].",
        "The mouth is wide open in a [hearty laugh|broad, open smile].",
    ),
    "broad_open": (
        "{They} smile{s} [broadly|widely|from ear to ear], " + TEETH + ".",
        "{They} beam{s}, " + TEETH + ".",
        "{They} grin{s} [broadly|widely], the teeth [showing|clearly visible].",
        "A [broad|wide|big|radiant] smile opens the mouth and [shows|bares|uncovers] the teeth.",
        "{Their} smile is [broad and open|wide and toothy|big and open].",
        "The mouth is open in a [broad|wide|big] smile[ that shows the teeth|].",
    ),
    "broad_closed": (
        "{They} smile{s} [broadly|widely] with closed lips.",
        "A [broad|wide] closed-lip smile [stretches the mouth|lifts the corners of the mouth "
        "high].",
        "{They} grin{s} with the mouth closed.",
        "The lips are closed, but the smile is [broad|wide|strong].",
        "{Their} closed lips [curve|are drawn up] into a [broad|wide] smile.",
    ),
    "clear_open": (
        "{They} smile{s} [openly|warmly|happily|pleasantly], " + TEETH + ".",
        "{They} {has} an open, [friendly|pleasant|cheerful] smile.",
        "An [open|obvious|easy] smile [parts the lips|shows the upper teeth].",
        "{Their} mouth is open in a [friendly|clear|pleasant] smile.",
        "A [clear|friendly] smile lifts the corners of the mouth and [shows some teeth|parts the "
        "lips].",
    ),
    "clear_closed": (
        "{They} smile{s} [clearly|warmly|pleasantly|contentedly] with closed lips.",
        "A [clear|friendly|warm|contented] closed-lip smile [lifts|raises] the corners of the "
        "mouth.",
        "{They} {has} a [pleasant|friendly|contented] smile, lips together.",
        "The lips are closed and [drawn up|curved up] in a [clear|friendly] smile.",
        "{Their} mouth stays closed in a [warm|pleasant|friendly] smile.",
    ),
    "slight_open": (
        "{They} smile{s} [slightly|a little|mildly|gently], the lips parted.",
        "A [slight|mild|light|gentle] smile [parts|opens] the lips.",
        "{They} {has} a [slight|light|faint] smile with the mouth [open|a little open].",
        "The mouth is open in a [slight|mild|soft] smile.",
    ),
    "slight_closed": (
        "{They} smile{s} [slightly|a little|faintly|gently|mildly] with closed lips.",
        "A [slight|mild|soft|quiet|light] smile curves the closed lips.",
        "{They} {has} a [slight|faint|gentle|subtle] closed-lip smile.",
        "The lips are closed, the corners [slightly raised|turned up a little] in a "
        "[mild|faint] smile.",
    ),
    "trace_open": (
        "The lips are [parted|apart] with [a hint|a trace|the beginning] of a smile.",
        "There is [barely a smile|only a hint of a smile] around the open mouth.",
        "{Their} mouth is [open|a little open], with only [a trace|a shadow] of a smile.",
    ),
    "trace_closed": (
        "There is [a hint|a trace|only a shadow] of a smile around the closed lips.",
        "{They} [hardly|barely] smile{s}; the lips are closed, the corners just raised.",
        "The mouth is closed, with [a trace|the suggestion|just a hint] of a smile.",
        "{Their} closed lips [hint at a smile|curl up ever so slightly].",
    ),
    "neutral_closed": (
        "{Their} mouth is [closed|shut] and [relaxed|level|still], without a smile.",
        "{They} {does} not smile; the lips are [closed|together].",
        "The lips are [closed|together], the corners [level|neither raised nor lowered].",
        "The mouth is [closed|shut] in a [straight|level] line.",
        "{They} {is} not smiling, and the mouth is [closed|shut].",
        "{They} keep{s} the lips [closed|together] and the face still[, without a smile|].",
        "Lips [closed|together], no smile.",
    ),
    "neutral_parted": (
        "The lips are [slightly parted|a little apart|barely open], without a smile.",
        "{They} {does} not smile; the mouth is open [a crack|just a little].",
        "{Their} mouth is [slightly|a little] open, but there is no smile.",
        "The lips stand a little apart and {they} {is} not smiling.",
    ),
    "open": (
        "{Their} mouth is open[, as if in the middle of a word|, the teeth just showing|].",
        "The mouth stands open and the teeth [show|can be glimpsed].",
        "{They} [hold{s} the mouth open|{has} the mouth open][, not smiling|].",
        "The mouth is [clearly|half] open, and there is no smile[ in it|].",
    ),
    "wide": (
        "{Their} mouth is wide open.",
        "The mouth [gapes|is thrown wide open|stands wide open], the jaw [dropped|lowered].",
        "{They} {has} the mouth wide open, the jaw dropped.",
        "The jaw is dropped and the mouth gapes.",
    ),
    "rounded": (
        "The mouth is open and [rounded|drawn into an O].",
        "{Their} lips form [an open O|a round opening].",
        "The lips are pushed forward around an open, round mouth.",
    ),
    "bared": (
        "The lips are [drawn|pulled] back, baring the teeth.",
        "{They} bare{s} the teeth, the mouth [pulled|stretched] wide.",
        "The mouth is [stretched|pulled] open so that the teeth are bared.",
    ),
    "frown": (
        "The corners of the mouth [turn|are turned|point|bend] down.",
        "{Their} mouth is turned down at the corners.",
        "{They} frown{s} with the mouth, the corners [drawn|pulled] down.",
        "The lips curve down [at both ends|at the corners], far from a smile.",
    ),
    "pressed": (
        "The lips are [pressed|squeezed|clamped] together.",
        "{They} press{es} the lips together[ tightly|].",
        "{Their} mouth is a [thin|tight] line, the lips pressed together.",
    ),
    "pursed": (
        "{They} purse{s} the lips[ as if for a kiss|].",
        "The lips are [puckered|pursed] and pushed forward.",
        "{Their} closed lips are [drawn together|puckered] into a [small|narrow] mouth.",
    ),
    "puffed": (
        "{They} puff{s} out the cheeks, lips closed.",
        "The cheeks are [puffed|blown] out.",
    ),
    "tongue": (
        "{They} stick{s} out the tongue.",
        "The tongue [is stuck|sticks] out between the lips.",
        "{Their} tongue [sticks|hangs] out.",
    ),
    "one_sided": (
        "{They} smile{s} [more|mainly] with the {side} side of the mouth.",
        "A one-sided smile pulls the {side} corner of the mouth up.",
        "{Their} smile is lopsided, stronger on the {side} of the picture.",
        "The {side} corner of the mouth is raised in a [crooked|lopsided] smile.",
    ),
}
"""What the mouth does -> sentences."""

ASIDES: dict[str, str] = {
    "laugh": "[laughing|laughing with the mouth wide open|laughing out loud]",
    "broad_open": "[smiling broadly with the teeth showing|grinning broadly|beaming|grinning "
    "with open mouth]",
    "broad_closed": "[smiling broadly with closed lips|grinning with the mouth closed]",
    "clear_open": "[smiling openly|with an open smile|smiling with parted lips|smiling with the "
    "teeth showing]",
    "clear_closed": "[smiling with closed lips|with a friendly closed-lip smile|smiling, lips "
    "together]",
    "slight_open": "[smiling slightly with parted lips|with a slight open smile]",
    "slight_closed": "[smiling slightly|with a slight smile, lips closed|with a faint closed-lip "
    "smile]",
    "trace_open": "[with a hint of a smile and parted lips|hardly smiling, the mouth open]",
    "trace_closed": "[with a hint of a smile|hardly smiling, lips closed]",
    "neutral_closed": "[not smiling|with closed lips and no smile|unsmiling|with the mouth closed]",
    "neutral_parted": "[with slightly parted lips|lips a little apart, not smiling]",
    "open": "[with the mouth open|mouth open, not smiling]",
    "wide": "[with the mouth wide open|mouth gaping]",
    "rounded": "[with the mouth open and round|lips in an open O]",
    "bared": "[baring the teeth|with bared teeth]",
    "frown": "[with the corners of the mouth turned down|mouth turned down]",
    "pressed": "[pressing the lips together|with tightly pressed lips]",
    "pursed": "[pursing the lips|with puckered lips]",
    "puffed": "[puffing out the cheeks|with puffed-out cheeks]",
    "tongue": "[sticking out the tongue|with the tongue out]",
    "one_sided": "[smiling with the {side} side of the mouth|with a lopsided smile to the {side}]",
}
"""What the mouth does -> how it hangs on to a noun phrase."""

BROWS: dict[str, tuple[str, ...]] = {
    "relaxed": ("relaxed", "at rest", "calm", "unmoved"),
    "raised": ("raised", "lifted high", "raised high", "pulled up"),
    "inner raised": (
        "lifted in the middle",
        "raised, mostly towards the middle",
        "pulled up in the middle",
    ),
    "knitted": ("drawn together", "knitted a little", "slightly lowered and drawn together"),
    "drawn down": ("drawn down and together", "knitted hard", "pulled down", "lowered and knitted"),
    "left": ("uneven, the left one raised",),
    "right": ("uneven, the right one raised",),
}
"""What the brows are."""

EYES: dict[str, tuple[str, ...]] = {
    "closed": ("closed", "shut", "firmly closed"),
    "half": ("half closed", "heavy-lidded", "almost closed"),
    "narrow": ("narrowed", "a little narrowed", "slightly squeezed"),
    "normal": ("open", "calm", "open and calm", "relaxed"),
    "wide": ("wide open", "opened wide", "wide"),
    "wink": ("not alike: one is closed in a wink", "caught in a wink"),
}

GAZES: dict[str, str] = {
    "left": "looking to the left",
    "right": "looking to the right",
    "up": "looking up",
    "down": "[looking down|cast down]",
}

UPPER_SENTENCES: tuple[str, ...] = (
    "With the brows {brows}, the eyes are {eyes}.",
    "{Their} eyes are {eyes} and the brows {brows}.",
    "Brows {brows}, eyes {eyes}.",
    "The brows are {brows} and the eyes {are}{eyes}.",
    "The eyes are {eyes}, the brows {brows}.",
    "{Their} brows are {brows}, {their} eyes {eyes}.",
    "The brows are {brows}; the eyes are {eyes}.",
)
UPPER_TAILS: tuple[str, ...] = (
    ", brows {brows}, eyes {eyes}",
    ", with the brows {brows} and the eyes {eyes}",
    "; the eyes are {eyes} and the brows {brows}",
    "; the brows are {brows}, the eyes {eyes}",
    ", the brows {brows}",
    ", the eyes {eyes}",
)

NOSE_WRINKLED = (
    "The nose is wrinkled.",
    "{They} wrinkle{s} the nose.",
    "The nose wrinkles[ upwards|].",
)

MOODS: dict[str, tuple[str, ...]] = {
    "happiness": (
        "{They} look{s} {degree}[happy|cheerful|pleased|joyful].",
        "The [overall impression|whole look|mood] is {degree}[happy|friendly|cheerful].",
        "It is a {degree}[happy|cheerful|friendly] expression.",
    ),
    "sadness": (
        "{They} look{s} [sad|sorrowful|unhappy|downcast].",
        "The expression is [sad|unhappy|sorrowful].",
        "{They} seem{s} [sad|dejected], perhaps close to tears.",
    ),
    "anger": (
        "{They} look{s} [angry|cross|stern|annoyed].",
        "The expression is [angry|stern|grim].",
        "It is a [angry|hostile|grim] look.",
    ),
    "surprise": (
        "{They} look{s} [surprised|astonished|amazed].",
        "It is a look of [surprise|astonishment].",
        "The expression is one of [surprise|amazement].",
    ),
    "fear": (
        "{They} look{s} [afraid|frightened|scared|anxious].",
        "It is a look of [fear|alarm|fright].",
        "The expression is [fearful|anxious|alarmed].",
    ),
    "disgust": (
        "{They} look{s} [disgusted|repelled].",
        "It is an expression of [disgust|distaste].",
    ),
    "contempt": (
        "{They} look{s} [scornful|contemptuous|smug].",
        "There is [contempt|scorn] in the look.",
    ),
    "pain": (
        "{They} seem{s} to be in pain.",
        "{They} grimace{s} as if in pain.",
        "It looks like a [wince|grimace] of pain.",
    ),
    "speaking": (
        "{They} seem{s} to be [speaking|talking|saying something].",
        "It looks as if {they} {is} [talking|in the middle of a word|speaking].",
        "{They} might be [speaking|calling out|singing].",
    ),
    "tiredness": (
        "{They} look{s} [tired|sleepy|weary].",
        "The expression is [tired|drowsy].",
    ),
    "concentration": (
        "{They} seem{s} to [concentrate|think hard].",
        "The look is [concentrated|focused|intent].",
    ),
    "embarrassment": (
        "{They} look{s} [embarrassed|shy|bashful].",
        "It is a [shy|sheepish] look.",
    ),
    "pride": (
        "{They} look{s} [proud|self-assured|confident].",
        "The look is [proud|self-satisfied].",
    ),
    "playfulness": ("{They} look{s} [playful|cheeky].", "It is a [playful|silly|cheeky] face."),
    "neutral": (
        "The expression is neutral.",
        "{They} look{s} [calm|serious|composed] and neutral.",
        "There is no [strong|obvious|particular] emotion in the face.",
        "Overall the face is [neutral|calm|without a particular expression].",
    ),
}
"""Emotion -> sentences."""

MOOD_WORDS: dict[str, str] = {
    "happiness": "[happy|cheerful|smiling]",
    "sadness": "[sad|unhappy|sorrowful]",
    "anger": "[angry|stern|grim]",
    "surprise": "[surprised|astonished]",
    "fear": "[frightened|anxious|scared]",
    "disgust": "[disgusted|repelled]",
    "contempt": "[scornful|smug]",
    "pain": "[suffering|wincing]",
    "speaking": "[talking|speaking]",
    "tiredness": "[tired|sleepy]",
    "concentration": "[concentrated|focused]",
    "embarrassment": "[shy|embarrassed]",
    "pride": "[proud|self-assured]",
    "playfulness": "[playful|cheeky]",
    "neutral": "[calm|serious|neutral-looking]",
}
"""Emotion -> an adjective for a noun phrase."""
