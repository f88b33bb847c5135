"""Data sets in and out: one file per format.

    json  jsonl  delimited (CSV, TSV)  parquet  python_objects     the formats
    reading         the door in: files, standard input or Python data -> batches of rows
    writing         the door out: rows -> a file; scores beside it
    sources         the input of a run: names, digest, batches
    detection       which format a file has
    paths           folders and patterns -> files
    identification  what a file is, in words
    compression     gzip, zstd, bzip2, xz and UTF-16/32 -> UTF-8
    remote_inputs   addresses and names of the hub -> files elsewhere; what a run remembers of them
    remote_files    files at addresses: found, opened, taken up where a connection breaks
    remote_failures which failures are waited for, and what a person is told
    hub_datasets    the commit and the files of a data set of the hub
    saved_folders   which files of a folder saved by `datasets` hold the rows
    rows, json_rows what the formats share: rows, malformed rows, the JSON text of one row

The rule: everything about a format is in its file, reading and writing alike. A file of a format
offers `read_*`, from chunks of UTF-8 to rows and `MalformedRow`s, and `encode_*`, from rows to
bytes. No format opens the data set or the output itself: `reading` and `writing` do.

How to add a format: write its file; give its suffix in `detection.SUFFIXES` and recognize it in
`detection.detect_container`; call `read_*` in `reading._parse_text_rows` and `encode_*` in
`writing.write_rows`; add it to the tests of "every container" in tests/unit/formats.
"""
