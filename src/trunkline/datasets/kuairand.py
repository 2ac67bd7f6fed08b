"""KuaiRand-Pure: what users of a short-video app did with 228,329 recommended videos in two weeks of 2022.

Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos",
CIKM 2022. Taken are the impressions of the app's own recommender from 25 April to 8 May, joined with the
tables of users and videos. Five targets: `click`, `long_view`, `like`, `profile_enter` and `play_time` in
seconds. Every other outcome of an impression is left out, as are the monthly video statistics, which
average over days still to come. `date` and `time_ms` are there for the order in time and are no features;
`date`, by which the splits are cut, is the log's own day and begins up to an hour before midnight in Beijing,
by `time_ms`.

How far the originals are checked: the archive against the MD5 and size on its Zenodo record, the tables of
users and videos byte by byte. No hash of the log inside the archive is published, so a log that was
unpacked elsewhere is held to its number of rows and of positives in these two weeks, no more.
"""

from trunkline.datasets.base import Dataset
from trunkline.datasets.kuairand_window import prepare
from trunkline.datasets.originals import Digest, Original

KUAIRAND_PURE = Dataset(
    name="kuairand-pure",
    about="228,329 video impressions of two weeks; targets click, long_view, like, profile_enter, play_time",
    licence="CC BY-SA 4.0, Kuaishou and the authors of KuaiRand (Gao et al., CIKM 2022)",
    url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
    # MD5 and size stand on the Zenodo record; they were read from two public copies of it, in the
    # repositories peihhss-blip/KuaiRankLab (both) and Techjam-try/rec-agent-v3 (the MD5).
    archive=Original("KuaiRand-Pure.tar.gz", 47_432_272, Digest("md5", "0820331067a3784d9691136f772b35a7")),
    editions=(
        (
            Original("log_standard_4_22_to_5_08_pure.csv"),
            # Both files lie, with these blob hashes, in wmyh-0416/kuairand-short-video-recommender and in
            # CharlieMat/KRLBenchmark.
            Original(
                "user_features_pure.csv",
                3_519_028,
                Digest("git-blob", "3d116a62893fe31d2f30f12a4baa187b50fa699b"),
            ),
            Original(
                "video_features_basic_pure.csv",
                626_669,
                Digest("git-blob", "7bdda47cf8d14d0685cc374539e71d7ed929f635"),
            ),
        ),
        # The same two weeks, kept as Parquet.
        (
            Original(
                "log.parquet",
                2_626_269,
                Digest("sha256", "e3b6e9482ff7bdb3b2974c3d05ec364dacd38dcbf7e2957da03e3b796ce68c9f"),
            ),
            Original(
                "user_features.parquet",
                427_387,
                Digest("sha256", "2de336f6027de25927da97b72d32b871c8e2ee79a3e6b947a32c6d1286b5bd2f"),
            ),
            Original(
                "video_features_basic.parquet",
                108_551,
                Digest("sha256", "b03f249148cdda6b30ff595b03871ca1ddc7f87814005313417f04d090845373"),
            ),
        ),
    ),
    prepare=prepare,
)
"""KuaiRand-Pure, https://zenodo.org/records/10439422."""
