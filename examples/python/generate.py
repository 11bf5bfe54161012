"""Generates the typed clients from the published descriptor set into gen/.

    python generate.py [DESCRIPTOR_SET]

The descriptor set is what `cargo xtask descriptors` writes. No proto file and no network is needed.
"""

import shutil
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

HERE = Path(__file__).parent
DEFAULT = HERE / "../../target/angarium.binpb"
OUT = HERE / "gen"

# All other files come with protobuf and googleapis-common-protos. Only the annotations of buf/validate are in no package.
OURS = ("angarium/", "buf/validate/")


def main() -> int:
    descriptors = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not descriptors.exists():
        print(f"there is no {descriptors}: run `cargo xtask descriptors` first", file=sys.stderr)
        return 2
    published = FileDescriptorSet.FromString(descriptors.read_bytes())
    files = [file.name for file in published.file if file.name.startswith(OURS)]

    # mypy-protobuf's plugins are beside the interpreter, which may not be on the PATH.
    scripts = Path(sys.executable).parent
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    code: int = protoc.main(
        [
            "protoc",
            f"--descriptor_set_in={descriptors}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={OUT}",
            f"--grpc_python_out={OUT}",
            f"--mypy_out=quiet:{OUT}",
            f"--mypy_grpc_out=quiet:{OUT}",
            *files,
        ]
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
