//! Runs programs for the jobs of a server at the other end of a line.
