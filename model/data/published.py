"""The datasets as their authors published them: files, sizes, checksums, addresses, terms.

Sizes and checksums are those of TensorFlow Datasets and torchvision, which have checked them for
years.  Two versions of downsampled ImageNet exist, whose results must never be compared.
"""

from model.data.sources import RawFile, Source

MNIST = Source(
    dataset="mnist",
    origin="LeCun, Cortes, Burges: The MNIST database of handwritten digits (1998)",
    licence="CC BY-SA 3.0",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=(
        RawFile(
            name="train-images-idx3-ubyte.gz",
            size_bytes=9_912_422,
            checksum="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RawFile(
            name="train-labels-idx1-ubyte.gz",
            size_bytes=28_881,
            checksum="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RawFile(
            name="t10k-images-idx3-ubyte.gz",
            size_bytes=1_648_877,
            checksum="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RawFile(
            name="t10k-labels-idx1-ubyte.gz",
            size_bytes=4_542,
            checksum="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)

# Debian's package dataset-fashion-mnist has the same content in .gz files without a name and with
# another time: with the published header, its files have the published checksums (md5 as well).
FASHION_MNIST = Source(
    dataset="fashion-mnist",
    origin="Xiao, Rasul, Vollgraf: Fashion-MNIST (2017), github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files=(
        RawFile(
            name="train-images-idx3-ubyte.gz",
            size_bytes=26_421_880,
            checksum="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            repacked=(
                26_421_856,
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
        ),
        RawFile(
            name="train-labels-idx1-ubyte.gz",
            size_bytes=29_515,
            checksum="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            repacked=(
                29_491,
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
        ),
        RawFile(
            name="t10k-images-idx3-ubyte.gz",
            size_bytes=4_422_102,
            checksum="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            repacked=(
                4_422_079,
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
        ),
        RawFile(
            name="t10k-labels-idx1-ubyte.gz",
            size_bytes=5_148,
            checksum="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            repacked=(
                5_125,
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ),
    ),
)

CIFAR10 = Source(
    dataset="cifar10",
    origin="Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009)",
    licence="none stated; the authors ask to cite the technical report of 2009",
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    files=(
        RawFile(
            name="cifar-10-python.tar.gz",
            size_bytes=170_498_071,
            algorithm="md5",
            checksum="c58f30108f718f92721af3b95e74349a",
        ),
    ),
)

IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research and education only"
CHRABASZCZ = (
    "Chrabaszcz, Loshchilov, Hutter: A Downsampled Variant of ImageNet as an Alternative to the "
    "CIFAR datasets (2017)"
)
OORD = "van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks (2016)"

IMAGENET32 = Source(
    dataset="imagenet32",
    origin=CHRABASZCZ,
    licence=IMAGENET_TERMS,
    mirrors=("https://image-net.org/data/downsample/",),
    files=(
        RawFile(
            name="Imagenet32_train_npz.zip",
            size_bytes=3_580_435_279,
            checksum="94226337ecc1b0309d9fcd0167127aaadc931587035fbcb53925235edbaec4fc",
        ),
        RawFile(
            name="Imagenet32_val_npz.zip",
            size_bytes=139_697_668,
            checksum="013990e6dec1237dcd1f9beadbab81ead6604cc119af5cacbfb59ae28148377a",
        ),
    ),
)

IMAGENET64 = Source(
    dataset="imagenet64",
    origin=CHRABASZCZ,
    licence=IMAGENET_TERMS,
    mirrors=("https://image-net.org/data/downsample/",),
    files=(
        RawFile(
            name="Imagenet64_train_part1_npz.zip",
            size_bytes=6_783_426_789,
            checksum="9422dc1dc5d092e9814a70a1cb7fc74880d2db5d88a0cb8a34ee363b12bde3f1",
        ),
        RawFile(
            name="Imagenet64_train_part2_npz.zip",
            size_bytes=6_780_506_068,
            checksum="9fafc115afb7e6c301e66dc16b2d737152b427bd5dab26e1293487a6819c7f30",
        ),
        RawFile(
            name="Imagenet64_val_npz.zip",
            size_bytes=529_522_927,
            checksum="e1e75133158a1924135a9c6f97a80d2d237b158945e0b34074e58e6c8430eeb8",
        ),
    ),
)

# The publisher's links of the old version are dead; copies circulate.
IMAGENET32_OLD = Source(
    dataset="imagenet32-old",
    origin=OORD,
    licence=IMAGENET_TERMS,
    mirrors=(),
    files=(
        RawFile(
            name="train_32x32.tar",
            size_bytes=4_113_018_880,
            checksum="244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5",
        ),
        RawFile(
            name="valid_32x32.tar",
            size_bytes=161_474_560,
            checksum="862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7",
        ),
    ),
)

IMAGENET64_OLD = Source(
    dataset="imagenet64-old",
    origin=OORD,
    licence=IMAGENET_TERMS,
    mirrors=(),
    files=(
        RawFile(
            name="train_64x64.tar",
            size_bytes=12_112_588_800,
            checksum="e2a2c1947a748d0d256e98e6d82800d855441dc9e4de2e71a773f1324c4524d7",
        ),
        RawFile(
            name="valid_64x64.tar",
            size_bytes=477_255_680,
            checksum="eeac03ec4f585baf871d2b4cb9c974bfe345e74878a74e5820fe6eb1041629cd",
        ),
    ),
)

# Published on a file-sharing service that a program cannot download from.
CELEBA64 = Source(
    dataset="celeba64",
    origin="Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild (2015), "
    "mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    licence="CelebA's agreement: non-commercial research only",
    mirrors=(),
    files=(
        RawFile(
            name="img_align_celeba.zip",
            size_bytes=1_443_490_838,
            checksum="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
        ),
        RawFile(
            name="list_eval_partition.txt",
            size_bytes=2_836_386,
            checksum="fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
        ),
    ),
)

PUBLISHED = {
    source.dataset: source
    for source in (
        MNIST,
        FASHION_MNIST,
        CIFAR10,
        IMAGENET32,
        IMAGENET64,
        IMAGENET32_OLD,
        IMAGENET64_OLD,
        CELEBA64,
    )
}
# Made of images that scikit-learn brings along: nothing is fetched.
EMBEDDED = frozenset({"digits", "patches"})
