//! The paths of the dashboard's pages, which lead everybody to it, whatever they say to accept. What it looks like there is
//! the page's own affair: each of them is answered with the same file.

use crate::api::route::Route;

/// The paths of the dashboard.
const PATHS: [&str; 8] = ["/", "/jobs", "/jobs/{id}", "/submit", "/queues", "/workers", "/schedules", "/history"];

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    PATHS.into_iter().map(Route::page).collect()
}
