"""What a wheel weighs and what it asks of a machine; fails where it has grown, or holds what it should not."""

import sys
import zipfile

#: Bytes of a wheel beside the libraries that come along (libgomp); 1.5 MB are wanted, ROADMAP.md says what takes them.
MOST = 3_100_000

with zipfile.ZipFile(sys.argv[1]) as wheel:
    files = wheel.infolist()
own = [file for file in files if ".libs/" not in file.filename]
size = sum(file.compress_size for file in own)
core = [file for file in own if "/_core." in file.filename and file.filename.endswith(".so")]
stray = [file.filename for file in own if not file.filename.startswith(("fastntk/", "fastntk-"))]
libraries = [file.filename.rpartition("/")[2] for file in files if ".libs/lib" in file.filename]

print(sys.argv[1].rpartition("/")[2])
print(f"{size:,} bytes beside {', '.join(libraries)}, of which {core[0].compress_size:,} are the core")
if size > MOST or stray or len(core) != 1:
    sys.exit(f"more than {MOST:,} bytes, not one core, or files that are not of the package: {stray}")
