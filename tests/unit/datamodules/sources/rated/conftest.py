"""Datasets of rated images in their published layouts, from rows (image, reference, score): made ones or real ones."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image
from scipy.io import savemat

from datamodules.sources import csiq, kadid, koniq, live, live_md, mdid2013, pipal, spaq, tid2013


@dataclass(frozen=True)
class Layout:
    """`write(root, rows, save)` puts table and images in place; `rows` are a small made dataset."""

    module: ModuleType
    write: Callable
    rows: list
    stray: str  # where an image without a row would lie

    @property
    def name(self):
        return self.module.__name__.split(".")[-1]

    def make(self, root):
        self.write(root, self.rows, small_image)
        return root


def small_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    Image.fromarray(rng.integers(0, 256, (9, 10, 3), dtype=np.uint8)).save(path)


def empty_file(path):
    """For tables too large to make images for: only `make` opens them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def text(score):
    return "" if score is None else repr(score)


def number(score):
    return np.nan if score is None else score


def put(root, folder, names, save):
    for name in dict.fromkeys(names):
        save(root / folder / name)


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def write_kadid(root, rows, save):
    images, references, scores = columns(rows)
    put(root, "kadid10k/images", images + references, save)
    lines = ["\ufeffdist_img,ref_img,dmos,var"]  # as spreadsheets save it
    lines += [f"{i}, {r},{text(s)},0.5" for i, r, s in zip(images, references, scores, strict=True)]
    (root / "kadid10k/dmos.csv").write_text("\r\n".join(lines), encoding="utf-8")


def write_pipal(root, rows, save):
    images, references, _ = columns(rows)
    put(root, "Train_Ref", references, save)
    for place, name in enumerate(dict.fromkeys(images)):
        save(root / f"Distortion_{1 + place % 4}" / name)
    (root / "Train_Label").mkdir()
    for reference in dict.fromkeys(references):
        lines = [f"{i},{text(s)}" for i, r, s in rows if r == reference]
        (root / "Train_Label" / reference.replace(".bmp", ".txt")).write_text("\n".join(["name,Elo", *lines, ""]))


def write_tid2013(root, rows, save):
    """The original mixes upper and lower case, in the table and on disk, and not in the same way."""
    images, references, _ = columns(rows)
    put(root, "distorted_images", [name.lower() for name in images], save)
    put(root, "reference_images", [r.upper() if "25" not in r else r for r in references], save)
    lines = [f"{text(s)} {i.upper() if '_11_1' in i else i.capitalize()}" for i, _, s in rows]
    (root / "mos_with_names.txt").write_text("\n".join(["MOS name", *lines, ""]))


def write_csiq(root, rows, save):
    images, references, _ = columns(rows)
    put(root, "src_imgs", references, save)
    put(root, "dst_imgs", [*images, f"contrast/{references[0][:-4]}.contrast.9.png"], save)  # one that nobody rated
    book = Workbook()
    book.active.title = "legend"
    sheet = book.create_sheet("all_by_image")
    header = [None] * 3 + ["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
    for line in ([], ["CSIQ"], [], header):
        sheet.append(line)
    for image, _, score in rows:
        name, kind, level = image.split("/")[1].removesuffix(".png").split(".")
        kind = {"AWGN": "noise", "jpeg2000": "jpeg 2000"}.get(kind, kind.lower())
        sheet.append([None] * 3 + [int(name) if name.isdigit() else name, 1, kind, int(level), 0.1, score])
    book.save(root / "csiq.DMOS.xlsx")


def write_live(root, rows, save):
    images, references, _ = columns(rows)
    put(root, "refimgs", references, save)
    put(root, "", images, save)
    rated = {image: (reference, score) for image, reference, score in rows}
    files = [f"{folder}/img{n}.bmp" for folder, count in live.FOLDERS.items() for n in range(1, count + 1)]
    refnames = np.empty((1, len(files)), dtype=object)
    scores, originals = np.zeros((1, len(files))), np.ones((1, len(files)), dtype=np.uint8)
    for place, file in enumerate(files):
        refnames[0, place] = rated[file][0] if file in rated else "house.bmp"
        if file in rated:
            scores[0, place], originals[0, place] = number(rated[file][1]), 0
    for folder in live.FOLDERS:  # references stand among the distorted images
        original = next(f for place, f in enumerate(files) if f.startswith(folder) and originals[0, place])
        save(root / original)
    savemat(root / "dmos_realigned.mat", {"dmos_new": scores, "orgs": originals, "dmos_std": scores})
    savemat(root / "refnames_all.mat", {"refnames_all": refnames})


def write_live_md(root, rows, save):
    for part, folder in live_md.FOLDERS.items():
        of_part = [row for row in rows if row[0].startswith(folder)]
        put(root, f"To_Release/Part {part}", [i for i, _, _ in of_part], save)
        put(root, f"To_Release/Part {part}/{folder}", [r for _, r, _ in of_part], save)
        names = np.empty((len(of_part), 1), dtype=object)
        for place, (image, _, _) in enumerate(of_part):
            names[place, 0] = np.array([[image.split("/")[1]]], dtype=object)  # cells of cells
        savemat(root / f"To_Release/Part {part}/Imagelists.mat", {"distimgs": names})
        scores = np.array([[number(score) for _, _, score in of_part]])
        savemat(root / f"To_Release/Part {part}/Scores.mat", {"DMOSscores": scores})


def write_mdid2013(root, rows, save):
    images, references, scores = columns(rows)
    put(root, "MDID2013", images + references, save)
    savemat(root / "MDID_dmos.mat", {"MDID_dmos": np.array([[number(score)] for score in scores])})


def write_koniq(root, rows, save):
    put(root, "1024x768", columns(rows)[0], save)
    lines = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore"]
    lines += [f'"{image}",0,0,1,0,0,100,{text(score)},0.5,70' for image, _, score in rows]
    (root / koniq.TABLE).write_text("\n".join(lines))


def write_spaq(root, rows, save):
    put(root, "TestImage", columns(rows)[0], save)
    book = Workbook()
    book.active.append(["Image name", "MOS", "Brightness"])
    for image, _, score in rows:
        book.active.append([image, score, 50])
    (root / "Annotations").mkdir()
    book.save(root / "Annotations" / spaq.TABLE)


def spread(module, names, references):
    """Scores over the published range, in an order that goes with nothing."""
    published = module.PUBLISHED
    scores = np.linspace(published.lowest, published.highest, len(names)).tolist()
    order = np.random.default_rng(0).permutation(len(names))
    return [(name, r, scores[i]) for name, r, i in zip(names, references, order, strict=True)]


def each(references, names):
    """(names, references): every name for every reference."""
    return [name(r) for r in references for name in names], [r for r in references for _ in names]


def layouts():
    refs = ["I01.png", "I02.png", "I03.png", "I04.png"]
    four = [lambda r, n=n: f"{r[:-4]}_11_0{n}.png" for n in range(1, 6)]
    bmp = ["A0001.bmp", "A0002.bmp", "A0003.bmp", "A0004.bmp"]
    six = [lambda r, n=n: f"{r[:-4]}_00_0{n}.bmp" for n in range(6)]
    tid = ["i01.bmp", "i02.bmp", "i25.bmp"]
    levels = [lambda r, n=n: f"{r[:-4]}_11_{n}.bmp" for n in range(1, 6)]
    kinds = ("AWGN", "BLUR", "contrast", "fnoise", "JPEG", "jpeg2000")
    types = [lambda r, k=k: f"{k}/{r[:-4]}.{k}.1.png" for k in kinds]
    houses = ["house.bmp"] * 4 + ["caps.bmp"] * 6
    strengths = [f"{folder}/img{n}.bmp" for n in (2, 5) for folder in live.FOLDERS]
    cows = [
        lambda r, f=f, n=n: f"{f}/{r[:-4]}_{'blur' if n < 2 else f[4:]}{n}.bmp"
        for f in live_md.FOLDERS.values()
        for n in range(1, 6)
    ]
    orgs = [f"org{n:03d}.png" for n in (1, 2) for _ in range(mdid2013.PER_REFERENCE)]
    jpegs = [f"{n:05d}.jpg" for n in range(1, 31)]
    no_reference = [""] * 30
    return [
        Layout(kadid, write_kadid, spread(kadid, *each(refs, four)), "kadid10k/images/I09_01_01.png"),
        Layout(pipal, write_pipal, spread(pipal, *each(bmp, six)), "Distortion_2/A0009_00_00.bmp"),
        Layout(tid2013, write_tid2013, spread(tid2013, *each(tid, levels)), "distorted_images/i09_01_1.bmp"),
        Layout(csiq, write_csiq, spread(csiq, *each(["1600.png", "elk.png"], types)), "dst_imgs/AWGN/fox.AWGN.1.png"),
        Layout(live, write_live, spread(live, strengths, houses), "wn/img999.bmp"),
        Layout(
            live_md,
            write_live_md,
            spread(live_md, *each(["cows.bmp", "iceroad.bmp"], cows)),
            "To_Release/Part 1/blurjpeg/wheel_blur9.bmp",
        ),
        Layout(
            mdid2013,
            write_mdid2013,
            spread(mdid2013, [f"img{n:03d}.png" for n in range(1, len(orgs) + 1)], orgs),
            "MDID2013/img999.png",
        ),
        Layout(koniq, write_koniq, spread(koniq, jpegs, no_reference), "1024x768/999.jpg"),
        Layout(spaq, write_spaq, spread(spaq, jpegs, no_reference), "TestImage/99999.jpg"),
    ]


LAYOUTS = {layout.name: layout for layout in layouts()}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


@pytest.fixture(scope="session")
def all_layouts():
    return LAYOUTS


@pytest.fixture(scope="session")
def touch():
    return empty_file
