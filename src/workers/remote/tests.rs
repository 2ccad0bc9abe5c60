//! The port between runs and whom they report to, with real programs.
