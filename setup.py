"""Packaging of semtf; the pins are explained in docs/install.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.findall(r'__version__ = "(.+)"', (HERE / "semtf/version.py").read_text("utf-8"))

# Either of two sets of versions; docs/versions.md tells why there are two.
TENSORFLOW = ">=2.15.1,<2.21,!=2.16.*,!=2.17.*,!=2.18.*,!=2.19.*"
KERAS = ">=2.15,<3.16," + ",".join(f"!=3.{minor}.*" for minor in range(10))
# The releases between these two are compiled for releases of TensorFlow between the two.
SCANN = ">=1.3,<1.5," + ",".join(f"!=1.3.{patch}" for patch in range(1, 6)) + ",!=1.4.0,!=1.4.1"
ADDONS = [
    "tensorflow>=2.15.1,<2.16",
    "keras>=2.15,<2.16",
    "keras-cv>=0.9,<0.10",
    "tensorflow-addons>=0.23,<0.24",
    "scann>=1.3,<1.4; sys_platform == 'linux' and platform_machine == 'x86_64'",
    "numpy>=1.26,<2",
    "pandas>=2.2,<3",
    # What KerasCV reads its data sets with; newer releases need a newer protobuf.
    "tensorflow-datasets<4.9.8",
    "tensorflow-metadata<1.16",
    # Later releases import beside NumPy 2 alone, and do not ask for it.
    "pyarrow<26",
    # tensorflow-metadata asks for it there; pip finds a way by itself, but not within minutes.
    "protobuf>=3.20.3,<4.21; python_version < '3.11'",
]


def below(version: str, requirements: list[str]) -> list[str]:
    """Requirements that count for versions of Python below one alone."""
    marked = []
    for requirement in requirements:
        name, _, marker = requirement.partition("; ")
        older = f"python_version < '{version}'"
        marked.append(f"{name}; {older} and {marker}" if marker else f"{name}; {older}")
    return marked


WEIGHTS = ["safetensors>=0.5"]
SERVE = [
    "httptools>=0.6",
    "httpx>=0.27",
    "orjson>=3.10",
    "prometheus-client>=0.20",
    "starlette>=0.40",
    "uvicorn>=0.30",
    "uvloop>=0.20; sys_platform != 'win32'",
]
GRPC = [f"tensorflow-serving-api{TENSORFLOW}"]
BENCH = ["opencv-python-headless>=4.10"]
RAY = ["pyarrow>=18", "ray>=2.40"]
TORCH = ["torch>=2.6"]
DOCS = ["mkdocs>=1.6,<2", "mkdocstrings-python>=1.16"]
TEST = [
    *WEIGHTS,
    *SERVE,
    *GRPC,
    *RAY,
    *DOCS,
    "fsspec>=2024.6",
    "hypothesis>=6.100",
    "import-linter>=2.1",
    "ipykernel>=6.29",
    "mypy>=1.11",
    "nbclient>=0.10",
    "pandas-stubs>=2.2",
    "playwright>=1.49",
    "pytest>=8.3",
    "pytest-xdist>=3.6",
    "ruff>=0.12",
]

setup(
    name="semtf",
    version=VERSION[0],
    description="Depth maps from SEM images of contact holes, with Keras and TensorFlow",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["semtf", "semtf.*"]),
    package_data={
        "semtf": ["py.typed"],
        "semtf.analysis": ["*.html"],
        "semtf.benchmark": ["*.html"],
        "semtf.pages": ["*.html", "*.js"],
        "semtf.report": ["*.html"],
        "semtf.serving": ["page/**/*"],
        "semtf.serving.saved_model": ["docker/*"],
    },
    python_requires=">=3.10,<3.14",
    install_requires=[
        # ScaNN's compiled operations fit one minor version of TensorFlow only.
        f"tensorflow{TENSORFLOW}",
        # ScaNN exists for Linux alone; the exact index serves elsewhere.
        f"scann{SCANN}; sys_platform == 'linux'",
        f"keras{KERAS}",
        "keras-cv>=0.9,<0.10",
        "numpy>=1.26,<3",
        "pandas>=2.2,<4",
        "click>=8.1",
        "filelock>=3.16",
        "h5py>=3.11",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "packaging>=24",
        "pillow>=10.4",
        "psutil>=5.9",
        "rich>=13.7",
        "scikit-image>=0.24",
        "scipy>=1.14",
        "typing-extensions>=4.1",
        # The classic set is the only one for Python 3.10.
        *below("3.11", ADDONS),
    ],
    extras_require={
        "addons": below("3.12", ADDONS),
        "bench": BENCH,
        "docs": DOCS,
        "grpc": GRPC,
        "ray": RAY,
        "serve": SERVE,
        "test": TEST,
        "torch": TORCH,
        "weights": WEIGHTS,
    },
    entry_points={
        "console_scripts": [
            "semtf = semtf.cli.main:run",
            "semtf-train = semtf.cli.main:run_train",
        ]
    },
)
