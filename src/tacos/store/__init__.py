"""What is written to disk, whole or not at all.

artifacts          the run directory: tables with their manifests, committed by rename
exact_duplicates   rows that were seen before (on seen_hashes: 16 bytes per distinct row)
files, folders     single files and folders, replaced by rename
"""
