"""What `kubectl kustomize` does with patches that add and replace: prints FILE as KUSTOMIZATION changes it."""

import sys

import yaml


def main(kustomization: str, file: str) -> None:
    with open(file) as text:
        documents = list(yaml.safe_load_all(text))
    with open(kustomization) as text:
        patches = yaml.safe_load(text)["patches"]
    for patch in patches:
        wanted = (patch["target"]["kind"], patch["target"]["name"])
        [document] = [one for one in documents if (one["kind"], one["metadata"]["name"]) == wanted]
        for change in yaml.safe_load(patch["patch"]):
            apply(document, **change)
    yaml.safe_dump_all(documents, sys.stdout)


def apply(document: object, op: str, path: str, value: object) -> None:
    *parents, last = path.removeprefix("/").split("/")
    for name in parents:
        document = document[int(name) if isinstance(document, list) else name]
    if op == "replace":
        assert last in document, path
    if isinstance(document, list):
        document.insert(len(document) if last == "-" else int(last), value)
    else:
        document[last] = value


main(*sys.argv[1:])
