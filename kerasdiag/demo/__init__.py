"""The demo: one slow training, its verdict, the repair, and the same training again."""
