"""Finds copies of images, verifies them on the pixels, and marks which image of each to keep.

    keras-isd duplicates features.parquet
    keras-isd duplicates features.parquet --ratio=0.8          # more candidates
    keras-isd duplicates features.parquet --similarity=0.99    # an absolute threshold
    keras-isd duplicates features.parquet --no-verify          # candidates by features only

Candidates have similar features or similar perceptual hashes. Each pair is aligned (flips, quarter
turns, crops, small rotations) and compared pixel by pixel. The table has a line for each image of a
verified group: group, name, keep (yes or no), similarity of the features to the image that is kept,
confidence in [0, 1] that it is a copy of that image, and the difference. One image of each group is
kept, usually the one with the largest file.

If files cannot be read, if the share of copies is implausible, or with --no-verify, the column keep
is empty: nothing is suggested for deletion that was not verified.
"""

import os

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import fraction, positive_int

COLUMNS = ["group", "name", "keep", "similarity", "confidence", "difference"]
CANDIDATE_RATIO = 0.6  # verified afterwards
UNVERIFIED_RATIO = 0.3


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    add = parser.add_argument
    add(
        "--ratio",
        type=fraction,
        help=f"distance of candidates relative to the k-th neighbour's; {CANDIDATE_RATIO}, or "
        f"{UNVERIFIED_RATIO} with --no-verify, if not given",
    )
    add("--k", type=positive_int, default=10, help="about the most copies of one image")
    add("--similarity", type=fraction, help="least cosine of candidates, instead of the ratio")
    add("--channels", type=positive_int, help="number of channels, if the files differ")
    add("--no-verify", dest="verify", action="store_false", help="do not read the images")


def run(arguments):
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "duplicates.csv")
    sizes = [os.path.getsize(name) if os.path.isfile(name) else -1 for name in found.names]
    rows = [row for row, name in enumerate(found.names) if sizes[row] >= 0 or "://" in name]
    if arguments.verify and rows:
        groups, lines = _find_verified(arguments, found, rows, sizes)
    else:
        if arguments.verify:
            print("None of the files can be read, so no copy can be verified.")
        groups, lines = _find_candidates(arguments, found, sizes)
    tables.write_table(output, COLUMNS, lines)
    titles = [f"group {number}" for number in range(len(groups))]
    captions = [["", *["copy?"] * (len(rows) - 1)] for rows in groups]
    if any(line[2] for line in lines):
        captions = [["keep", *["copy"] * (len(rows) - 1)] for rows in groups]
    tables.draw_groups(arguments, output, found.names, groups, titles, captions)


def _find_verified(arguments, found, rows, sizes):
    """Verified groups among the rows whose files exist, and the lines of the table."""
    copies = keras_isd.exploration.find_copies(
        tables.open_images(
            arguments, [found.names[row] for row in rows], channels=arguments.channels
        ),
        found.features[rows],
        arguments.ratio or CANDIDATE_RATIO,
        arguments.k,
        arguments.similarity,
        [sizes[row] for row in rows],
        arguments.approximate,
    )
    groups = [[rows[place] for place in group] for group in copies.groups]
    count = sum(len(group) - 1 for group in groups)
    print(
        f"{len(groups):,} groups, {count:,} of {len(found.names):,} images are copies; "
        f"{copies.candidates:,} pairs were compared"
    )
    if missing := len(found.names) - len(rows) + len(copies.unreadable):
        print(f"{missing:,} files cannot be read: their images were not verified.")
    if copies.warning:
        print(f"{copies.warning}. The column keep is empty: inspect the groups.")
    lines = [
        (number, *line, about.confidence, about.difference)
        for number, (group, comparisons) in enumerate(zip(groups, copies.comparisons))
        for line, about in zip(_start_lines(found, group, not copies.warning), comparisons)
    ]
    return groups, lines


def _find_candidates(arguments, found, sizes):
    """Groups with similar features that are not verified, and the lines of the table."""
    groups = keras_isd.exploration.find_duplicates(
        found.features,
        arguments.ratio or UNVERIFIED_RATIO,
        arguments.k,
        arguments.similarity,
        None if max(sizes) < 0 else sizes,
        arguments.approximate,
    )
    count = sum(len(group) - 1 for group in groups)
    print(
        f"{len(groups):,} groups of candidates, {count:,} of {len(found.names):,} images; they are "
        "not verified, and the column keep is empty"
    )
    if count > keras_isd.exploration.copies.IMPLAUSIBLE_SHARE * len(found.names):
        print("So many copies are implausible: these features do not separate the images.")
    lines = [
        (number, *line, "", "")
        for number, group in enumerate(groups)
        for line in _start_lines(found, group, False)
    ]
    return groups, lines


def _start_lines(found, group, is_sure):
    """Name, keep and similarity of each image of a group, whose first image is kept."""
    from keras_isd.similarity.exact import unit_rows

    unit = unit_rows(found.features[group])
    for place, similarity in enumerate(unit @ unit[0]):
        keep = ("yes" if place == 0 else "no") if is_sure else ""
        yield found.names[group[place]], keep, float(similarity)
