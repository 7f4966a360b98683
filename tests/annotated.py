"""Small data sets in the official layouts, drawn and written by code: one maker for each adapter."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 150, 180
DISC, FOVEA = (120.0, 70.0), (70.0, 76.0)


def circle(x: float, y: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(cols - x, rows - y) <= radius


def vessels() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:46, 50:130] = mask[100:106, 50:130] = mask[40:106, 90:96] = True
    return mask


def photograph() -> np.ndarray:
    """Orange field of view, white disc, pure blue vessels, dark fovea: a colour threshold segments it perfectly."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[circle(90, 75, 68)] = (190, 90, 30)
    pixels[circle(*DISC, 12)] = (250, 240, 200)
    pixels[vessels()] = (20, 20, 255)
    pixels[circle(*FOVEA, 4)] = (60, 10, 0)
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    if path.suffix.lower() == ".gz":
        stream = io.BytesIO()  # Pillow would write past the compressor, to the file under it
        image.save(stream, "ppm")
        path.write_bytes(gzip.compress(stream.getvalue()))
    else:
        image.save(path, **({"quality": 95, "subsampling": 0} if path.suffix.lower() == ".jpg" else {}))
    return path


def make_drive(root: Path) -> Path:
    for number in (21, 22):
        save(root / f"training/images/{number}_training.tif", photograph())
        save(root / f"training/1st_manual/{number}_manual1.gif", vessels())
        save(root / f"training/mask/{number}_training_mask.gif", circle(90, 75, 68))
    for number in ("01", "02", "03"):
        save(root / f"test/images/{number}_test.tif", photograph())
        save(root / f"test/1st_manual/{number}_manual1.gif", vessels())
        save(root / f"test/2nd_manual/{number}_manual2.gif", np.roll(vessels(), 1, axis=0))
        save(root / f"test/mask/{number}_test_mask.gif", circle(90, 75, 68))
    return root


def colour_map() -> np.ndarray:
    """Upper bar artery, lower bar vein, the bar between them a crossing, one white (uncertain) end."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[40:46, 50:130] = (255, 0, 0)
    pixels[100:106, 50:130] = (0, 0, 255)
    pixels[46:100, 90:96] = (0, 255, 0)
    pixels[40:46, 120:130] = (255, 255, 255)
    return pixels


def make_hrf(root: Path) -> Path:
    for stem in ("01_dr", "02_dr", "10_h"):
        save(root / f"images/{stem}.JPG", photograph())
        save(root / f"manual1/{stem}.tif", vessels())
        save(root / f"mask/{stem}_mask.tif", np.repeat(circle(90, 75, 68)[..., None], 3, axis=2))
    return root


def make_idrid(root: Path) -> Path:
    base = root / "A. Segmentation"
    truth = base / "2. All Segmentation Groundtruths/a. Training Set"
    for stem in ("IDRiD_01", "IDRiD_02"):
        save(base / f"1. Original Images/a. Training Set/{stem}.jpg", photograph())
        save(truth / f"5. Optic Disc/{stem}_OD.tif", circle(*DISC, 12))
        for folder, code in (("1. Microaneurysms", "MA"), ("2. Haemorrhages", "HE"), ("3. Hard Exudates", "EX")):
            save(truth / folder / f"{stem}_{code}.tif", circle(60, 60, 3))
    save(truth / "4. Soft Exudates/IDRiD_02_SE.tif", circle(60, 60, 3))
    return root


def make_idrid_localization(root: Path, header: str = "Image No,X- Coordinate,Y - Coordinate") -> Path:
    truth = root / "C. Localization/2. Groundtruths"
    for folder, name, (x, y) in (
        ("1. Optic Disc Center Location", "a. IDRiD_OD_Center_Training Set_Markups.csv", DISC),
        ("2. Fovea Center Location", "IDRiD_Fovea_Center_Training Set_Markups.csv", FOVEA),
    ):
        (truth / folder).mkdir(parents=True)
        rows = "".join(f"IDRiD_00{i},{x},{y},,\n" for i in (1, 2))
        (truth / folder / name).write_text(f"{header},,\n{rows},,,,\n,,,,\n")
    for i in (1, 2):
        save(root / f"B. Disease Grading/1. Original Images/a. Training Set/IDRiD_00{i}.jpg", photograph())
    return root


def make_drimdb(root: Path) -> Path:
    for i in (1, 10, 2):
        save(root / f"Good/drimdb_good ({i}).jpg", photograph())
    save(root / "Bad/drimdb_bad (1).jpg", photograph() // 2)
    save(root / "Outlier/drimdb_outlier (1).jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return root


def make_stare(root: Path) -> Path:
    for name in ("im0001", "im0077"):
        save(root / f"stare-images/{name}.ppm.gz", photograph())
        save(root / f"labels-ah/{name}.ah.ppm.gz", vessels())
        save(root / f"labels-vk/{name}.vk.ppm.gz", np.roll(vessels(), 1, axis=0))
    save(root / "stare-images/im0319.ppm.gz", photograph())  # one of the 377 without labels
    return root


def make_chase_db1(root: Path) -> Path:
    for name in ("Image_01L", "Image_01R"):
        save(root / f"{name}.jpg", photograph())
        save(root / f"{name}_1stHO.png", vessels())
        save(root / f"{name}_2ndHO.png", np.roll(vessels(), 1, axis=0))
    return root


def make_les_av(root: Path) -> Path:
    for name in ("7", "12"):
        save(root / f"images/{name}.png", photograph())
        save(root / f"vessel-segmentations/{name}.png", vessels())
        save(root / f"arteries-and-veins/{name}.png", colour_map())
        save(root / f"masks/{name}_mask.gif", circle(90, 75, 68))
    return root


def make_fives(root: Path) -> Path:
    for part, names in (("train", ("1_A", "2_N")), ("test", ("1_D", "2_G"))):
        for name in names:
            save(root / part / f"Original/{name}.png", photograph())
            save(root / part / f"Ground truth/{name}.png", vessels())
    return root


def make_iostar(root: Path) -> Path:
    field = circle(90, 75, 68)
    for name in ("star01_OSC", "star03_OSN"):
        save(root / f"image/{name}.jpg", photograph())
        save(root / f"GT/{name}_GT.tif", vessels())
        save(root / f"AV_GT/{name}_AV.tif", colour_map())
        save(root / f"mask/{name}_Mask.tif", field)
        save(root / f"mask_OD/{name}_ODMask.tif", field & ~circle(*DISC, 12))
    return root


def three_levels() -> np.ndarray:
    """Disc rim 128, cup 0, background 255."""
    pixels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    pixels[circle(*DISC, 12)] = 128
    pixels[circle(*DISC, 6)] = 0
    return pixels


def by_rank() -> np.ndarray:
    return circle(*DISC, 12).astype(np.uint8) + circle(*DISC, 6)


def make_refuge(root: Path) -> Path:
    for group, name in (("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001")):
        save(root / f"Training400/{group}/{name}.jpg", photograph())
        save(root / f"Annotation-Training400/Disc_Cup_Masks/{group}/{name}.bmp", three_levels())
    foveas = f"ID,ImgName,Fovea_X,Fovea_Y\n1,g0001.jpg,{FOVEA[0]},{FOVEA[1]}\n2,n0001.jpg,0,0\n"
    (root / "Annotation-Training400/Fovea_location.csv").write_text(foveas)
    for folder, truth, name in (
        ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks", "V0001"),
        ("Test400", "REFUGE-Test-GT/Disc_Cup_Masks/G", "T0001"),
    ):
        save(root / folder / f"{name}.jpg", photograph())
        save(root / truth / f"{name}.bmp", three_levels())
    (root / "REFUGE-Test-GT/Glaucoma_label_and_Fovea_location.xlsx").write_bytes(b"PK")
    return root


def soft_map(radius: float) -> np.ndarray:
    """Four experts: three agree on the radius, one draws 3 pixels more, one of the three 3 pixels less."""
    layers = [circle(*DISC, radius + change) for change in (-3, 0, 0, 3)]
    return np.array([0, 64, 128, 191, 255], np.uint8)[np.sum(layers, axis=0)]


def make_drishti_gs(root: Path) -> Path:
    for part, truth, names in (("Training", "GT", ("002", "004")), ("Test", "Test_GT", ("001", "003"))):
        for name in (f"drishtiGS_{number}" for number in names):
            save(root / f"Drishti-GS1_files/{part}/Images/{name}.png", photograph())
            folder = root / f"Drishti-GS1_files/{part}/{truth}/{name}/SoftMap"
            save(folder / f"{name}_ODsegSoftmap.png", soft_map(12))
            save(folder / f"{name}_cupsegSoftmap.png", soft_map(6))
    return root


def crop() -> np.ndarray:
    """Part of the photograph around its disc, 36 x 36 pixels, enlarged three times: no edge of the field in it."""
    x, y = (int(v) for v in DISC)
    return photograph()[y - 18 : y + 18, x - 18 : x + 18].repeat(3, axis=0).repeat(3, axis=1)


def make_rim_one(root: Path) -> Path:
    rows, cols = np.mgrid[:108, :108]
    for part in ("training_set", "test_set"):
        for group, name in (("glaucoma", f"r1_Im001_{part[:2]}"), ("normal", f"r3_N-1-L_{part[:2]}")):
            save(root / f"RIM-ONE_DL_images/partitioned_randomly/{part}/{group}/{name}.png", crop())
            truth = root / "RIM-ONE_DL_reference_segmentations" / group
            save(truth / f"{name}-1-Disc-T.png", np.hypot(cols - 55, rows - 55) <= 37)
            save(truth / f"{name}-1-Cup-T.png", np.hypot(cols - 55, rows - 55) <= 18)
    return root


def make_origa(root: Path) -> Path:
    for name in ("001", "002"):
        save(root / f"Images/{name}.jpg", photograph())
        (root / "Semi-automatic-annotations").mkdir(exist_ok=True)
        savemat(root / f"Semi-automatic-annotations/{name}.mat", {"mask": by_rank()})
    return root


def polygon(radius: float) -> list[list[float]]:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return [[DISC[0] + radius * np.cos(a), DISC[1] + radius * np.sin(a)] for a in angles]


def make_g1020(root: Path) -> Path:
    for name, cup in (("image_0", True), ("image_10", False)):
        save(root / f"Images/{name}.jpg", photograph())
        shapes = [{"label": "disc", "points": polygon(12), "shape_type": "polygon"}]
        shapes += [{"label": "cup", "points": polygon(6), "shape_type": "polygon"}] if cup else []
        shapes += [{"label": "discLoc", "points": [[100, 50], [140, 90]], "shape_type": "rectangle"}]
        (root / f"Images/{name}.json").write_text(json.dumps({"shapes": shapes}))
    return root


def make_papila(root: Path) -> Path:
    folder = root / "ExpertsSegmentations/Contours"
    folder.mkdir(parents=True)
    for name in ("RET002OD", "RET002OS"):
        save(root / f"FundusImages/{name}.jpg", photograph())
        for what, radius in (("disc", 12), ("cup", 6)):
            for expert in (1, 2):
                np.savetxt(folder / f"{name}_{what}_exp{expert}.txt", polygon(radius + expert - 1))
    return root


def make_gamma(root: Path) -> Path:
    base = root / "task3_disc_cup_segmentation/training"
    for name in ("0001", "0002"):
        save(base / f"fundus color images/{name}.jpg", photograph())
        save(base / f"Disc_Cup_Mask/{name}.png", three_levels())
    (base / "fovea_localization_training_GT.csv").write_text(f"data,Fovea_X,Fovea_Y\n1,{FOVEA[0]},{FOVEA[1]}\n")
    return root


def make_ddr(root: Path) -> Path:
    for part, labels in (("train", "label"), ("valid", "segmentation label"), ("test", "label")):
        base = root / f"DDR-dataset/lesion_segmentation/{part}"
        for name in (f"007-{part}-100", f"007-{part}-200"):
            save(base / f"image/{name}.jpg", photograph())
            for code in ("MA", "HE", "EX", "SE"):
                save(base / labels / code / f"{name}.tif", circle(60, 60, 3))
    return root


def make_e_ophtha(root: Path) -> Path:
    save(root / "e_optha_EX/EX/E0019457/C0001273.jpg", photograph())
    save(root / "e_optha_EX/Annotation_EX/E0019457/C0001273_EX.png", circle(60, 60, 3))
    save(root / "e_optha_EX/healthy/E0000404/C0000886.jpg", photograph())
    save(root / "e_optha_MA/MA/E0000043/DS000DGS.JPG", photograph())
    save(root / "e_optha_MA/Annotation_MA/E0000043/DS000DGS.png", circle(60, 60, 3))
    save(root / "e_optha_MA/healthy/E0000404/C0000886.jpg", photograph())
    return root


def make_fgadr(root: Path) -> Path:
    folders = ("Microaneurysms_Masks", "Hemohedge_Masks", "HardExudate_Masks", "SoftExudate_Masks")
    for name in ("0000_1", "0001_2"):
        save(root / f"Seg-set/Original_Images/{name}.png", photograph())
        for folder in folders:
            save(root / f"Seg-set/{folder}/{name}.png", circle(60, 60, 3))
    return root


def make_hei_med(root: Path) -> Path:
    for name in ("00000003", "00000348", "00000500"):
        save(root / f"images/{name}.jpg", photograph())
    save(root / "hard_exudate/00000003.png", circle(60, 60, 3))
    save(root / "other_bright_lesion/00000348.png", circle(60, 60, 3))
    return root


def make_palm(root: Path) -> Path:
    base = root / "PALM-Training400"
    for name in ("H0001", "N0001", "P0001"):
        save(base / f"PALM-Training400/{name}.jpg", photograph())
        save(base / f"PALM-Training400-Annotation-D&F/Disc_Masks/{name}.bmp", ~circle(*DISC, 12))
    save(base / "PALM-Training400-Annotation-Lession/Lesion_Masks/Atrophy/P0001.bmp", ~circle(60, 60, 9))
    save(root / "PALM-Validation400/V0001.jpg", photograph())
    save(root / "PALM-Validation-GT/Disc_Masks/V0001.bmp", ~circle(*DISC, 12))
    save(root / "PALM-Validation-GT/Lesion_Masks/Atrophy/V0001.bmp", ~circle(60, 60, 9))
    foveas = f"imgName,Fovea_X,Fovea_Y,Label\nV0001.jpg,{FOVEA[0]},{FOVEA[1]},1\n"
    (root / "PALM-Validation-GT/PM_Label_and_Fovea_Location.csv").write_text(foveas)
    return root


def make_adam(root: Path) -> Path:
    for group, name in (("AMD", "A0001"), ("Non-AMD", "N0001")):
        save(root / f"Training400/{group}/{name}.jpg", photograph())
        save(root / f"Training400/Disc_Masks/{name}.bmp", ~circle(*DISC, 12))
    for folder in ("drusen", "exudate", "hemorrhage", "scar"):
        save(root / f"Training400-Lesion/Lesion_Masks/{folder}/A0001.bmp", ~circle(60, 60, 9))
    foveas = f"ID,imgName,Fovea_X,Fovea_Y\n1,A0001.jpg,{FOVEA[0]},{FOVEA[1]}\n"
    (root / "Training400/Fovea_location.csv").write_text(foveas)
    return root


def make_odir(root: Path) -> Path:
    for name in ("1_left", "1_right"):
        save(root / f"images/{name}.jpg", photograph())
    rows = "1_left,1,OS,images/1_left.jpg,60,f,1,0,,0\n1_right,1,OD,images/1_right.jpg,60,f,0,0,0,0\n"
    (root / "manifest.csv").write_text(f"image_id,participant_id,eye,path,age,sex,dr,amd,glaucoma,myopia\n{rows}")
    return root


MAKERS = {name.removeprefix("make_"): maker for name, maker in sorted(globals().items()) if name.startswith("make_")}
"""Maker of each data set by its name."""
