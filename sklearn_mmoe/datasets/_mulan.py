"""The multi-target and multi-label tables of the Mulan repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params

from sklearn_mmoe.datasets._arff import read_arff
from sklearn_mmoe.datasets._files import (
    DamagedFileError,
    RemoteFile,
    get_data_home,
    load,
)

_REPOSITORY = "https://raw.githubusercontent.com/tsoumakas/mulan/master/data/"


@dataclass(frozen=True)
class _Table:
    """What is known of a table: its shape, what it is about, its file's SHA-256."""

    n_samples: int
    n_features: int
    n_targets: int
    about: str
    sha256: str | None = None
    task_type: str = "regression"


def _labels(
    n_samples: int,
    n_features: int,
    n_targets: int,
    about: str,
    sha256: str | None = None,
) -> _Table:
    return _Table(n_samples, n_features, n_targets, about, sha256, "classification")


_TABLES = {
    "andro": _Table(
        49,
        30,
        6,
        "quality of the water in Thermaikos gulf, five days ahead (Hatzikos, 2008)",
        "08f0e2757b2a7635136ac58ea76c4e801ffeb0a81116b29e6ac169228c8aa132",
    ),
    "atp1d": _Table(
        337,
        411,
        6,
        "lowest prices of air tickets on the next day (Spyromitros-Xioufis, 2016)",
        "ed935ba476c4994ba40d6712d590fb389709cceba7cf7dbbb33ef28c84762bb9",
    ),
    "atp7d": _Table(
        296,
        411,
        6,
        "lowest prices of air tickets in the next week (Spyromitros-Xioufis, 2016)",
        "77d59efdf4a6329c71c854684de7409d0d61d3bebccd6821ae268c1620c95b2d",
    ),
    "edm": _Table(
        154,
        16,
        2,
        "what an operator of electrical discharge machining did (Karalic, 1997)",
        "37777374030f592a53cbcf597ae0aa6105238a1c696dd04ccb229be982f6bc5b",
    ),
    "enb": _Table(
        768,
        8,
        2,
        "heating and cooling loads of buildings (Tsanas and Xifara, 2012)",
        "8277d9094ccda6da2cd1c2b79c90ca201fa3695e75aca173ffc43138dcab0071",
    ),
    "jura": _Table(
        359,
        15,
        3,
        "heavy metals in the soil of the Swiss Jura (Goovaerts, 1997)",
        "78ce7655f49073e3622ef7ba25657b3900a2b279ba3d48cb82e353e56bac3d2a",
    ),
    "oes10": _Table(
        403,
        298,
        16,
        "employees by occupation in cities, 2010 (Spyromitros-Xioufis, 2016)",
        "37f9fa429f6f2ece2cdfd08e84649971e61ee0b4e75d66166c082bacf3d36251",
    ),
    "oes97": _Table(
        334,
        263,
        16,
        "employees by occupation in cities, 1997 (Spyromitros-Xioufis, 2016)",
        "aee74aa656c709f797f45d817c41996be94c2e924c0f1e7ad315fb7e2f1a9498",
    ),
    "osales": _Table(
        639,
        401,
        12,
        "a product's online sales in each of its first months (Kaggle, 2012)",
        "c9c656c7e0131ad1c3f427cea7828f2ed315ec80da6d6f43c05b40b87257efe5",
    ),
    "rf1": _Table(
        9125,
        64,
        8,
        "flow of rivers at eight sites, 48 hours ahead (Spyromitros-Xioufis, 2016)",
    ),
    "rf2": _Table(
        9125,
        576,
        8,
        "as rf1, with forecasts of the rain (Spyromitros-Xioufis, 2016)",
    ),
    "scm1d": _Table(
        9803,
        280,
        16,
        "prices on the next day of a simulated supply chain (Spyromitros-Xioufis, "
        "2016)",
    ),
    "scm20d": _Table(
        8966,
        61,
        16,
        "mean prices 20 days ahead of a simulated supply chain (Spyromitros-Xioufis, "
        "2016)",
    ),
    "scpf": _Table(
        1137,
        23,
        3,
        "views, votes and comments of reports to a city (Kaggle, 2013)",
        "f7d3c7b134c0e5ddff56a7900371cb44328f9b7f550203c4a556929203ea81e9",
    ),
    "sf1": _Table(
        323,
        10,
        3,
        "counts of solar flares of three kinds, 1969 (UCI, 1989)",
        "8f78e64aca64f7c0c7ba4d9b2f114feb2a6f72e6116e87d7dab94e7cab426d93",
    ),
    "sf2": _Table(
        1066,
        10,
        3,
        "counts of solar flares of three kinds, 1978 (UCI, 1989)",
        "2c1ac60f3e612b0e0bc9884ffe98a205ce07ca83f3f89c019220fde350396795",
    ),
    "slump": _Table(
        103,
        7,
        3,
        "slump, flow and strength of concrete (Yeh, 2007)",
        "3a9a9eba416b06c7668153b44073a0e165afbfc9e526d53b174e5f97a707ca6c",
    ),
    "wq": _Table(
        1060,
        16,
        14,
        "plants and animals in Slovenian rivers (Dzeroski, Demsar and Grbovic, 2000)",
        "4a0906b4a51bf52c986790ddaf261ba51faa3da9cffe823badabd88d38d252fe",
    ),
    "bibtex": _labels(
        7395,
        1836,
        159,
        "tags of bibliography entries (Katakis, Tsoumakas and Vlahavas, 2008)",
        "a282a6d1fb3cdaf39bde3f81cd4e6079850a7a538a6bc44f8b4ed95dfe1e5014",
    ),
    "birds": _labels(
        645,
        260,
        19,
        "species of birds that are heard in a recording (Briggs et al., 2013)",
    ),
    "cal500": _labels(
        502,
        68,
        174,
        "words that describe a piece of music (Turnbull et al., 2008)",
        "cfe6097ba5fd6e8584e54911ab9783dcab34e898446b7c9370c71d477eae56d3",
    ),
    "emotions": _labels(
        593,
        72,
        6,
        "emotions that a piece of music evokes (Trohidis et al., 2008)",
        "6f2f790047073d1293ac0872c0d55f2dc98b6177802fc96c6b66b309dfee1e4b",
    ),
    "enron": _labels(
        1702,
        1001,
        53,
        "topics of the Enron company's mails (UC Berkeley, 2004)",
        "d0889ef0576d4e7b5ec0df3b3e4760e476ac11a6e7d7ddeee4c4a34470dedf97",
    ),
    "flags": _labels(
        194,
        19,
        7,
        "colours of the flags of nations (UCI, 1990)",
        "d3ed8b5683f1b27e68069aad2c29388bb57d4caa5041b559e646cc3854a0cd1e",
    ),
    "genbase": _labels(
        662,
        1186,
        27,
        "families of proteins (Diplaris et al., 2005)",
        "cb23052a49191e36e9a59cd661e97d79bed2e3f2583030a206692b57bf1e3671",
    ),
    "medical": _labels(
        978,
        1449,
        45,
        "codes of diseases for a radiologist's report (Pestian et al., 2007)",
        "ad0630a9a409ed0023c3bb56a0be7610b635c1ca185c6035e3b198b01167aac4",
    ),
    "yeast": _labels(
        2417,
        103,
        14,
        "functional classes of yeast genes (Elisseeff and Weston, 2001)",
        "55c07a3b6ff885ae338fb6987a1d57f55572b29809922c2822c4885c61230dd7",
    ),
}

# The repository has this table in two files alone.
_PARTS = {"birds": {"birds-train": 322, "birds-test": 323}}


def _remote_file(name: str, stem: str) -> RemoteFile:
    """Return the file `stem` of the table `name`."""
    table = _TABLES[name]
    labels = table.task_type == "classification"
    folder = f"multi-label/{name}/" if labels else "multi-target/"
    return RemoteFile(
        name=f"mulan/{stem}.arff",
        git_sha1=None,
        addresses=(f"{_REPOSITORY}{folder}{stem}.arff",),
        sha256=table.sha256,
    )


def _files(name: str, folder: Path) -> dict[str, int]:
    """Return the stems of the files of a table, and the rows of each.

    Somebody may have put a table that comes in parts into one file, as the others are.
    """
    if (folder / "mulan" / f"{name}.arff").exists():
        return {name: _TABLES[name].n_samples}
    return _PARTS.get(name, {name: _TABLES[name].n_samples})


def _reader(shape: tuple[int, int]) -> Callable[[Path], pd.DataFrame]:
    """Return a function that reads a file and refuses another shape."""

    def read(path: Path) -> pd.DataFrame:
        frame = read_arff(path)
        if frame.shape != shape:
            raise DamagedFileError(
                "it has {} rows and {} columns instead of {} and {}".format(
                    *frame.shape, *shape
                )
            )
        return frame

    return read


def _load(name: str, folder: Path, download_if_missing: bool) -> pd.DataFrame:
    width = _TABLES[name].n_features + _TABLES[name].n_targets
    parts = [
        load(
            _remote_file(name, stem),
            folder,
            download_if_missing,
            _reader((n_rows, width)),
        )
        for stem, n_rows in _files(name, folder).items()
    ]
    # Parts of one table declare the same categories, so that their dtypes stay.
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _to_label(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return labels as integers, as far as they are; others stay what they are."""
    numbers = pd.to_numeric(column.astype("object"), errors="coerce")
    return numbers.astype("int64") if (numbers % 1 == 0).all() else column


def _description(name: str) -> str:
    table = _TABLES[name]
    title = f"Mulan: {name}"
    kinds = {"regression": "regressions", "classification": "labels, 0 or 1"}
    if table.sha256 is not None:
        check = f"SHA-256 {table.sha256}"
    else:
        check = "checked by its shape alone, no checksum being known"
    text = resources.files("sklearn_mmoe.datasets").joinpath("descr", "mulan.rst")
    return (
        f"{title}\n{'-' * len(title)}\n\n"
        f"{table.about[0].upper()}{table.about[1:]}.\n\n"
        f":Rows: {table.n_samples}\n"
        f":Features: {table.n_features}\n"
        f":Targets: {table.n_targets} {kinds[table.task_type]}\n"
        f":File: {check}\n\n" + text.read_text(encoding="utf-8")
    )


_validated: Callable[..., Any] = validate_params(
    {
        "name": [str],
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)


@_validated
def fetch_mulan(
    name: str,
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = True,
) -> Any:
    """Load a multi-target or multi-label table of Mulan, downloading it if necessary.

    Mulan is a library of multi-label learning [1]_; its repository holds the tables
    that most papers on several targets measure on.

    ========  ======  ========  =======   ========  ======  ========  ======
    Regressions                           Classifications (labels 0 and 1)
    -----------------------------------   ----------------------------------
    name      rows    features  targets   name      rows    features  labels
    ========  ======  ========  =======   ========  ======  ========  ======
    andro         49        30        6   bibtex      7395      1836     159
    atp1d        337       411        6   birds        645       260      19
    atp7d        296       411        6   cal500       502        68     174
    edm          154        16        2   emotions     593        72       6
    enb          768         8        2   enron       1702      1001      53
    jura         359        15        3   flags        194        19       7
    oes10        403       298       16   genbase      662      1186      27
    oes97        334       263       16   medical      978      1449      45
    osales       639       401       12   yeast       2417       103      14
    rf1         9125        64        8
    rf2         9125       576        8
    scm1d       9803       280       16
    scm20d      8966        61       16
    scpf        1137        23        3
    sf1          323        10        3
    sf2         1066        10        3
    slump        103         7        3
    wq          1060        16       14
    ========  ======  ========  =======   ========  ======  ========  ======

    Parameters
    ----------
    name : str
        One of the names above.
    data_home : str, path or None, default=None
        Folder whose subfolder ``mulan`` holds the files, such as ``mulan/andro.arff``.
        None takes that of :func:`get_data_home`: the environment variable
        ``SKLEARN_MMOE_DATA``, or the user's cache folder.
    download_if_missing : bool, default=True
        Whether to fetch a file that is absent or damaged. Otherwise an OSError is
        raised.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Whether data and target are data frames; otherwise they are arrays, the
        data's of dtype object if there are categories.

    Returns
    -------
    Bunch
        With the attributes

        data : data frame of shape (n_samples, n_features)
            The features: numeric attributes as float64, nominal ones as category
            columns of str; missing values are NaN.
        target : data frame of shape (n_samples, n_targets)
            One column for each target: float64 for regressions; 0 or 1, int64, for
            labels.
        frame : data frame of shape (n_samples, n_features + n_targets) or None
            Data and target side by side; None if ``as_frame=False``.
        task_type : {'regression', 'classification'}
            What the targets are.
        feature_names : list of str
            Names of the features.
        target_names : list of str
            Names of the targets.
        DESCR : str
            Description of the table.

    (data, target) : tuple
        If ``return_X_y=True``.

    Raises
    ------
    OSError
        If a file is absent or damaged and cannot be fetched; the message says which
        file to put where.
    ValueError
        If `name` is none of the above.

    Notes
    -----
    Files are checked by their SHA-256. Of birds, rf1, rf2, scm1d and scm20d it is not
    known; these are checked by their format and their numbers of rows and columns.
    birds comes in two files, ``birds-train.arff`` and ``birds-test.arff``, whose rows
    follow one another here.

    The features of bibtex, enron, medical and genbase are mostly nominal words that
    occur or do not, so that frames of a thousand category columns and more result.

    References
    ----------
    .. [1] Tsoumakas, G., Spyromitros-Xioufis, E., Vilcek, J., & Vlahavas, I. (2011).
       "Mulan: A Java Library for Multi-Label Learning". JMLR 12.
       https://github.com/tsoumakas/mulan
    .. [2] Spyromitros-Xioufis, E., Tsoumakas, G., Groves, W., & Vlahavas, I. (2016).
       "Multi-target regression via input space expansion: treating targets as
       inputs". Machine Learning 104. https://doi.org/10.1007/s10994-016-5546-z

    Examples
    --------
    >>> from sklearn_mmoe.datasets import fetch_mulan
    >>> jura = fetch_mulan("jura")  # doctest: +SKIP
    >>> jura.data.shape, jura.target_names  # doctest: +SKIP
    ((359, 15), ['Cd', 'Co', 'Cu'])
    """
    if name not in _TABLES:
        raise ValueError(
            "The 'name' parameter of fetch_mulan must be one of "
            f"{', '.join(sorted(_TABLES))}, got {name!r}."
        )
    table = _TABLES[name]
    frame = _load(name, get_data_home(data_home), download_if_missing)
    # Copies, so that who changes one is not warned of a slice.
    data = frame.iloc[:, : table.n_features].copy()
    target = frame.iloc[:, table.n_features :].copy()
    if table.task_type == "classification":
        target = target.apply(_to_label)
    X = data if as_frame else data.to_numpy()
    y = target if as_frame else target.to_numpy()
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        target=y,
        frame=pd.concat([data, target], axis=1) if as_frame else None,
        task_type=table.task_type,
        feature_names=list(data.columns),
        target_names=list(target.columns),
        DESCR=_description(name),
    )
