"""The loaders run in environments of their own, where pytest is not."""

collect_ignore_glob = ["load_*.py", "tiny_model.py"]
