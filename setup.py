"""Packaging of semtf; the pins are explained in docs/install.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.findall(r'__version__ = "(.+)"', (HERE / "semtf/version.py").read_text("utf-8"))

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
GRPC = ["tensorflow-serving-api>=2.20,<2.21"]
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
    python_requires=">=3.11,<3.14",
    install_requires=[
        # ScaNN's compiled operations fit one minor version of TensorFlow only.
        "tensorflow>=2.20,<2.21",
        # ScaNN exists for Linux alone; the exact index serves elsewhere.
        "scann>=1.4.2,<1.5; sys_platform == 'linux'",
        "keras>=3.10,<3.16",
        "keras-cv>=0.9,<0.10",
        "numpy>=2,<3",
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
    ],
    extras_require={
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
