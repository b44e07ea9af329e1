"""The search: three steps over one problem, each from files to files."""
