"""Results in a bucket, against a server of S3 on this machine: what its tests look at there."""

import pathlib

CHUNKS = {"chunk_seconds": 1e-5, "progress": False}


def objects(s3, url, folder=""):
    """The bytes of the objects of a folder, by their names in it."""
    return {name: s3.get_object(**key_of(url, folder + name))["Body"].read() for name in names(s3, url, folder)}


def names(s3, url, folder=""):
    """The names of the objects of a folder."""
    prefix = key_of(url, folder)["Key"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="tests", Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())]


def files(folder, within):
    """The same of a directory."""
    return {p.name: p.read_bytes() for p in (pathlib.Path(folder) / within).iterdir()}


def key_of(url, name):
    return {"Bucket": "tests", "Key": f"{url.removeprefix('s3://tests/')}/{name}"}
