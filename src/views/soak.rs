//! A long trial of the views with millions of jobs.
