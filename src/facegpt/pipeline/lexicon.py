"""Whether a text speaks of the face itself, or only of what happens to somebody.

A small lexicon decides: parts of the face, skin, hair, shape and pose of the head, and words that
name an expression. It does not understand: "her brow of the hill" would count.
"""

import re

_WORD = re.compile(r"[a-z]+")

_FACE_WORDS = frozenset(
    _WORD.findall(
        """
        face faces facial faced features countenance visage
        brow brows browed eyebrow eyebrows forehead temples
        eyed eyelid eyelids lids lashes eyelashes pupils gaze
        nose nosed nostril nostrils
        cheek cheeks cheeked cheekbone cheekbones dimple dimples dimpled
        mouth mouthed lip lips lipped lipstick teeth toothy gums
        jaw jaws jawed jawline chin chinned chiseled
        wrinkle wrinkles wrinkled furrowed
        beard bearded stubble moustache mustache goatee
        hair haired hairline bald balding blond blonde brunette redhead
        skin skinned complexion complexioned tanned pale freckles freckled swarthy ruddy makeup
        smile smiles smiled smiling grin grins grinned grinning smirk smirks smirking
        frown frowns frowned frowning scowl scowls scowling pout pouts pouting
        grimace grimaces grimacing sneer sneers sneering snarling
        laughing squinting winking expression expressions expressionless neutral
        happiness sadness surprised frightened disgusted
        """
    )
)


def is_implicit(text: str) -> bool:
    """Whether a text says nothing of the face, as situations do: "She has just missed the last
    train." One word of the lexicon makes it explicit."""
    return not _FACE_WORDS.intersection(_WORD.findall(text.lower()))
