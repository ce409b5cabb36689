"""From files to shards: the job, the child processes that work on it, and what happens to images that cannot be loaded."""
