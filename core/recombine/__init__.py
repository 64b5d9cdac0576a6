"""The delta sum, the master stage and the render: where source and repaired stems become one file again."""
