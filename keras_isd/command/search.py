"""How neighbours are found."""

from absl import flags

APPROXIMATE = flags.DEFINE_bool(
    "approximate", False, "For a million images: quicker, and now and then wrong. Extra [faiss]."
)
