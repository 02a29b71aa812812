"""The page: what the watch caches show, drawn for a browser."""
