"""The pixel store: TFRecord shards of what the generator's loader makes of each file, and what finds them again."""
