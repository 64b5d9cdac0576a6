"""The signal path and the document, headless: folders follow the way the audio goes; nothing here knows a terminal."""
