"""The Firebase Auth emulator of npm firebase-tools, as the tests start it."""
