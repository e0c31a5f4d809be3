"""Folders of pictures as samples: layouts, labels, preparation, and files that mean harm."""

import concurrent.futures
import pickle
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from retina_codec import stimuli
from retina_codec.stimuli import ImageFolder, Preparation, image_folder, unreadable
from retina_codec.stimuli._class_names import labels_of
from retina_codec.stimuli._pictures import pillow_warnings_are_errors

PREPARE = Preparation(size=(6, 8))


def picture(path: Path, value=100, *, mode="RGB", size=(20, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(value).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(array).convert(mode).save(path)
    return path


@pytest.fixture
def classes(tmp_path):
    for i, name in enumerate(["dog/b.png", "dog/a.jpg", "Tiger_Cat/c.png", "dog/d.tif"]):
        picture(tmp_path / name, i)
    return tmp_path


# Layouts and labels


def test_folders_are_classes(classes):
    picture(classes / ".hidden" / "x.png")
    picture(classes / "dog" / ".y.png")
    (classes / "dog" / "notes.txt").write_text("not a picture")
    (classes / "empty").mkdir()
    images = image_folder(classes, prepare=PREPARE)
    assert images.class_names == ("Tiger_Cat", "dog")
    assert [path.name for path in images.paths] == ["c.png", "a.jpg", "b.png", "d.tif"]
    assert images.labels.tolist() == [0, 1, 1, 1]


def test_flat_folder_has_no_labels(tmp_path):
    picture(tmp_path / "b.png"), picture(tmp_path / "a.PNG")
    images = image_folder(tmp_path, prepare=PREPARE, class_names=["cat"])
    assert [path.name for path in images.paths] == ["a.PNG", "b.png"]
    assert images.labels.tolist() == [-1, -1]
    assert images.class_names == ("cat",)


def test_table_of_labels(tmp_path):
    for name in ("a.png", "b.png", "sub/c.png", "d.png"):
        picture(tmp_path / name)
    rows = "file,label,by\nb.png,Cat,me\na.png,1,me\nsub/c.png,,me\nd.png,-1,me\n"
    (tmp_path / "labels.csv").write_text(rows)
    images = image_folder(tmp_path, prepare=PREPARE, class_names=["cat", "dog"])
    assert [path.name for path in images.paths] == ["a.png", "b.png", "d.png", "c.png"]
    assert images.labels.tolist() == [1, 0, -1, -1]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    for name in ("10", "9", "2"):
        picture(tmp_path / name / "x.png")
    assert image_folder(tmp_path, prepare=PREPARE).class_names == ("2", "9", "10")


def test_table_that_leaves_pictures_out(tmp_path):
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png"), picture(tmp_path / "c.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,cat\n")
    with pytest.warns(UserWarning, match=r"leaves out 2 files \('b.png', ...\); they have no lab"):
        images = image_folder(tmp_path, prepare=PREPARE)
    assert images.labels.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\nb.png,cat\n", "names 'b.png' not among the pictures.*Did you mean 'a.png'"),
        ("file,label\nq.png,x\nr.png,x\n", r"names 2 files \('q.png', ...\) not among"),
        ("file,label\n../a.png,cat\n", "'../a.png' not among the pictures of the folder"),
        ("file,label\na.png,cat\na.png,dog\n", "names 'a.png' more than once"),
        ("file,label\na.png,cat\n./a.png,cat\n", "names './a.png' more than once"),
        ("name,label\na.png,cat\n", "has the columns name,label. Expected .* file,label"),
        ("", "cannot be read .*Expected a table"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, table, message):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        image_folder(tmp_path, prepare=PREPARE)


def test_table_that_is_no_text(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00file,label")
    with pytest.raises(ValueError, match=r"labels.csv cannot be read"):
        image_folder(tmp_path, prepare=PREPARE)


def test_mixed_layouts(classes):
    picture(classes / "loose.png")
    with pytest.raises(ValueError, match=r"holds .*loose.png.* Expected all pictures in it, or al"):
        image_folder(classes, prepare=PREPARE)


def test_no_pictures(tmp_path):
    with pytest.raises(ValueError, match=r"No pictures in .* Expected files ending in .bmp"):
        image_folder(tmp_path, prepare=PREPARE)
    with pytest.raises(FileNotFoundError, match="No folder"):
        image_folder(tmp_path / "away", prepare=PREPARE)


def test_links_in_circles_are_read_once(classes):
    (classes / "dog" / "again").symlink_to(classes)
    assert len(image_folder(classes, prepare=PREPARE)) == 4


def test_folders_may_be_links(tmp_path, classes):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "hound").symlink_to(classes / "dog")
    assert image_folder(tmp_path / "other", prepare=PREPARE).class_names == ("hound",)


NAMES = ("tench, Tinca tinca", "crane", "crane", "3", "great white shark", "Missile", "missile")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("tench, Tinca tinca", 0),
        ("Tinca_tinca", 0),
        ("TENCH", 0),
        ("3", 3),  # the name itself comes before the number
        ("4", 4),
        ("04", 4),
        ("great-white_Shark", 4),
        ("missile", 6),  # exactly this one, although another differs in case only
        ("n01", 0),
        ("", -1),
        ("-1", -1),
    ],
)
def test_classes_by_name(name, number):
    synonyms = [("n01",)] + [()] * (len(NAMES) - 1)
    assert labels_of([name], NAMES, synonyms) == {name: number}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("great whit shark", "No class 'great whit shark' among the 7 .*mean 'great white shark'"),
        ("7", "No class '7' among the 7 of the network"),
        ("-2", "No class '-2'"),
        ("Crane", r"may be 1 \(crane\) or 2 \(crane\). Use the number"),
        ("MISSILE", r"may be 5 \(Missile\) or 6 \(missile\)"),
    ],
)
def test_classes_that_cannot_be_told(name, message):
    with pytest.raises(ValueError, match=message):
        labels_of([name], NAMES)


def test_unknown_class_names_the_folder(classes):
    with pytest.raises(ValueError, match=r"No class 'Tiger_Cat' among .* mean 'tiger cats'"):
        image_folder(classes, prepare=PREPARE, class_names=["dog", "tiger cats"])


# Slicing


def one_by_one(images: ImageFolder) -> np.ndarray:
    return np.stack([images.prepare(Image.open(path)) for path in images.paths])


@pytest.mark.parametrize("n_workers", [1, 3])
def test_slices_are_what_one_by_one_gives(classes, n_workers):
    images = image_folder(classes, prepare=PREPARE, n_workers=n_workers)
    expected = one_by_one(images)
    assert images.shape == expected.shape == (4, 3, 6, 8)
    mask = np.array([True, False, True, True])
    for index in (slice(None), slice(1, 3), slice(None, None, -1), [2, 0, 2], mask, np.array([-1])):
        batch = images[index]
        assert batch.dtype == np.float32
        np.testing.assert_array_equal(batch, expected[index])
    np.testing.assert_array_equal(images[-1], expected[-1])
    assert images[[]].shape == images[2:2].shape == (0, 3, 6, 8)
    with pytest.raises(IndexError, match="There are 4 pictures, got number 4"):
        images[4]


def test_subset_keeps_labels(classes):
    images = image_folder(classes, prepare=PREPARE)
    some = images.subset(images.labels == 1)
    assert some.labels.tolist() == [1, 1, 1]
    assert some.sample.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(some[:], images[1:])
    with pytest.raises(ValueError, match="Expected pictures and one label for each, got 0"):
        images.subset([])


def test_other_processes_get_the_same(classes):
    images = image_folder(classes, prepare=PREPARE)
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[:], images[:])
    assert again.labels.tolist() == images.labels.tolist()


def test_nothing_is_decoded_before_it_is_asked_for(classes):
    seen = []

    def prepare(image):
        seen.append(image.size)
        return PREPARE(image)

    images = image_folder(classes, prepare=prepare)
    assert not seen
    images[1:3]
    assert len(seen) == 2


def test_sizes_must_agree(classes):
    picture(classes / "dog" / "large.png", size=(40, 30))
    whole = image_folder(classes, prepare=lambda image: np.asarray(image).transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"large.png: prepared as \(3, 30, 40\), but .*c.png as"):
        whole[:]


def test_preparation_must_give_maps(classes):
    images = image_folder(classes, prepare=lambda image: np.zeros((4, 4)))
    with pytest.raises(TypeError, match=r"must return channel y x, got an array \(4, 4\)"):
        images[:1]


def test_errors_of_preparations_are_their_own(classes):
    def prepare(image):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        image_folder(classes, prepare=prepare).readable()


@pytest.mark.parametrize("wrong", [{"n_workers": 0}, {"max_pixels": 0}])
def test_settings_of_folders(classes, wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        image_folder(classes, prepare=PREPARE, **wrong)


# Preparation


def slow_preparation(array, size, mean, std):
    """Average over blocks: what box filters give when sides are multiples of the size."""
    n_y, n_x = array.shape[0] // size[0], array.shape[1] // size[1]
    out = np.zeros((array.shape[2], *size))
    for channel in range(array.shape[2]):
        for y in range(size[0]):
            for x in range(size[1]):
                block = array[y * n_y : (y + 1) * n_y, x * n_x : (x + 1) * n_x, channel]
                out[channel, y, x] = (block.mean() / 255 - mean[channel]) / std[channel]
    return out


def test_preparation_beside_a_slow_one():
    array = np.random.default_rng(0).integers(0, 255, (12, 20, 3), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    prepare = Preparation(size=(4, 5), mean=mean, std=std, resample=Image.Resampling.BOX)
    slow = slow_preparation(array, (4, 5), mean, std)
    # Pillow rounds to 8 bits, along each side in turn.
    np.testing.assert_allclose(prepare(Image.fromarray(array)), slow, atol=1.01 / 255 / 0.5)


def test_middle_is_cut():
    array = np.zeros((8, 20, 3), dtype=np.uint8)
    array[2:6, 8:12] = 255  # the middle half of the shorter side
    prepare = Preparation(size=(4, 4), shorter_side=8, resample=Image.Resampling.BOX)
    np.testing.assert_array_equal(prepare(Image.fromarray(array)), 1.0)
    tall = Image.fromarray(array.transpose(1, 0, 2).copy())
    np.testing.assert_array_equal(prepare(tall), 1.0)


def test_middle_as_if_resized_first():
    """Cutting first differs from resizing first only where filters reach over the edge."""
    with Image.open(Path(skimage.data.__file__).parent / "coffee.png") as image:  # 600 x 400
        resized = image.resize((384, 256), Image.Resampling.BICUBIC)
        fast = Preparation(size=(224, 224), shorter_side=256)(image).transpose(1, 2, 0)
    slow = np.asarray(resized.crop((80, 16, 304, 240)), dtype=float) / 255
    assert np.abs(fast - slow)[3:-3, 3:-3].max() < 1.01 / 255


MODES = {
    "1": (1, 1.0),
    "L": (200, 200 / 255),
    "P": (200, 200 / 255),
    "LA": ((200, 255), 200 / 255),
    "CMYK": ((0, 0, 0, 55), 200 / 255),
    "YCbCr": ((200, 128, 128), 200 / 255),
    "I;16": (200 * 257, 200 / 255),
    "I": (200 * 257, 200 / 255),
    "F": (200 / 255, 200 / 255),
    "RGBA": ((200, 200, 200, 255), 200 / 255),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_every_mode_becomes_grey_or_colour(mode, n_channels):
    colour, expected = MODES[mode]
    image = (
        Image.new("L", (9, 7), colour).convert("P")
        if mode == "P"
        else Image.new(mode, (9, 7), colour)
    )
    prepare = Preparation(size=(3, 3), mean=(0.0,) * n_channels, std=(1.0,) * n_channels)
    prepared = prepare(image)
    assert prepared.shape == (n_channels, 3, 3)
    np.testing.assert_allclose(prepared, expected, atol=1e-6)
    assert image.mode == mode and image.size == (9, 7)


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_transparent_pixels_show_the_background(tmp_path, background):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    prepare = Preparation(size=(2, 2), background=background)
    np.testing.assert_array_equal(prepare(clear), background)
    np.testing.assert_array_equal(prepare(Image.new("LA", (8, 8), (77, 0))), background)
    half = prepare(Image.new("RGBA", (8, 8), (255, 0, 0, 128)))[0]
    np.testing.assert_allclose(half, background * 127 / 255 + 128 / 255, atol=0.01)
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([9, 9, 9] * 256)
    palette.save(tmp_path / "p.png", transparency=bytes([255, 255, 255, 0]))
    np.testing.assert_array_equal(prepare(Image.open(tmp_path / "p.png")), background)


def test_sixteen_bits_from_a_file(tmp_path):
    array = np.full((8, 8), 200 * 257, dtype=np.uint16)
    Image.fromarray(array).save(tmp_path / "deep.png")
    images = image_folder(tmp_path, prepare=PREPARE)
    np.testing.assert_allclose(images[0], 200 / 255, atol=1e-6)


@pytest.mark.parametrize(("mode", "value"), [("F", 2.0), ("I", 70000), ("I", -1), ("F", np.nan)])
def test_numbers_of_unknown_range(tmp_path, mode, value):
    Image.new(mode, (8, 8), value).save(tmp_path / "odd.tif")
    with pytest.raises(ValueError, match=rf"odd.tif: pixels of mode {mode} from .* expected 0 to"):
        image_folder(tmp_path, prepare=PREPARE)[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, orientation):
    array = np.zeros((8, 16, 3), dtype=np.uint8)
    array[:4, :4] = 255
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turn(array))).save(tmp_path / "x.png", exif=exif)
    images = image_folder(tmp_path, prepare=Preparation(size=(8, 16)))
    np.testing.assert_array_equal(images[0][0], array[:, :, 0] / 255)


def test_first_of_several_pictures():
    path = Path(skimage.data.__file__).parent / "multipage.tif"
    with Image.open(path) as image:
        assert image.n_frames == 2
        first = Preparation(size=(15, 10), mean=(0.0,), std=(1.0,))(image)
        np.testing.assert_allclose(first[0], np.asarray(image) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean": (0.0, 0.0)}, "one number .grey. or three"),
        ({"mean": (0.0,) * 3, "std": (1.0,)}, "one number .grey. or three"),
        ({"std": (1.0, 0.0, 1.0)}, "Expected 'std' and 'size' above 0"),
        ({"background": 255.0}, "a 'background' from 0 to 1"),
        ({"shorter_side": 5}, r"'shorter_side' is 5, less than the size \(6, 8\)"),
    ],
)
def test_preparations_that_make_no_sense(wrong, message):
    with pytest.raises(ValueError, match=message):
        Preparation(size=(6, 8), **wrong)


# Files that mean harm


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises a size; the few bytes behind it unpack to zeros."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def harmful(folder: Path) -> dict[str, str]:
    """Write files that cannot be read, and return what is said of each."""
    good = {
        suffix: picture(folder / f"good.{suffix}", size=(64, 64)).read_bytes()
        for suffix in ("jpg", "png", "gif", "tif", "webp", "bmp")
    }
    files, said = {}, {}
    for suffix, content in good.items():
        files[f"cut.{suffix}"] = content[: len(content) // 2]
        said[f"cut.{suffix}"] = "damaged, cannot be decoded"
    noise = np.random.default_rng(0).bytes(500)
    files["corrupt.png"] = good["png"][:60] + noise + good["png"][560:]
    said["corrupt.png"] = "damaged, cannot be decoded"
    files["head.png"] = good["png"][:20]
    said["head.png"] = "not a picture|damaged"
    files["empty.jpg"], said["empty.jpg"] = b"", "the file is empty"
    files["text.jpg"], said["text.jpg"] = b"hello, world" * 20, "not a picture in one of"
    files["eps.png"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    said["eps.png"] = "not a picture in one of the formats"
    files["bomb.png"] = bomb(9_000, 9_000)
    said["bomb.png"] = r"81,000,000 pixels, more than 'max_pixels' = 50,000,000"
    files["bomb2.png"] = bomb(10_000, 15_000)  # Pillow warns
    said["bomb2.png"] = r"150,000,000 pixels, more than 'max_pixels'"
    files["bomb3.png"] = bomb(100_000, 100_000)  # Pillow raises an error
    said["bomb3.png"] = "too large .'max_pixels' is 50,000,000"
    files["line.png"], said["line.png"] = bomb(200_000, 1), "a line, not a picture"
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "away.png").symlink_to(folder / "nowhere.png")
    said["away.png"] = "there is no such file"
    return said


def test_harmful_files_end_in_one_error_that_names_them(tmp_path):
    said = harmful(tmp_path)
    images = image_folder(tmp_path, prepare=PREPARE)
    numbers = {path.name: number for number, path in enumerate(images.paths)}
    for name, message in said.items():
        with pytest.raises(ValueError, match=rf"{name}: .*({message})") as caught:
            images[numbers[name]]
        assert "\n" not in str(caught.value)


def test_unreadable_lists_them_and_readable_leaves_them_out(tmp_path):
    said = harmful(tmp_path)
    images = image_folder(tmp_path, prepare=PREPARE)
    table = unreadable(images)
    assert list(table.columns) == ["file", "problem"]
    assert {Path(file).name for file in table["file"]} == set(said)
    assert [str(images.paths[number]) for number in table.index] == list(table["file"])
    with pytest.warns(UserWarning, match=rf"{len(said)} of {len(images)} pictures are left out: "):
        good = images.readable()
    assert {path.stem for path in good.paths} == {"good"}
    assert good[:].shape == (6, 3, 6, 8)
    assert good.readable() is good
    assert len(unreadable(good)) == 0


def test_nothing_left(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    images = image_folder(tmp_path, prepare=PREPARE)
    with (
        pytest.warns(UserWarning, match="1 of 1 pictures"),
        pytest.raises(ValueError, match="got 0 pictures"),
    ):
        images.readable()


def test_bombs_are_never_decoded(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(bomb(9_000, 9_000))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="more than 'max_pixels'"):
        image_folder(tmp_path, prepare=PREPARE)[0]


def test_the_limit_can_be_raised(tmp_path):
    picture(tmp_path / "a.png", size=(30, 20))
    with pytest.raises(ValueError, match="30 x 20 are 600 pixels, more than 'max_pixels' = 599"):
        image_folder(tmp_path, prepare=PREPARE, max_pixels=599)[0]
    assert image_folder(tmp_path, prepare=PREPARE, max_pixels=600)[0].shape == (3, 6, 8)


def test_damaged_metadata_do_not_matter(tmp_path):
    path = picture(tmp_path / "a.jpg")
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12\x00\x03" * 5
    content = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(content[:2] + segment + content[2:])
    assert image_folder(tmp_path, prepare=PREPARE)[:].shape == (1, 3, 6, 8)


def test_wrong_suffix_is_no_problem(tmp_path):
    picture(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert image_folder(tmp_path, prepare=PREPARE)[:].shape == (1, 3, 6, 8)


def test_filters_of_warnings_are_put_back_whatever_order_threads_leave_in():
    before = list(warnings.filters)
    inside, leave = threading.Barrier(2), threading.Event()

    def first():
        with pillow_warnings_are_errors():
            inside.wait()

    def second():
        with pillow_warnings_are_errors():
            inside.wait()
            leave.wait()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(first), pool.submit(second)
        one.result()
        assert warnings.filters != before
        leave.set()
        two.result()
    assert warnings.filters == before


def test_pictures_shipped_with_scikit_image(tmp_path):
    """Photographs, drawings and stacks of many modes; one is no picture to Pillow."""
    data = Path(skimage.data.__file__).parent
    for path in data.iterdir():
        if path.suffix in {".png", ".jpg", ".gif", ".tif"}:
            (tmp_path / path.name).symlink_to(path)
    images = image_folder(tmp_path, prepare=stimuli.Preparation(size=(16, 16), shorter_side=18))
    assert len(images) > 20
    assert {Path(file).name for file in unreadable(images)["file"]} <= {"multipage_rgb.tif"}


def test_print_colours_and_palettes_from_files(tmp_path):
    Image.new("CMYK", (32, 32), (0, 0, 0, 55)).save(tmp_path / "a.jpg", quality=100)
    palette = Image.new("RGB", (32, 32), (200, 10, 90)).quantize(4)
    palette.save(tmp_path / "b.gif")
    cmyk, gif = image_folder(tmp_path, prepare=Preparation(size=(2, 2)))[:]
    np.testing.assert_allclose(cmyk, 200 / 255, atol=0.01)
    np.testing.assert_allclose(gif[:, 0, 0], np.array([200, 10, 90]) / 255, atol=0.01)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_lab_becomes_srgb(n_channels):
    """A lightness of 136 / 2.55 = 53.3 is the middle grey of sRGB, 127."""
    prepare = Preparation(size=(2, 2), mean=(0.0,) * n_channels, std=(1.0,) * n_channels)
    grey = Image.new("LAB", (8, 8), (136, 128, 128))
    np.testing.assert_allclose(prepare(grey), 127 / 255, atol=1.01 / 255)


def test_big_endian_counts(tmp_path):
    array = np.full((8, 8), 200 * 257, dtype=">u2")
    Image.frombytes("I;16B", (8, 8), array.tobytes()).save(tmp_path / "big.tif")
    images = image_folder(tmp_path, prepare=PREPARE)
    np.testing.assert_allclose(images[0], 200 / 255, atol=1e-6)
