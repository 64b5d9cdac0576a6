"""The document an engineer edits: immutable values, TOML in and out, presets laid over it, history."""
