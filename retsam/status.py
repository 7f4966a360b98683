"""The one list of reasons why something is, or is not, there.

Every (image, step), every (image, target) and every biomarker carries one of these codes instead of a magic number:
a missing value is NaN plus its reason, never 0 or -1.
"""

from enum import StrEnum


class Status(StrEnum):
    """Outcome of one step on one image, target or biomarker."""

    OK = "ok"
    # The manifest row
    BAD_ROW = "bad_row"
    DUPLICATE_ID = "duplicate_id"
    # The file
    MISSING_FILE = "missing_file"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    # The photograph
    NO_FUNDUS = "no_fundus"
    UNGRADABLE = "ungradable"
    FAILED = "failed"
    # A target
    NOT_SEGMENTED = "not_segmented"
    NOT_VISIBLE = "not_visible"
    # A biomarker
    NOT_ASSESSED = "not_assessed"
    TOO_FEW_VESSELS = "too_few_vessels"
    OUT_OF_VIEW = "out_of_view"
    NO_SCALE = "no_scale"
    UNDEFINED = "undefined"
    # An association
    TOO_FEW_EVENTS = "too_few_events"
    NO_VARIATION = "no_variation"
    ALL_MISSING = "all_missing"
    NOT_CONVERGED = "not_converged"


MEANING: dict[Status, str] = {
    Status.OK: "computed",
    Status.BAD_ROW: "the manifest row cannot be used (empty image_id or path)",
    Status.DUPLICATE_ID: "an earlier manifest row has the same image_id",
    Status.MISSING_FILE: "no file at this path",
    Status.UNREADABLE: "the file is not an image that can be decoded (empty, truncated, wrong type, a folder)",
    Status.TOO_LARGE: "the image declares more pixels than the limit",
    Status.TOO_SMALL: "the image or its field of view is too small to measure",
    Status.NO_FUNDUS: "no fundus photograph: no field of view, or not the colours of a retina",
    Status.UNGRADABLE: "gradability below the threshold and the policy is to exclude",
    Status.FAILED: "an unexpected error while working on this image; the message is in the log",
    Status.NOT_SEGMENTED: "the model does not provide a target that this needs, or the given masks lack this image",
    Status.NOT_VISIBLE: "the structure was looked for and not found",
    Status.NOT_ASSESSED: "the step that this needs gave nothing for this image (for example, no quality table)",
    Status.TOO_FEW_VESSELS: "fewer vessels than the minimum-evidence rule asks for",
    Status.OUT_OF_VIEW: "less than the required part of the region lies inside the field of view",
    Status.NO_SCALE: "needs micrometres per pixel, and none was given",
    Status.UNDEFINED: "the definition has no value here (for example a ratio with denominator zero)",
    Status.TOO_FEW_EVENTS: "fewer cases or controls than the minimum, or than the columns of the model need",
    Status.NO_VARIATION: "the exposure is constant, the other columns determine it, or its quartile cuts coincide",
    Status.ALL_MISSING: "no row has both the exposure and every covariate",
    Status.NOT_CONVERGED: "no method gave a finite estimate",
}
