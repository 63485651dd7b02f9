"""pytest puts this file's folder on the path: tests of every room import `strategies` and `mutations` from it."""
