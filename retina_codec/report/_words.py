"""Words that a page uses, for readers who see it first; and signs as they are printed."""

import re
from collections.abc import Mapping

EVERYWHERE = {
    "target": "the number that is explained, for each sample; surprisal says how unlikely the "
    "predicted responses of all cells are together",
    "channel, layer": "a kind of unit in the network, at all places of the image; the stage of the "
    "network that it belongs to",
    "contribution": "what a channel added to the target's change from the baseline (grey) to the "
    "sample; + promotes, − suppresses",
    "gap": "what is missing when contributions are added up; 0 would be exact",
    "mode, loading": "channels that contribute together; how much of a mode is in a sample. A mode "
    "is active above a quarter of its own 99th percentile",
    "held out": "measured on data that nothing was fitted to or chosen on",
    "p, q": "how often chance gives as much; the same when many are tested, as the expected share "
    "of false ones among those called",
    "95 % interval": "from the 2.5th to the 97.5th percentile when cells, modes, classes or images "
    "are drawn again",
}
OF_RECORDINGS = {
    "r, R²": "Pearson correlation; share of the variance that is explained (below 0: worse than "
    "the mean)",
    "receptive field, IRF": "how light at each place and time changes the rate; the same at one "
    "moment (instantaneous receptive field)",
    "shifted": "a control: the same numbers, moved in time against everything else",
    "LN model": "a linear filter and one nonlinearity for each cell, without interneurons",
}
OF_IMAGES = {
    "selection, test": "images on which modes, classes and channels are chosen; others, on which "
    "the choice is measured",
    "class mode": "a mode whose loading goes with a class (r > 0.2, q < 0.05)",
    "ablated, preserved": "the chosen channels are removed; all others are",
    "IoU": "overlap of two regions by the area that they cover together",
}
SIGNATURES = {
    "signature, control": "one number that says whether a phenomenon is there; the same number "
    "where a linear cell would show nothing",
    "present": "the whole interval of the difference from the control lies on the expected side",
}
SPACE = "\N{NO-BREAK SPACE}"


def printed(sentence: str) -> str:
    r"""Write signs as they are printed: a minus, and a percent sign that stays with its number.

    Examples
    --------
    >>> printed("r = -0.5 in 20% of conv-1") == "r = −0.5 in 20\N{NO-BREAK SPACE}% of conv-1"
    True
    """
    with_minus = re.sub(r"(?<![\w.)-])-(?=\d)", "−", sentence)
    with_minus = re.sub(r"−(0(?:\.0+)?)(?![\d.])", r"\1", with_minus)
    with_space = re.sub(r"(?<=\d) ?%", f"{SPACE}%", with_minus)
    return with_space.replace("n = ", f"n{SPACE}={SPACE}")


def label_of(sentence: str) -> tuple[str, str]:
    """Split a headline into the words before its first colon, if they are few, and the rest."""
    label, colon, rest = sentence.partition(": ")
    few = colon and len(label) <= 40 and not re.search(r"[.,;]", label)
    return (f"{label}:", rest) if few else ("", sentence)


def words_for(*more: Mapping[str, str]) -> dict[str, str]:
    """Return the words of a page."""
    return {key: text for words in (EVERYWHERE, *more) for key, text in words.items()}
