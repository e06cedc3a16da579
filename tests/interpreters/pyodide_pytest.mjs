// Runs pytest inside Pyodide: node pyodide_pytest.mjs PYODIDE_FOLDER REPOSITORY [pytest's arguments]
import { pathToFileURL } from "node:url";

const [folder, repository, ...pytestArguments] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/package/pyodide.mjs`));
const python = await loadPyodide({
  indexURL: `${folder}/package/`,
  env: {
    HOME: "/home/pyodide",
    PYTHONDONTWRITEBYTECODE: "1",
    HYPOTHESIS_STORAGE_DIRECTORY: "/tmp/hypothesis",
  },
});

// The tests see the real files, and cannot change them.
const { FS } = python;
const { NODEFS } = FS.filesystems;
const refuse = () => {
  throw new FS.ErrnoError(69); // EROFS in Emscripten's numbering
};
for (const change of ["mknod", "rename", "unlink", "rmdir", "symlink", "setattr"]) NODEFS.node_ops[change] = refuse;
NODEFS.stream_ops.write = refuse;
for (const [place, root] of [["/repository", repository], ["/packages", `${folder}/site-packages`]]) {
  FS.mkdirTree(place);
  FS.mount(NODEFS, { root }, place);
}

// Older Pyodides cannot look at the unlinked temporary files of pytest's default way of capturing.
python.globals.set("arguments", python.toPy(["--capture=sys", ...pytestArguments]));
const exitCode = python.runPython(`
import os, sys
sys.path.insert(0, "/packages")
os.chdir("/repository")
import pytest
int(pytest.main(list(arguments)))
`);
process.exit(exitCode);
