"""The synthetic fab: contact holes, two SEMs that see them, and the data set they make."""
