"""Packs what `sam build` made, once for all deployments that follow: `sam deploy` would pack it again each time."""

import pathlib
import shutil
import sys

place = pathlib.Path(sys.argv[1])
template = place / "template.yaml"
text = template.read_text(encoding="utf-8")
for function in [entry for entry in place.iterdir() if entry.is_dir()]:
    shutil.make_archive(str(function), "zip", function)
    shutil.rmtree(function)
    here = f"CodeUri: {function.name}\n"
    assert here in text, f"the built template does not say {here}"
    text = text.replace(here, f"CodeUri: {function.name}.zip\n")
template.write_text(text, encoding="utf-8")
